"""Subscriptions, the deliveries owed to them and every attempt made."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import case, func, select, update
from sqlmodel import Session

from app.domain import Delivery, Event, Subscription, sortable_id
from app.errors import NotFound
from app.store.paging import Slice, page
from app.store.records import columns, insert_ignoring, record, table
from app.store.tables import AttemptRow, DeliveryRow, EventRow, SubscriptionRow

_S, _D, _A, _E = (table(r).c for r in (SubscriptionRow, DeliveryRow, AttemptRow, EventRow))
_S_TABLE, _E_TABLE = table(SubscriptionRow), table(EventRow)
SEVERITIES = ("low", "medium", "high")
EMAIL = "email"  # the format that is gathered into digests and posted nowhere


@dataclass(frozen=True, slots=True)
class Due:
    """All a sender needs for one attempt; `secrets` are valid now, newest first."""

    delivery: Delivery
    subscription: Subscription
    secrets: tuple[str, ...]
    event: Event
    failing_since: datetime | None
    failures: int  # of the endpoint in a row


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
    query, data = subscription.filter, event.data
    types = subscription.event_types
    if types and not any(_is_type(event.type, wanted) for wanted in types):
        return False
    for name in ("product", "component", "kind", "state"):
        if query.get(name) and str(data.get(name, "")).lower() != str(query[name]).lower():
            return False
    least = query.get("severity")
    if least and SEVERITIES.index(data.get("severity") or "low") < SEVERITIES.index(least):
        return False
    if int(data.get("customers") or 0) < int(query.get("min_customers", 0)):
        return False
    words = str(query.get("text", "")).lower().split()
    haystack = " ".join(str(data.get(name, "")) for name in ("name", "sentence", "topic", "title")).lower()
    return all(word in haystack for word in words)


def _is_type(type_: str, wanted: str) -> bool:
    """`alert.*` stands for every type that begins so."""
    return type_.startswith(wanted[:-1]) if wanted.endswith("*") else type_ == wanted


def owe(session: Session, event: Event) -> None:
    """Owe the event to every active subscription that wants it; a failing endpoint's quiet is kept."""
    product = str(event.data.get("product", "")).lower()
    rows = session.scalars(select(SubscriptionRow).where(_S.active, _S.product.in_({"", product}))).all()
    for row in rows:
        if wants(record(Subscription, row), event):
            _owe(session, event, row.id, at=event.at, due=max(event.at, row.quiet_until or event.at))


def _owe(session: Session, event: Event, subscription_id: str, *, at: datetime, due: datetime) -> None:
    id_ = sortable_id("dlv", at, event.id, subscription_id)
    insert_ignoring(session, DeliveryRow, [{
        "id": id_, "event_id": event.id, "subscription_id": subscription_id, "state": "pending",
        "attempts": 0, "created_at": at, "next_at": due, "last_status": None, "last_error": "",
    }])  # fmt: skip


def subscribe(session: Session, subscription: Subscription, secret: str) -> None:
    values = {f: getattr(subscription, f) for f in ("id", "url", "format", "include_text", "created_at")}
    session.add(
        SubscriptionRow(
            **values,
            secret=secret,
            event_types=list(subscription.event_types),
            filter=dict(subscription.filter),
            product=_product(subscription.filter),
            options=dict(subscription.options),
        )
    )


def _product(query: Mapping[str, Any]) -> str:
    return str(query.get("product", "")).lower()


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
    row.product = _product(row.filter)
    if values.get("active"):
        row.disabled_reason, row.failing_since, row.failures, row.quiet_until = "", None, 0, None
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


def claim(
    session: Session,
    *,
    at: datetime,
    limit: int,
    lease_s: float,
    each: int = 4,
    full: Collection[str] = (),
) -> list[Due]:
    """Due deliveries, put off by the lease so that no one else sends them meanwhile.

    Endpoints take turns: each gives its oldest first, then its second oldest. One that failed last time is
    tried with a single delivery, after those that work, so that the dead never delay the living. `full`
    are endpoints that have enough under way. The UPDATE repeats what was read: of several workers exactly
    one changes the row. E-mail is not here: see `claim_digest`.
    """
    failing = _S.failing_since.is_not(None)
    rank = func.row_number().over(partition_by=_D.subscription_id, order_by=(_D.next_at, _D.id))
    due = (
        select(_D.id, _D.next_at, _D.attempts, failing.label("failing"), rank.label("rank"))
        .join(_S_TABLE, _S.id == _D.subscription_id)
        .where(_D.state == "pending", _D.next_at <= at, _S.active)  # what is switched off keeps waiting
        .where(_S.format != EMAIL, _S.id.not_in(full))
        .subquery()
    )
    candidates = session.execute(
        select(due.c.id, due.c.next_at, due.c.attempts)
        .where(due.c.rank <= case((due.c.failing, 1), else_=each))
        .order_by(due.c.failing, due.c.rank, due.c.next_at, due.c.id)
        .limit(limit)
    ).all()
    return _take(session, candidates, at=at, lease_s=lease_s)


