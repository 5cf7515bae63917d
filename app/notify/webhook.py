"""One attempt to deliver an event, and what its answer means for the next one."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx

from app.errors import ForeshockError
from app.notify.address import Resolve, resolve, target
from app.notify.deadline import Transport, connecting_to, within

SCHEDULE = tuple(timedelta(seconds=s) for s in (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400))
"""Waits after the first, second, ... failed attempt (Standard Webhooks' example schedule)."""
PATIENCE = timedelta(days=5)
"""How long an endpoint may fail before it is disabled."""
SLOW_DOWN = {429, 502, 504}
SLOW_DOWN_WAIT = timedelta(seconds=60)
QUIET, MOST_QUIET = timedelta(seconds=5), timedelta(minutes=5)
"""How long a failing endpoint is left alone: doubling with each failure in a row, up to the second."""
TIMEOUT_S = 15.0  # of a whole attempt
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


class Took:
    """Milliseconds since it was made."""

    def __init__(self) -> None:
        self._started = time.perf_counter()

    @property
    def ms(self) -> int:
        return int(1000 * (time.perf_counter() - self._started))


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
        self._transport = (
            transport or Transport()
        )  # no client around it: nothing to follow, no cookie to keep

    def check(self, url: str) -> None:
        """Raise Invalid when no webhook may ever go to this address."""
        target(url, allow=self._allow, look_up=self._look_up)

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """One attempt, over after `timeout_s` altogether; what goes wrong is an answer without a status."""
        took = Took()
        try:
            with within(self._timeout_s):
                return self._post(url, body, headers, took)
        except (ForeshockError, httpx.HTTPError) as error:
            return Answer(None, took.ms, f"{type(error).__name__}: {error}"[:ANSWER_KEPT])

    def _post(self, url: str, body: bytes, headers: Mapping[str, str], took: Took) -> Answer:
        found = target(url, allow=self._allow, look_up=self._look_up)
        request = httpx.Request(
            "POST", found.url, content=body, headers={**headers, "user-agent": "Foreshock"}
        )
        with connecting_to(found.address), closing(self._transport.handle_request(request)) as answer:
            start = next(answer.iter_bytes(ANSWER_KEPT), b"")[:ANSWER_KEPT]
        text = start.decode("utf-8", "replace").replace("\0", "")
        return Answer(answer.status_code, took.ms, text, answer.headers.get("retry-after", ""))

    def close(self) -> None:
        self._transport.close()


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
        wait = max(wait, SLOW_DOWN_WAIT)
    asked = _retry_after(answer.retry_after, at)
    if asked is not None:
        wait = max(wait, asked)
    return Next("pending", at + wait)


def _jitter(delivery_id: str, attempt: int) -> float:
    digest = hashlib.sha256(f"{delivery_id}.{attempt}".encode()).digest()
    return int.from_bytes(digest[:4]) / 2**32


def quiet(answer: Answer, *, failures: int, at: datetime) -> datetime | None:
    """Until when nothing else is tried at an endpoint that failed `failures` times in a row before.

    None when the endpoint works: a 4xx is about this one body.
    """
    if answer.status is not None and answer.status < 500 and answer.status not in (408, 429):
        return None
    wait = min(QUIET * (1 << min(failures, 10)), MOST_QUIET)
    if answer.status in SLOW_DOWN:
        wait = max(wait, SLOW_DOWN_WAIT)
    return at + max(wait, _retry_after(answer.retry_after, at) or wait)
