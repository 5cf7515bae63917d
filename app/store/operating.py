"""What the operator's pages ask of the store: traffic of each source, success of each endpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, case, func, select
from sqlmodel import Session

from app.domain import Checkpoint, Delivery, Event
from app.store.records import record, table
from app.store.tables import AttemptRow, CheckpointRow, DeliveryRow, EventRow, TicketRow
from app.store.webhooks import Attempt

_T, _C, _D, _A, _E = (table(r).c for r in (TicketRow, CheckpointRow, DeliveryRow, AttemptRow, EventRow))


@dataclass(frozen=True, slots=True)
class Success:
    """How an endpoint did: attempts and those it took since a time, and deliveries that wait now."""

    attempts: int = 0
    taken: int = 0
    waiting: int = 0
    next_at: datetime | None = None
    last_at: datetime | None = None


def totals(session: Session) -> dict[str, int]:
    """Tickets ever received of each source."""
    query = select(_T.source, func.count()).group_by(_T.source)
    return {row[0]: int(row[1]) for row in session.execute(query)}


def counts(session: Session, edges: Sequence[datetime]) -> dict[str, list[int]]:
    """Tickets of each source created between each two neighbouring `edges`, oldest first."""
    bucket = case(*((_T.created_at < end, i) for i, end in enumerate(edges[1:])), else_=len(edges)).label("n")
    query = (
        select(_T.source, bucket, func.count())
        .where(_T.created_at >= edges[0], _T.created_at < edges[-1])
        .group_by(_T.source, bucket)
    )
    found: dict[str, list[int]] = {}
    for source, i, n in session.execute(query):
        found.setdefault(source, [0] * (len(edges) - 1))[i] = n
    return found


def checkpoints(session: Session) -> dict[str, list[Checkpoint]]:
    """How far each source was read, by source; a file's are many, one for each file."""
    found: dict[str, list[Checkpoint]] = {}
    for row in session.scalars(select(CheckpointRow).order_by(_C.source, _C.stream)):
        found.setdefault(row.source, []).append(record(Checkpoint, row))
    return found


def success(session: Session, *, since: datetime) -> dict[str, Success]:
    """How each subscription's endpoint has done since a time, by subscription."""
    took = and_(_A.status >= 200, _A.status < 300)
    tried = (
        select(_D.subscription_id, func.count(), func.sum(case((took, 1), else_=0)), func.max(_A.at))
        .join(AttemptRow, _A.delivery_id == _D.id)
        .where(_A.at >= since)
        .group_by(_D.subscription_id)
    )
    due = (
        select(_D.subscription_id, func.count(), func.min(_D.next_at))
        .where(_D.state == "pending")
        .group_by(_D.subscription_id)
    )
    waiting = {id_: (n, at) for id_, n, at in session.execute(due)}
    found = {id_: Success(n, int(ok), 0, None, at) for id_, n, ok, at in session.execute(tried)}
    return {
        id_: Success(s.attempts, s.taken, *waiting.get(id_, (0, None)), s.last_at)
        for id_ in found.keys() | waiting.keys() for s in [found.get(id_, Success())]
    }  # fmt: skip


def attempts_of(session: Session, delivery_ids: Sequence[str]) -> dict[str, list[Attempt]]:
    """Every attempt at some deliveries, oldest first."""
    found: dict[str, list[Attempt]] = {}
    query = select(AttemptRow).where(_A.delivery_id.in_(delivery_ids)).order_by(_A.seq)
    for row in session.scalars(query):
        found.setdefault(row.delivery_id, []).append(record(Attempt, row))
    return found


def events_of(session: Session, deliveries: Sequence[Delivery]) -> dict[str, Event]:
    """The events some deliveries carry, by id."""
    query = select(EventRow).where(_E.id.in_([d.event_id for d in deliveries]))
    return {row.id: record(Event, row) for row in session.scalars(query)}
