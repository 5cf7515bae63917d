"""What briefs, exports, reports and trends ask of the store: narrow columns of many rows, never whole records."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import case, func, select
from sqlmodel import Session

from app.domain import Placement
from app.store import patterns
from app.store.records import table
from app.store.tables import TicketRow
from app.store.tickets import chunks

_K = table(TicketRow).c


@dataclass(frozen=True, slots=True)
class Member:
    """One ticket of a pattern with the decision that put it there."""

    id: str
    source: str
    external_id: str
    url: str
    subject: str
    created_at: datetime
    customer: str
    account_name: str
    status: str
    why: Placement | None


def sightings(session: Session, pattern_id: str) -> list[tuple[datetime, str]]:
    """(created at, customer) of every member, oldest first."""
    query = select(_K.created_at, _K.customer).where(_K.pattern_id == pattern_id)
    return [(at, who) for at, who in session.execute(query.order_by(_K.created_at, _K.id))]


def members(session: Session, pattern_id: str, *, limit: int | None = None) -> Iterator[Member]:
    """A pattern's tickets with their reasons, newest first."""
    columns = (_K.id, _K.source, _K.external_id, _K.url, _K.subject, _K.created_at, _K.customer,
               _K.account_name, _K.status)  # fmt: skip
    query = select(*columns).where(_K.pattern_id == pattern_id)
    newest = query.order_by(_K.created_at.desc(), _K.id.desc()).limit(limit)
    found = {row.id: row for row in session.execute(newest)}
    for some in chunks(list(found)):
        reasons = patterns.placements(session, some)
        for id_ in some:
            yield Member(*found[id_], why=reasons.get(id_))


def answers(session: Session, pattern_id: str, *, limit: int) -> list[tuple[str, int, int]]:
    """(resolution, tickets, of those reopened): the most frequent wordings first."""
    n = func.count()
    again = func.coalesce(func.sum(case((_K.reopened.is_(True), 1), else_=0)), 0)
    query = (
        select(_K.resolution, n, again)
        .where(_K.pattern_id == pattern_id, _K.resolution != "")
        .group_by(_K.resolution)
        .order_by(n.desc(), _K.resolution)
        .limit(limit)
    )
    return [(text, int(count), int(back)) for text, count, back in session.execute(query)]
