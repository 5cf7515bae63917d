"""What all simulators share: faults, call limits, the Date header, and real HTTP on loopback."""

from __future__ import annotations

import json
import random
import ssl
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

from tests.simulators.world import World

FAULTS = (
    "401", "429", "429-seconds", "429-date", "429-zero", "500", "503-seconds", "502-html",
    "timeout", "refused", "cut", "html",
)  # fmt: skip
ELSEWHERE = "https://elsewhere.example"
"""The host in every address a simulator hands out: following it would leak credentials."""


class Simulator:
    """One vendor. Subclasses route; this class counts, limits, breaks and dates the answers."""

    host = "desk.example"
    secret = "planted-secret-0123456789"

    def __init__(
        self, world: World, *, faults: bool = False, limits: Mapping[str, int] | None = None
    ) -> None:
        self.world, self.clock = world, world.clock
        self.random = random.Random(world.seed + 1)
        self.limits = dict(limits or {})
        self.sent: dict[str, deque[datetime]] = {}
        self.calls = 0
        self.travel_s = 0.0  # of the virtual time that passed
        self.refused_at = -99
        self.turned_away = 0  # by the limits, not by planned faults
        self.faulty_calls = 60 if faults else 0
        self.log: list[str] = []
        self.messages: dict[int, list[dict[str, Any]]] = {}  # by ticket
        self.lock = threading.Lock()
        self.force: str | None = None  # every answer is this fault

    def handle(self, request: httpx.Request) -> httpx.Response:
        """One request, answered at the virtual time it arrives."""
        with self.lock:
            assert request.url.host in (self.host, "127.0.0.1"), "credentials went to another host"
            self.calls += 1
            self.log.append(f"{request.method} {request.url.path}")
            travel_s = self.random.uniform(0.05, 1.0)
            self.travel_s += travel_s
            self.clock.sleep(travel_s)
            self.world.between_requests()
            response = self.fault(request) or self.limit(request) or self.answer(request)
            response.headers["Date"] = format_datetime(self.clock.now(), usegmt=True)
            return response

    def answer(self, request: httpx.Request) -> httpx.Response:
        raise NotImplementedError

    def bucket(self, request: httpx.Request) -> str:
        """The call limit this request counts against."""
        return "main"

    def too_many(self) -> httpx.Response:
        return httpx.Response(429, headers={"Retry-After": "30"}, json={"error": "APIRateLimitExceeded"})

    def limit(self, request: httpx.Request) -> httpx.Response | None:
        """Refuse what exceeds the calls per minute of its bucket."""
        name = self.bucket(request)
        if name not in self.limits:
            return None
        sent = self.sent.setdefault(name, deque())
        while sent and self.clock.now() - sent[0] >= timedelta(seconds=60):
            sent.popleft()
        if len(sent) >= self.limits[name]:
            self.turned_away += 1
            return self.too_many()
        sent.append(self.clock.now())
        return None

    def left(self, name: str) -> int:
        return self.limits.get(name, 1000) - len(self.sent.get(name, ()))

    def fault(self, request: httpx.Request) -> httpx.Response | None:
        """A planned failure in place of the answer."""
        kind = self.force
        if kind is None and self.faulty_calls > 0 and self.random.random() < 0.15:
            kind = self.random.choice(FAULTS)
            if kind == "401":  # once: a second refusal of the same request is final
                again = self.calls - self.refused_at < 12 or "token" in request.url.path
                kind = None if again else kind
                self.refused_at = self.calls
        self.faulty_calls -= 1
        if kind is None:
            return None
        soon = format_datetime(self.clock.now() + timedelta(seconds=20), usegmt=True)
        page = "<!DOCTYPE html><html><body>Sign in</body></html>"
        if kind == "timeout":
            raise httpx.ReadTimeout("planned", request=request)
        if kind == "refused":
            raise httpx.ConnectError("planned", request=request)
        if kind == "cut":
            return httpx.Response(
                200, text='{"tickets": [{"id": 1, "subj', headers={"Content-Type": "application/json"}
            )
        return {
            "401": lambda: httpx.Response(401, json={"error": "invalid_token"}),
            "403": lambda: httpx.Response(403, json={"error": "Forbidden"}),
            "404": lambda: httpx.Response(404, json={"error": "RecordNotFound"}),
            "429": lambda: httpx.Response(429, text="Number of allowed API requests per minute exceeded"),
            "429-seconds": lambda: httpx.Response(
                429, headers={"Retry-After": "12"}, json={"error": "limit"}
            ),
            "429-date": lambda: httpx.Response(429, headers={"Retry-After": soon}),
            "429-zero": lambda: httpx.Response(429, headers={"Retry-After": "0"}),
            "429-long": lambda: httpx.Response(429, headers={"Retry-After": "600"}),
            "500": lambda: httpx.Response(500, json={"error": "internal"}),
            "503-seconds": lambda: httpx.Response(503, headers={"Retry-After": "3"}),
            "502-html": lambda: httpx.Response(502, html=page),
            "html": lambda: httpx.Response(200, html=page),
            "redirect": lambda: httpx.Response(302, headers={"Location": f"{ELSEWHERE}/login"}),
        }[kind]()

    @property
    def transport(self) -> httpx.MockTransport:
        """The simulator without a network, for tests that make thousands of calls."""
        return httpx.MockTransport(self.handle)


def error(status: int, body: Any) -> httpx.Response:
    return httpx.Response(status, json=body)


def unknown(given: Mapping[str, Any], allowed: set[str]) -> list[str]:
    """Names a strict vendor would refuse."""
    return sorted(set(given) - allowed)


def body_of(request: httpx.Request) -> Any:
    return json.loads(request.content or b"null")


@contextmanager
def serving(
    handle: Callable[[httpx.Request], httpx.Response], *, tls: ssl.SSLContext | None = None
) -> Iterator[str]:
    """Real HTTP, or HTTPS, on a free loopback port; yields the base address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            url = f"http://{self.headers['Host']}{self.path}"
            try:
                response = handle(
                    httpx.Request(self.command, url, headers=dict(self.headers), content=content)
                )
            except httpx.TransportError:
                self.close_connection = True
                return
            self.send_response_only(response.status_code)
            for name, value in response.headers.items():
                if name not in ("content-length", "transfer-encoding"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(response.content)))
            self.end_headers()
            self.wfile.write(response.content)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            """Quiet."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """A client that hangs up is what some tests are about."""

    server = Server(("127.0.0.1", 0), Handler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http{'s' if tls else ''}://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
