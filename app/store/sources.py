"""Sources, how far each has been read, and how it is doing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import bindparam, delete, select, tuple_, update
from sqlmodel import Session

from app.domain import Checkpoint, Source
from app.errors import NotFound
from app.store.records import record, table, upsert
from app.store.tables import (
    BoilerplateRow,
    CheckpointRow,
    HintRow,
    NoteRow,
    SourceDayRow,
    SourceRow,
    TermRow,
)

_S, _B, _D = table(SourceRow).c, table(BoilerplateRow).c, table(TermRow).c
_H, _Y, _N = table(HintRow).c, table(SourceDayRow).c, table(NoteRow).c
_NOTE = select(_N.value).where(_N.name == bindparam("name"))  # read a dozen times a tick: made once


@dataclass(frozen=True, slots=True)
class Health:
    """One source as an operator sees it."""

    name: str
    kind: str
    paused: bool
    last_success_at: datetime | None
    last_error: str
    last_error_at: datetime | None
    newest_at: datetime | None
    notes: tuple[str, ...]
    next_at: datetime | None
    read_to: datetime | None
    quota: Mapping[str, Mapping[str, float]]
    silence_s: float


def register(session: Session, source: Source) -> None:
    """Make the source known, or bring its kind and options up to date."""
    row = session.get(SourceRow, source.name)
    if row is None:
        row = SourceRow(
            name=source.name, kind=source.kind, options={}, paused=source.paused, notes=[], quota={}
        )
        session.add(row)
    row.kind = source.kind
    if source.options:
        row.options = dict(source.options)
    session.flush()


def health(session: Session) -> list[Health]:
    return [record(Health, row) for row in session.scalars(select(SourceRow).order_by(_S.name))]


def one(session: Session, name: str) -> Health:
    row = session.get(SourceRow, name)
    if row is None:
        raise NotFound(f"there is no source {name}")
    return record(Health, row)


def change(session: Session, name: str, **values: Any) -> Health:
    row = session.get(SourceRow, name)
    if row is None:
        raise NotFound(f"there is no source {name}")
    for field, value in values.items():
        setattr(row, field, value)
    session.flush()
    return record(Health, row)


def received(session: Session, name: str, *, at: datetime, newest_at: datetime | None,
             read_to: datetime | None = None, notes: Sequence[str] = ()) -> None:  # fmt: skip
    """A pull or push went well."""
    row = session.get(SourceRow, name)
    if row is not None:
        row.last_success_at, row.last_error, row.notes = at, "", list(notes)
        row.newest_at = _later(row.newest_at, newest_at)
        row.read_to = _later(row.read_to, read_to)


def _later(known: datetime | None, heard: datetime | None) -> datetime | None:
    return max(filter(None, (known, heard)), default=None)


def checkpoint(session: Session, source: str, stream: str = "tickets") -> Checkpoint:
    row = session.get(CheckpointRow, (source, stream))
    return Checkpoint(source, stream, dict(row.state) if row else {})


def save_checkpoint(session: Session, point: Checkpoint) -> None:
    values = {"source": point.source, "stream": point.stream, "state": dict(point.state)}
    upsert(session, CheckpointRow, [values], key=["source", "stream"])


def boilerplate(
    session: Session, keys: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], tuple[int, datetime]]:
    """Line counts by (scope, line hash): tickets that held the line, and when first."""
    wanted, found = sorted(set(keys)), {}
    for start in range(0, len(wanted), 400):
        query = select(BoilerplateRow).where(tuple_(_B.scope, _B.line_hash).in_(wanted[start : start + 400]))
        for row in session.scalars(query):
            found[row.scope, row.line_hash] = (row.tickets, row.first_at)
    return found


def save_boilerplate(session: Session, counts: Mapping[tuple[str, str], tuple[int, datetime]]) -> None:
    values = [
        {"scope": scope, "line_hash": line, "tickets": n, "first_at": first}
        for (scope, line), (n, first) in counts.items()
    ]
    upsert(session, BoilerplateRow, values, key=["scope", "line_hash"])


def note(session: Session, name: str) -> dict[str, Any]:
    """A small fact a step left for its next run; {} when there is none."""
    return dict(session.scalar(_NOTE, {"name": name}) or {})


def save_note(session: Session, name: str, value: Mapping[str, Any]) -> None:
    upsert(session, NoteRow, [{"name": name, "value": dict(value)}], key=["name"])


def terms(session: Session) -> list[tuple[str, int, int]]:
    """(table, slot, documents): in how many documents each term was seen."""
    return [(t, s, n) for t, s, n in session.execute(select(_D.table, _D.slot, _D.documents))]


def save_terms(session: Session, rows: Sequence[tuple[str, int, int]]) -> None:
    values = [{"table": t, "slot": s, "documents": n} for t, s, n in rows]
    upsert(session, TermRow, values, key=["table", "slot"])


# --- one walker of an account ----------------------------------------------------------------------


def take(session: Session, account: str, *, holder: str, now: datetime, until: datetime) -> bool:
    """Take or renew the right to walk through an account; False while somebody else has it."""
    held = note(session, f"walker:{account}")
    if held.get("holder") not in (None, holder) and datetime.fromisoformat(held["until"]) > now:
        return False
    save_note(session, f"walker:{account}", {"holder": holder, "until": until.isoformat()})
    return True


def give_back(session: Session, account: str, *, holder: str) -> None:
    if note(session, f"walker:{account}").get("holder") == holder:
        save_note(session, f"walker:{account}", {})


# --- hints from webhooks ---------------------------------------------------------------------------


def hint(session: Session, source: str, external_ids: Iterable[str], *, due_at: datetime) -> None:
    """Have tickets fetched; one told again before it was fetched keeps its place."""
    for external_id in dict.fromkeys(external_ids):
        row = session.get(HintRow, (source, external_id))
        if row is None:
            session.add(HintRow(source=source, external_id=external_id, due_at=due_at))
        else:
            row.told += 1
    session.flush()


def hinted(session: Session, source: str, *, at: datetime, limit: int) -> dict[str, int]:
    """Tickets whose time to be fetched has come, and how often each was told."""
    query = select(_H.external_id, _H.told).where(_H.source == source, _H.due_at <= at)
    rows = session.execute(query.order_by(_H.due_at, _H.external_id).limit(limit))
    return {str(external_id): int(told) for external_id, told in rows}


def forget_hints(session: Session, source: str, followed: Mapping[str, int]) -> None:
    """Of what was fetched, forget all that was not told again meanwhile."""
    for external_id, told in followed.items():
        session.execute(
            delete(HintRow).where(_H.source == source, _H.external_id == external_id, _H.told == told)
        )


def delay_hints(session: Session, source: str, *, until: datetime) -> None:
    session.execute(update(HintRow).where(_H.source == source, _H.due_at < until).values(due_at=until))


# --- rows per day ----------------------------------------------------------------------------------


def save_count(session: Session, source: str, day: date, counted: int, *, at: datetime) -> None:
    values = {"source": source, "day": day.isoformat(), "counted": counted, "at": at}
    upsert(session, SourceDayRow, [values], key=["source", "day"])


def counts(session: Session, source: str, since: date) -> dict[date, int]:
    """What the source itself counted, by day."""
    query = select(_Y.day, _Y.counted).where(_Y.source == source, _Y.day >= since.isoformat())
    return {date.fromisoformat(day): counted for day, counted in session.execute(query)}
