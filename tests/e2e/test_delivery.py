"""Nobody waits for another: dead, slow and trickling endpoints, crashes, digests, dry runs."""

from __future__ import annotations

import os
import random
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient

from app.backtest import Clock
from app.domain import Event
from app.notify.webhook import Answer, Sender, quiet
from app.pipeline import deliver as outbox
from app.pipeline.deliver import Outbox, deliver, mail_digests, subscribe
from app.runtime import Runtime
from app.settings import Settings
from app.store import events, webhooks
from app.store.core import Store
from tests.fakes import Endpoint, answers, endpoint

ROOT = Path(__file__).resolve().parents[2]
KILLS = int(os.environ.get("CRASH_KILLS", "3"))
CRASH_DELIVERIES = int(os.environ.get("CRASH_DELIVERIES", "1000"))


def wanting(runtime: Runtime, url: str, product: str = "", **more: object) -> str:
    query = {"product": product} if product else {}
    made, _ = subscribe(runtime, url=url, event_types=["alert.*"], query=query, include_text=False, secret="",
                        actor="Ann", **more)  # type: ignore[arg-type]  # fmt: skip
    return made.id


def happened(runtime: Runtime, product: str = "", **data: object) -> Event:
    with runtime.store.write() as session:
        about = {"product": product, "sentence": "Export fails"} | data
        return events.write(session, "alert.opened", "alt_1", about, at=runtime.now())


