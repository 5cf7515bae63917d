"""One attempt to deliver an event, and what its answer means for the next one."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from app.domain import Event
from app.errors import ForeshockError
from app.notify.address import Resolve, resolve, target

SCHEDULE = tuple(timedelta(seconds=s) for s in (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400))
"""Waits after the first, second, ... failed attempt (Standard Webhooks' example schedule)."""
PATIENCE = timedelta(days=5)
"""How long an endpoint may fail before it is disabled."""
SLOW_DOWN = {429, 502, 504}
TIMEOUT_S = 15.0
ANSWER_KEPT = 500


@dataclass(frozen=True, slots=True)
class Answer:
    """What an endpoint said; `status` is None when it could not be reached."""

    status: int | None
    took_ms: int
    text: str = ""
    retry_after: str = ""  # the header as it came: seconds or an HTTP date

    @property
    def is_success(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Next:
    """What follows an attempt: state of the delivery, its next time, and why the endpoint is given up."""

    state: str
    at: datetime | None = None
    disable: str = ""


class Sender:
    """Posts to checked addresses only; follows no redirect. `transport` and `look_up` are for tests."""

    def __init__(
        self,
        *,
        allow: Sequence[str] = (),
        transport: httpx.BaseTransport | None = None,
        look_up: Resolve = resolve,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._allow, self._look_up, self._timeout_s = tuple(allow), look_up, timeout_s
        self._client = httpx.Client(transport=transport, timeout=timeout_s, follow_redirects=False,
                                    trust_env=False)  # fmt: skip

    def check(self, url: str) -> None:
        """Raise Invalid when no webhook may ever go to this address."""
        target(url, allow=self._allow, look_up=self._look_up)

    def post(self, url: str, body: bytes, headers: dict[str, str]) -> Answer:
        started = time.perf_counter()

        def took() -> int:
            return int(1000 * (time.perf_counter() - started))

        try:
            found = target(url, allow=self._allow, look_up=self._look_up)
            host = found.url.netloc.decode()
            request = self._client.build_request(
                "POST", found.url.copy_with(host=found.address), content=body,
                headers={**headers, "host": host, "content-type": "application/json",
                         "user-agent": "Foreshock"},
                extensions={"sni_hostname": found.host, "timeout": httpx.Timeout(self._timeout_s).as_dict()},
            )  # fmt: skip
            answer = self._client.send(request, stream=True)
            try:
                text = (
                    next(answer.iter_bytes(ANSWER_KEPT), b"")[:ANSWER_KEPT]
                    .decode("utf-8", "replace")
                    .replace("\0", "")
                )
            finally:
                answer.close()
        except (ForeshockError, httpx.HTTPError) as error:
            return Answer(None, took(), f"{type(error).__name__}: {error}"[:ANSWER_KEPT])
        return Answer(answer.status_code, took(), text, answer.headers.get("retry-after", ""))

    def close(self) -> None:
        self._client.close()


def _retry_after(value: str, at: datetime) -> timedelta | None:
    try:
        seconds = float(value)
        if math.isnan(seconds):  # "nan" is a number to float() and to nobody else
            return None
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(value) - at).total_seconds()
        except (ValueError, TypeError):
            return None
    return timedelta(seconds=min(max(seconds, 1.0), 86400.0))


def after(
    answer: Answer, *, delivery_id: str, attempts: int, at: datetime, failing_since: datetime | None
) -> Next:
    """What to do after attempt number `attempts` of a delivery."""
    if answer.is_success:
        return Next("delivered")
    if answer.status == 410:
        return Next("failed", disable="the endpoint answered 410 Gone")
    if failing_since is not None and at - failing_since >= PATIENCE:
        return Next("failed", disable=f"every delivery failed since {failing_since:%Y-%m-%d %H:%M} UTC")
    if attempts > len(SCHEDULE):
        return Next("failed")
    wait = SCHEDULE[attempts - 1] * (1 + 0.2 * _jitter(delivery_id, attempts))
    if answer.status in SLOW_DOWN:
        wait = max(wait, timedelta(seconds=60))
    asked = _retry_after(answer.retry_after, at)
    if asked is not None:
        wait = max(wait, asked)
    return Next("pending", at + wait)


def _jitter(delivery_id: str, attempt: int) -> float:
    digest = hashlib.sha256(f"{delivery_id}.{attempt}".encode()).digest()
    return int.from_bytes(digest[:4]) / 2**32


def body(event: Event, *, base_url: str, text: Any = None) -> bytes:
    """The thin JSON body of an event: ids, counts and links; `text` only where it was asked for."""
    data = {"id": event.subject, "sequence": event.sequence, **event.data}
    data["links"] = {name: f"{base_url}{path}" for name, path in event.data.get("links", {}).items()}
    if text is not None:
        data["text"] = text
    content = {"type": event.type, "version": 1, "timestamp": event.at.isoformat().replace("+00:00", "Z"),
               "data": data}  # fmt: skip
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()
