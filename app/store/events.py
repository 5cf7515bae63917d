"""The event log: every fact once, in the transaction of its change, with the deliveries it owes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlmodel import Session

from app.domain import Event, sortable_id
from app.errors import Invalid
from app.store import webhooks
from app.store.records import record, table
from app.store.tables import EventRow

_E = table(EventRow).c


def write(
    session: Session,
    type_: str,
    subject: str,
    data: Mapping[str, Any],
    *,
    at: datetime,
    actor: str = "engine",
    owed: bool = True,
) -> Event:
    """Record a fact about `subject` and, when `owed`, owe it to every subscription that wants it."""
    sequence = 1 + (session.scalar(select(func.max(_E.sequence)).where(_E.subject == subject)) or 0)
    row = EventRow(
        id=sortable_id("evt", at, subject, type_, str(sequence)), type=type_, at=at, subject=subject,
        sequence=sequence, actor=actor, data=dict(data),
    )  # fmt: skip
    session.add(row)
    session.flush()
    event = record(Event, row)
    if owed:
        webhooks.owe(session, event)
    return event


def after(session: Session, seq: int, *, limit: int, since: datetime | None = None) -> list[Event]:
    """Events in the order written, after sequence number `seq`."""
    query = select(EventRow).where(_E.seq > seq).order_by(_E.seq).limit(limit)
    if since is not None:
        query = query.where(_E.at >= since)
    return [record(Event, row) for row in session.scalars(query)]


def seq_of(session: Session, event_id: str) -> int:
    """The place of an event in the log, for reading on after it."""
    seq = session.scalar(select(_E.seq).where(_E.id == event_id))
    if seq is None:
        raise Invalid(f"after: there is no event {event_id}", pointer="after")
    return int(seq)


def by_id(session: Session, event_id: str) -> Event | None:
    row = session.scalars(select(EventRow).where(_E.id == event_id)).first()
    return record(Event, row) if row else None


def of(session: Session, subjects: list[str], *, limit: int = 200) -> list[Event]:
    """The newest events about any of these, newest first."""
    query = select(EventRow).where(_E.subject.in_(subjects)).order_by(_E.seq.desc()).limit(limit)
    return [record(Event, row) for row in session.scalars(query)]


def last_seq(session: Session) -> int:
    return session.scalar(select(func.max(_E.seq))) or 0
