"""Alerts: at most one open per (topic, rule)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlmodel import Session

from app.domain import Alert, Tier, Topic
from app.errors import NotFound
from app.store.paging import Slice, page
from app.store.records import columns, record, table
from app.store.tables import AlertRow, TopicRow

_A, _T = table(AlertRow).c, table(TopicRow).c


def _joined() -> Any:
    return select(AlertRow, TopicRow).join(TopicRow, _T.id == _A.topic_id)


def _records(session: Session, query: Any) -> list[Alert]:
    return [record(Alert, a, topic=record(Topic, t)) for a, t in session.execute(query)]


def open_alert(session: Session, alert: Alert) -> None:
    values = columns(alert)
    values["topic_id"] = values.pop("topic").id
    session.add(AlertRow(**values))
    session.flush()


def change(session: Session, id_: str, **values: Any) -> Alert:
    row = session.get(AlertRow, id_)
    if row is None:
        raise NotFound(f"there is no alert {id_}")
    for name, value in values.items():
        setattr(row, name, list(value) if isinstance(value, tuple) else value)
    session.flush()
    return get(session, id_)


def get(session: Session, id_: str) -> Alert:
    found = _records(session, _joined().where(_A.id == id_))
    if not found:
        raise NotFound(f"there is no alert {id_}")
    return found[0]


def unresolved(session: Session, topic_ids: Sequence[str] | None = None) -> list[Alert]:
    """Open alerts and watches, oldest first."""
    query = _joined().where(_A.resolved_at.is_(None)).order_by(_A.opened_at, _A.id)
    if topic_ids is not None:
        query = query.where(_A.topic_id.in_(topic_ids))
    return _records(session, query)


def of_topics(session: Session, topic_ids: Sequence[str]) -> list[Alert]:
    """Every alert these topics ever had, newest first."""
    query = _joined().where(_A.topic_id.in_(topic_ids)).order_by(_A.opened_at.desc(), _A.id.desc())
    return _records(session, query)


def of_patterns(session: Session, pattern_ids: Sequence[str]) -> dict[str, list[Alert]]:
    """Alerts by pattern, newest first."""
    found: dict[str, list[Alert]] = {}
    query = _joined().where(_A.pattern_id.in_(pattern_ids)).order_by(_A.opened_at.desc(), _A.id.desc())
    for alert in _records(session, query):
        found.setdefault(alert.pattern_id or "", []).append(alert)
    return found


def opened_since(session: Session, at: datetime, *, tier: Tier, besides: Collection[str] = ()) -> int:
    """How many alerts of this tier opened after `at`, `besides` those of some kinds."""
    query = select(func.count()).where(_A.opened_at > at, _A.tier == tier.value, _A.kind.notin_(besides))
    return session.scalar(query) or 0


def told_since(session: Session, at: datetime, *, besides: Collection[str] = ()) -> list[Alert]:
    """Alerts that spent budget after `at`, `besides` those of some kinds, oldest first."""
    query = _joined().where(_A.opened_at > at, _A.tier == Tier.ALERT.value, _A.kind.notin_(besides))
    return _records(session, query.order_by(_A.opened_at, _A.id))


def strengths_since(session: Session, at: datetime, *, besides: Collection[str] = ()) -> list[float]:
    """How strong everything that opened after `at` is, watched or told."""
    query = select(_A.finding).where(_A.opened_at > at, _A.kind.notin_(besides))
    return [float(finding.get("strength", 0.0)) for finding in session.scalars(query)]


def judged(session: Session, *, besides: Collection[str] = ()) -> list[Alert]:
    """Every alert people said was useful or noise, oldest first."""
    query = _joined().where(_A.verdict != "", _A.kind.notin_(besides))
    return _records(session, query.order_by(_A.opened_at, _A.id))


def evidence_since(session: Session, at: datetime, *, rule: str) -> set[str]:
    """Tickets cited by alerts of one rule that opened after `at`."""
    rows = session.scalars(select(_A.ticket_ids).where(_A.opened_at > at, _A.rule == rule))
    return {ticket for ids in rows for ticket in ids}


FILTERS = ("state", "tier", "severity", "kind", "pattern")


def search(
    session: Session, filters: Mapping[str, str], *, cursor: str | None = None, limit: int = 50
) -> Slice[Alert]:
    """Alerts that match every filter (see FILTERS; state: open, acknowledged, snoozed, resolved)."""
    query = _joined()
    for name, value in filters.items():
        query = query.where(_condition(name, value))
    rows, following = page(
        lambda q: session.execute(q).all(), query, (_A.opened_at, _A.id), filters=filters,
        cursor=cursor, limit=limit, key=lambda row: (row[0].opened_at, row[0].id),
    )  # fmt: skip
    return Slice(tuple(record(Alert, a, topic=record(Topic, t)) for a, t in rows), following)


def _condition(name: str, value: str) -> Any:
    if name == "state":
        states: dict[str, Any] = {
            "open": _A.resolved_at.is_(None),
            "acknowledged": _A.resolved_at.is_(None) & _A.acknowledged_at.isnot(None),
            "snoozed": _A.resolved_at.is_(None) & _A.snoozed_until.isnot(None),
            "resolved": _A.resolved_at.isnot(None),
        }
        return states[value]
    return _A[{"pattern": "pattern_id"}.get(name, name)] == value