@contextmanager
def trickle() -> Iterator[str]:
    """A server that begins an answer and sends one more byte of it every tenth of a second, for ever."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65536)
            self.request.sendall(b"HTTP/1.1 200 OK\r\nx-pad: ")
            try:
                while True:
                    self.request.sendall(b"a")
                    time.sleep(0.1)
            except OSError:
                pass  # the sender hung up

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


def test_an_endpoint_that_trickles_its_answer_is_given_up_at_the_deadline() -> None:
    sender = Sender(allow=("127.0.0.1",), timeout_s=0.6)
    with trickle() as url:
        answer = sender.post(url, b"{}", {})
    assert answer.status is None
    assert "Timeout" in answer.text
    assert answer.took_ms < 3000


def test_a_hanging_endpoint_delays_nobody_else(runtime: Runtime) -> None:
    held = threading.Event()

    def hang() -> tuple[int, dict[str, str]]:
        held.wait(30)
        return 200, {}

    with endpoint(hang) as dead, endpoint() as fine, Outbox(runtime, slots=8) as sending:
        wanting(runtime, dead.url, "A")
        wanting(runtime, fine.url, "B")
        for _ in range(20):
            happened(runtime, "A")
        told = [happened(runtime, "B") for _ in range(6)]
        for _ in range(200):
            sending.turn()
            if len(fine.received) == len(told):
                break
        assert {got.headers["webhook-id"] for got in fine.received} == {event.id for event in told}
        assert len(dead.received) <= outbox.EACH
        held.set()


def test_a_failing_endpoint_is_tried_with_one_delivery_and_left_alone_for_longer_each_time(
    runtime: Runtime, clock: Clock
) -> None:
    with endpoint(answers(500)) as hook:
        wanting(runtime, hook.url)
        for _ in range(outbox.EACH + 6):
            happened(runtime)
        deliver(runtime)
        assert len(hook.received) == outbox.EACH
        assert deliver(runtime) is False  # the others wait as well
        clock.at += timedelta(minutes=5)
        deliver(runtime)
        assert len(hook.received) == outbox.EACH + 1


def test_the_quiet_of_a_failing_endpoint_doubles_up_to_five_minutes_and_a_refusal_is_none(
    clock: Clock,
) -> None:
    waits = [quiet(Answer(500, 1), failures=n, at=clock.at) for n in range(12)]
    seconds = [(until - clock.at).total_seconds() for until in waits if until]
    assert seconds[:4] == [5, 10, 20, 40]
    assert max(seconds) == 300
    assert quiet(Answer(400, 1), failures=0, at=clock.at) is None
    slowed = quiet(Answer(429, 1, retry_after="7200"), failures=0, at=clock.at)
    assert slowed == clock.at + timedelta(hours=2)


def test_the_other_subscriptions_are_told_when_an_endpoint_is_given_up(runtime: Runtime) -> None:
    with endpoint(answers(410)) as gone, endpoint() as operator:
        wanting(runtime, gone.url, "A")
        subscribe(runtime, url=operator.url, event_types=["subscription.disabled"], query={}, include_text=False,
                  secret="", actor="Ann")  # fmt: skip
        happened(runtime, "A")
        for _ in range(3):
            deliver(runtime)
    (got,) = operator.received
    assert b"410 Gone" in got.body


def test_a_range_of_time_is_replayed_and_its_end_is_left_out(runtime: Runtime, clock: Clock) -> None:
    with endpoint() as hook:
        id_ = wanting(runtime, hook.url)
        told = []
        for _ in range(4):
            told.append(happened(runtime))
            clock.at += timedelta(hours=1)
        while deliver(runtime):
            pass
        hook.received.clear()
        assert outbox.replay(runtime, id_, since=told[1].at, until=told[3].at) == 2
        deliver(runtime)
    assert sorted(g.headers["webhook-id"] for g in hook.received) == sorted(e.id for e in told[1:3])


def test_a_dry_run_says_what_would_have_been_sent(api: TestClient, runtime: Runtime) -> None:
    for product, customers in (("A", 2), ("A", 5), ("B", 9)):
        happened(runtime, product, customers=customers)
    asked = {"event_types": ["alert.*"], "filter": {"product": "a", "min_customers": 3}}
    found = api.post("/v1/subscriptions/dry-run", json=asked).json()
    assert (found["days"], found["would_have_sent"]) == (30, 1)
    assert [e["data"]["customers"] for e in found["newest"]] == [5]


def test_the_events_of_one_pattern_count_on_whatever_they_are_about(
    runtime: Runtime, api: TestClient
) -> None:
    with runtime.store.write() as session:
        for n, (type_, subject) in enumerate((("pattern.created", "pat_1"), ("alert.opened", "alt_1"),
                                              ("alert.resolved", "alt_1"), ("pattern.changed", "pat_1"))):  # fmt: skip
            made = events.write(session, type_, subject, {"pattern_id": "pat_1"}, at=runtime.now())
            assert made.pattern_sequence == n + 1
        events.write(session, "alert.opened", "alt_2", {"pattern_id": "pat_2"}, at=runtime.now())
    read = api.get("/v1/events", params={"pattern": "pat_1", "type": "alert.*"}).json()
    assert [(e["type"], e["pattern_sequence"]) for e in read["data"]] == [
        ("alert.opened", 2),
        ("alert.resolved", 3),
    ]


# --- e-mail -----------------------------------------------------------------------------------------


@contextmanager
def mail_server(*, refuses: bool = False) -> Iterator[tuple[int, list[str]]]:
    """An SMTP server on loopback that keeps what it is handed."""
    kept: list[str] = []

    class Handler(socketserver.StreamRequestHandler):
        def say(self, line: str) -> None:
            self.wfile.write(f"{line}\r\n".encode())

        def handle(self) -> None:
            self.say("220 desk ready")
            while line := self.rfile.readline().decode().strip():
                verb = line.split(" ")[0].upper()
                if verb == "DATA":
                    self.say("354 go on")
                    lines = list(iter(lambda: self.rfile.readline().decode(), ".\r\n"))
                    kept.append("".join(lines))
                    self.say("250 kept")
                elif verb == "QUIT":
                    self.say("221 bye")
                    return
                elif verb == "RCPT" and refuses:
                    self.say("550 nobody here")
                else:
                    self.say("250 fine")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1], kept
        server.shutdown()


Mailing = Callable[[int], Runtime]


@pytest.fixture
def mailing(settings: Settings, store: Store, clock: Clock) -> Mailing:
    def make(port: int) -> Runtime:
        smtp = {"smtp_host": "127.0.0.1", "smtp_port": port, "smtp_security": "none",
                "smtp_sender": "foreshock@example.com", "time_zone": "Europe/Berlin"}  # fmt: skip
        return Runtime(settings.model_copy(update=smtp), store, clock)

    return make


def test_a_daily_digest_gathers_the_day_and_is_sent_once(mailing: Mailing, clock: Clock) -> None:
    with mail_server() as (port, kept):
        runtime = mailing(port)
        wanting(runtime, "mailto:team@example.com", format="email")
        happened(runtime, sentence="Export fails")
        happened(runtime, sentence="Import fails")
        deliver(runtime)
        assert kept == []
        clock.at += timedelta(days=1)
        assert mail_digests(runtime) is True
        assert mail_digests(runtime) is False
    (message,) = kept
    assert "Subject: Foreshock: 2 things happened" in message
    assert "Export fails" in message
    assert "Import fails" in message


def test_a_refused_digest_is_tried_again_whole(mailing: Mailing, clock: Clock) -> None:
    with mail_server(refuses=True) as (port, kept):
        id_ = wanting(mailing(port), "mailto:team@example.com", format="email", options={"every": "at_once"})
        runtime = mailing(port)
        happened(runtime)
        mail_digests(runtime)
        assert kept == []
    with mail_server() as (port, kept):
        runtime = mailing(port)
        clock.at += timedelta(hours=1)
        mail_digests(runtime)
        assert len(kept) == 1
        with runtime.store.read() as session:
            assert [d.state for d in webhooks.deliveries(session, id_).items] == ["delivered"]


# --- kill -9 ----------------------------------------------------------------------------------------

SENDER = """
import sys, time
from pathlib import Path
from app.pipeline import deliver
from app.runtime import Runtime
from app.settings import Settings
from app.store.core import Store
deliver.LEASE_S = 1.0  # so that what a killed sender held is soon due again
url, folder = sys.argv[1:]
settings = Settings(database_url=url, data_dir=Path(folder), webhook_allow=("127.0.0.1",), secret="of the tests")
with deliver.Outbox(Runtime(settings, Store(url))) as outbox:
    while True:
        if not outbox.turn():
            time.sleep(0.02)
