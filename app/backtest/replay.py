"""The same pipeline over a store of its own, with a clock that is moved from tick to tick."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from sqlmodel import Session

from app.domain import Event, RawTicket, Release, Ticket
from app.pipeline import lease
from app.pipeline.detect import NOTE as DETECT_NOTE
from app.pipeline.detect import detect
from app.pipeline.digest import BATCH, digest
from app.pipeline.intake import accept
from app.runtime import Runtime
from app.settings import Settings
from app.store import events, patterns, releases, sources, tickets
from app.store.core import Store

CHUNK = 1000
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Raised:
    """One alert the engine would have raised, with its evidence as the source names it."""

    at: datetime
    kind: str
    severity: str
    sentence: str
    pattern: str
    strength: float
    ids: tuple[str, ...]
    bar: float = 0.0  # strength an alert needed then

    def as_dict(self) -> dict[str, Any]:
        """As JSON holds it: `at` and `ids` are what a scorer reads."""
        return {
            "at": self.at.isoformat().replace("+00:00", "Z"), "ids": list(self.ids), "kind": self.kind,
            "severity": self.severity, "pattern": self.pattern, "strength": self.strength,
            "sentence": self.sentence,
        }  # fmt: skip

    def as_line(self) -> str:
        """One line of JSON."""
        return json.dumps(self.as_dict(), ensure_ascii=False)


class Clock:
    """A clock that is moved by hand."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at


@contextmanager
def scratch(settings: Settings, embedder: Any = None) -> Iterator[tuple[Runtime, Clock]]:
    """A runtime over an empty store that is thrown away, and the clock it goes by."""
    with (
        tempfile.TemporaryDirectory(prefix="foreshock-") as folder,
        beside(settings, Path(folder) / "scratch.sqlite3", embedder) as made,
    ):
        yield made


@contextmanager
def beside(settings: Settings, file: Path, embedder: Any = None) -> Iterator[tuple[Runtime, Clock]]:
    """A runtime over a store of its own in `file`, and the clock it goes by."""
    url = f"sqlite:///{file}"
    store = Store(url, durable=False)
    store.migrate()
    with store.write() as session:
        sources.save_note(session, lease.NOTE, {})  # whoever wrote here before is gone
    clock = Clock(datetime(2000, 1, 1, tzinfo=UTC))
    own = {"database_url": url, "data_dir": file.parent, "secret": settings.key().decode()}
    runtime = Runtime(settings.model_copy(update=own), store, clock)
    if embedder is not None:
        runtime.__dict__["embedder"] = embedder
    try:
        yield runtime, clock
    finally:
        runtime.close()


def backtest(
    runtime: Runtime,
    clock: Clock,
    raws: Sequence[RawTicket],
    *,
    marks: Sequence[Release] = (),
    tick: timedelta = timedelta(hours=1),
    progress: Progress = lambda _done, _all: None,
) -> list[Raised]:
    """Every alert over these tickets, oldest first. Each tick knows only what was filed until then."""
    replay(runtime, clock, raws, marks=marks, tick=tick, progress=progress)
    return told(runtime, "alert.opened")


def replay(
    runtime: Runtime,
    clock: Clock,
    raws: Sequence[RawTicket],
    *,
    marks: Sequence[Release] = (),
    tick: timedelta = timedelta(hours=1),
    progress: Progress = lambda _done, _all: None,
    is_stopped: Callable[[], bool] = lambda: False,
) -> bool:
    """Live through these tickets; True at the end, False when stopped. A stopped one goes on where it was.

    How far it has come is in the store: the last tick's instant.
    """
    ordered = sorted(raws, key=lambda r: (r.created_at, r.external_id))
    if not ordered:
        return True
    clock.at = ordered[-1].created_at
    for start in range(0, len(ordered), CHUNK):
        accept(runtime, ordered[start : start + CHUNK], source_kind="file")
    with runtime.store.write() as session:
        releases.save(session, marks)
        last = sources.note(session, DETECT_NOTE).get("at")
    times = np.array([r.created_at.timestamp() for r in ordered])
    for at in _ticks(ordered, tick):
        if last is not None and at <= datetime.fromisoformat(last):
            continue
        if is_stopped():
            return False
        clock.at = at
        while digest(runtime, until=at) == BATCH:
            pass
        detect(runtime, at)
        progress(int(np.searchsorted(times, at.timestamp(), side="right")), len(ordered))
    return True


def _ticks(ordered: Sequence[RawTicket], tick: timedelta) -> Iterator[datetime]:
    """The first grid points after each ticket."""
    last = None
    size = tick.total_seconds()
    for raw in ordered:
        at = datetime.fromtimestamp((raw.created_at.timestamp() // size + 1) * size, tz=UTC)
        if at != last:
            last = at
            yield at


def told(runtime: Runtime, type_: str) -> list[Raised]:
    """What every event of this type said, oldest first: "alert.opened" or "alert.watching"."""
    found, seen = [], 0
    with runtime.store.read() as session:
        while some := events.after(session, seen, limit=10_000):
            seen = some[-1].seq
            found += [_raised(session, event) for event in some if event.type == type_]
    return found


def _raised(session: Session, event: Event) -> Raised:
    evidence = tickets.by_ids(session, event.data["ticket_ids"])
    name = ""
    if event.data["pattern_id"]:
        name = patterns.resolve(session, event.data["pattern_id"]).name
    return _as_raised(event.data, event.at, evidence, name or event.data["topic"])


def _as_raised(data: Any, at: datetime, evidence: dict[str, Ticket], name: str) -> Raised:
    ids = tuple(evidence[t].external_id for t in data["ticket_ids"] if t in evidence)
    return Raised(
        at, data["kind"], data["severity"], data["sentence"], name, data["strength"], ids, data["bar"]
    )


def history(
    runtime: Runtime, *, start: datetime | None = None, end: datetime | None = None
) -> list[RawTicket]:
    """A store's tickets as their source told them, redacted; deleted ones are left out."""
    with runtime.store.read() as session:
        found = tickets.between(session, start or datetime.min.replace(tzinfo=UTC),
                                end or datetime.max.replace(tzinfo=UTC))  # fmt: skip
    return [
        RawTicket(
            source=t.source, external_id=t.external_id, created_at=t.created_at, subject=t.subject,
            body=t.body, requester=t.requester, account=t.account, attributes=t.attributes, tags=t.tags,
            duplicate_of=t.duplicate_of, problem=t.problem,
        )
        for t in found
    ]  # fmt: skip
