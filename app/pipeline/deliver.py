"""Out of the outbox: claim what is due, post it outside any transaction, settle."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import datetime, timedelta
from email.message import EmailMessage
from types import TracebackType
from typing import Any

from sqlmodel import Session

from app.domain import Event, Subscription, sortable_id
from app.errors import ForeshockError, Invalid
from app.notify import mail, sign, webhook
from app.notify.formats import FORMATS, Message, Telling, basic
from app.notify.webhook import Answer
from app.runtime import Runtime
from app.settings import secret as secret_of
from app.store import events, tickets, webhooks
from app.store.webhooks import EMAIL, Attempt, Due, Settled

LEASE_S = 120.0  # longer than any attempt may take; after a crash the delivery is due again then
SLOTS = 128  # attempts under way at once: a thread each, nearly all waiting for an answer
EACH = 4  # of them, at most, to one endpoint
BREATH_S = 0.05  # at most from one turn to the next: what is answered meanwhile is settled in one write
MOST_IN_DIGEST = 500
ROTATION = timedelta(hours=24)
QUOTES = 3
QUOTE_LENGTH = 500
SHOWN_IN_DRY_RUN = 20


# --- sending ----------------------------------------------------------------------------------------


class Outbox:
    """Attempts under way: whenever one is free it is given to whoever is owed most fairly.

    A slow endpoint holds a few of the slots, for at most the time of an attempt, and never a turn.
    """

    def __init__(self, runtime: Runtime, *, slots: int = SLOTS) -> None:
        self._runtime, self._slots = runtime, slots
        self._pool = ThreadPoolExecutor(slots, "deliver")
        self._flying: dict[Future[Answer], Due] = {}

    def __enter__(self) -> Outbox:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:  # fmt: skip
        self.close()

    def turn(self, at: datetime | None = None) -> bool:
        """Settle what was answered and send what is due; True while any attempt is under way."""
        at = at or self._runtime.now()
        answered = {
            f: _outcome(self._runtime, due, f.result()) for f, due in self._flying.items() if f.done()
        }
        with self._runtime.store.write() as session:
            _settle(session, list(answered.values()))
            claimed = self._claim(session, at)
        for future in answered:
            del self._flying[future]
        for due in claimed:
            self._flying[self._pool.submit(_attempt, self._runtime, due, at)] = due
        wait(self._flying, timeout=BREATH_S)
        return bool(self._flying)

    def _claim(self, session: Session, at: datetime) -> list[Due]:
        """What is due, as far as there is room; those that fail get half of it."""
        room = self._slots - len(self._flying)
        if not room:
            return []
        under_way = Counter(due.subscription.id for due in self._flying.values())
        failing = {due.subscription.id for due in self._flying.values() if due.failing_since}
        full = failing | {id_ for id_, count in under_way.items() if count >= EACH}
        return webhooks.claim(session, at=at, limit=room, lease_s=LEASE_S, each=EACH, full=full,
                              failing=max(0, self._slots // 2 - len(failing)))  # fmt: skip

    def close(self) -> None:
        """Wait for every attempt under way, and settle it."""
        self._pool.shutdown()
        answered = [_outcome(self._runtime, due, future.result()) for future, due in self._flying.items()]
        self._flying.clear()
        with self._runtime.store.write() as session:
            _settle(session, answered)


def deliver(runtime: Runtime, at: datetime | None = None) -> bool:
    """Send what is due and wait for every answer; True when there may be more to send now."""
    with Outbox(runtime, slots=32) as outbox:
        sent = outbox.turn(at)
    return mail_digests(runtime, at) or sent


def _attempt(runtime: Runtime, due: Due, at: datetime) -> Answer:
    try:
        message = message_of(runtime, due.subscription, due.event)
        headers = {**message.headers, **_authorization(due.subscription)}
    except ForeshockError as error:
        return Answer(None, 0, str(error))
    signed = sign.headers(due.secrets, due.event.id, at, message.body)
    return runtime.sender.post(due.subscription.url, message.body, headers | signed)


def _authorization(subscription: Subscription) -> dict[str, str]:
    name = subscription.options.get("credentials")
    return {"authorization": basic(secret_of(name))} if name else {}


def message_of(runtime: Runtime, subscription: Subscription, event: Event) -> Message:
    """What is posted to a subscription to tell of an event."""
    return FORMATS[subscription.format](_telling(runtime, subscription, event))


def body_of(runtime: Runtime, subscription: Subscription, event: Event) -> bytes:
    """The body of `message_of`; of e-mail, what the digest would say."""
    if subscription.format != EMAIL:
        return message_of(runtime, subscription, event).body
    return _digest(runtime, subscription, [event], identity="", at=event.at).as_bytes()


def _telling(runtime: Runtime, subscription: Subscription, event: Event) -> Telling:
    quotes = None
    if subscription.include_text:
        with runtime.store.read() as session:
            quotes = _quotes(session, event)
    return Telling(event, runtime.settings.base_url, quotes, subscription.options)


def _quotes(session: Session, event: Event) -> tuple[tuple[str, str, str], ...]:
    ids = list(event.data.get("ticket_ids", ()))[:QUOTES]
    found = tickets.by_ids(session, ids)
    return tuple((i, found[i].subject, found[i].body[:QUOTE_LENGTH]) for i in ids if i in found)


def _outcome(runtime: Runtime, due: Due, answer: Answer) -> Settled:
    """What an answer means for the delivery and for its endpoint."""
    at, number = runtime.now(), due.delivery.attempts + 1
    then = webhook.after(
        answer, delivery_id=due.delivery.id, attempts=number, at=at, failing_since=due.failing_since
    )
    error = "" if answer.is_success else answer.text if answer.status is None else f"HTTP {answer.status}"
    return Settled(
        Attempt(due.delivery.id, number, at, answer.status, answer.took_ms, answer.text), due.subscription,
        state=then.state, next_at=then.at, error=error, failures=due.failures + 1,
        quiet_until=None if answer.is_success else webhook.quiet(answer, failures=due.failures, at=at),
        disable=then.disable,
    )  # fmt: skip


def _settle(session: Session, answered: Sequence[Settled]) -> None:
    webhooks.settle(session, answered)
    for one in answered:
        if one.disable and webhooks.disable(session, one.subscription.id, one.disable):
            data = {"reason": one.disable, "url": one.subscription.url}
            events.write(session, "subscription.disabled", one.subscription.id, data, at=one.attempt.at)


# --- e-mail -----------------------------------------------------------------------------------------


def mail_digests(runtime: Runtime, at: datetime | None = None) -> bool:
    """Send every digest that has closed since its last one; True when any was sent."""
    at = at or runtime.now()
    with runtime.store.read() as session:
        wanted = [s for s in webhooks.subscriptions(session) if s.format == EMAIL and s.active]
    return any(_mail(runtime, subscription, at) for subscription in wanted)


def _mail(runtime: Runtime, subscription: Subscription, at: datetime) -> bool:
    closed = mail.closing(_rhythm(subscription), at, runtime.settings.zone)
    with runtime.store.write() as session:
        claimed = webhooks.claim_digest(
            session, subscription.id, at=at, before=closed, limit=MOST_IN_DIGEST, lease_s=LEASE_S
        )
    if not claimed:
        return False
    answer = _hand_in(runtime, subscription, claimed)
    with runtime.store.write() as session:
        _settle(session, [_outcome(runtime, due, answer) for due in claimed])
    return True


def _hand_in(runtime: Runtime, subscription: Subscription, claimed: Sequence[Due]) -> Answer:
    happened = [due.event for due in claimed]
    identity = " ".join(due.delivery.id for due in claimed)
    try:
        message = _digest(runtime, subscription, happened, identity=identity, at=runtime.now())
        return runtime.mail_server.send(message)
    except ForeshockError as error:
        return Answer(None, 0, str(error))


def _digest(
    runtime: Runtime, subscription: Subscription, happened: Sequence[Event], *, identity: str, at: datetime
) -> EmailMessage:
    return mail.digest(
        [_telling(runtime, subscription, event) for event in happened],
        sender=runtime.settings.smtp_sender, recipient=mail.checked_recipient(subscription.url),
        identity=identity, at=at, zone=runtime.settings.zone, rhythm=_rhythm(subscription),
    )  # fmt: skip


def _rhythm(subscription: Subscription) -> str:
    return str(subscription.options.get("every", mail.DAILY))


# --- subscriptions ----------------------------------------------------------------------------------


def subscribe(
    runtime: Runtime,
    *,
    url: str,
    event_types: Sequence[str],
    query: Mapping[str, Any],
    include_text: bool,
    secret: str,
    actor: str,
    format: str = "standard",  # noqa: A002 - the field's name on the wire
    options: Mapping[str, Any] | None = None,
) -> tuple[Subscription, str]:
    """A new subscription and its secret, which is shown this once."""
    options = dict(options or {})
    _check(runtime, url, format, options)
    secret = sign.checked_secret(secret) if secret else sign.new_secret()
    at = runtime.now()
    made = Subscription(
        id=sortable_id("sub", at, url, secret), url=url, format=format, event_types=tuple(event_types),
        filter=query, options=options, include_text=include_text, created_at=at,
    )  # fmt: skip
    with runtime.store.write() as session:
        webhooks.subscribe(session, made, secret)
        events.write(session, "subscription.created", made.id, {"url": url}, at=at, actor=actor, owed=False)
    return made, secret


def _check(runtime: Runtime, url: str, format_: str, options: Mapping[str, Any]) -> None:
    """Raise Invalid for an address or options that this format cannot use."""
    if format_ == EMAIL:
        mail.checked_recipient(url)
        if not runtime.settings.smtp_host:
            raise Invalid(
                "set smtp_host and smtp_sender before subscribing an e-mail address", pointer="/url"
            )
        return
    runtime.sender.check(url)
    if format_ == "jira" and not (options.get("project") and options.get("credentials")):
        raise Invalid("format jira needs options.project and options.credentials", pointer="/options")
    if options.get("credentials"):
        secret_of(options["credentials"])


def change(runtime: Runtime, id_: str, values: dict[str, Any], *, actor: str) -> Subscription:
    """Change what is given of a subscription; a new address or other options are checked first."""
    with runtime.store.read() as session:
        before = webhooks.subscription(session, id_)
    if {"url", "format", "options"} & values.keys():
        _check(runtime, values.get("url", before.url), values.get("format", before.format),
               values.get("options", before.options))  # fmt: skip
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
    """A new secret; for `ROTATION` every delivery is signed with both."""
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
    runtime: Runtime,
    id_: str,
    *,
    event_ids: Sequence[str] = (),
    since: datetime | None = None,
    until: datetime | None = None,
) -> int:
    """Owe events again: the named ones, or all wanted from `since` on, up to `until`; how many."""
    if bool(event_ids) == bool(since):
        raise Invalid("send either event_ids or since", pointer="/since")
    if until is not None and since is not None and until <= since:
        raise Invalid("until must be later than since", pointer="/until")
    with runtime.store.write() as session:
        return webhooks.replay(session, id_, at=runtime.now(), since=since, until=until, event_ids=event_ids)


def dry_run(
    runtime: Runtime, *, event_types: Sequence[str], query: Mapping[str, Any], days: int
) -> tuple[int, list[Event]]:
    """How many events of the last days a subscription would have been sent, and the newest of them."""
    wanted = Subscription(id="", url="", event_types=tuple(event_types), filter=query)
    with runtime.store.read() as session:
        found = list(webhooks.matching(session, wanted, since=runtime.now() - timedelta(days=days)))
    return len(found), found[::-1][:SHOWN_IN_DRY_RUN]
