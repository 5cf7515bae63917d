"""Subscriptions, the deliveries owed to them and every attempt made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select, update
from sqlmodel import Session

from app.domain import Delivery, Event, Subscription, sortable_id
from app.errors import NotFound
from app.store.paging import Slice, page
from app.store.records import columns, insert_ignoring, record, table
from app.store.tables import AttemptRow, DeliveryRow, EventRow, SubscriptionRow

_S, _D, _A, _E = (table(r).c for r in (SubscriptionRow, DeliveryRow, AttemptRow, EventRow))
SEVERITIES = ("low", "medium", "high")


@dataclass(frozen=True, slots=True)
class Due:
    """All a sender needs for one attempt; `secrets` are valid now, newest first."""

    delivery: Delivery
    subscription: Subscription
    secrets: tuple[str, ...]
    event: Event
    failing_since: datetime | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a delivery and what the endpoint said."""

    delivery_id: str
    number: int
    at: datetime
    status: int | None
    took_ms: int
    answer: str


def wants(subscription: Subscription, event: Event) -> bool:
    """Whether the event passes the subscription's saved query."""
    types, query, data = subscription.event_types, subscription.filter, event.data
    if types and not any(event.type == t or event.type.startswith(t.removesuffix("*")) for t in types
                         if t == event.type or t.endswith("*")):  # fmt: skip
        return False
    for name in ("product", "kind", "state", "component"):
        if query.get(name) and str(data.get(name, "")).lower() != str(query[name]).lower():
            return False
    least = query.get("severity")
    if least and SEVERITIES.index(data.get("severity", "low")) < SEVERITIES.index(least):
        return False
    if int(data.get("customers", 0)) < int(query.get("min_customers", 0)):
        return False
    words = str(query.get("text", "")).lower().split()
    haystack = f"{data.get('name', '')} {data.get('sentence', '')} {data.get('topic', '')}".lower()
    return all(word in haystack for word in words)


def owe(session: Session, event: Event) -> None:
    """Owe the event to every active subscription that wants it."""
    rows = session.scalars(select(SubscriptionRow).where(_S.active)).all()
    for subscription in (record(Subscription, row) for row in rows):
        if wants(subscription, event):
            _owe(session, event, subscription, at=event.at)


def _owe(
    session: Session, event: Event, subscription: Subscription, *, at: datetime, again: str = ""
) -> None:
    id_ = sortable_id("dlv", at, event.id, subscription.id)
    insert_ignoring(session, DeliveryRow, [{
        "id": id_, "event_id": event.id, "subscription_id": subscription.id, "state": "pending",
        "attempts": 0, "created_at": at, "next_at": at, "last_status": None, "last_error": again,
    }])  # fmt: skip


def subscribe(session: Session, subscription: Subscription, secret: str) -> None:
    values = {f: getattr(subscription, f) for f in ("id", "url", "format", "include_text", "created_at")}
    session.add(
        SubscriptionRow(
            **values,
            secret=secret,
            event_types=list(subscription.event_types),
            filter=dict(subscription.filter),
        )
    )


def subscriptions(session: Session) -> list[Subscription]:
    query = select(SubscriptionRow).order_by(_S.created_at, _S.id)
    return [record(Subscription, row) for row in session.scalars(query)]


def subscription(session: Session, id_: str) -> Subscription:
    return record(Subscription, _row(session, id_))


def _row(session: Session, id_: str) -> SubscriptionRow:
    row = session.get(SubscriptionRow, id_)
    if row is None:
        raise NotFound(f"there is no subscription {id_}")
    return row


def change(session: Session, id_: str, values: dict[str, Any]) -> Subscription:
    row = _row(session, id_)
    for name, value in values.items():
        setattr(row, name, value)
    if values.get("active"):
        row.disabled_reason, row.failing_since = "", None
    session.flush()
    return record(Subscription, row)


def rotate(session: Session, id_: str, secret: str, *, until: datetime) -> None:
    """Sign with the new secret, and with the old one as well until `until`."""
    row = _row(session, id_)
    row.old_secret, row.old_secret_until, row.secret = row.secret, until, secret


def unsubscribe(session: Session, id_: str) -> None:
    session.delete(_row(session, id_))
    session.execute(
        update(DeliveryRow)
        .where(_D.subscription_id == id_, _D.state == "pending")
        .values(state="failed", next_at=None, last_error="the subscription was removed")
    )


