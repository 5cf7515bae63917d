"""Subscriptions, the deliveries owed to them and every attempt made."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import Table, bindparam, func, insert, literal_column, or_, select, update
from sqlmodel import Session

from app.domain import Delivery, Event, Subscription, sortable_id
from app.errors import NotFound
from app.store.paging import Slice, page
from app.store.records import columns, insert_ignoring, record, table
from app.store.tables import AttemptRow, DeliveryRow, EventRow, SubscriptionRow

_S, _D, _A, _E = (table(r).c for r in (SubscriptionRow, DeliveryRow, AttemptRow, EventRow))
_S_TABLE, _D_TABLE, _E_TABLE = table(SubscriptionRow), table(DeliveryRow), table(EventRow)
_PENDING: Any = literal_column("'pending'")  # spelt out, as the partial index spells it
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


@dataclass(frozen=True, slots=True)
class Settled:
    """An attempt and what follows: delivered, failed for good, or pending until `next_at`."""

    attempt: Attempt
    subscription: Subscription
    state: str
    next_at: datetime | None = None
    error: str = ""
    failures: int = 0  # of the endpoint in a row, this one included
    quiet_until: datetime | None = None  # until then nothing else is tried at the endpoint
    disable: str = ""  # why the endpoint is given up


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
    """Owe the event to every active subscription that wants it."""
    product = str(event.data.get("product", "")).lower()
    asked = session.execute(_ASKED, {"product": product})
    wanting = [row.id for row in asked if wants(record(Subscription, row), event)]
    _owe(session, event, wanting, due=event.at)


_ASKED = select(_S_TABLE).where(_S.active, _S.product.in_(["", bindparam("product")]))


def _owe(session: Session, event: Event, subscription_ids: Sequence[str], *, due: datetime) -> None:
    insert_ignoring(session, DeliveryRow, [{
        "id": sortable_id("dlv", event.at, event.id, id_), "event_id": event.id, "subscription_id": id_,
        "state": "pending", "attempts": 0, "created_at": event.at, "next_at": due, "last_status": None,
        "last_error": "",
    } for id_ in subscription_ids])  # fmt: skip


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
        .where(_D.subscription_id == id_, _D.state == _PENDING)
        .values(state="failed", next_at=None, last_error="the subscription was removed")
    )


def claim(
    session: Session,
    *,
    at: datetime,
    limit: int,
    lease_s: float,
    each: int = 4,
    failing: int | None = None,
    full: Collection[str] = (),
) -> list[Due]:
    """Due deliveries, put off by the lease so that no one else sends them meanwhile.

    Endpoints take turns: each gives its oldest first, then its second oldest, up to `each`. One that failed
    last time waits out its quiet, and is then tried with a single delivery, after those that work and with
    `failing` of them at most, so that the dead never delay the living. `full` are endpoints that have
    enough under way. What waits behind the first few of an endpoint is never looked at, however much it is.
    E-mail is not here: see `claim_digest`.
    """
    endpoints = session.execute(_owing(each), {"at": at, "full": list(full)}).all()
    working = [ids for failing_since, *ids in endpoints if failing_since is None]
    broken = [ids[0] for failing_since, *ids in endpoints if failing_since is not None]
    in_turn = [id_ for turn in zip(*working, strict=True) for id_ in turn if id_]
    return _take(session, (in_turn + broken[:failing])[:limit], at=at, lease_s=lease_s)


@cache
def _owing(each: int) -> Any:
    """Endpoints with something due, longest waiting first: since when they fail, and the ids of their oldest."""
    at: Any = bindparam("at")
    due = select(_D.id).where(_D.subscription_id == _S.id, _D.state == _PENDING, _D.next_at <= at)
    oldest = due.correlate(_S_TABLE).order_by(_D.next_at, _D.id).limit(1)
    since = (
        select(func.min(_D.next_at))
        .where(_D.subscription_id == _S.id, _D.state == _PENDING)
        .correlate(_S_TABLE)
        .scalar_subquery()
    )
    return (
        select(_S.failing_since, *(oldest.offset(n).scalar_subquery() for n in range(each)))
        .where(_S.active, _S.format != EMAIL)  # what is switched off keeps waiting
        .where(or_(_S.quiet_until.is_(None), _S.quiet_until <= at), since <= at)
        .where(_S.id.not_in(bindparam("full", expanding=True)))
        .order_by(since, _S.id)
    )


def claim_digest(
    session: Session, subscription_id: str, *, at: datetime, before: datetime, limit: int, lease_s: float
) -> list[Due]:
    """What one e-mail subscription is owed of the time before a digest's closing, oldest first."""
    query = (
        select(_D.id)
        .where(_D.subscription_id == subscription_id, _D.state == _PENDING)
        .where(_D.created_at < before, _D.next_at <= at)
        .order_by(_D.created_at, _D.id)
        .limit(limit)
    )
    return _take(session, session.scalars(query).all(), at=at, lease_s=lease_s)