"""


@pytest.mark.timeout(3600)
def test_a_sender_killed_at_random_points_loses_nothing_and_invents_no_id(tmp_path: Path) -> None:
    """Each sender dies a random moment after its first delivery. Full size: CRASH_KILLS=50 CRASH_DELIVERIES=10000."""
    url, chance = f"sqlite:///{tmp_path}/crash.sqlite3", random.Random(1)
    settings = Settings(
        database_url=url, data_dir=tmp_path, webhook_allow=("127.0.0.1",), secret="of the tests"
    )
    runtime = Runtime(settings, Store(url))
    runtime.store.migrate()
    with endpoint() as hook:
        for n in range(10):
            wanting(runtime, f"{hook.url}/{n}", f"P{n}")
        with runtime.store.write() as session:
            owed = {
                events.write(session, "alert.opened", f"alt_{n}", {"product": f"P{n % 10}"},
                             at=datetime.now(UTC)).id
                for n in range(CRASH_DELIVERIES)
            }  # fmt: skip
        for left in range(KILLS, -1, -1):
            sender = subprocess.Popen([sys.executable, "-c", SENDER, url, str(tmp_path)], cwd=ROOT)
            if left:
                _wait_for_more(hook)
                time.sleep(chance.random() * 0.2)
                assert _pending(runtime), "it was done before it could be killed: send more"
            else:
                _wait_until(lambda: _pending(runtime) == 0)
            sender.send_signal(signal.SIGKILL)
            sender.wait()
    runtime.close()
    came = Counter(got.headers["webhook-id"] for got in hook.received)
    again = sum(came.values()) - len(came)
    print(f"{KILLS} kills, {len(owed):,} deliveries: {len(owed - set(came))} lost, {again} sent again under their id, "
          f"{len(set(came) - owed)} under others")  # fmt: skip
    assert set(came) == owed
    assert again <= KILLS * 10 * outbox.EACH  # what was under way at a kill, and nothing else


def _pending(runtime: Runtime) -> int:
    with runtime.store.read() as session:
        return webhooks.pending(session)


def _wait_for_more(hook: Endpoint) -> None:
    before = len(hook.received)
    _wait_until(lambda: len(hook.received) > before)


def _wait_until(is_so: Callable[[], bool], seconds: float = 1200.0) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it never came to an end"
        time.sleep(0.1)


# --- addresses --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    ["metadata.google.internal", "metadata", "instance-data", "169.254.169.254", "[fd00:ec2::254]", "100.100.100.200",
     "192.0.0.192"],
)  # fmt: skip
def test_metadata_hosts_of_the_clouds_are_never_reached(host: str) -> None:
    """Names that clouds resolve to link-local addresses, and those addresses themselves."""
    inside = host.strip("[]") if host[0] in "1[" else "169.254.169.254"
    asked: list[httpx.Request] = []

    def take(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200)

    transport = httpx.MockTransport(take)
    sender = Sender(transport=transport, look_up=lambda _h, _p: [inside])
    answer = sender.post(f"https://{host}/latest/meta-data", b"{}", {})
    assert (answer.status, asked) == (None, [])
    assert "private network" in answer.text


def test_requests_to_one_name_share_a_connection_to_the_address_that_was_checked() -> None:
    """The name resolves to nothing: only the checked address can have been connected to."""
    peers = set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            peers.add(self.client_address)
            self.send_response(200)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        host = f"hooks.invalid:{server.server_port}"
        sender = Sender(allow=(host,), look_up=lambda _h, _p: ["127.0.0.1"])
        said = [sender.post(f"http://{host}/", b"{}", {}) for _ in range(3)]
        sender.close()
        server.shutdown()
    assert [(answer.status, answer.text) for answer in said] == [(200, "ok")] * 3
    assert len(peers) == 1


def test_two_endpoints_behind_one_address_share_no_connection() -> None:
    """Two hosts with two certificates: the second must not be told over the first's connection."""
    accepted = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for _ in range(2):
                connection, _ = listener.accept()
                accepted.append(connection)
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        port = listener.getsockname()[1]
        sender = Sender(allow=("one.internal", f"one.internal:{port}", f"two.internal:{port}"),
                        look_up=lambda _h, _p: ["127.0.0.1"])  # fmt: skip
        for name in ("one", "two"):
            assert sender.post(f"http://{name}.internal:{port}/", b"{}", {}).status == 200
        thread.join(5)
        sender.close()
    assert len(accepted) == 2
    for connection in accepted:
        connection.close()
