"""What briefs, exports, reports and trends ask of the store: narrow columns of many rows, never whole records."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Float, String, case, cast, extract, func, select
from sqlmodel import Session

from app.domain import Placement, Status, Tier, TopicKind
from app.store import patterns
from app.store.records import table
from app.store.tables import AlertRow, PatternRow, SightingRow, TicketRow, TopicRow
from app.store.tickets import chunks

CaseRow = tuple[
    str, str, str, bool | None, float | None, float | None, bool | None, str | None, tuple[str, ...]
]
"""Customer, product, population, escalated, hours to resolve, satisfaction, AI-handled, pattern, articles."""

_K, _A, _P, _S, _T = (table(r).c for r in (TicketRow, AlertRow, PatternRow, SightingRow, TopicRow))


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


@dataclass(frozen=True, slots=True)
class Counted:
    """How often a topic was seen in a period."""

    topic: str
    key: str
    label: str
    tickets: int
    customers: int


def sightings(session: Session, pattern_id: str, *, since: datetime) -> list[tuple[datetime, str]]:
    """(created at, customer) of every member from `since` on, oldest first."""
    query = select(_K.created_at, _K.customer).where(_K.pattern_id == pattern_id, _K.created_at >= since)
    return [(at, who) for at, who in session.execute(query.order_by(_K.created_at, _K.id))]


WitnessRow = tuple[str, Mapping[str, str], Sequence[str], str, str]
"""Customer, attributes, tags, subject, body: what a ticket says of the thread that runs through a pattern."""

_WITNESS = (_K.pattern_id, _K.customer, _K.attributes, _K.tags, _K.subject, _K.body)


def lifetime(session: Session, pattern_id: str) -> tuple[datetime, datetime] | None:
    """When a pattern's oldest and newest ticket were created; None when it has none."""
    query = select(func.min(_K.created_at), func.max(_K.created_at)).where(_K.pattern_id == pattern_id)
    first, last = session.execute(query).one()
    return (first, last) if first else None


def witnesses_of(
    session: Session, pattern_id: str, *, since: datetime
) -> list[tuple[str | None, WitnessRow]]:
    """A pattern's tickets from `since` on, newest first, each after its pattern."""
    query = select(*_WITNESS).where(_K.pattern_id == pattern_id, _K.created_at >= since)
    rows = session.execute(query.order_by(_K.created_at.desc(), _K.id.desc()))
    return [(home, tuple(rest)) for home, *rest in rows]


def witnesses(
    session: Session, start: datetime, end: datetime, *, most: int
) -> list[tuple[str | None, WitnessRow]]:
    """The desk's live tickets of [start, end), each after its pattern; of more than `most` an even sample by id."""
    query = select(*_WITNESS).where(
        _K.created_at >= start, _K.created_at < end, _K.status != Status.DELETED.value
    )
    # The last characters of an id are a hash: their order is as good as a shuffle, and always the same.
    rows = session.execute(query.order_by(func.substr(_K.id, 23), _K.id).limit(most))
    return [(home, tuple(rest)) for home, *rest in rows]


def members(session: Session, pattern_id: str, *, limit: int | None = None) -> Iterator[Member]:
    """A pattern's tickets with their reasons, newest first."""
    columns = (_K.id, _K.source, _K.external_id, _K.url, _K.subject, _K.created_at, _K.customer,
               _K.account_name, _K.status)  # fmt: skip
    query = select(*columns).where(_K.pattern_id == pattern_id)
    newest = query.order_by(_K.created_at.desc(), _K.id.desc()).limit(limit)
    found: dict[str, Any] = {row.id: row for row in session.execute(newest)}
    for some in chunks(list(found)):
        reasons = patterns.placements(session, some)
        for id_ in some:
            yield Member(**found[id_]._mapping, why=reasons.get(id_))


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


# --- figures of a period ----------------------------------------------------------------------------

POPULATIONS = ("plan", "region", "channel", "language", "version", "platform", "product")


def cases(session: Session, since: datetime, until: datetime, *, by: str) -> list[CaseRow]:
    """Every ticket created in [since, until), in the few columns the figures need; `by`: see POPULATIONS."""
    # Whole seconds, subtracted by the database: a datetime a ticket would be most of a report's cost.
    took_s = extract("epoch", _K.resolved_at) - extract("epoch", _K.created_at)
    value = _K.attributes[by].as_string()
    query = select(
        _K.customer, func.coalesce(_K.attributes["product"].as_string(), ""), func.coalesce(value, ""),
        _K.escalated, cast(took_s, Float) / 3600.0, _K.satisfaction, _K.ai_handled, _K.pattern_id,
        cast(_K.articles, String),
    ).where(_K.created_at >= since, _K.created_at < until, _K.status != Status.DELETED.value)  # fmt: skip
    return [
        (*rest, tuple(json.loads(articles)) if articles != "[]" else ())
        for *rest, articles in session.execute(query.order_by(_K.created_at, _K.id))
    ]  # fmt: skip


def raised(
    session: Session, since: datetime, until: datetime
) -> list[tuple[datetime, datetime | None, str, str | None]]:
    """(opened at, acknowledged at, verdict, pattern) of every alert opened in [since, until), oldest first."""
    query = (
        select(_A.opened_at, _A.acknowledged_at, _A.verdict, _A.pattern_id)
        .where(_A.opened_at >= since, _A.opened_at < until, _A.tier == Tier.ALERT.value)
        .order_by(_A.opened_at, _A.id)
    )
    return [(opened, taken, verdict, pattern) for opened, taken, verdict, pattern in session.execute(query)]


def ticket_times(
    session: Session, pattern_ids: Sequence[str], since: datetime, until: datetime
) -> dict[str, list[datetime]]:
    """When each pattern's tickets of [since, until) were created, oldest first."""
    found: dict[str, list[datetime]] = {}
    for some in chunks(pattern_ids):
        query = select(_K.pattern_id, _K.created_at).where(
            _K.pattern_id.in_(some), _K.created_at >= since, _K.created_at < until
        )
        for pattern, at in session.execute(query.order_by(_K.created_at)):
            found.setdefault(pattern, []).append(at)
    return found


def names(session: Session, pattern_ids: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for some in chunks(pattern_ids):
        rows = session.execute(select(_P.id, _P.name).where(_P.id.in_(some)))
        found |= {row.id: row.name for row in rows}
    return found


# --- trends -----------------------------------------------------------------------------------------


def counts(
    session: Session, kind: TopicKind, since: datetime, until: datetime, *, begins: str = ""
) -> list[Counted]:
    """Tickets and distinct customers of every topic of one kind, and of keys that begin so, seen in [since, until)."""
    query = (
        select(_T.id, _T.key, _T.label, func.count(), func.count(func.distinct(_S.customer)))
        .join(TopicRow, _T.id == _S.topic_id)
        .where(_S.at >= since, _S.at < until, _T.kind == kind.value, _T.key.startswith(begins))
        .group_by(_T.id, _T.key, _T.label)
        .order_by(_T.id)
    )
    return [Counted(*row) for row in session.execute(query)]


def customers(session: Session, since: datetime, until: datetime) -> int:
    """Distinct customers of the whole desk in [since, until)."""
    query = select(func.count(func.distinct(_K.customer))).where(
        _K.created_at >= since, _K.created_at < until
    )
    return session.scalar(query) or 0
