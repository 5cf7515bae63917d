"""Stand-ins for what is slow or outside: an embedder without a model, an endpoint on loopback, tickets."""

from __future__ import annotations

import hashlib
import itertools
import multiprocessing
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import sqlalchemy

from app.domain import Matrix, RawTicket, TicketDraft
from app.store.core import Store

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)  # a Monday


class WordEmbedder:
    """Texts that share words are near each other: each word is a fixed random direction, and they add up."""

    model_id = "words-128"
    dim = 128

    def embed(self, texts: Sequence[str]) -> Matrix:
        rows = np.array([self._row(text) for text in texts], np.float32).reshape(-1, self.dim)
        unit: Matrix = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return unit

    def _row(self, text: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        words = sorted(set(re.findall(r"\w+", text.lower()))) or [""]
        return np.sum([self._direction(word) for word in words], axis=0)  # type: ignore[no-any-return]

    def _direction(self, word: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8])
        return np.random.default_rng(seed).standard_normal(self.dim)


def raw(n: int, subject: str = "Export fails", *, at: datetime | None = None, **values: object) -> RawTicket:
    """Ticket number `n` of customer number `n`, an hour after the one before it."""
    given: dict[str, object] = {
        "source": "desk", "external_id": f"T-{n:04}", "created_at": at or START + timedelta(hours=n),
        "subject": subject, "body": f"{subject} for us", "requester": f"r-{n}", "account": f"a-{n}",
    }  # fmt: skip
    return RawTicket(**{**given, **values})  # type: ignore[arg-type]


def draft(n: int, subject: str = "Export fails", *, source: str = "desk", **values: object) -> TicketDraft:
    """What is stored of ticket number `n`."""
    at = START + timedelta(hours=n)
    given: dict[str, object] = {
        "source": source, "external_id": f"T-{n:04}", "created_at": at, "updated_at": at,
        "subject": subject, "body": f"{subject} for us", "requester": f"r-{n}", "account": f"a-{n}",
    }  # fmt: skip
    given |= values
    given.setdefault("content_hash", hashlib.sha256(repr(sorted(given.items())).encode()).hexdigest())
    return TicketDraft(**given)  # type: ignore[arg-type]


def mortal(store: Store, transactions: int) -> None:
    """Kill this process with SIGKILL as a transaction begins or is about to be committed: the so-manieth of both."""
    left = itertools.count(transactions, -1)

    def die_in_time(_connection: object) -> None:
        if next(left) == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    for moment in ("begin", "commit"):
        sqlalchemy.event.listen(store.engine, moment, die_in_time)


def killed_again_and_again(live: Callable[..., None], *args: object, most: int = 60) -> int:
    """Run `live(*args, seed)` in processes of its own, a new one whenever one was killed; how many were."""
    apart = multiprocessing.get_context("forkserver")
    apart.set_forkserver_preload([live.__module__])  # imported once, not once a death
    for deaths in range(most):
        process = apart.Process(target=live, args=(*args, deaths))
        process.start()
        process.join()
        if process.exitcode == 0:
            return deaths
        assert process.exitcode == -signal.SIGKILL, f"it did not die but end with {process.exitcode}"
    raise AssertionError(f"it never came to its end in {most} lives")


@dataclass(frozen=True, slots=True)
class Received:
    """One request an endpoint got."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Endpoint:
    """A webhook receiver on loopback; `script` says what it does with each request, the last one for ever."""

    url: str
    script: list[Callable[[], tuple[int, dict[str, str]]]]
    received: list[Received] = field(default_factory=list)


def answers(status: int, **headers: str) -> Callable[[], tuple[int, dict[str, str]]]:
    return lambda: (status, {name.replace("_", "-"): value for name, value in headers.items()})


@contextmanager
def endpoint(*script: Callable[[], tuple[int, dict[str, str]]]) -> Iterator[Endpoint]:
    """A real HTTP server that acts out `script`."""
    held: Endpoint

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            held.received.append(Received(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            act = held.script.pop(0) if len(held.script) > 1 else held.script[0]
            status, headers = act()
            try:
                self.send_response(status)
                for name, value in ({"content-length": "0"} | headers).items():
                    self.send_header(name, value)
                self.end_headers()
            except OSError:
                pass  # the sender has given up waiting

        do_GET = do_POST

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    held = Endpoint(f"http://127.0.0.1:{server.server_port}/hook", list(script) or [answers(200)])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield held
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
