"""Webhooks of ticketing tools: hints, followed by fetching the tickets they name. Polling stays the truth."""

from __future__ import annotations

import hashlib
from datetime import timedelta

from app.errors import ForeshockError, NotFound, TryLater
from app.ingest import webhooks
from app.ingest.webhooks import Delivery
from app.pipeline import intake, pull
from app.runtime import Runtime
from app.settings import secret
from app.store import keys, sources

DEBOUNCE = timedelta(seconds=5)  # a ticket is changed several times in a row: fetched once
BATCH = 50


def receive(runtime: Runtime, name: str, delivery: Delivery) -> int:
    """Note the tickets a vendor's webhook names, to be fetched; how many (0 when it was delivered before).

    Raises NotFound for a source that takes no webhooks, BadSignature, TooLarge or Invalid.
    """
    chosen = pull.setting(runtime, name)
    if not chosen.hook_secret:
        raise NotFound(f"source {name} takes no webhooks: set hook_secret in its [[sources]] table")
    now = runtime.now()
    hints = webhooks.hints(
        chosen.kind, delivery, secret=secret(chosen.hook_secret), now=now, id_path=chosen.hook_id_path
    )
    key = hashlib.sha256(f"hook\n{name}\n{hints.key}".encode()).hexdigest()
    asked = hashlib.sha256(delivery.body).hexdigest()
    with runtime.store.write() as session:
        if keys.begin_idempotent(session, key, asked, at=now) is not None:
            return 0
        keys.end_idempotent(session, key, status=200, answer="")
        sources.hint(session, name, hints.ids, due_at=now + DEBOUNCE)
    return len(hints.ids)


def follow(runtime: Runtime, name: str) -> bool:
    """Fetch tickets that webhooks named, once they have settled; whether to call again now.

    A failure puts them off, and is raised.
    """
    chosen = pull.setting(runtime, name)
    now = runtime.now()
    with runtime.store.read() as session:
        if sources.one(session, name).paused:
            return False
        hinted = sources.hinted(session, name, at=now, limit=BATCH)
    if not hinted:
        return False
    try:
        page = pull.connection(runtime, chosen).fetch(list(hinted))
    except ForeshockError as error:
        wait = timedelta(seconds=error.after_s if isinstance(error, TryLater) else chosen.every_s)
        with runtime.store.write() as session:
            sources.delay_hints(session, name, until=now + wait)
        raise
    intake.accept(
        runtime, page.tickets, source_kind=chosen.kind, live_from=pull.live_from(runtime, name),
        deleted=page.deleted, deleted_from=name, enrich=True,
    )  # fmt: skip
    with runtime.store.write() as session:
        sources.forget_hints(session, name, hinted)
    return len(hinted) == BATCH
