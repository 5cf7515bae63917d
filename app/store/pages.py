"""What the review pages ask of the store that no other caller does; one query for a page, never one a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, and_, case, func, or_, select
from sqlmodel import Session

from app.domain import Alert, PatternState, Tier, Topic
from app.errors import NotFound
from app.store.paging import Slice, page
from app.store.patterns import HIDDEN
from app.store.records import record, says, table
from app.store.tables import (
    AlertRow,
    EventRow,
    PatternRow,
    SightingRow,
    TicketRow,
    TopicRow,
    UserRow,
    VectorRow,
)
from app.store.tickets import chunks

_A, _E, _P, _T, _K, _V, _S, _U = (
    table(r).c for r in (AlertRow, EventRow, PatternRow, TopicRow, TicketRow, VectorRow, SightingRow, UserRow)
)
OPENED = ("alert.opened", "alert.watching")  # these events say which product an alert is about
NEWS = ("alert.opened", "alert.escalated")
READ = 400  # newest members whose vectors are compared with the pattern's middle


# --- the inbox --------------------------------------------------------------------------------------

TABS = (
    "review", "acknowledged", "escalating", "regressed", "watching", "fix_pending", "snoozed", "resolved", "all",
)  # fmt: skip
ATTRIBUTES = ("version", "plan", "region", "channel", "language")
FILTERS = ("kind", "severity", "product", "text", *ATTRIBUTES, "owner", "source", "min_customers")


def _tabs(at: datetime) -> dict[str, ColumnElement[bool]]:
    """Which alerts each tab shows at `at`.

    Every alert is on exactly one of review, acknowledged, watching, snoozed and resolved; the tabs of a
    pattern's state show what is open about such patterns, and of those with a fix the newest alert.
    """
    unresolved = _A.resolved_at.is_(None)
    asleep = and_(_A.snoozed_until.isnot(None), _A.snoozed_until > at)
    awake = and_(unresolved, or_(_A.snoozed_until.is_(None), _A.snoozed_until <= at))
    alerting = and_(awake, _A.tier == Tier.ALERT.value)
    newest = select(func.max(_A.id)).group_by(_A.pattern_id)
    return {
        "review": and_(alerting, _A.acknowledged_at.is_(None)),
        "acknowledged": and_(alerting, _A.acknowledged_at.isnot(None)),
        "watching": and_(awake, _A.tier == Tier.WATCH.value),
        "escalating": and_(alerting, _P.state == PatternState.ESCALATING.value),
        "regressed": and_(alerting, _P.state == PatternState.REGRESSED.value),
        "fix_pending": and_(_P.state == PatternState.FIX_PENDING.value, _A.id.in_(newest)),
        "snoozed": and_(unresolved, asleep),
        "resolved": _A.resolved_at.isnot(None),
        "all": _A.id.isnot(None),
    }


def _filter(name: str, value: str) -> ColumnElement[bool]:
    if name == "text":
        named = select(_P.id).where(or_(says(_P.name, value), says(_P.signature, value)))
        return or_(says(_T.label, value), says(_A.sentence, value), _A.pattern_id.in_(named))
    if name == "product":
        told = select(_E.id).where(
            _E.subject == _A.id, _E.type.in_(OPENED), _E.data["product"].as_string() == value
        )
        return told.exists()
    found: ColumnElement[bool]
    if name in ATTRIBUTES or name == "source":
        column = _K.source if name == "source" else _K.attributes[name].as_string()
        shown = select(_S.ticket_id).join(TicketRow, _K.id == _S.ticket_id)
        found = shown.where(_S.topic_id == _A.topic_id, column == value).exists()
    elif name == "owner":
        found = or_(_P.owner == value, _A.acknowledged_by == value)
    elif name == "min_customers":
        found = _A.finding["customers"].as_integer() >= int(value)
    else:
        found = _A[name] == value
    return found


def _filtered(query: Any, filters: Mapping[str, str]) -> Any:
    for name, value in filters.items():
        query = query.where(_filter(name, value))
    return query


def _alerts() -> Any:
    """Alerts with their topics and, where they are about one, their patterns."""
    about = table(AlertRow).join(table(TopicRow), _T.id == _A.topic_id)
    return about.outerjoin(table(PatternRow), _P.id == _A.pattern_id)


def tab_counts(session: Session, filters: Mapping[str, str], *, at: datetime) -> dict[str, int]:
    """How many alerts each tab shows under these filters."""
    shown = _tabs(at)
    each = [func.coalesce(func.sum(case((shown[name], 1), else_=0)), 0) for name in TABS]
    query = select(*each).select_from(_alerts())
    return dict(zip(TABS, session.execute(_filtered(query, filters)).one(), strict=True))


def inbox(
    session: Session,
    tab: str,
    filters: Mapping[str, str],
    *,
    at: datetime,
    cursor: str | None = None,
    limit: int = 25,
) -> Slice[Alert]:
    """The alerts of one tab that match every filter (see FILTERS), newest first."""
    query = select(AlertRow, TopicRow).select_from(_alerts()).where(_tabs(at)[tab])
    rows, following = page(
        lambda q: session.execute(q).all(), _filtered(query, filters), (_A.opened_at, _A.id),
        filters={**filters, "tab": tab}, cursor=cursor, limit=limit,
        key=lambda row: (row[0].opened_at, row[0].id),
    )  # fmt: skip
    return Slice(tuple(record(Alert, a, topic=record(Topic, t)) for a, t in rows), following)


def products_of(session: Session, alert_ids: Sequence[str]) -> dict[str, str]:
    """The product each alert is about, as its newest opening said; without those about none."""
    query = (
        select(_E.subject, _E.data["product"].as_string())
        .where(_E.subject.in_(alert_ids), _E.type.in_(OPENED))
        .order_by(_E.seq)
    )
    return {alert: product for alert, product in session.execute(query) if product}


def since(session: Session, at: datetime) -> tuple[int, int]:
    """How many alerts that still stand opened after `at`, and how many others got worse after it."""
    standing = and_(_A.resolved_at.is_(None), _A.tier == Tier.ALERT.value)
    new = select(func.count()).where(standing, _A.opened_at > at)
    worse = select(func.count()).where(standing, _A.opened_at <= at, _A.escalated_at > at)
    return session.scalar(new) or 0, session.scalar(worse) or 0


def owners(session: Session) -> list[str]:
    """Who can be named as an owner: the people who may sign in and whoever owns something already."""
    names = select(_U.name).where(_U.disabled_at.is_(None)).union(
        select(_A.owner).where(_A.owner != ""), select(_P.owner).where(_P.owner != "")
    )  # fmt: skip
    return sorted(session.scalars(names))


def news(session: Session, seq: int) -> tuple[int, int]:
    """(newest event's number, how many alerts opened, got worse or came back after number `seq`)."""
    newest = session.scalar(select(func.max(_E.seq))) or 0
    told = select(func.count(_E.subject.distinct())).where(_E.seq > seq, _E.type.in_(NEWS))
    return newest, session.scalar(told) or 0


def products(session: Session) -> list[str]:
    """Every product an alert was ever about."""
    product = _E.data["product"].as_string()
    alerts_only = and_(_E.subject > "alt_", _E.subject < "alt`", _E.type.in_(OPENED))
    found = session.scalars(select(product).where(alerts_only).distinct())
    return sorted(p for p in found if p)


# --- charts -----------------------------------------------------------------------------------------


def last_sighting(session: Session) -> int:
    return session.scalar(select(func.max(_S.seq))) or 0


def sightings_after(session: Session, seq: int) -> list[tuple[str, float, str, str]]:
    """(topic, Unix seconds, ticket, customer) of every sighting written after number `seq`."""
    query = select(_S.topic_id, _S.at, _S.ticket_id, _S.customer).where(_S.seq > seq).order_by(_S.seq)
    return [(topic, at.timestamp(), ticket, who) for topic, at, ticket, who in session.execute(query)]


def sighting_counts(session: Session, topic_ids: Sequence[str], *, since: datetime) -> dict[str, int]:
    """How many sightings of each topic are stored from `since` on; topics without any are left out."""
    if not topic_ids:
        return {}
    query = select(_S.topic_id, func.count()).where(_S.topic_id.in_(topic_ids), _S.at >= since)
    return {row[0]: row[1] for row in session.execute(query.group_by(_S.topic_id))}


# --- a pattern --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Affected:
    """One customer of a pattern; `name` is "" where the operator keeps no names."""

    customer: str
    name: str
    tickets: int
    first_at: datetime
    last_at: datetime


def affected(session: Session, pattern_id: str, *, limit: int) -> list[Affected]:
    """The customers with most tickets in a pattern, the latest first among equals."""
    n, last = func.count(), func.max(_K.created_at)
    query = (
        select(_K.customer, func.max(_K.account_name), n, func.min(_K.created_at), last)
        .where(_K.pattern_id == pattern_id)
        .group_by(_K.customer)
        .order_by(n.desc(), last.desc(), _K.customer)
        .limit(limit)
    )
    return [Affected(*row) for row in session.execute(query)]


def values_of(session: Session, pattern_id: str, attribute: str) -> list[tuple[str, int]]:
    """The values of one attribute among a pattern's tickets, most frequent first; "" where it is not known."""
    value = func.coalesce(_K.attributes[attribute].as_string(), "")
    query = select(value, func.count()).where(_K.pattern_id == pattern_id).group_by(value)
    return sorted(((v, n) for v, n in session.execute(query)), key=lambda row: (-row[1], row[0]))


def candidates(session: Session, *, limit: int) -> list[tuple[str, str, int]]:
    """(id, name, tickets) of the patterns seen last: what a form offers to merge with or move to."""
    living = (_P.state.notin_([s.value for s in HIDDEN]), _P.tickets > 0)
    query = select(_P.id, _P.name, _P.tickets).where(*living).order_by(_P.last_at.desc(), _P.id.desc())
    return [(id_, name, count) for id_, name, count in session.execute(query.limit(limit))]


@dataclass(frozen=True, slots=True)
class Middles:
    """Where every living pattern lies in meaning: ids, and as many rows of length one."""

    ids: tuple[str, ...]
    matrix: NDArray[np.float32]

    def nearest(self, id_: str, *, least: float) -> list[tuple[str, float]]:
        """(pattern, cosine) of the others at least so alike, the closest first."""
        if id_ not in self.ids:
            return []
        cosines = self.matrix @ self.matrix[self.ids.index(id_)]
        order = np.lexsort((np.arange(len(cosines)), -cosines))
        return [(self.ids[i], float(cosines[i])) for i in order if cosines[i] >= least and self.ids[i] != id_]


def middles(session: Session) -> Middles:
    """The middle of every pattern that has vectors of its members."""
    query = select(_P.id, _P.vector_sum).where(
        _P.merged_into.is_(None), _P.dissolved.is_(False), _P.vector_count > 0
    )
    held = [(id_, np.frombuffer(sums, "<f8")) for id_, sums in session.execute(query.order_by(_P.id))]
    length = max((len(sums) for _, sums in held), default=0)
    held = [(id_, sums) for id_, sums in held if len(sums) == length]
    matrix = np.array([sums for _, sums in held], np.float32).reshape(len(held), length)
    matrix /= np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-9)
    return Middles(tuple(id_ for id_, _ in held), matrix)


def likeness(session: Session, pattern_id: str) -> list[tuple[str, float]]:
    """(ticket, cosine to the pattern's middle) of its newest members, the closest first."""
    row = session.get(PatternRow, pattern_id)
    if row is None:
        raise NotFound(f"there is no pattern {pattern_id}")
    newest = (
        select(_K.id).where(_K.pattern_id == pattern_id).order_by(_K.created_at.desc(), _K.id).limit(READ)
    )
    ids = list(session.scalars(newest))
    vectors: dict[str, bytes] = {}
    for some in chunks(ids):
        query = select(_V.ticket_id, _V.vector).where(_V.ticket_id.in_(some)).order_by(_V.seq)
        vectors |= {ticket: vector for ticket, vector in session.execute(query) if vector}
    length = max((len(v) for v in vectors.values()), default=0)
    members = {t: np.frombuffer(v, np.float16).astype(float) for t, v in vectors.items() if len(v) == length}
    if not members:
        return []
    middle = np.mean(list(members.values()), axis=0)
    middle /= max(float(np.linalg.norm(middle)), 1e-9)
    scored = [(ticket, float(vector @ middle)) for ticket, vector in members.items()]
    return sorted(scored, key=lambda row: (-row[1], row[0]))
