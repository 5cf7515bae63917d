"""What the messages of tickets added to them, and whose messages are still to be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlmodel import Session

from app.domain import Status, Ticket
from app.store.records import record, table, upsert
from app.store.tables import MessagesRow, TicketRow

_M, _T = table(MessagesRow).c, table(TicketRow).c
EMPTY: Mapping[str, Any] = {"articles": [], "satisfaction": None, "reopened": None}
OUTCOME = frozenset({"resolution", "satisfaction"})  # only a ticket that is done has these
RATED = frozenset({"satisfaction"})  # may come apart from the messages, and outlives their next reading
CHUNK = 500  # bound parameters per IN list


def want(session: Session, source: str, created: Mapping[str, datetime], *, due_at: datetime) -> None:
    """Have the messages of these tickets read (again); `created` is by external id."""
    known = found(session, source, list(created))
    rows = [
        {"source": source, "external_id": external_id, "created_at": at, "due_at": due_at,
         "found": known.get(external_id, {})}
        for external_id, at in sorted(created.items())
    ]  # fmt: skip
    upsert(session, MessagesRow, rows, key=["source", "external_id"])


def due(session: Session, source: str, *, at: datetime, limit: int) -> list[Ticket]:
    """Tickets whose messages are to be read now, newest first."""
    query = (
        select(TicketRow)
        .join(MessagesRow, (_M.source == _T.source) & (_M.external_id == _T.external_id))
        .where(_M.source == source, _M.due_at <= at, _T.status != Status.DELETED.value)
        .order_by(_M.created_at.desc(), _M.external_id)
        .limit(limit)
    )
    return [record(Ticket, row) for row in session.scalars(query)]


def waiting(session: Session, source: str) -> int:
    """How many tickets' messages are still to be read."""
    return session.scalar(select(func.count()).where(_M.source == source, _M.due_at.isnot(None))) or 0


def found(session: Session, source: str, external_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """What was found for these tickets, by external id."""
    known: dict[str, dict[str, Any]] = {}
    for start in range(0, len(external_ids), CHUNK):
        some = external_ids[start : start + CHUNK]
        query = select(_M.external_id, _M.found).where(_M.source == source, _M.external_id.in_(some))
        known |= {external_id: dict(values) for external_id, values in session.execute(query)}
    return known


def settle(session: Session, source: str, results: Mapping[str, Mapping[str, Any]], *, at: datetime) -> int:
    """Keep what was found by a reading that began at `at`, and fill it into the tickets; how many changed.

    A ticket that changed meanwhile stays due.
    """
    before = found(session, source, list(results))
    changed = 0
    for external_id, told in results.items():
        held = before.get(external_id, {})
        values = {name: held[name] for name in RATED & held.keys()} | dict(told)
        mine = (_M.source == source, _M.external_id == external_id)
        session.execute(update(MessagesRow).where(*mine).values(found=values, read_at=at))
        session.execute(update(MessagesRow).where(*mine, _M.due_at <= at).values(due_at=None))
        changed += _fill(session, source, external_id, held, values)
    return changed


def rate(session: Session, source: str, rated: Mapping[str, float], *, at: datetime) -> int:
    """Keep ratings that came apart from their tickets, and fill them in; how many tickets changed.

    A rating may come before its ticket does, which then finds it here.
    """
    known = found(session, source, sorted(rated))
    changed = 0
    for external_id, share in sorted(rated.items()):
        held = known.get(external_id, {})
        values = held | {"satisfaction": share}
        if held == values:
            continue
        if external_id in known:
            mine = (_M.source == source, _M.external_id == external_id)
            session.execute(update(MessagesRow).where(*mine).values(found=values))
        else:
            session.add(MessagesRow(source=source, external_id=external_id, created_at=at, found=values))
        changed += _fill(session, source, external_id, held, values)
    session.flush()
    return changed


def _fill(
    session: Session, source: str, external_id: str, before: Mapping[str, Any], values: Mapping[str, Any]
) -> bool:
    """Put what was found where the ticket itself says nothing; replace only what was put there before."""
    query = select(TicketRow).where(_T.source == source, _T.external_id == external_id)
    row = session.scalars(query).first()
    if row is None or row.status == Status.DELETED.value:
        return False
    changes = {
        name: values.get(name, EMPTY.get(name, ""))
        for name in before.keys() | values.keys()
        if (Status(row.status).is_done or name not in OUTCOME)
        and (not getattr(row, name) or getattr(row, name) == before.get(name))
    }
    changes = {name: value for name, value in changes.items() if value != getattr(row, name)}
    if "body" in changes:
        row.digested_at = None
    for name, value in changes.items():
        setattr(row, name, value)
    return bool(changes)


def delay(session: Session, source: str, *, until: datetime) -> None:
    session.execute(update(MessagesRow).where(_M.source == source, _M.due_at < until).values(due_at=until))


def forget(session: Session, source: str, external_ids: Sequence[str]) -> None:
    """Of a deleted ticket nothing that was said is kept."""
    for start in range(0, len(external_ids), CHUNK):
        some = external_ids[start : start + CHUNK]
        session.execute(delete(MessagesRow).where(_M.source == source, _M.external_id.in_(some)))
