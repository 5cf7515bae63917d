"""Sources, how far each has been read, and how it is doing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select, tuple_
from sqlmodel import Session

from app.domain import Checkpoint, Source
from app.errors import NotFound
from app.store.records import record, table, upsert
from app.store.tables import BoilerplateRow, CheckpointRow, NoteRow, SourceRow, TermRow

_S, _B, _D = table(SourceRow).c, table(BoilerplateRow).c, table(TermRow).c


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


def register(session: Session, source: Source) -> None:
    """Make the source known, or bring its kind and options up to date."""
    row = session.get(SourceRow, source.name)
    if row is None:
        row = SourceRow(name=source.name, kind=source.kind, options={}, paused=source.paused, notes=[])
        session.add(row)
    row.kind = source.kind
    if source.options:
        row.options = dict(source.options)
    session.flush()


def health(session: Session) -> list[Health]:
    return [record(Health, row) for row in session.scalars(select(SourceRow).order_by(_S.name))]


def change(session: Session, name: str, **values: Any) -> Health:
    row = session.get(SourceRow, name)
    if row is None:
        raise NotFound(f"there is no source {name}")
    for field, value in values.items():
        setattr(row, field, value)
    session.flush()
    return record(Health, row)


def received(session: Session, name: str, *, at: datetime, newest_at: datetime | None,
             notes: Sequence[str] = ()) -> None:  # fmt: skip
    """A pull or push went well."""
    row = session.get(SourceRow, name)
    if row is not None:
        row.last_success_at, row.last_error, row.notes = at, "", list(notes)
        if newest_at and (row.newest_at is None or newest_at > row.newest_at):
            row.newest_at = newest_at


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
    row = session.get(NoteRow, name)
    return dict(row.value) if row else {}


def save_note(session: Session, name: str, value: Mapping[str, Any]) -> None:
    upsert(session, NoteRow, [{"name": name, "value": dict(value)}], key=["name"])


def terms(session: Session) -> list[tuple[str, int, int]]:
    """(table, slot, documents): in how many documents each term was seen."""
    return [(t, s, n) for t, s, n in session.execute(select(_D.table, _D.slot, _D.documents))]


def save_terms(session: Session, rows: Sequence[tuple[str, int, int]]) -> None:
    values = [{"table": t, "slot": s, "documents": n} for t, s, n in rows]
    upsert(session, TermRow, values, key=["table", "slot"])
