"""The same tickets in the same order say the same: however batched, restarted, or followed by others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from app.backtest import Clock
from app.demo import SEED
from app.detectors.embed import CachingEmbedder, load_embedder
from app.domain import Change, RawTicket
from app.pipeline.detect import detect
from app.pipeline.digest import digest
from app.pipeline.intake import accept
from app.runtime import Runtime
from app.sample import Sample, generate
from app.settings import Settings
from app.store import releases
from app.store.core import Store
from tests.e2e._sample import END, Desk, settings_of

pytestmark = [pytest.mark.xdist_group("determinism"), pytest.mark.timeout(600)]
KNOWN = timedelta(days=28)
LIVED = timedelta(days=6)
TICK = timedelta(hours=4)
EVERY = 5  # one in so many everyday tickets
STORIES = ("novel-error", "after-release", "slow-burn-small", "pdf-currency-regressed", "vanishing-hours",
           "tester-flood", "one-customer-flood")  # fmt: skip


@dataclass(frozen=True)
class Way:
    """One way to bring the same tickets through."""

    batch: int = 128
    reload: bool = False
    until: datetime = END


@cache
def made() -> Sample:
    return generate(SEED, END)


def stream() -> list[RawTicket]:
    """A few hundred tickets: the planted ones, and some of the everyday."""
    told = [*made().truth["stories"], *made().truth["traps"]]
    planted = {n for s in told if s["name"] in STORIES for n in s["tickets"]}
    late = [t for t in made().tickets if t.created_at > END - KNOWN]
    return [t for n, t in enumerate(late) if t.external_id in planted or n % EVERY == 0]


@pytest.fixture(scope="module")
def embedder() -> CachingEmbedder:
    """The real model; a text that several ways share is embedded once."""
    return CachingEmbedder(load_embedder(Settings().model), capacity=10_000)


def live(folder: Path, embedder: CachingEmbedder, way: Way) -> Desk:
    """The tickets up to `way.until`: older ones imported, the last days lived tick by tick."""
    settings = settings_of(folder)
    store = Store(settings.database_url)
    store.migrate()
    clock = Clock(END - LIVED)
    runtime = Runtime(settings, store, clock)
    runtime.__dict__["embedder"] = embedder
    with store.write() as session:
        releases.save(session, [r for r in made().releases if r.kind is Change.RELEASE])
    for at, arrived in hours(stream()):
        if at > way.until:
            break
        clock.at = at
        if arrived:
            accept(runtime, arrived, source_kind="sample", backfill=at == END - LIVED)
        while digest(runtime, limit=way.batch):
            if way.reload:
                runtime.memory = None
        detect(runtime, at)
    runtime.close()
    return Desk(folder, made().truth, until=way.until)


def hours(tickets: Sequence[RawTicket]) -> Iterator[tuple[datetime, list[RawTicket]]]:
    """What is there when living begins, then what came in each tick."""
    at = END - LIVED
    yield at, [t for t in tickets if t.created_at <= at]
    while at < END:
        before, at = at, min(END, at + TICK)
        yield at, [t for t in tickets if before < t.created_at <= at]


def said(desk: Desk) -> dict[str, Any]:
    """Everything the desk says: patterns, alerts, events, and where each ticket is and why."""
    patterns = list(desk.every("/v1/patterns"))
    placed = [list(desk.every(f"/v1/patterns/{p['id']}/tickets")) for p in patterns]
    alerts, events = list(desk.every("/v1/alerts")), list(desk.events())
    desk.close()
    return {"patterns": patterns, "alerts": alerts, "events": events, "placed": placed}


@pytest.fixture(scope="module")
def plain(embedder: CachingEmbedder, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return said(live(tmp_path_factory.mktemp("plain"), embedder, Way()))


def test_the_stream_is_worth_comparing(plain: dict[str, Any]) -> None:
    assert len(stream()) >= 300
    assert len(plain["patterns"]) >= 10
    assert {a["kind"] for a in plain["alerts"]} >= {"cluster", "after_release", "new"}
    assert {e["type"] for e in plain["events"]} >= {"pattern.created", "alert.opened", "alert.watching"}


@pytest.mark.parametrize(
    "way",
    [Way(), Way(batch=1), Way(batch=7), Way(batch=7, reload=True), Way(batch=128, reload=True)],
    ids=["again", "one by one", "by sevens", "by sevens, restarted", "restarted"],
)
def test_the_same_tickets_say_the_same(
    way: Way, plain: dict[str, Any], embedder: CachingEmbedder, tmp_path: Path
) -> None:
    found = said(live(tmp_path, embedder, way))
    for name, rows in plain.items():
        assert found[name] == rows, name


def test_what_comes_later_does_not_change_what_was_said(
    plain: dict[str, Any], embedder: CachingEmbedder, tmp_path: Path
) -> None:
    until = END - 6 * TICK
    found = said(live(tmp_path, embedder, Way(until=until)))
    before = [e for e in plain["events"] if datetime.fromisoformat(e["at"]) <= until]
    assert found["events"] == before
    opened = {
        a["id"]: a["opened_at"] for a in plain["alerts"] if datetime.fromisoformat(a["opened_at"]) <= until
    }
    assert {a["id"]: a["opened_at"] for a in found["alerts"]} == opened