def _take(session: Session, ids: Sequence[str], *, at: datetime, lease_s: float) -> list[Due]:
    """Put deliveries off by the lease; those that another worker took since they were read are left out."""
    if not ids:
        return []
    until = at + timedelta(seconds=lease_s)
    taken = {row.id: row for row in session.execute(_TAKE, {"ids": ids, "at": at, "until": until})}
    wanting = _by_id(session, _S_TABLE, {row.subscription_id for row in taken.values()})
    told = _by_id(session, _E_TABLE, {row.event_id for row in taken.values()})
    return [
        _due(row, wanting[row.subscription_id], told[row.event_id], at)
        for row in (taken[id_] for id_ in ids if id_ in taken)
        if row.subscription_id in wanting and row.event_id in told
    ]


_TAKE = (
    update(_D_TABLE)
    .where(_D.id.in_(bindparam("ids", expanding=True)), _D.state == _PENDING, _D.next_at <= bindparam("at"))
    .values(next_at=bindparam("until"))
    .returning(*_D)
)


def _by_id(session: Session, of: Table, ids: Collection[str]) -> dict[str, Any]:
    return {row.id: row for row in session.execute(_among(of), {"ids": list(ids)})}


@cache
def _among(of: Table) -> Any:
    return select(of).where(of.c.id.in_(bindparam("ids", expanding=True)))


def _due(delivery: Any, row: Any, event: Any, at: datetime) -> Due:
    secrets = [row.secret]
    if row.old_secret and row.old_secret_until and row.old_secret_until > at:
        secrets.append(row.old_secret)
    return Due(
        record(Delivery, delivery), record(Subscription, row), tuple(secrets), record(Event, event),
        row.failing_since, row.failures,
    )  # fmt: skip


def settle(session: Session, settled: Sequence[Settled]) -> None:
    """Record attempts and what follows of them, all in a handful of statements.

    An endpoint that took one of them works, whatever became of the others.
    """
    if not settled:
        return
    session.execute(_ATTEMPTED, [columns(one.attempt) for one in settled])
    session.execute(_SETTLE, [{
        "of": one.attempt.delivery_id, "becomes": one.state, "next": one.next_at, "number": one.attempt.number,
        "status": one.attempt.status, "error": one.error,
    } for one in settled])  # fmt: skip
    failed = [one for one in settled if one.state != "delivered"]
    if failed:
        session.execute(_FAIL, [{"of": one.subscription.id, "since": one.attempt.at} for one in failed])
    quiet = [one for one in failed if one.quiet_until is not None]
    if quiet:
        session.execute(_SILENCE, [{
            "of": one.subscription.id, "failures": one.failures, "until": one.quiet_until,
        } for one in quiet])  # fmt: skip
    worked = {one.subscription.id for one in settled if one.state == "delivered"}
    session.execute(_WORKS, {"ids": list(worked)})


_ATTEMPTED = insert(table(AttemptRow))
_SETTLE = (
    update(_D_TABLE)
    .where(_D.id == bindparam("of"))
    .values(state=bindparam("becomes"), next_at=bindparam("next"), attempts=bindparam("number"),
            last_status=bindparam("status"), last_error=bindparam("error"))
)  # fmt: skip
_FAIL = (
    update(_S_TABLE)
    .where(_S.id == bindparam("of"), _S.failing_since.is_(None))
    .values(failing_since=bindparam("since"))
)
_WORKS = (
    update(_S_TABLE)
    .where(_S.id.in_(bindparam("ids", expanding=True)), _S.failing_since.is_not(None))
    .values(failing_since=None, failures=0, quiet_until=None)
)
_SILENCE = (
    update(_S_TABLE)
    .where(_S.id == bindparam("of"))
    .values(failures=bindparam("failures"), quiet_until=bindparam("until"))
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
        .where(_D.subscription_id == id_, _D.state == _PENDING)
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
        _owe(session, event, [subscription_id], due=at)
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
    return session.scalar(select(func.count()).where(_D.state == _PENDING)) or 0
