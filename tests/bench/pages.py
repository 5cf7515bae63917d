"""Server time and bytes of every page over a store the size of a large desk.

The store is made of synthetic rows through the store's own functions, without the engine: what a page costs
depends on how many rows there are, not on what they say. Each page is asked of an application that has made
ready what the service makes ready at its start: for the first time, again, and for the first time a minute
later, when new tickets have come and nothing was made ready since.
"""

from __future__ import annotations

import argparse
import gzip
import shutil
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.backtest import Clock
from app.domain import (
    Alert,
    Change,
    Pattern,
    Placement,
    Release,
    Sighting,
    Source,
    TicketDraft,
    Tier,
    TopicKind,
    sortable_id,
)
from app.pipeline.detect import NOTE
from app.runtime import Runtime
from app.settings import Settings
from app.store import alerts, events, pages, patterns, releases, sources, tickets, topics
from app.store.core import Store
from app.web import mount, warm

HELP = "server time and bytes of every page over a large synthetic store"
END = datetime(2026, 11, 20, 16, tzinfo=UTC)
YEAR = timedelta(days=365)
PRODUCTS, REGIONS, PLANS = 8, 4, 4
GROUPED = 0.6  # share of tickets in some pattern
ALERTS = 120
BATCH = 5_000
FILE = "bench.sqlite3"
NEW = 20  # tickets that come between two looks
DIM = 384


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tickets", type=int, default=10_000)
    parser.add_argument("--patterns", type=int, default=2_000)
    parser.add_argument("--keep", type=Path, help="folder in which the store is kept for the next run")
    parser.add_argument("--rounds", type=int, default=5, help="times each page is asked; the median counts")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Fill a scratch store, then ask every page."""
    with tempfile.TemporaryDirectory() as scratch:
        kept = options.keep or Path(scratch) / "filled"
        kept.mkdir(parents=True, exist_ok=True)
        biggest = _filled(kept, options.tickets, options.patterns)
        shutil.copy(kept / FILE, scratch)
        settings = Settings(
            database_url=f"sqlite:///{scratch}/{FILE}", data_dir=Path(scratch), time_zone="Europe/Berlin"
        )
        store = Store(settings.database_url, durable=False)
        runtime = Runtime(settings, store, Clock(END))
        rows = _measure(runtime, _paths(store, biggest), options.rounds)
        runtime.close()
    print(
        f"{'first':>7} {'(cpu)':>7} {'again':>7} {'(cpu)':>7} {'changed':>8} {'(cpu)':>7} ms {'kB':>6} {'sent kB':>8}  page"
    )
    for r in rows:
        print(
            f"{r.first.ms:7.0f} {r.first.cpu_ms:7.0f} {r.again.ms:7.0f} {r.again.cpu_ms:7.0f} {r.changed.ms:8.0f} "
            f"{r.changed.cpu_ms:7.0f}    {r.size:6.1f} {r.sent:8.1f}  {r.path}"
        )
    return {
        "tickets": options.tickets, "pages": len(rows), "slowest_page_ms": round(max(r.again.ms for r in rows), 1),
        "slowest_page_cpu_ms": round(max(r.again.cpu_ms for r in rows), 1),
        "slowest_first_ms": round(max(r.first.ms for r in rows)),
        "slowest_first_cpu_ms": round(max(r.first.cpu_ms for r in rows)),
        "slowest_changed_ms": round(max(r.changed.ms for r in rows)),
        "slowest_changed_cpu_ms": round(max(r.changed.cpu_ms for r in rows)),
        "largest_page_kb": round(max(r.size for r in rows), 1),
        "largest_page_gzip_kb": round(max(r.sent for r in rows), 1),
    }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Took:
    """Milliseconds on the wall, and of the processor: a busy machine makes only the first longer."""

    ms: float
    cpu_ms: float


@dataclass(frozen=True, slots=True)
class Measured:
    """What a page took at its first look, then (the median), and when new tickets had come; its size in kB."""

    path: str
    first: Took
    again: Took
    changed: Took
    size: float
    sent: float


def _filled(folder: Path, count: int, kinds: int) -> str:
    """Fill the folder's store unless it is filled; the id of its biggest pattern."""
    store = Store(f"sqlite:///{folder / FILE}", durable=False)
    store.migrate()
    with store.read() as session:
        known = pages.candidates(session, limit=100_000)
    started = time.perf_counter()
    biggest = max(known, key=lambda pattern: pattern[2])[0] if known else _fill(store, count, kinds)
    store.close()
    print(f"{count:,} tickets, {kinds:,} patterns in {time.perf_counter() - started:.0f} s")
    return biggest