def claim_digest(
    session: Session, subscription_id: str, *, at: datetime, before: datetime, limit: int, lease_s: float
) -> list[Due]:
    """What one e-mail subscription is owed of the time before a digest's closing, oldest first."""
    query = (
        select(_D.id, _D.next_at, _D.attempts)
        .where(_D.subscription_id == subscription_id, _D.state == "pending")
        .where(_D.created_at < before, _D.next_at <= at)
        .order_by(_D.created_at, _D.id)
        .limit(limit)
    )
    return _take(session, session.execute(query).all(), at=at, lease_s=lease_s)


def _take(session: Session, candidates: Sequence[Any], *, at: datetime, lease_s: float) -> list[Due]:
    claimed: list[str] = []
    for id_, next_at, attempts in candidates:
        changed: Any = session.execute(
            update(DeliveryRow)
            .where(_D.id == id_, _D.state == "pending", _D.next_at == next_at, _D.attempts == attempts)
            .values(next_at=at + timedelta(seconds=lease_s))
        )
        if changed.rowcount == 1:
            claimed.append(id_)
    session.expire_all()
    rows = session.execute(
        select(DeliveryRow, SubscriptionRow, EventRow)
        .join(_S_TABLE, _S.id == _D.subscription_id)
        .join(_E_TABLE, _E.id == _D.event_id)
        .where(_D.id.in_(claimed))
    )
    found = {delivery.id: _due(delivery, row, event, at) for delivery, row, event in rows}
    return [found[id_] for id_ in claimed if id_ in found]


def _due(delivery: DeliveryRow, row: SubscriptionRow, event: EventRow, at: datetime) -> Due:
    secrets = [row.secret]
    if row.old_secret and row.old_secret_until and row.old_secret_until > at:
        secrets.append(row.old_secret)
    return Due(
        record(Delivery, delivery), record(Subscription, row), tuple(secrets), record(Event, event),
        row.failing_since, row.failures,
    )  # fmt: skip


def settle(
    session: Session,
    attempt: Attempt,
    *,
    state: str,
    next_at: datetime | None,
    error: str = "",
    quiet_until: datetime | None = None,
) -> None:
    """Record an attempt and what follows: delivered, failed for good, or pending until `next_at`.

    With `quiet_until` all else that is due to the endpoint waits as well.
    """
    session.add(AttemptRow(**columns(attempt)))
    row = session.get(DeliveryRow, attempt.delivery_id)
    if row is None:
        return
    row.state, row.next_at, row.attempts = state, next_at, attempt.number
    row.last_status, row.last_error = attempt.status, error
    subscription = session.get(SubscriptionRow, row.subscription_id)
    if subscription is None:
        return
    if state == "delivered":
        subscription.failing_since, subscription.failures, subscription.quiet_until = None, 0, None
        return
    subscription.failing_since = subscription.failing_since or attempt.at
    if quiet_until is not None:
        subscription.failures += 1
        subscription.quiet_until = quiet_until
        session.flush()
        session.execute(
            update(DeliveryRow)
            .where(_D.subscription_id == row.subscription_id, _D.state == "pending")
            .where(_D.next_at <= attempt.at)
            .values(next_at=quiet_until)
        )


def disable(session: Session, id_: str, reason: str) -> bool:
    """Send nothing more to an endpoint; what it is owed stays, to be replayed when it is enabled again.

    False when that was done before, or the subscription removed while it was sent to.
    """
    row = session.get(SubscriptionRow, id_)
    if row is None or not row.active:
        return False
    row.active, row.disabled_reason = False, reason
    session.execute(
        update(DeliveryRow)
        .where(_D.subscription_id == id_, _D.state == "pending")
        .values(state="failed", next_at=None, last_error=reason)
    )
    return True


def replay(
    session: Session,
    subscription_id: str,
    *,
    at: datetime,
    since: datetime | None = None,
    until: datetime | None = None,
    event_ids: Sequence[str] = (),
) -> int:
    """Owe events again under their first ids: the named ones, or all wanted of a time (`until` excluded)."""
    wanted = subscription(session, subscription_id)
    if event_ids:
        query = select(EventRow).where(_E.id.in_(event_ids)).order_by(_E.seq)
        chosen = [record(Event, row) for row in session.scalars(query)]
        unknown = set(event_ids) - {event.id for event in chosen}
        if unknown:
            raise NotFound(f"there is no event {min(unknown)}")
    else:
        chosen = list(matching(session, wanted, since=since, until=until))
    for event in chosen:
        _owe(session, event, subscription_id, at=event.at, due=at)
        session.execute(
            update(DeliveryRow)
            .where(_D.event_id == event.id, _D.subscription_id == subscription_id)
            .values(state="pending", next_at=at, attempts=0)
        )
    return len(chosen)


def matching(
    session: Session, wanted: Subscription, *, since: datetime | None, until: datetime | None = None
) -> Iterator[Event]:
    """Events of a time that the saved query would have sent, oldest first."""
    query = select(EventRow).where(_E.owed).order_by(_E.seq)
    if since is not None:
        query = query.where(_E.at >= since)
    if until is not None:
        query = query.where(_E.at < until)
    for row in session.scalars(query.execution_options(yield_per=500)):
        event = record(Event, row)
        if wants(wanted, event):
            yield event


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
