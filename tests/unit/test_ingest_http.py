"""The HTTP layer: what it retries, how long it waits, and the one line it gives the operator."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import httpx
import pytest

from app.errors import ForeshockError, TryLater
from app.ingest.http import Api, AuthFailed, Forbidden, Gone, Lane, Misconfigured, QuotaUsedUp, Refused
from app.ingest.oauth import ClientCredentials, OAuth, RotatingToken, StaticToken
from app.ingest.source import Outside

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SECRET = "planted-secret-0123456789"


class Time:
    """A clock that moves when slept on."""

    def __init__(self) -> None:
        self.at = NOW
        self.slept: list[float] = []

    def now(self) -> datetime:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += timedelta(seconds=seconds)


def api(
    *answers: httpx.Response | Exception | Callable[[httpx.Request], httpx.Response],
    time: Time | None = None,
    auth: httpx.Auth | None = None,
    calls: int = 100,
) -> Api:
    """An API that gives these answers in turn, the last one for ever."""
    queue = list(answers)

    def handle(request: httpx.Request) -> httpx.Response:
        answer = queue.pop(0) if len(queue) > 1 else queue[0]
        if isinstance(answer, Exception):
            raise answer
        return answer(request) if callable(answer) else answer

    time = time or Time()
    return Api(
        "acme",
        base_url="https://desk.example/",
        auth=auth or StaticToken(SECRET),
        outside=outside(time, handle),
        lanes={"main": Lane(calls)},
    )


def outside(time: Time, handle: Callable[[httpx.Request], httpx.Response] | None = None) -> Outside:
    transport = httpx.MockTransport(handle) if handle else None
    return Outside(
        now=time.now, secret=lambda _: SECRET, sleep=time.sleep, transport=transport, jitter=lambda: 1.0
    )


GOOD = httpx.Response(200, json={"ok": True})


def caused_by(cause: Exception) -> httpx.ConnectError:
    error = httpx.ConnectError("no")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("answer", "kind", "line"),
    [
        (httpx.Response(401, json={"error": "invalid_token"}), AuthFailed, "renew the secret"),
        (httpx.Response(403, json={"error": {"title": "Forbidden"}}), Forbidden, "grant it the permission"),
        (httpx.Response(404, json={"error": "RecordNotFound"}), Gone, "check base_url"),
        (httpx.Response(400, json=[{"errorCode": "INVALID_FIELD"}]), Refused, "INVALID_FIELD"),
        (httpx.Response(302, headers={"Location": "https://evil.example"}), Refused, "302"),
        (httpx.Response(200, html="<html>Sign in</html>"), TryLater, "a web page instead of JSON"),
        (httpx.Response(500, text="oops"), TryLater, "busy or failing"),
        (httpx.Response(429, headers={"Retry-After": "600"}), QuotaUsedUp, "quota is used up"),
        (httpx.ReadTimeout("slow"), TryLater, "did not answer in time"),
        (caused_by(socket.gaierror("name")), TryLater, "cannot be found by DNS"),
        (caused_by(ssl.SSLCertVerificationError("bad")), Misconfigured, "certificate"),
        (httpx.UnsupportedProtocol("ftp"), Misconfigured, "https://"),
    ],
)
def test_every_failure_is_one_line_that_says_what_to_do(
    answer: httpx.Response | Exception, kind: type[ForeshockError], line: str
) -> None:
    with pytest.raises(kind, match=line) as raised:
        api(answer).get("/things")
    assert "\n" not in str(raised.value)
    assert SECRET not in str(raised.value)


def test_an_error_never_repeats_an_address_a_token_or_a_long_text() -> None:
    message = f"User jane@cust.example with {'x' * 40} wrote {'word ' * 100}"
    with pytest.raises(Refused) as raised:
        api(httpx.Response(400, json={"message": message})).get("/things")
    assert "jane" not in str(raised.value)
    assert "xxxx" not in str(raised.value)
    assert len(str(raised.value)) < 300


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("12", 12.0),
        ("0", 1.0),
        (format_datetime(NOW + timedelta(seconds=20), usegmt=True), 20.0),
        (None, 1.0),
        ("soon", 1.0),
    ],
)
def test_retry_after_is_honoured_in_every_form(header: str | None, seconds: float) -> None:
    time = Time()
    busy = httpx.Response(429, headers={"Retry-After": header} if header else {})
    assert api(busy, GOOD, time=time).get("/things").body == {"ok": True}
    assert time.slept == [seconds]


def test_without_advice_the_waits_double_and_end_after_six_tries() -> None:
    time = Time()
    with pytest.raises(TryLater, match="6 attempts"):
        api(httpx.Response(503), time=time).get("/things")
    assert time.slept == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0]


def test_a_long_wait_goes_back_to_the_scheduler_instead_of_holding_a_thread() -> None:
    time = Time()
    with pytest.raises(QuotaUsedUp) as raised:
        api(httpx.Response(429, headers={"Retry-After": "99999"}), time=time).get("/things")
    assert (raised.value.after_s, time.slept) == (900.0, [])


def test_one_refused_token_is_forgiven() -> None:
    assert api(httpx.Response(401), GOOD).get("/things").body == {"ok": True}


def test_a_lane_never_lets_more_calls_through_than_its_window_allows() -> None:
    time = Time()
    source = api(GOOD, time=time, calls=3)
    for _ in range(7):
        source.get("/things")
    assert time.slept == [61.0, 61.0]


def test_the_server_clock_is_taken_from_its_date_header() -> None:
    late = NOW + timedelta(hours=3)
    source = api(httpx.Response(200, json={}, headers={"Date": format_datetime(late, usegmt=True)}))
    assert source.clock == NOW
    source.get("/things")
    assert source.clock == late


@pytest.mark.parametrize(
    "address", ["desk.example", "https://user:pw@desk.example", "https://desk example", ""]
)
def test_a_base_url_that_cannot_work_is_refused_at_start(address: str) -> None:
    time = Time()
    with pytest.raises(Misconfigured, match="base_url"):
        Api("acme", base_url=address, auth=None, outside=outside(time), lanes={})


class TokenServer:
    """Hands out numbered tokens and accepts only the newest."""

    def __init__(self) -> None:
        self.tokens = 0
        self.refresh = "r0"

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/token":
            self.tokens += 1
            if b"refresh_token" in request.content and self.refresh.encode() not in request.content:
                return httpx.Response(400, json={"error": "invalid_grant"})
            self.refresh = f"r{self.tokens}"
            return httpx.Response(
                200,
                json={"access_token": f"t{self.tokens}", "expires_in": 600, "refresh_token": self.refresh},
            )
        good = request.headers.get("Authorization") == f"Bearer t{self.tokens}"
        return GOOD if good else httpx.Response(401)


def oauth(time: Time, path: Path | None = None) -> OAuth:
    grant = RotatingToken("id", SECRET, path) if path else ClientCredentials("id", SECRET)
    return OAuth("acme", token_url="https://desk.example/token", grant=grant, now=time.now)


def test_a_token_is_fetched_once_and_renewed_before_it_expires() -> None:
    time, server = Time(), TokenServer()
    source = api(server, time=time, auth=oauth(time))
    source.get("/things")
    source.get("/things")
    assert server.tokens == 1
    time.sleep(560)
    source.get("/things")
    assert server.tokens == 2


def test_a_revoked_token_is_replaced_without_the_operator() -> None:
    time, server = Time(), TokenServer()
    source = api(server, time=time, auth=oauth(time))
    source.get("/things")
    server.tokens += 1  # someone else took a token: ours is dead
    assert source.get("/things").body == {"ok": True}


def test_many_threads_fetch_one_token() -> None:
    time, server = Time(), TokenServer()
    source = api(server, time=time, auth=oauth(time))
    threads = [threading.Thread(target=source.get, args=("/things",)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.tokens == 1


def test_a_rotating_refresh_token_is_on_disk_before_the_access_token_is_used(tmp_path: Path) -> None:
    path = tmp_path / "refresh"
    path.write_text("r0\n")
    time, server = Time(), TokenServer()
    api(server, time=time, auth=oauth(time, path)).get("/things")
    assert path.read_text() == "r1"
    api(server, time=time, auth=oauth(time, path)).get("/things")
    assert path.read_text() == "r2"


def test_a_refused_grant_is_final_and_names_no_secret() -> None:
    time = Time()
    refused = httpx.Response(400, json={"error": "invalid_grant", "error_description": SECRET})
    with pytest.raises(AuthFailed, match="invalid_grant") as raised:
        api(refused, time=time, auth=oauth(time)).get("/things")
    assert SECRET not in str(raised.value)
