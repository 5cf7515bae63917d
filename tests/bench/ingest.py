"""How fast a history goes in: tickets per second for each stage, memory, and cost per ticket as it grows."""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.backtest import scratch
from app.detectors.embed import load_embedder
from app.detectors.text import embedding_text
from app.ingest import columns, files, normalise
from app.ingest.files import Rejected
from app.pipeline import importing
from app.pipeline.detect import detect
from app.pipeline.digest import digest
from app.settings import MODELS, load
from app.store import tickets

SOURCES = ("zendesk", "freshdesk", "salesforce", "jira", "servicenow", "hubspot")
HELP = "tickets per second for clean, embed, group, detect; memory; --source: a backfill through a connector"
STEPS = (5_000, 20_000)
SAMPLE = 1_000


def arguments(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--stream", type=Path, help="JSON lines or CSV, plain or gzip")
    what.add_argument("--source", choices=SOURCES, help="read a simulated desk through its connector")
    parser.add_argument("--tickets", type=int, default=50_000, help="how many the simulated desk has")
    parser.add_argument("--limit", type=int, default=None, help="only the first tickets of the stream")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Import the stream into a scratch store, or read a simulated desk, and time what happens."""
    if options.source:
        return _backfill(options.source, options.tickets)
    mapping = importing.plan(options.stream, {}, keep_unknown=False)
    reading = columns.Reading(source="stream", now=datetime.now(UTC))
    rows = [importing.read(row, mapping, reading) for row in files.open_rows(options.stream)]
    raws = [r for r in rows if not isinstance(r, Rejected)][: options.limit]
    embedder = load_embedder(MODELS / "all-minilm-l6-v2", workers=2)
    some = raws[:: max(1, len(raws) // SAMPLE)][:SAMPLE]
    stages: dict[str, float] = {}
    with _timed(stages, "clean", len(some)):
        drafts = [normalise.tidied(r, key=b"bench", keep_account_names=True, backfill=True) for r in some]
    with _timed(stages, "embed", len(some)):
        embedder.embed([embedding_text(d.subject, d.body) for d in drafts])
    started = time.perf_counter()
    with scratch(load(), embedder) as (runtime, clock):
        clock.at = datetime.now(UTC)
        importing.accept_all(runtime, raws, backfill=True)
        accepted = time.perf_counter()
        marks = _digest(runtime, len(raws))
        digested = time.perf_counter()
        with runtime.store.read() as session:
            stored, waiting = tickets.total(session), tickets.count_undigested(session)
        with _timed(stages, "detect", 1):
            detect(runtime, raws[-1].created_at)
    took = digested - started
    stages["store"] = len(raws) / (accepted - started)
    stages["digest"] = len(raws) / (digested - accepted)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    ratio = _cost_ratio(marks)
    print(f"{stored:,} tickets stored, {len(raws) - stored + waiting:,} lost, in {took:,.0f} s")
    for name, rate in stages.items():
        print(f"  {name:8} {rate:10,.0f} a second")
    print(f"  peak memory {peak:,.0f} MB; cost per ticket at 20,000 against 5,000: {ratio}")
    return {"tickets": stored, "lost": len(raws) - stored + waiting, "tickets_per_s": round(len(raws) / took, 1),
            "peak_mb": round(peak), "cost_ratio_20k_5k": ratio,
            "stages_per_s": {k: round(v, 1) for k, v in stages.items()}}  # fmt: skip


def _backfill(kind: str, tickets: int) -> dict[str, Any]:
    """Read a simulated desk whole: the connector's own speed against what the call limits allow."""
    from tests.bench._sources import backfill

    found = backfill(kind, tickets)
    print(f"{found['tickets']:,} tickets from {kind}: {found['calls_per_1000']} calls per 1,000 tickets")
    print(f"  connector {found['connector_tickets_per_s']:10,.0f} tickets a second")
    print(f"  quota     {found['quota_tickets_per_s']:10,.1f} tickets a second")
    print(f"  memory grew by {found['memory_growth_mb']} MB after the first fifth")
    return found


@contextmanager
def _timed(stages: dict[str, float], name: str, count: int) -> Iterator[None]:
    started = time.perf_counter()
    yield
    stages[name] = count / max(time.perf_counter() - started, 1e-9)


def _digest(runtime: Any, total: int) -> list[tuple[int, float]]:
    """CPU seconds used by this process when so many tickets were digested."""
    done, marks = 0, [(0, time.process_time())]
    step: Callable[[], int] = lambda: digest(runtime)  # noqa: E731
    while some := step():
        done += some
        marks.append((done, time.process_time()))
        if done % 2560 == 0:
            print(f"  digested {done:,} of {total:,}", flush=True)
    return marks


def _cost_ratio(marks: list[tuple[int, float]]) -> float | None:
    """CPU per ticket over the 2,000 tickets before each step, the later over the earlier."""
    costs = []
    for step in STEPS:
        near = [m for m in marks if step - 2_000 <= m[0] <= step]
        if len(near) < 2 or marks[-1][0] < step * 0.97:
            return None
        costs.append((near[-1][1] - near[0][1]) / (near[-1][0] - near[0][0]))
    return round(costs[1] / costs[0], 2)
