"""The sample brought to life: older history imported, the last weeks lived through at their own times."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from app.backtest import Clock
from app.domain import Change, RawTicket, Release, Tier
from app.errors import Invalid
from app.pipeline import lease, review
from app.pipeline.detect import detect
from app.pipeline.digest import digest
from app.pipeline.intake import accept
from app.runtime import Runtime
from app.sample import Sample, generate, write
from app.settings import PROJECT, Settings
from app.store import alerts, patterns, releases, tickets
from app.store.core import Store

SEED = 7
LIVED = timedelta(days=35)  # lived through tick by tick; what is older is imported
TICK = timedelta(hours=1)
QUIET_H = 2  # hours without a ticket are looked at this often; a silent feed is noticed by then
CHUNK = 500
DONE = "ready"
VIA = ("zendesk",)
Progress = Callable[[int, int], None]
Beside = Callable[[Runtime, datetime], None]
SIMULATORS = PROJECT / "tests" / "simulators"


class Arrive(Protocol):
    """How tickets get into the store."""

    def __call__(self, runtime: Runtime, raws: Sequence[RawTicket], *, backfill: bool = False) -> None: ...


def pushed(runtime: Runtime, raws: Sequence[RawTicket], *, backfill: bool = False) -> None:
    """Straight in."""
    accept(runtime, raws, source_kind="sample", backfill=backfill)


def through(via: str) -> AbstractContextManager[Arrive]:
    """Tickets arrive through the connector of a ticketing tool, from its simulator over HTTP.

    The simulators are part of the tests, which are not installed: Invalid without a checkout.
    """
    if via not in VIA:
        raise Invalid(f"--via takes {', '.join(VIA)}, not {via!r}", pointer="via")
    if not SIMULATORS.is_dir():
        raise Invalid("--via needs the simulators, which are in the repository: run it from a checkout")
    sys.path.insert(0, str(PROJECT))
    found: AbstractContextManager[Arrive] = import_module("tests.simulators.sample").arriving()
    return found


def overrides(folder: Path, port: int | None) -> dict[str, Any]:
    """The demo's settings: everything in one folder, the sample company's own time zone."""
    url = f"sqlite:///{folder / 'foreshock.sqlite3'}"
    chosen = {
        "database_url": url, "data_dir": folder, "time_zone": "Europe/Berlin",
        "segments": ("product", "component", "region"),
    }  # fmt: skip
    return chosen if port is None else chosen | {"port": port}


def instant(text: str) -> datetime:
    """An aware instant from ISO text, or now."""
    if not text:
        return datetime.now(UTC).replace(second=0, microsecond=0)
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise Invalid(f"{text!r} is not a date and time like 2026-11-20T18:00:00Z", pointer="end") from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def is_ready(folder: Path) -> bool:
    return (folder / DONE).exists()


def load(
    folder: Path,
    settings: Settings,
    progress: Progress,
    *,
    end: datetime | None = None,
    beside: Beside = lambda _runtime, _at: None,
    arrive: Arrive = pushed,
) -> Sample:
    """Generate the sample and bring the store to `end` as if Foreshock had been there all along.

    `beside` is called when living begins and after every tick: whoever else would have been there.
    `arrive` is how tickets get in.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob("foreshock.sqlite3*"):
        left.unlink()  # of a start that was interrupted
    end = end or instant("")
    made = generate(SEED, end)
    write(made, folder / "sample")
    store = Store(settings.database_url)
    store.migrate()
    clock = Clock(end)
    runtime = Runtime(settings, store, clock)
    total = len(made.tickets)
    done = 0
    born = end - LIVED
    old = [t for t in made.tickets if made.received[t.external_id] <= born]
    clock.at = born
    for start in range(0, len(old), CHUNK):
        arrive(runtime, old[start : start + CHUNK], backfill=True)
    while some := digest(runtime):
        done += some
        progress(done, total)
    _record(runtime, [r for r in made.releases if r.at <= born and r.kind is Change.RELEASE])
    beside(runtime, born)
    for at, arrived, marks in _hours(made, born, end):
        clock.at = at
        _record(runtime, marks)
        if arrived:
            arrive(runtime, arrived)
        while some := digest(runtime):
            done += some
        if arrived or marks or at.hour % QUIET_H == 0 or at == end:
            detect(runtime, at)
        _live(runtime, made, at)
        beside(runtime, at)
        progress(done, total)
    lease.release(runtime)
    runtime.close()
    (folder / DONE).write_text(json.dumps({"seed": SEED, "end": end.isoformat()}))
    return made


def _hours(
    made: Sample, born: datetime, end: datetime
) -> Iterator[tuple[datetime, list[RawTicket], list[Release]]]:
    """Hour by hour: what arrived and what was released in it; the last one ends at `end`."""
    by_arrival = sorted(made.tickets, key=lambda t: (made.received[t.external_id], t.external_id))
    at = born
    while at < end:
        following = min(at + TICK, end)
        arrived = [t for t in by_arrival if at < made.received[t.external_id] <= following]
        yield following, arrived, [r for r in made.releases if at < r.at <= following]
        at = following


def _record(runtime: Runtime, marks: Sequence[Release]) -> None:
    with runtime.store.write() as session:
        releases.save(session, [r for r in marks if r.kind is Change.RELEASE])


def _live(runtime: Runtime, made: Sample, at: datetime) -> None:
    """What the sample's own team does: it records its fixes, and sees to alerts after a few days."""
    for fix in made.releases:
        if fix.kind is Change.FIX and at - TICK < fix.at <= at:
            home = _pattern_of(runtime, made, fix)
            review.record_release(
                runtime, at=fix.at, kind=fix.kind, title=fix.title, product=fix.product,
                version=fix.version, pattern_id=home, actor="Sample lead",
            )  # fmt: skip


def _pattern_of(runtime: Runtime, made: Sample, fix: Release) -> str | None:
    """The pattern that holds most of the tickets of the story this fix belongs to."""
    story = next((s for s in made.truth["stories"] if s.get("release") == fix.id), None)
    if story is None:
        return None
    with runtime.store.read() as session:
        known = tickets.known(session, "sample", story["tickets"])
        found = tickets.by_ids(session, [k.id for k in known.values()])
        homes = [t.pattern_id for t in found.values() if t.pattern_id]
        return max(sorted(set(homes)), key=homes.count, default=None)


def what_to_see(runtime: Runtime) -> list[str]:
    """The lines printed before the service starts: what is open, and where to begin."""
    with runtime.store.read() as session:
        standing = [a for a in alerts.unresolved(session) if a.tier is Tier.ALERT]
        count = tickets.total(session)
        top = max(standing, key=lambda a: (float(a.finding.get("strength", 0)), a.id), default=None)
        name = ""
        if top is not None:
            name = patterns.resolve(session, top.pattern_id).name if top.pattern_id else top.topic.label
    address = runtime.settings.base_url
    lines = [f"{count:,} generated tickets; {len(standing)} alerts are open at {address}/"]
    if top is not None:
        where = f"{address}/patterns/{top.pattern_id}" if top.pattern_id else f"{address}/"
        lines.append(f"start with “{name}”: {where}")
    return lines
