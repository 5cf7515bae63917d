"""Out of the outbox: claim what is due, post it outside any transaction, settle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import Session

from app.domain import Event, Subscription, sortable_id
from app.errors import Invalid
from app.notify import sign, webhook
from app.notify.webhook import Answer
from app.runtime import Runtime
from app.store import events, tickets, webhooks
from app.store.webhooks import Attempt, Due

LEASE_S = 120.0  # longer than any attempt may take; after a crash the delivery is due again then
BATCH = 32
WORKERS = 8
ROTATION = timedelta(hours=24)
QUOTES = 3


def deliver(runtime: Runtime, at: datetime | None = None) -> bool:
    """Send what is due; True when there may be more to send now."""
    at = at or runtime.now()
    with runtime.store.write() as session:
        claimed = webhooks.claim(session, at=at, limit=BATCH, lease_s=LEASE_S)
    if not claimed:
        return False
    with ThreadPoolExecutor(min(WORKERS, len(claimed)), "deliver") as pool:
        futures = [pool.submit(_send, runtime, due, at) for due in claimed]
    for due, future in zip(claimed, futures, strict=True):
        _settle(runtime, due, future.result(), at)
    return True


def _send(runtime: Runtime, due: Due, at: datetime) -> Answer:
    content = body_of(runtime, due.subscription, due.event)
    headers = sign.headers(due.secrets, due.event.id, at, content)
    return runtime.sender.post(due.subscription.url, content, headers)


def body_of(runtime: Runtime, subscription: Subscription, event: Event) -> bytes:
    """What is sent to a subscription to tell of an event."""
    text = None
    if subscription.include_text:
        with runtime.store.read() as session:
            text = _quotes(session, event)
    return webhook.body(event, base_url=runtime.settings.base_url, text=text)


def _quotes(session: Session, event: Event) -> list[dict[str, str]]:
    ids = list(event.data.get("ticket_ids", ()))[:QUOTES]
    found = tickets.by_ids(session, ids)
    return [
        {"ticket": i, "subject": found[i].subject, "body": found[i].body[:500]} for i in ids if i in found
    ]


def _settle(runtime: Runtime, due: Due, answer: Answer, at: datetime) -> None:
    number = due.delivery.attempts + 1
    then = webhook.after(
        answer, delivery_id=due.delivery.id, attempts=number, at=at, failing_since=due.failing_since
    )
    attempt = Attempt(due.delivery.id, number, at, answer.status, answer.took_ms, answer.text)
    with runtime.store.write() as session:
        error = "" if answer.is_success else answer.text if answer.status is None else f"HTTP {answer.status}"
        webhooks.settle(session, attempt, state=then.state, next_at=then.at, error=error)
        if then.disable:
            webhooks.disable(session, due.subscription.id, then.disable)
            events.write(
                session,
                "subscription.disabled",
                due.subscription.id,
                {"reason": then.disable},
                at=at,
                owed=False,
            )


def subscribe(
    runtime: Runtime,
    *,
    url: str,
    event_types: Sequence[str],
    query: Mapping[str, Any],
    include_text: bool,
    secret: str,
    actor: str,
) -> tuple[Subscription, str]:
    """A new subscription and its secret, which is shown this once."""
    runtime.sender.check(url)
    secret = sign.checked_secret(secret) if secret else sign.new_secret()
    at = runtime.now()
    made = Subscription(
        id=sortable_id("sub", at, url, secret), url=url, event_types=tuple(event_types), filter=query,
        include_text=include_text, created_at=at,
    )  # fmt: skip
    with runtime.store.write() as session:
        webhooks.subscribe(session, made, secret)
        events.write(session, "subscription.created", made.id, {"url": url}, at=at, actor=actor, owed=False)
    return made, secret


def change(runtime: Runtime, id_: str, values: dict[str, Any], *, actor: str) -> Subscription:
    if "url" in values:
        runtime.sender.check(values["url"])
    with runtime.store.write() as session:
        changed = webhooks.change(session, id_, values)
        names = {"changed": sorted(values)}
        events.write(session, "subscription.changed", id_, names, at=runtime.now(), actor=actor, owed=False)
    return changed


def unsubscribe(runtime: Runtime, id_: str, *, actor: str) -> None:
    """Send nothing more to an endpoint and forget its secret."""
    with runtime.store.write() as session:
        url = webhooks.subscription(session, id_).url
        webhooks.unsubscribe(session, id_)
        events.write(session, "subscription.removed", id_, {"url": url}, at=runtime.now(), actor=actor,
                     owed=False)  # fmt: skip


def rotate(runtime: Runtime, id_: str, *, actor: str) -> str:
    secret, at = sign.new_secret(), runtime.now()
    with runtime.store.write() as session:
        webhooks.rotate(session, id_, secret, until=at + ROTATION)
        events.write(session, "subscription.rotated", id_, {}, at=at, actor=actor, owed=False)
    return secret


def send_test(runtime: Runtime, id_: str, *, actor: str) -> str:
    """Owe one `webhook.test` event to this endpoint only; returns the event's id."""
    at = runtime.now()
    with runtime.store.write() as session:
        webhooks.subscription(session, id_)
        event = events.write(session, "webhook.test", id_, {}, at=at, actor=actor, owed=False)
        webhooks.replay(session, id_, at=at, event_ids=[event.id])
    return event.id


def replay(
    runtime: Runtime, id_: str, *, event_ids: Sequence[str] = (), since: datetime | None = None
) -> int:
    """Owe events again; how many."""
    if bool(event_ids) == bool(since):
        raise Invalid("send either event_ids or since", pointer="/since")
    with runtime.store.write() as session:
        return webhooks.replay(session, id_, at=runtime.now(), since=since, event_ids=event_ids)
