"""A small desk for the pages: two months of everyday tickets, then a new error with a hostile ticket in it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from app.backtest import Clock
from app.domain import Change, RawTicket
from app.pipeline import lease
from app.pipeline.detect import detect
from app.pipeline.digest import digest
from app.pipeline.intake import accept
from app.runtime import Runtime
from app.sample import generate
from app.settings import Settings
from app.store import releases
from app.store.core import Store

END = datetime(2026, 3, 18, 15, 20, tzinfo=UTC)
LIVED = timedelta(days=6)
TICK = timedelta(hours=6)
EVERY = 12  # one in so many everyday tickets, to keep the embedding short
STORY = "after-release"
HOSTILE = '<script>document.title="taken over"</script>'


def small_desk(folder: Path, **settings: object) -> tuple[Runtime, Clock]:
    """The desk as it stands at END, on a clock that can be moved on."""
    chosen = Settings(
        database_url=f"sqlite:///{folder / 'desk.sqlite3'}", data_dir=folder, time_zone="Europe/Berlin",
        **settings,  # type: ignore[arg-type]
    )  # fmt: skip
    clock = Clock(END)
    store = Store(chosen.database_url)
    store.migrate()
    runtime = Runtime(chosen, store, clock)
    made = generate(7, END)
    with store.write() as session:
        releases.save(session, [r for r in made.releases if r.kind is Change.RELEASE])
    story = {number for s in made.truth["stories"] if s["name"] == STORY for number in s["tickets"]}
    wanted = [t for n, t in enumerate(made.tickets) if t.external_id in story or n % EVERY == 0]
    arrivals = [_hostile(t) if t.external_id == max(story, key=int) else t for t in wanted]
    _live(runtime, clock, arrivals)
    lease.release(runtime)  # a copy of this desk is another process's
    return runtime, clock


def _hostile(ticket: RawTicket) -> RawTicket:
    return replace(
        ticket, subject=f"{HOSTILE} {ticket.subject}", body=f"{ticket.body}\n<img src=x onerror=alert(1)>",
        account_name="Textiles & <b>Sons</b>", url="javascript:alert(1)",
    )  # fmt: skip


def _live(runtime: Runtime, clock: Clock, arrivals: list[RawTicket]) -> None:
    born = END - LIVED
    clock.at = born
    accept(runtime, [t for t in arrivals if t.created_at <= born], source_kind="sample", backfill=True)
    while digest(runtime):
        pass
    while clock.at < END:
        before, clock.at = clock.at, min(END, clock.at + TICK)
        new = [t for t in arrivals if before < t.created_at <= clock.at]
        if new:
            accept(runtime, new, source_kind="sample")
        while digest(runtime):
            pass
        detect(runtime, clock.at)