def _paths(store: Store, biggest: str) -> list[str]:
    with store.read() as session:
        (alert, *_) = [a for a in alerts.unresolved(session) if a.pattern_id is None]
    return [
        "/", "/?tab=all", "/?product=P1", f"/alerts/{alert.id}", f"/patterns/{biggest}",
        f"/patterns/{biggest}/evidence", f"/patterns/{biggest}/brief", "/trends", "/trends?kind=signature",
        "/trends?kind=pattern", "/reports", "/reports?since=2026-05-01&until=2026-10-31", "/similar",
    ]  # fmt: skip


def _measure(runtime: Runtime, paths: list[str], rounds: int) -> list[Measured]:
    app = FastAPI()
    mount(app, runtime)
    client = TestClient(app, base_url="http://127.0.0.1", follow_redirects=False)
    warm(app)
    _settle(app)
    client.get("/static/style.css")  # the first request of a client starts its thread
    found = []
    for path in paths:
        first, _ = _ask(client, path)
        _settle(app)
        again = [_ask(client, path)[0] for _ in range(rounds)]
        _tick(runtime)
        changed, content = _ask(client, path)
        warm(app)  # as the service does every minute
        _settle(app)
        median = Took(*np.median([(a.ms, a.cpu_ms) for a in again], axis=0).tolist())
        packed = len(gzip.compress(content, 5)) / 1000
        found.append(Measured(path, first, median, changed, len(content) / 1000, packed))
    return found


def _settle(app: FastAPI) -> None:
    """Wait for what is computed behind the pages."""
    while app.state.threads.is_busy:
        time.sleep(0.05)


def _ask(client: TestClient, path: str) -> tuple[Took, bytes]:
    started, before = time.perf_counter(), time.process_time()
    answer = client.get(path)
    took, worked = time.perf_counter() - started, time.process_time() - before
    assert answer.status_code == 200, (path, answer.status_code)
    return Took(1000 * took, 1000 * worked), answer.content


def _tick(runtime: Runtime) -> None:
    """A minute later, with new tickets of the biggest patterns."""
    clock = runtime.now
    assert isinstance(clock, Clock)
    clock.at += timedelta(minutes=1)
    with runtime.store.read() as session:
        known = pages.candidates(session, limit=100_000)
    ids = [id_ for id_, *_ in sorted(known, key=lambda pattern: -pattern[2])]
    first = 10**9 + int(runtime.now().timestamp())
    _some(runtime.store, ids, np.arange(NEW), [runtime.now()] * NEW, range(NEW), name_from=first)
    with runtime.store.write() as session:
        patterns.recount(session, dict.fromkeys(ids[:NEW], 1))


