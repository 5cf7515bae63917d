"""The one way to a ticketing tool over HTTP: pacing, retries, and what every answer means.

Every failure leaves here as one sentence for the operator. A vendor's own words are quoted only as
an error code or a masked excerpt, so no credential, address or ticket text reaches a log.
"""

from __future__ import annotations

import re
import socket
import ssl
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from typing import Any

import httpx

from app.errors import Invalid, TryLater
from app.ingest.source import Line, Outside, Quota

TRIES = 6
UNREADABLE_TRIES = 3
DOUBTFUL_TRIES = 3
LONGEST_WAIT_S = 900.0
SKEW_S = 60.0  # clocks further apart are reported
PATIENCE_S = 90.0  # longer waits go back to the scheduler, so that no worker thread is held


class AuthFailed(Invalid):
    """The credentials do not work: renew the secret."""


class Forbidden(Invalid):
    """The credentials work but may not do this: grant the permission named."""


class Misconfigured(Invalid):
    """A setting does not fit what answers at the address: change it."""


class Refused(Invalid):
    """The tool rejected one request as wrong; `code` is its own name for the reason."""

    def __init__(self, detail: str, *, code: str = "", status_code: int = 400) -> None:
        super().__init__(detail)
        self.code = code
        self.status_code = status_code


class Gone(Refused):
    """What was asked for does not exist (404 or 410)."""


class QuotaUsedUp(TryLater):
    """The tool's own call limit is reached: it opens again later."""


class CursorStuck(TryLater):
    """The tool handed out the same page twice; the walk stops and keeps what it has."""


class TokenUnavailable(httpx.TransportError):
    """The token endpoint gave none now; the request it was meant for can be tried again."""


class Verdict(Enum):
    """What an answer means for the request that got it."""

    GOOD = auto()
    AGAIN = auto()
    UNREADABLE = auto()
    QUOTA = auto()
    UNKNOWN_CALLER = auto()
    FORBIDDEN = auto()
    DOUBTFUL = auto()  # forbidden, by a tool that says so now and then under load
    GONE = auto()
    REFUSED = auto()


@dataclass(frozen=True, slots=True)
class Answer:
    """A good answer: `body` is parsed JSON, None when empty; `at` is the server's clock."""

    name: str
    status: int
    body: Any
    headers: httpx.Headers
    at: datetime | None

    @property
    def record(self) -> Mapping[str, Any]:
        """The body as an object; empty when it is anything else."""
        return self.body if isinstance(self.body, dict) else {}

    def listed(self, key: str = "") -> Sequence[Mapping[str, Any]]:
        """The list of objects under `key`, or that the body is; TryLater when there is none.

        What is not a list must not pass for an empty one: it would end a walk before its end.
        """
        found = self.record.get(key) if key else self.body
        if self.status == 204:
            return ()
        if isinstance(found, list) and all(isinstance(row, dict) for row in found):
            return found
        raise TryLater(f"{self.name}: the answer has not the form of this API: check base_url", after_s=300)


@dataclass(slots=True)
class Lane:
    """At most `calls` in any window of `per_s` seconds, counted on our side.

    The window is a little longer than the vendor's, because calls arrive later than they are sent,
    and not all equally late. A lane may lie `within` another, where each of its calls counts `weight` times.
    """

    calls: int
    per_s: float = 61.0
    within: Lane | None = None
    weight: int = 1
    _sent: deque[datetime] = field(default_factory=deque)

    def reserve(self, now: datetime, *, wait_s: float = 0.0) -> float:
        """Take a place at least `wait_s` ahead; returns the seconds until it, which may not be too many."""
        wait_s = max(wait_s, self._opens_s(now, 1))
        if self.within:
            wait_s = max(wait_s, self.within._opens_s(now, self.weight))
        if wait_s <= PATIENCE_S:
            at = now + timedelta(seconds=wait_s)
            self._sent.append(at)
            if self.within:
                self.within._sent.extend([at] * self.weight)
        return wait_s

    def _opens_s(self, now: datetime, weight: int) -> float:
        """Seconds until there is room for `weight` calls."""
        while self._sent and (now - self._sent[0]).total_seconds() >= self.per_s:
            self._sent.popleft()
        room = self.calls - weight
        if len(self._sent) <= room:
            return 0.0
        last = self._sent[-max(1, room + 1)]
        return (last + timedelta(seconds=self.per_s) - now).total_seconds()


