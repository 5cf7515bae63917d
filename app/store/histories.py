"""The statuses tickets went through, as their sources tell them: kept beside the ticket, read only with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import delete, select
from sqlmodel import Session

from app.domain import Status, StatusChange
from app.store.records import table, upsert
from app.store.tables import HistoryRow
from app.store.tickets import chunks

_H = table(HistoryRow).c


def save(session: Session, told: Mapping[str, Sequence[StatusChange]]) -> None:
    """Keep these tickets' histories in place of what was told before; what is unchanged is not written."""
    known = of(session, list(told))
    rows = [
        {"ticket_id": id_, "changes": [[c.at.isoformat(), c.status.value, c.told] for c in changes]}
        for id_, changes in sorted(told.items())
        if tuple(changes) != known.get(id_, ())
    ]
    upsert(session, HistoryRow, rows, key=["ticket_id"])


def of(session: Session, ticket_ids: Sequence[str]) -> dict[str, tuple[StatusChange, ...]]:
    """The histories of those tickets that have one, oldest change first."""
    found: dict[str, tuple[StatusChange, ...]] = {}
    for some in chunks(ticket_ids):
        query = select(_H.ticket_id, _H.changes).where(_H.ticket_id.in_(some))
        for id_, changes in session.execute(query):
            found[id_] = tuple(
                StatusChange(datetime.fromisoformat(at), Status(s), told) for at, s, told in changes
            )
    return found


def forget(session: Session, ticket_ids: Sequence[str]) -> None:
    for some in chunks(ticket_ids):
        session.execute(delete(HistoryRow).where(_H.ticket_id.in_(some)))