def _fill(store: Store, count: int, kinds: int) -> str:
    """Tickets over a year, `kinds` patterns of very unequal sizes, and what hangs on them; the biggest's id."""
    random = np.random.default_rng(3)
    weight = 1.0 / (np.arange(kinds) + 3.0)
    home = random.choice(kinds, size=count, p=weight / weight.sum())
    home[random.random(count) > GROUPED] = -1
    home[:kinds] = np.arange(kinds)  # none is empty
    at = [END - YEAR + float(part) * YEAR for part in np.sort(random.random(count))]
    ids = [sortable_id("pat", END - YEAR, str(n)) for n in range(kinds)]
    with store.write() as session:
        sources.register(session, Source("desk", "push"))
        for id_ in ids:
            patterns.create(session, Pattern(id=id_, name=f"Export of {id_[-5:]} fails", name_by="engine",
                            founded_at=END - YEAR, first_at=END - YEAR, last_at=END))  # fmt: skip
        topics.ensure(session, [_topic(TopicKind.DESK, "desk"), *(_topic(TopicKind.PATTERN, i) for i in ids)])
        topics.ensure(session, [_topic(TopicKind.SEGMENT, f"product=P{n}") for n in range(PRODUCTS)])
        topics.ensure(session, [_topic(TopicKind.SEGMENT, f"region=R{n}") for n in range(REGIONS)])
        topics.ensure(session, [_topic(TopicKind.SIGNATURE, f"e{n}") for n in range(kinds // 4)])
        releases.save(session, [Release(f"rel_{n}", END - n * timedelta(days=9), Change.RELEASE, f"Version {n}")
                                for n in range(1, 30)])  # fmt: skip
        sources.save_note(session, NOTE, {"at": END.isoformat()})
    for start in range(0, count, BATCH):
        _some(store, ids, home, at, range(start, min(count, start + BATCH)))
    with store.write() as session:
        patterns.recount(session, dict.fromkeys(ids, 1))
        _alerts(session, ids)
    return ids[0]


def _topic(kind: TopicKind, key: str) -> Any:
    return topics.topic(kind, key, key, END - YEAR)


def _some(store: Store, ids: list[str], home: Any, at: Any, numbers: range, *, name_from: int = 0) -> None:
    random = np.random.default_rng(numbers.start + name_from)
    drafts = [_draft(name_from + n, at[n]) for n in numbers]
    vectors = random.standard_normal((len(drafts), DIM)).astype(np.float16)
    with store.write() as session:
        made = tickets.save(session, drafts, seen_at=END).new
        held: dict[int, list[str]] = {}
        sightings, placed = [], []
        for n, id_, draft in zip(numbers, made, drafts, strict=True):
            keys = [(TopicKind.DESK, "desk"), (TopicKind.SEGMENT, f"product=P{n % PRODUCTS}"),
                    (TopicKind.SEGMENT, f"region=R{n % REGIONS}")]  # fmt: skip
            if home[n] >= 0:
                held.setdefault(int(home[n]), []).append(id_)
                keys.append((TopicKind.PATTERN, ids[home[n]]))
                keys += [(TopicKind.SIGNATURE, f"e{home[n]}")] if home[n] < len(ids) // 4 else []
                placed.append(
                    Placement(id_, ids[home[n]], draft.created_at, "group", 0.8, None, 0.0, "bench")
                )
            sightings += [Sighting(id_, topics.topic_id(*k), draft.created_at, draft.account) for k in keys]
        topics.add_sightings(session, sightings)
        patterns.place(session, placed)
        tickets.save_vectors(session, "bench", [(i, i, v) for i, v in zip(made, vectors, strict=True)])
        for kind, members in held.items():
            tickets.set_pattern(session, members, ids[kind])
        tickets.mark_digested(session, made, at=END)


def _draft(n: int, at: datetime) -> TicketDraft:
    body = (
        f"Every export of report {n} ends with an error since the last update, and we cannot close the month. "
        * 3
    )
    return TicketDraft(
        source="desk", external_id=str(n), created_at=at, updated_at=at, content_hash=str(n),
        subject=f"Export {n} fails", body=body, url=f"https://desk.example.com/{n}", account=f"a{n * 7919 % 9000}",
        account_name=f"Customer {n * 7919 % 9000}", resolution="Restarted the export",
        resolved_at=at + timedelta(hours=n % 90), articles=("kb/1",) if n % 9 == 0 else (),
        satisfaction=(n % 5) / 4 if n % 3 == 0 else None, escalated=n % 16 == 0, ai_handled=n % 7 == 0,
        attributes={"product": f"P{n % PRODUCTS}", "region": f"R{n % REGIONS}", "plan": f"L{n % PLANS}"},
    )  # fmt: skip


def _alerts(session: Any, ids: list[str]) -> None:
    for n in range(ALERTS):
        opened = END - timedelta(hours=5 * n + 1)
        kind, key = (
            (TopicKind.PATTERN, ids[n]) if n % 10 else (TopicKind.SEGMENT, f"product=P{n // 10 % PRODUCTS}")
        )
        is_open = n < ALERTS // 2
        alert = Alert(
            id=sortable_id("alt", opened, str(n)), topic=_topic(kind, key), rule=f"scan{n}", kind="spike",
            tier=Tier.ALERT if n % 2 else Tier.WATCH, severity="medium", ticket_ids=(), opened_at=opened,
            sentence="12 tickets from 9 customers; 2.1 expected.", updated_at=opened,
            pattern_id=ids[n] if n % 10 else None, resolved_at=None if is_open else END,
            finding={"tickets": 12, "customers": 9, "expected": 2.1, "spread": 1.2, "strength": 3.0,
                     "active_topics": 400},
        )  # fmt: skip
        alerts.open_alert(session, alert)
        events.write(
            session, "alert.opened", alert.id, {"product": f"P{n % PRODUCTS}"}, at=opened, owed=False
        )
