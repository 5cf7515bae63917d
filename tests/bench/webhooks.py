"""Thousands of endpoints, some dead and some slow: is every event delivered once, and how late to the healthy?

Events are written at a steady rate while the worker's outbox sends; receivers are in another process on
loopback. A dead endpoint takes the connection and never answers; a slow one answers after two seconds.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import resource
import socket
import tempfile
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from app.pipeline.deliver import Outbox, subscribe
from app.runtime import Runtime
from app.settings import load
from app.store import events
from app.store.core import Store

HELP = "lag and completeness of webhook deliveries to many endpoints, some dead, some slow"
SLOW_S = 2.0
PAUSE_S = 0.05  # of the sender between two looks into an empty outbox
PATIENCE_S = 30.0  # after the last event
Receipt = tuple[int, str, float]
"""Endpoint, webhook-id, time."""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--endpoints", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=100.0, help="events a second")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--dead", type=float, default=0.05, help="share of endpoints that never answer")
    parser.add_argument("--slow", type=float, default=0.05, help="share that answer after two seconds")


def run(options: argparse.Namespace) -> dict[str, Any]:
    dead, slow = int(options.dead * options.endpoints), int(options.slow * options.endpoints)
    receipts: Any = multiprocessing.get_context("spawn").SimpleQueue()
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    receiver = multiprocessing.get_context("spawn").Process(
        target=_receive, args=(theirs, receipts, dead, dead + slow), daemon=True
    )
    receiver.start()
    port = ours.recv()
    with tempfile.TemporaryDirectory() as folder:
        settings = load(database_url=f"sqlite:///{folder}/bench.sqlite3", data_dir=Path(folder),
                        webhook_allow=("127.0.0.1",))  # fmt: skip
        runtime = Runtime(settings, Store(settings.database_url))
        runtime.store.migrate()
        for n in range(options.endpoints):
            subscribe(runtime, url=f"http://127.0.0.1:{port}/{n}", event_types=["alert.*"],
                      query={"product": f"product {n}"}, include_text=False, secret="", actor="bench")  # fmt: skip
        print(f"{options.endpoints:,} endpoints, {dead} dead, {slow} slow; {options.rate:g} events a second")
        written, grown = _write(runtime, options)
        runtime.close()
    ours.send("stop")
    return _figures(written, _drained(receipts, ours), dead, dead + slow, grown)


def _write(runtime: Runtime, options: argparse.Namespace) -> tuple[dict[str, tuple[int, float]], float]:
    """Events at the rate asked for while a thread sends; {event: (endpoint, time)} and megabytes grown by."""
    stop, written = threading.Event(), {}
    sender = threading.Thread(target=_send, args=(runtime, stop), daemon=True)
    sender.start()
    count = int(options.rate * options.seconds)
    started, settled_mb = time.monotonic(), 0.0
    for n in range(count):
        time.sleep(max(0.0, started + n / options.rate - time.monotonic()))
        endpoint = (n * 7919) % options.endpoints
        data = {"product": f"product {endpoint}", "severity": "high", "sentence": "Export fails more often"}
        with runtime.store.write() as session:
            made = events.write(session, "alert.opened", f"alt_{n:06}", data, at=datetime.now(UTC))
        written[made.id] = (endpoint, time.time())
        if n == count // 3:
            settled_mb = _megabytes()
    took = time.monotonic() - started
    print(f"  wrote {count:,} events in {took:.1f} s ({count / took:.0f} a second)", flush=True)
    time.sleep(min(PATIENCE_S, options.seconds))
    grown = _megabytes() - settled_mb
    stop.set()
    sender.join(30)
    return written, grown


def _send(runtime: Runtime, stop: threading.Event) -> None:
    """The worker's loop."""
    with Outbox(runtime) as outbox:
        while not stop.is_set():
            if not outbox.turn():
                time.sleep(PAUSE_S)


def _megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _drained(receipts: Any, done: Any) -> list[Receipt]:
    found: list[Receipt] = []
    while True:
        while not receipts.empty():
            found.extend(receipts.get())
        if done.poll(0.2):
            done.recv()
            while not receipts.empty():
                found.extend(receipts.get())
            return found


def _figures(
    written: dict[str, tuple[int, float]], receipts: list[Receipt], dead: int, unhealthy: int, grown: float
) -> dict[str, Any]:
    """Of the events owed to living endpoints: the share that came, and how late; and ids nobody sent."""
    first: dict[str, float] = {}
    copies: Counter[str] = Counter()
    for _, id_, at in receipts:
        first.setdefault(id_, at)
        copies[id_] += 1
    living = {id_: at for id_, (endpoint, at) in written.items() if endpoint >= dead}
    lags = [
        first[id_] - at for id_, (endpoint, at) in written.items() if endpoint >= unhealthy and id_ in first
    ]
    p50, p99 = (float(np.percentile(lags, q)) for q in (50, 99))
    share = sum(id_ in first for id_ in living) / len(living)
    strangers = sum(id_ not in written for id_ in copies)
    again = sum(count - 1 for id_, count in copies.items() if id_ in living)
    print(f"  to living endpoints {share:.2%} delivered, {again} sent again under their own id")
    print(f"  lag of healthy endpoints p50 {p50:.2f} s, p99 {p99:.2f} s; memory grew by {grown:.0f} MB")
    return {"events": len(written), "delivered_share": round(share, 5),
            "duplicates_under_other_ids": strangers, "healthy_lag_p99_s": round(p99, 3),
            "sent_again": again, "grown_mb": round(grown, 1)}  # fmt: skip


# --- the receivers, in a process of their own -------------------------------------------------------


def _receive(pipe: Any, receipts: Any, dead: int, unhealthy: int) -> None:
    """Answer by the endpoint's number: below `dead` never, below `unhealthy` slowly, else at once."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    pipe.send(listener.getsockname()[1])
    got: list[Receipt] = []
    lock = threading.Lock()

    def serve() -> None:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    def answer(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(30)
            endpoint, id_ = _request(connection)
            if endpoint < dead:
                connection.recv(1)  # until the sender gives up
                return
            if endpoint < unhealthy:
                time.sleep(SLOW_S)
            with lock:
                got.append((endpoint, id_, time.time()))
            connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    threading.Thread(target=serve, daemon=True).start()
    pipe.recv()
    receipts.put(got)
    pipe.send(json.dumps("done"))


def _request(connection: socket.socket) -> tuple[int, str]:
    """Endpoint number and webhook-id of one request, read to its end."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
    while len(body) < int(headers["content-length"]):
        body += connection.recv(65536)
    return int(lines[0].split(" ")[1].lstrip("/")), headers["webhook-id"]
