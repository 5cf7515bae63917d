"""Thousands of endpoints, some dead and some slow: is every event delivered once, and how late to the healthy?

Three processes, as in production: this one writes events at a steady rate, as the API does; the real worker
sends them; receivers answer on loopback. A dead endpoint takes the connection and never answers; a slow one
answers after two seconds. Each event is wanted by `--fan` endpoints: by one unless said otherwise.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from app.pipeline.deliver import subscribe
from app.runtime import Runtime
from app.settings import load
from app.store import events
from app.store.core import Store

HELP = "lag and completeness of webhook deliveries to many endpoints, some dead, some slow"
SLOW_S = 2.0
PATIENCE_S = 60.0  # for the worker's start, and after the last event
SAMPLE_S = 2.0  # between two looks at the worker's memory
ROOT = Path(__file__).resolve().parents[2]
Receipt = tuple[int, str, float]
"""Endpoint, webhook-id, time."""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--endpoints", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=100.0, help="events a second")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--fan", type=int, default=1, help="endpoints that want each event")
    parser.add_argument("--dead", type=float, default=0.05, help="share of endpoints that never answer")
    parser.add_argument("--slow", type=float, default=0.05, help="share that answer after two seconds")


def run(options: argparse.Namespace) -> dict[str, Any]:
    dead, slow = int(options.dead * options.endpoints), int(options.slow * options.endpoints)
    with tempfile.TemporaryDirectory() as folder, _receivers(dead, dead + slow) as receivers:
        settings = load(database_url=f"sqlite:///{folder}/bench.sqlite3", data_dir=Path(folder),
                        webhook_allow=("127.0.0.1",))  # fmt: skip
        runtime = Runtime(settings, Store(settings.database_url))
        runtime.store.migrate()
        port = receivers.recv()
        for n in range(options.endpoints):
            subscribe(runtime, url=f"http://127.0.0.1:{port}/{n}", event_types=["alert.*"],
                      query={"product": _product(n, options)}, include_text=False, secret="", actor="bench")  # fmt: skip
        print(f"{options.endpoints:,} endpoints, {dead} dead, {slow} slow; {options.rate:g} events a second, "
              f"each to {options.fan}")  # fmt: skip
        with _worker(settings.database_url, folder) as worker:
            _tell(runtime, options.endpoints - 1, options)
            _await(receivers, options.fan)
            before, memory = _cpu_s(worker.pid), _Memory(worker.pid)
            written = _write(runtime, options)
            owed = [(id_, n) for id_, (n, _) in written.items() for n in _wanting(n, options) if n >= dead]
            _await(receivers, options.fan + len(owed))
            cpu_s, grown = _cpu_s(worker.pid) - before, memory.grown()
        runtime.close()
        receivers.send("receipts")
        return _figures(written, owed, receivers.recv(), dead + slow) | {
            "grown_mb": round(grown, 1), "worker_cpu_ms_per_delivery": round(1000 * cpu_s / len(owed), 2),
        }  # fmt: skip


def _product(endpoint: int, options: argparse.Namespace) -> str:
    return f"product {endpoint // options.fan}"


def _wanting(endpoint: int, options: argparse.Namespace) -> range:
    first = endpoint // options.fan * options.fan
    return range(first, min(first + options.fan, options.endpoints))


def _write(runtime: Runtime, options: argparse.Namespace) -> dict[str, tuple[int, float]]:
    """Events at the rate asked for; {event: (an endpoint that wants it, when it was committed)}."""
    written = {}
    count, started = int(options.rate * options.seconds), time.monotonic()
    for n in range(count):
        time.sleep(max(0.0, started + n / options.rate - time.monotonic()))
        endpoint = (n * 7919) % options.endpoints
        written[_tell(runtime, endpoint, options, number=n)] = (endpoint, time.time())
    took = time.monotonic() - started
    print(f"  wrote {count:,} events in {took:.1f} s ({count / took:.0f} a second)", flush=True)
    return written


def _tell(runtime: Runtime, endpoint: int, options: argparse.Namespace, *, number: int = -1) -> str:
    data = {"product": _product(endpoint, options), "severity": "high", "sentence": "Export fails more often"}
    with runtime.store.write() as session:
        return events.write(session, "alert.opened", f"alt_{number:06}", data, at=datetime.now(UTC)).id


@contextmanager
def _worker(url: str, folder: str) -> Iterator[subprocess.Popen[bytes]]:
    """The worker as it is started in production."""
    environment = os.environ | {
        "FORESHOCK_DATABASE_URL": url, "FORESHOCK_DATA_DIR": folder, "FORESHOCK_WEBHOOK_ALLOW": "127.0.0.1",
        "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    worker = subprocess.Popen([sys.executable, "-m", "app", "worker"], cwd=folder, env=environment)
    try:
        yield worker
    finally:
        worker.send_signal(signal.SIGKILL)  # what it holds is dead endpoints' alone
        worker.wait()


def _await(receivers: Any, count: int) -> None:
    """Wait until so many receipts have come, or until patience ends."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        receivers.send("count")
        if receivers.recv() >= count:
            return
        time.sleep(0.1)
    print(f"  waited {PATIENCE_S:g} s in vain", flush=True)


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class _Memory:
    """Looks at a process's resident memory every few seconds."""

    def __init__(self, pid: int) -> None:
        self._status = Path(f"/proc/{pid}/status")
        self._seen: list[float] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._stop.wait(SAMPLE_S):
            line = next(x for x in self._status.read_text().splitlines() if x.startswith("VmRSS"))
            self._seen.append(int(line.split()[1]) / 1024)

    def grown(self) -> float:
        """Megabytes from the first third's end to the end."""
        self._stop.set()
        self._thread.join()
        return self._seen[-1] - self._seen[len(self._seen) // 3] if self._seen else 0.0


def _figures(
    written: dict[str, tuple[int, float]],
    owed: list[tuple[str, int]],
    receipts: list[Receipt],
    unhealthy: int,
) -> dict[str, Any]:
    """Of what living endpoints were owed: the share that came, and how late; and ids nobody sent."""
    first: dict[tuple[str, int], float] = {}
    copies: Counter[tuple[str, int]] = Counter()
    for endpoint, id_, at in receipts:
        first.setdefault((id_, endpoint), at)
        copies[id_, endpoint] += 1
    lags = [first[one] - written[one[0]][1] for one in owed if one[1] >= unhealthy and one in first]
    p50, p99 = (float(np.percentile(lags, q)) for q in (50, 99))
    share = sum(one in first for one in owed) / len(owed)
    strangers = len({id_ for id_, _ in copies} - written.keys()) - 1  # but for the one that woke the worker
    again = sum(copies[one] - 1 for one in owed if one in first)
    print(
        f"  to living endpoints {share:.2%} of {len(owed):,} delivered, {again} sent again under their own id"
    )
    print(f"  lag of healthy endpoints p50 {p50:.2f} s, p99 {p99:.2f} s, most {max(lags):.2f} s", flush=True)
    return {"events": len(written), "delivered_share": round(share, 5),
            "duplicates_under_other_ids": strangers, "healthy_lag_p99_s": round(p99, 3),
            "healthy_lag_p50_s": round(p50, 3), "sent_again": again}  # fmt: skip


# --- the receivers, in a process of their own -------------------------------------------------------


@contextmanager
def _receivers(dead: int, unhealthy: int) -> Iterator[Any]:
    """A pipe to them: it says the port, then answers "count" and "receipts"."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_receive, args=(theirs, dead, unhealthy), daemon=True)
    process.start()
    try:
        yield ours
    finally:
        process.kill()
        process.join()


def _receive(pipe: Any, dead: int, unhealthy: int) -> None:
    """Answer by the endpoint's number: below `dead` never, below `unhealthy` slowly, else at once."""
    got: list[Receipt] = []

    class Receiver(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport: Any = transport
            self.data = b""

        def data_received(self, data: bytes) -> None:
            self.data += data
            request = _request(self.data)
            if request is None:
                return
            self.data = b""
            endpoint, id_ = request
            if endpoint >= dead:
                got.append((endpoint, id_, time.time()))
                asyncio.get_running_loop().call_later(SLOW_S if endpoint < unhealthy else 0, self.answer)

        def answer(self) -> None:
            self.transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(Receiver, "127.0.0.1", 0, backlog=2048)
        pipe.send(server.sockets[0].getsockname()[1])
        while True:
            asked = await asyncio.to_thread(pipe.recv)
            pipe.send(len(got) if asked == "count" else got)

    asyncio.run(serve())


def _request(data: bytes) -> tuple[int, str] | None:
    """Endpoint number and webhook-id of a request, once it is there whole."""
    head, ended, body = data.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
    if not ended or len(body) < int(headers["content-length"]):
        return None
    return int(lines[0].split(" ")[1].lstrip("/")), headers["webhook-id"]
