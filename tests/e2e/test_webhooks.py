"""A webhook's life: signed, tried again, taken over after a crash, and never sent into a private network."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta

import httpx
import pytest
from standardwebhooks.webhooks import Webhook

from app.backtest import Clock
from app.domain import Event
from app.errors import Invalid, TryLater
from app.notify.address import is_public, target
from app.notify.webhook import Sender
from app.pipeline import deliver as outbox
from app.pipeline.deliver import deliver
from app.runtime import Runtime
from app.store import events, webhooks
from tests.fakes import Endpoint, answers, endpoint

WAIT = timedelta(hours=1)  # longer than the waits after the first attempts


@pytest.fixture
def hasty(runtime: Runtime) -> Runtime:
    """A sender that waits no longer than a quarter of a second for an answer."""
    runtime.__dict__["sender"] = Sender(allow=("127.0.0.1",), timeout_s=0.25)
    return runtime


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """Set at the end, so that a handler that hangs hangs no longer than its test."""
    held = threading.Event()
    yield held
    held.set()


def subscribe(runtime: Runtime, hook: Endpoint) -> tuple[str, str]:
    made, secret = outbox.subscribe(
        runtime, url=hook.url, event_types=["alert.*"], query={}, include_text=False, secret="", actor="Ann"
    )
    return made.id, secret


def happened(runtime: Runtime) -> Event:
    data = {"sentence": "Export fails más a menudo", "customers": 4, "links": {"alert": "/v1/alerts/alt_1"}}
    with runtime.store.write() as session:
        return events.write(session, "alert.opened", "alt_1", data, at=runtime.now())


def verified(secret: str, hook: Endpoint, clock: Clock) -> list[object]:
    """What a receiver with the `standardwebhooks` library reads of each request; it raises for a bad signature."""
    read: list[object] = []
    for got in hook.received:
        unmoved = dict(got.headers) | {"webhook-timestamp": got.headers["webhook-timestamp"]}
        read.append(_verify(secret, got.body, unmoved))
    return read


def _verify(secret: str, body: bytes, headers: dict[str, str]) -> object:
    """The library refuses timestamps more than five minutes off the wall clock; ours is moved by hand."""
    hook = Webhook(secret)
    given = headers["webhook-signature"].split(" ")
    from datetime import UTC, datetime

    at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), tz=UTC)
    assert hook.sign(headers["webhook-id"], at, body.decode()) in given
    return json.loads(body)


def test_an_endpoint_that_fails_then_hangs_then_answers_gets_one_event_under_one_id(
    hasty: Runtime, clock: Clock, release: threading.Event
) -> None:
    def hang() -> tuple[int, dict[str, str]]:
        release.wait(20)
        return 200, {}

    with endpoint(answers(500), hang, answers(200)) as hook:
        id_, secret = subscribe(hasty, hook)
        event = happened(hasty)
        for _ in range(6):
            deliver(hasty)
            clock.at += WAIT
    assert [got.headers["webhook-id"] for got in hook.received] == [event.id] * 3
    times = [int(got.headers["webhook-timestamp"]) for got in hook.received]
    assert times == sorted(set(times))
    for content in verified(secret, hook, clock):
        assert isinstance(content, dict)
        assert (content["type"], content["data"]["id"]) == ("alert.opened", "alt_1")
        assert content["data"]["links"]["alert"].startswith("http://127.0.0.1:8321/v1/alerts/")
    with hasty.store.read() as session:
        (delivery,) = webhooks.deliveries(session, id_).items
        log = webhooks.attempts(session, delivery.id)
    assert (delivery.state, delivery.attempts) == ("delivered", 3)
    assert [a.status for a in log] == [500, None, 200]
    assert "Timeout" in log[1].answer


def test_the_standard_library_of_receivers_accepts_what_is_sent_now(runtime: Runtime, clock: Clock) -> None:
    clock.at = runtime.clock()
    with endpoint() as hook:
        _, secret = subscribe(runtime, hook)
        happened(runtime)
        deliver(runtime)
    (got,) = hook.received
    assert Webhook(secret).verify(got.body, got.headers)["type"] == "alert.opened"
    with pytest.raises(Exception, match="signature"):
        Webhook(secret).verify(got.body + b" ", got.headers)
    assert got.headers["content-type"] == "application/json"
    assert len(got.body) < 20_000


def test_after_a_rotation_receivers_with_either_secret_accept(runtime: Runtime, clock: Clock) -> None:
    clock.at = runtime.clock()
    with endpoint() as hook:
        id_, old = subscribe(runtime, hook)
        new = outbox.rotate(runtime, id_, actor="Ann")
        happened(runtime)
        deliver(runtime)
    (got,) = hook.received
    assert Webhook(old).verify(got.body, got.headers) == Webhook(new).verify(got.body, got.headers)


def test_a_sender_killed_after_it_claimed_is_replaced_and_the_id_stays(
    runtime: Runtime, clock: Clock
) -> None:
    with endpoint() as hook:
        subscribe(runtime, hook)
        event = happened(runtime)
        with runtime.store.write() as session:
            assert len(webhooks.claim(session, at=clock.at, limit=9, lease_s=outbox.LEASE_S)) == 1
        assert deliver(runtime) is False
        clock.at += timedelta(seconds=outbox.LEASE_S)
        assert deliver(runtime) is True
    assert [got.headers["webhook-id"] for got in hook.received] == [event.id]


def test_delivering_twice_sends_once(runtime: Runtime) -> None:
    with endpoint() as hook:
        subscribe(runtime, hook)
        happened(runtime)
        assert [deliver(runtime) for _ in range(3)] == [True, False, False]
    assert len(hook.received) == 1


def test_an_endpoint_that_says_gone_is_disabled_and_says_why(runtime: Runtime, clock: Clock) -> None:
    with endpoint(answers(410)) as hook:
        id_, _ = subscribe(runtime, hook)
        happened(runtime)
        deliver(runtime)
        happened(runtime)
        clock.at += WAIT
        deliver(runtime)
    assert len(hook.received) == 1
    with runtime.store.read() as session:
        found = webhooks.subscription(session, id_)
        told = [e.type for e in events.of(session, [id_])]
    assert (found.active, "410" in found.disabled_reason) == (False, True)
    assert "subscription.disabled" in told


def test_an_endpoint_that_fails_for_five_days_is_disabled(runtime: Runtime, clock: Clock) -> None:
    with endpoint(answers(503)) as hook:
        id_, _ = subscribe(runtime, hook)
        for _ in range(15):
            happened(runtime)
            deliver(runtime)
            clock.at += timedelta(hours=12)
    with runtime.store.read() as session:
        assert not webhooks.subscription(session, id_).active


@pytest.mark.parametrize("asked", ["7200", "nan", "-5", "1e400", "soon", "Mon, 02 Mar 2026 11:00:00 GMT"])
def test_retry_after_is_obeyed_within_reason(runtime: Runtime, clock: Clock, asked: str) -> None:
    with endpoint(answers(429, retry_after=asked), answers(200)) as hook:
        id_, _ = subscribe(runtime, hook)
        happened(runtime)
        deliver(runtime)
        with runtime.store.read() as session:
            (delivery,) = webhooks.deliveries(session, id_).items
    assert delivery.next_at is not None
    wait = delivery.next_at - clock.at
    assert timedelta(seconds=60) <= wait <= timedelta(days=1)
    if asked in ("7200", "Mon, 02 Mar 2026 11:00:00 GMT"):
        assert wait == timedelta(hours=2)


def test_an_answer_no_database_can_hold_is_still_settled(runtime: Runtime) -> None:
    runtime.__dict__["sender"] = Sender(
        allow=("127.0.0.1",),
        transport=httpx.MockTransport(lambda _: httpx.Response(500, content=b"a\x00b\xff")),
    )
    with endpoint() as hook:
        id_, _ = subscribe(runtime, hook)
    happened(runtime)
    deliver(runtime)
    with runtime.store.read() as session:
        (delivery,) = webhooks.deliveries(session, id_).items
        assert webhooks.attempts(session, delivery.id)[0].answer == "ab\ufffd"


# --- the guard --------------------------------------------------------------------------------------


def test_a_redirect_is_a_failure_and_is_not_followed(runtime: Runtime) -> None:
    with endpoint() as inside, endpoint(answers(302, location=inside.url)) as hook:
        id_, _ = subscribe(runtime, hook)
        happened(runtime)
        deliver(runtime)
        with runtime.store.read() as session:
            (delivery,) = webhooks.deliveries(session, id_).items
    assert (len(hook.received), len(inside.received)) == (1, 0)
    assert (delivery.state, delivery.last_status) == ("pending", 302)


PRIVATE = [
    "127.0.0.1", "127.9.9.9", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
    "192.0.0.1", "192.0.0.192", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::", "::1", "::ffff:127.0.0.1",
    "::ffff:169.254.169.254", "::127.0.0.1", "::ffff:0:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1", "2002:7f00:1::", "2001:0:4136:e378:8000:63bf:80ff:fffe", "fe80::1", "fe80::1%eth0", "fc00::1",
    "fd00:ec2::254", "ff02::1", "2001:db8::1",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_no_way_of_writing_a_private_address_is_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    ["93.184.215.14", "2606:2800:220:1:248:1893:25c8:1946", "::ffff:93.184.215.14", "64:ff9b::5db8:d70e"],
)
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0", "0.0.0.0", "[::]", "[::1]", "[::ffff:127.0.0.1]",
     "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "localhost", "LOCALHOST", "localhost.", "127.0.0.1.", "169.254.169.254",
     "[fe80::1%25eth0]"],
)  # fmt: skip
def test_an_endpoint_on_this_machine_is_refused_however_it_is_written(host: str) -> None:
    with pytest.raises((Invalid, TryLater)):
        target(f"https://{host}/hook", allow=())


@pytest.mark.parametrize("url", ["https://93.184.215.14@127.0.0.1/", "https://user:pw@example.com/", "file:///etc/passwd",
                                 "gopher://example.com", "//example.com", "https://", "http://example.com",
                                 "https://" + "a" * 64 + ".com"])  # fmt: skip
def test_an_address_of_another_form_is_refused(url: str) -> None:
    with pytest.raises(Invalid):
        target(url, allow=())


def test_of_several_addresses_of_a_name_one_private_is_enough_to_refuse() -> None:
    with pytest.raises(Invalid, match="private network"):
        target("https://hooks.example.com", allow=(), look_up=lambda _h, _p: ["93.184.215.14", "10.0.0.1"])


def test_a_name_that_turns_private_after_it_was_checked_is_never_connected_to(runtime: Runtime) -> None:
    asked: list[str] = []

    def post(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers["host"])
        return httpx.Response(500)

    known = iter([["93.184.215.14"], ["93.184.215.14"], ["127.0.0.1"]])
    look_up: Callable[[str, int], list[str]] = lambda _h, _p: next(known)  # noqa: E731
    sender = Sender(transport=httpx.MockTransport(post), look_up=look_up)
    sender.check("https://hooks.example.com/x")
    assert sender.post("https://hooks.example.com/x", b"{}", {}).status == 500
    refused = sender.post("https://hooks.example.com/x", b"{}", {})
    assert refused.status is None
    assert "private network" in refused.text
    assert asked == ["hooks.example.com"]


def test_an_internal_host_is_reached_only_when_the_operator_allows_it() -> None:
    look_up: Callable[[str, int], list[str]] = lambda _h, _p: ["10.1.2.3"]  # noqa: E731
    assert (
        target("https://hooks.internal/x", allow=("hooks.internal",), look_up=look_up).address == "10.1.2.3"
    )
    assert (
        target("http://hooks.internal:81/x", allow=("hooks.internal:81",), look_up=look_up).address
        == "10.1.2.3"
    )
    with pytest.raises(Invalid):
        target("http://hooks.internal:82/x", allow=("hooks.internal:81",), look_up=look_up)