def claim(session: Session, *, at: datetime, limit: int, lease_s: float, each: int = 5) -> list[Due]:
    """Due deliveries, oldest first and at most `each` an endpoint, put off by the lease so no one else sends.

    The UPDATE repeats what was read: of several workers exactly one changes the row.
    """
    rank = func.row_number().over(partition_by=_D.subscription_id, order_by=(_D.next_at, _D.id))
    due = (
        select(_D.id, _D.next_at, _D.attempts, rank.label("rank"))
        .where(_D.state == "pending", _D.next_at <= at)
        .where(_D.subscription_id.in_(select(_S.id).where(_S.active)))  # what is switched off keeps waiting
        .subquery()
    )
    candidates = session.execute(
        select(due.c.id, due.c.next_at, due.c.attempts)
        .where(due.c.rank <= each)
        .order_by(due.c.rank, due.c.next_at, due.c.id)
        .limit(limit)
    ).all()
    claimed: list[str] = []
    for id_, next_at, attempts in candidates:
        changed: Any = session.execute(
            update(DeliveryRow)
            .where(_D.id == id_, _D.state == "pending", _D.next_at == next_at, _D.attempts == attempts)
            .values(next_at=at + timedelta(seconds=lease_s))
        )
        if changed.rowcount == 1:
            claimed.append(id_)
    return [found for id_ in claimed if (found := _due(session, id_, at))]


def _due(session: Session, id_: str, at: datetime) -> Due | None:
    delivery = session.get(DeliveryRow, id_, populate_existing=True)
    if delivery is None:
        return None
    row = session.get(SubscriptionRow, delivery.subscription_id)
    event = session.scalars(select(EventRow).where(_E.id == delivery.event_id)).first()
    if row is None or event is None:
        delivery.state, delivery.next_at = "failed", None
        return None
    secrets = [row.secret]
    if row.old_secret and row.old_secret_until and row.old_secret_until > at:
        secrets.append(row.old_secret)
    return Due(
        record(Delivery, delivery), record(Subscription, row), tuple(secrets), record(Event, event),
        row.failing_since,
    )  # fmt: skip


def settle(
    session: Session, attempt: Attempt, *, state: str, next_at: datetime | None, error: str = ""
) -> None:
    """Record an attempt and what follows: delivered, failed for good, or pending until `next_at`."""
    session.add(AttemptRow(**columns(attempt)))
    row = session.get(DeliveryRow, attempt.delivery_id)
    if row is None:
        return
    row.state, row.next_at, row.attempts = state, next_at, attempt.number
    row.last_status, row.last_error = attempt.status, error
    subscription = session.get(SubscriptionRow, row.subscription_id)
    if subscription is not None:
        subscription.failing_since = (
            None if state == "delivered" else subscription.failing_since or attempt.at
        )


def disable(session: Session, id_: str, reason: str) -> None:
    """Send nothing more to an endpoint; what it is owed stays, to be replayed when it is enabled again."""
    row = session.get(SubscriptionRow, id_)
    if row is None:
        return  # it was removed while it was sent to
    row.active, row.disabled_reason = False, reason
    session.execute(
        update(DeliveryRow)
        .where(_D.subscription_id == id_, _D.state == "pending")
        .values(state="failed", next_at=None, last_error=reason)
    )


def replay(session: Session, subscription_id: str, *, at: datetime, since: datetime | None = None,
           event_ids: Sequence[str] = ()) -> int:  # fmt: skip
    """Owe events again under their first ids: the named ones, or all wanted since a time."""
    wanted = subscription(session, subscription_id)
    query = select(EventRow).order_by(_E.seq)
    query = query.where(_E.id.in_(event_ids)) if event_ids else query.where(_E.at >= since)
    events = [record(Event, row) for row in session.scalars(query)]
    chosen = [event for event in events if event_ids or wants(wanted, event)]
    for event in chosen:
        _owe(session, event, wanted, at=event.at)
        session.execute(
            update(DeliveryRow)
            .where(_D.event_id == event.id, _D.subscription_id == subscription_id)
            .values(state="pending", next_at=at, attempts=0)
        )
    return len(chosen)


def deliveries(  # the log an operator reads
    session: Session, subscription_id: str, *, cursor: str | None = None, limit: int = 50
) -> Slice[Delivery]:
    query = select(DeliveryRow).where(_D.subscription_id == subscription_id)
    rows, following = page(
        lambda q: session.scalars(q).all(), query, (_D.created_at, _D.id),
        filters={"subscription": subscription_id}, cursor=cursor, limit=limit,
        key=lambda row: (row.created_at, row.id),
    )  # fmt: skip
    return Slice(tuple(record(Delivery, row) for row in rows), following)


def attempts(session: Session, delivery_id: str) -> list[Attempt]:
    query = select(AttemptRow).where(_A.delivery_id == delivery_id).order_by(_A.seq)
    return [record(Attempt, row) for row in session.scalars(query)]


def pending(session: Session) -> int:
    return session.scalar(select(func.count()).where(_D.state == "pending")) or 0
