"""Would it have caught it? The same pipeline over a scratch store, with a clock that follows the tickets."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from app.domain import RawTicket, Release, Ticket
from app.pipeline.detect import detect
from app.pipeline.digest import digest
from app.pipeline.intake import accept
from app.runtime import Runtime
from app.settings import Settings
from app.store import events, patterns, releases, tickets
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

    def as_line(self) -> str:
        """One line of JSON: `at` and `ids` are what a scorer reads."""
        return json.dumps({
            "at": self.at.isoformat().replace("+00:00", "Z"), "ids": list(self.ids), "kind": self.kind,
            "severity": self.severity, "pattern": self.pattern, "strength": self.strength,
            "sentence": self.sentence,
        }, ensure_ascii=False)  # fmt: skip


class Clock:
    """A clock that is moved by hand."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at


@contextmanager
def scratch(settings: Settings, embedder: Any = None) -> Iterator[tuple[Runtime, Clock]]:
    """A runtime over an empty store that is thrown away, and the clock it goes by."""
    with tempfile.TemporaryDirectory(prefix="foreshock-") as folder:
        url = f"sqlite:///{folder}/scratch.sqlite3"
        store = Store(url, durable=False)
        store.migrate()
        clock = Clock(datetime(2000, 1, 1, tzinfo=UTC))
        runtime = Runtime(
            settings.model_copy(update={"database_url": url, "data_dir": Path(folder)}), store, clock
        )
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
    ordered = sorted(raws, key=lambda r: (r.created_at, r.external_id))
    if not ordered:
        return []
    clock.at = ordered[-1].created_at
    for start in range(0, len(ordered), CHUNK):
        accept(runtime, ordered[start : start + CHUNK], source_kind="file")
    with runtime.store.write() as session:
        releases.save(session, marks)
    raised: list[Raised] = []
    seen = done = 0
    for at in _ticks(ordered, tick):
        clock.at = at
        while some := digest(runtime, until=at):
            done += some
        if detect(runtime, at):
            found, seen = _raised(runtime, seen)
            raised += found
        progress(done, len(ordered))
    return raised


def _ticks(ordered: Sequence[RawTicket], tick: timedelta) -> Iterator[datetime]:
    """The first grid points after each ticket."""
    last = None
    size = tick.total_seconds()
    for raw in ordered:
        at = datetime.fromtimestamp((raw.created_at.timestamp() // size + 1) * size, tz=UTC)
        if at != last:
            last = at
            yield at


def _raised(runtime: Runtime, seen: int) -> tuple[list[Raised], int]:
    """Alerts opened since event number `seen`."""
    found = []
    with runtime.store.read() as session:
        for event in events.after(session, seen, limit=10_000):
            seen = event.seq
            if event.type == "alert.opened":
                evidence = tickets.by_ids(session, event.data["ticket_ids"])
                name = ""
                if event.data["pattern_id"]:
                    name = patterns.resolve(session, event.data["pattern_id"]).name
                found.append(_as_raised(event.data, event.at, evidence, name or event.data["topic"]))
    return found, seen


def _as_raised(data: Any, at: datetime, evidence: dict[str, Ticket], name: str) -> Raised:
    ids = tuple(evidence[t].external_id for t in data["ticket_ids"] if t in evidence)
    return Raised(at, data["kind"], data["severity"], data["sentence"], name, data["strength"], ids)


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
        )
        for t in found
    ]  # fmt: skip