Judge = Callable[[httpx.Response, Any], Verdict | None]
Meter = Callable[[httpx.Headers], Quota | None]


def no_opinion(_response: httpx.Response, _body: Any) -> None:
    """A vendor without special answers."""


def no_meter(_headers: httpx.Headers) -> None:
    """A vendor that does not say what is left of its limit."""


class Unreadable(ValueError):
    """A body that is not the JSON it should be."""


class Api:
    """One account's API. Calls are paced per lane, so that details never starve the walk."""

    def __init__(
        self,
        name: str,
        *,
        base_url: str,
        auth: httpx.Auth | None,
        outside: Outside,
        lanes: Mapping[str, Lane],
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 30.0,
        judge: Judge = no_opinion,
        meter: Meter = no_meter,
    ) -> None:
        self.name = name
        self.calls = 0
        self.quotas: dict[str, Quota] = {}  # by lane, as last heard
        self._now, self._sleep, self._jitter = outside.now, outside.sleep, outside.jitter
        self._lanes = lanes
        self._judge, self._meter = judge, meter
        self._lock = threading.Lock()  # a walk and its details may share one account
        self._scarce: dict[str, Quota] = {}
        self._ahead = timedelta(0)  # the server's clock minus ours
        self._client = httpx.Client(
            base_url=checked_address(name, base_url),
            auth=auth,
            transport=outside.transport,
            timeout=timeout_s,
            headers={"Accept": "application/json", "User-Agent": "foreshock"} | dict(headers or {}),
        )

    @property
    def host(self) -> str:
        return self._client.base_url.host

    @property
    def clock(self) -> datetime:
        """The server's clock as last heard; our own before its first answer."""
        return self._now() + self._ahead

    def clock_lines(self) -> tuple[Line, ...]:
        """What `check` says about the two clocks: signatures and token lifetimes depend on ours."""
        seconds = self._ahead.total_seconds()
        if abs(seconds) <= SKEW_S:
            return ()
        side = "behind" if seconds > 0 else "ahead of"
        return (
            Line(False, f"this machine's clock is {abs(seconds):.0f} s {side} {self.host}: set it by NTP"),
        )

    def close(self) -> None:
        self._client.close()

    def get(self, path: str, lane: str = "main", **params: Any) -> Answer:
        """GET with the parameters that are not None."""
        return self.call("GET", path, lane=lane, params=params)

    def post(self, path: str, json: Any, lane: str = "main") -> Answer:
        return self.call("POST", path, lane=lane, json=json)

    def call(
        self,
        method: str,
        path: str,
        *,
        lane: str = "main",
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send until an answer is final; raise the error that says what the operator can do."""
        given = {key: value for key, value in (params or {}).items() if value is not None}
        seen: dict[Verdict, int] = {}
        reason = ""
        for attempt in range(TRIES):
            self._pace(lane)
            try:
                response = self._client.request(
                    method, path, params=given or None, json=json, headers=dict(headers or {})
                )
            except httpx.RequestError as error:
                reason = self._unreachable(error)
                self._pause(self._backoff_s(attempt), reason)
                continue
            self._hear(lane, response)
            verdict, body = self._read(response)
            if verdict is Verdict.GOOD:
                return Answer(self.name, response.status_code, body, response.headers, date_of(response))
            seen[verdict] = seen.get(verdict, 0) + 1
            reason = self._explain(verdict, response, body)
            self._give_up(verdict, response, body, reason, times=seen[verdict])
            if verdict is not Verdict.UNKNOWN_CALLER:
                self._pause(retry_after_s(response, self._now()) or self._backoff_s(attempt), reason)
        raise TryLater(f"{reason}; {TRIES} attempts failed, nothing was lost, trying again later", after_s=60)

    def _give_up(
        self, verdict: Verdict, response: httpx.Response, body: Any, reason: str, *, times: int
    ) -> None:
        """Raise if another attempt cannot help."""
        code, status = code_of(body), response.status_code
        if verdict is Verdict.UNKNOWN_CALLER and times == 2:
            raise AuthFailed(reason)
        if verdict is Verdict.FORBIDDEN or (verdict is Verdict.DOUBTFUL and times == DOUBTFUL_TRIES):
            raise Forbidden(reason)
        if verdict is Verdict.GONE:
            raise Gone(reason, code=code, status_code=status)
        if verdict is Verdict.REFUSED:
            raise Refused(reason, code=code, status_code=status)
        if verdict is Verdict.QUOTA:
            after_s = retry_after_s(response, self._now()) or LONGEST_WAIT_S
            raise QuotaUsedUp(reason, after_s=after_s)
        if verdict is Verdict.UNREADABLE and times == UNREADABLE_TRIES:
            raise TryLater(reason, after_s=300)

    def _read(self, response: httpx.Response) -> tuple[Verdict, Any]:
        """The verdict and the parsed body; the vendor's judge speaks before the common table."""
        try:
            body = json_of(response)
        except Unreadable:
            body = None
            if response.is_success:
                return Verdict.UNREADABLE, None
        if body is None and response.status_code == 200:
            return Verdict.UNREADABLE, None
        judged = self._judge(response, body)
        return (common_verdict(response) if judged is None else judged), body

    def _hear(self, lane: str, response: httpx.Response) -> None:
        at = date_of(response)
        if at is not None:
            self._ahead = at - self._now()
        quota = self._meter(response.headers)
        self._scarce = {lane: quota} if quota and quota.remaining * 10 < quota.total else {}
        if quota:
            self.quotas[lane] = quota

    def _pace(self, lane: str) -> None:
        """Wait until our own limit, and the vendor's if nearly used up, allow one more call."""
        with self._lock:
            scarce = self._scarce.pop(lane, None)
            thrift_s = scarce.resets_s / max(1, scarce.remaining) if scarce else 0.0
            wait_s = self._lanes[lane].reserve(self._now(), wait_s=thrift_s)
        if wait_s > 0:
            self._pause(wait_s, f"{self.name}: the call limit of {self.host} is used up for now")
        self.calls += 1

    def _pause(self, seconds: float, reason: str) -> None:
        if seconds > PATIENCE_S:
            raise QuotaUsedUp(reason, after_s=seconds)
        self._sleep(seconds)

    def _backoff_s(self, attempt: int) -> float:
        """Full jitter under 1, 2, 4 ... 60 seconds."""
        return self._jitter() * min(60.0, 2.0**attempt)

    def _unreachable(self, error: httpx.RequestError) -> str:
        """One sentence for a request that got no answer; raise if the settings are to blame."""
        causes = list(chain_of(error))
        where = f"{self.name}: {self.host}"
        if isinstance(error, TokenUnavailable):
            return f"{where} {error}"
        if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
            raise Misconfigured(
                f"{where} shows a certificate that is not trusted: check base_url, or set SSL_CERT_FILE "
                "to your company's certificate bundle",
                pointer="base_url",
            )
        if isinstance(error, httpx.UnsupportedProtocol):
            raise Misconfigured(f"{where} cannot be called: base_url must start with https://")
        if any(isinstance(cause, socket.gaierror) for cause in causes):
            return f"{where} cannot be found by DNS: check base_url and the name server"
        if isinstance(error, httpx.TimeoutException):
            return f"{where} did not answer in time"
        return f"{where} cannot be reached ({type(error).__name__})"

    def _explain(self, verdict: Verdict, response: httpx.Response, body: Any) -> str:
        code, words = code_of(body), excerpt_of(body)
        told = ": ".join(dict.fromkeys(filter(None, (code, words))))
        said = f"{response.status_code}{' ' + told if told else ''}"
        where = f"{self.name}: {self.host}"
        path = response.request.url.path
        sentences = {
            Verdict.UNKNOWN_CALLER: f"{where} does not accept the credentials ({said}): "
            "they are expired, revoked or mistyped; renew the secret of this source",
            Verdict.FORBIDDEN: f"{where} does not allow this account to read {path} ({said}): "
            "grant it the permission the README lists for this system",
            Verdict.GONE: f"{where} has nothing at {path} ({said}): check base_url and the options",
            Verdict.REFUSED: f"{where} refused the request to {path} ({said})",
            Verdict.QUOTA: f"{where} says the call quota is used up ({said})",
            Verdict.UNREADABLE: f"{where} answered with {kind_of(response)} instead of JSON: "
            "check base_url (a login page or a sleeping instance answers like this)",
        }
        if response.status_code == 429:
            verdict = Verdict.QUOTA
        if verdict is Verdict.DOUBTFUL:
            verdict = Verdict.FORBIDDEN
        return sentences.get(verdict, f"{where} is busy or failing ({said})")


def common_verdict(response: httpx.Response) -> Verdict:
    """The outcome table every source shares."""
    status = response.status_code
    if response.is_success:
        return Verdict.GOOD
    if status == 401:
        return Verdict.UNKNOWN_CALLER
    if status == 403:
        return Verdict.FORBIDDEN
    if status in (404, 410):
        return Verdict.GONE
    if status in (408, 429) or status >= 500:
        return Verdict.AGAIN
    return Verdict.REFUSED  # 3xx as well: credentials never follow a redirect


def json_of(response: httpx.Response) -> Any:
    """The parsed body; None when empty. Raise Unreadable for anything else than JSON."""
    if not response.content.strip():
        return None
    try:
        return response.json()
    except ValueError as error:
        raise Unreadable from error


def date_of(response: httpx.Response) -> datetime | None:
    """The server's clock from its Date header."""
    return http_date(response.headers.get("Date", ""))


def http_date(text: str) -> datetime | None:
    try:
        return parsedate_to_datetime(text).astimezone(UTC)
    except ValueError:
        return None


def retry_after_s(response: httpx.Response, now: datetime) -> float:
    """Retry-After in seconds, from either of its two forms; 0.0 when absent, never under 1 when given."""
    text = response.headers.get("Retry-After", "").strip()
    if not text:
        return 0.0
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return min(LONGEST_WAIT_S, max(1.0, float(text)))
    until = http_date(text)
    if until is None:
        return 0.0
    return min(LONGEST_WAIT_S, max(1.0, (until - (date_of(response) or now)).total_seconds()))


def code_of(body: Any) -> str:
    """The vendor's own name for an error, if the body holds one that is safe to show."""
    if isinstance(body, list) and body:
        return code_of(body[0])
    if not isinstance(body, dict):
        return ""
    for key in ("errorCode", "error", "code", "category"):
        value = body.get(key)
        if isinstance(value, dict):
            value = value.get("title") or value.get("message")
        found = re.match(r"[\w .:'-]{1,60}", str(value)) if isinstance(value, str | int) else None
        if found:
            return found[0].strip()
    return ""


def excerpt_of(body: Any) -> str:
    """The vendor's message with everything that could be a name, an address or a secret masked."""
    if isinstance(body, list) and body:
        return excerpt_of(body[0])
    if not isinstance(body, dict):
        return ""
    told = [
        body.get("errorMessages"),
        body.get("error_description"),
        body.get("message"),
        body.get("description"),
    ]
    said = next(filter(None, told), "")
    words = " ".join(str(said[0] if isinstance(said, list) else said).split())
    words = re.sub(r"\S+@\S+", "[address]", words)
    return re.sub(r"[\w+/=.-]{24,}", "[...]", words)[:100].rstrip(" .")


def kind_of(response: httpx.Response) -> str:
    return "a web page" if "html" in response.headers.get("Content-Type", "").lower() else "unreadable text"


def chain_of(error: BaseException) -> list[BaseException]:
    """The error and everything that led to it."""
    chain: list[BaseException] = []
    step: BaseException | None = error
    while step is not None and step not in chain:
        chain.append(step)
        step = step.__cause__ or step.__context__
    return chain


def checked_address(name: str, base_url: str) -> str:
    """`base_url` without a trailing slash; Invalid when it is not an address of the http family."""
    if not re.match(r"https?://[^/\s@]+(/\S*)?$", base_url):
        raise Misconfigured(
            f"{name}: base_url must look like https://company.example.com, without user name or spaces",
            pointer="base_url",
        )
    return base_url.rstrip("/")
