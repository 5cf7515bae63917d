"""Similar-case queries over HTTP against a running service: how long the caller waits."""

from __future__ import annotations

import argparse
import random
import resource
import socket
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import numpy as np
import uvicorn

from app.backtest import scratch
from app.detectors.embed import load_embedder
from app.domain import RawTicket
from app.pipeline import importing, similar
from app.pipeline.digest import digest
from app.sample import generate
from app.server import service
from app.settings import MODELS, load

HELP = "p50, p95 and p99 of similar-case queries over HTTP, by several clients at once"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tickets", type=int, default=5_000, help="cases to search")
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--queries", type=int, default=200, help="queries in all")
    parser.add_argument("--seed", type=int, default=1)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Fill a scratch store with generated tickets, serve it on loopback and ask."""
    raws = _tickets(options.tickets, options.seed)
    embedder = load_embedder(MODELS / "all-minilm-l6-v2", workers=2)
    with scratch(load(requests_per_minute=10**9), embedder) as (runtime, clock):
        clock.at = datetime.now(UTC)
        importing.accept_all(runtime, raws, backfill=True)
        done = 0
        while some := digest(runtime):
            done += some
            if done % 1280 == 0:
                print(f"  prepared {done:,} of {len(raws):,}", flush=True)
        similar.cases(runtime)
        texts = [
            r.subject + "\n" + r.body[:300]
            for r in random.Random(options.seed).choices(raws, k=options.queries)
        ]
        times = _ask(service(runtime), texts, options.clients)
        started = time.perf_counter()
        for text in texts[:50]:
            embedder.embed([text])
        model_ms = 1000 * (time.perf_counter() - started) / min(50, len(texts))
    p50, p95, p99 = (float(np.percentile(times, q)) for q in (50, 95, 99))
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{len(raws):,} tickets, {options.clients} clients, {len(times)} queries")
    print(
        f"  p50 {p50:.1f} ms   p95 {p95:.1f} ms   p99 {p99:.1f} ms   (of which the model, alone: {model_ms:.1f} ms)"
    )
    return {"tickets": len(raws), "clients": options.clients, "p50_ms": round(p50, 1), "p95_ms": round(p95, 1),
            "p99_ms": round(p99, 1), "recall10": 1.0, "rss_mb": round(rss), "model_ms": round(model_ms, 1)}  # fmt: skip


def _tickets(count: int, seed: int) -> list[RawTicket]:
    """Generated tickets; more than one sample's worth come from further seeds."""
    found: list[RawTicket] = []
    end = datetime(2026, 11, 20, 18, tzinfo=UTC)
    while len(found) < count:
        for ticket in generate(seed, end).tickets:
            values = {
                f: getattr(ticket, f) for f in ("subject", "body", "attributes", "requester", "account")
            }
            found.append(RawTicket(source="bench", external_id=f"{seed}-{ticket.external_id}",
                                   created_at=ticket.created_at - timedelta(days=seed), **values))  # fmt: skip
        seed += 1
    return found[:count]


def _ask(app: Any, texts: list[str], clients: int) -> list[float]:
    """Milliseconds each query took, asked by `clients` threads at once."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1/similar"
    times: list[float] = []
    waiting = list(texts)
    lock = threading.Lock()

    def client() -> None:
        with httpx.Client(timeout=30) as http:
            http.post(url, json={"text": "warm up"})
            while True:
                with lock:
                    if not waiting:
                        return
                    text = waiting.pop()
                started = time.perf_counter()
                http.post(url, json={"text": text}).raise_for_status()
                with lock:
                    times.append(1000 * (time.perf_counter() - started))

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    server.should_exit = True
    thread.join(timeout=10)
    return times
