"""What the messages of tickets add: read lazily, on a budget of its own, newest tickets first.

A ticket's content hash knows nothing of it, so an enriched ticket that is read again unchanged is still
known; what was found is filled in again when the ticket itself changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from app.domain import StatusChange, Ticket, came_back
from app.errors import ForeshockError, TryLater
from app.ingest import normalise, secrets
from app.ingest.source import Details
from app.pipeline import pull
from app.runtime import Runtime
from app.store import histories, messages, sources

BATCH = 50  # tickets in one reading: what the tools take at once
AFRESH = timedelta(hours=1)  # messages that may not be read are not asked for again before


def enrich(runtime: Runtime, name: str) -> bool:
    """Read the messages of a batch of tickets; whether to call again now.

    A failure puts all of the source's off, and is raised.
    """
    chosen = pull.setting(runtime, name)
    now = runtime.now()
    with runtime.store.read() as session:
        if sources.one(session, name).paused:
            return False
        due = messages.due(session, name, at=now, limit=BATCH)
    if not due:
        return False
    try:
        told = pull.connection(runtime, chosen).details([t.external_id for t in due])
    except ForeshockError as error:
        wait = timedelta(seconds=error.after_s) if isinstance(error, TryLater) else AFRESH
        with runtime.store.write() as session:
            messages.delay(session, name, until=now + wait)
        raise
    found = found_in(due, told)
    with runtime.store.write() as session:
        messages.settle(session, name, found, at=now)
        histories.save(session, lived_through(due, told))
    return len(due) == BATCH


def found_in(asked: Iterable[Ticket], told: Iterable[Details]) -> dict[str, dict[str, Any]]:
    """What was told about each ticket asked about, cleaned and redacted, as it is kept."""
    found: dict[str, dict[str, Any]] = {t.external_id: {} for t in asked}
    for details in told:
        values = {
            "body": normalise.message(details.body, is_html=details.body_is_html),
            "resolution": normalise.message(details.resolution, is_html=details.resolution_is_html),
            "articles": [secrets.redact(article) for article in details.articles],
            "duplicate_of": details.duplicate_of,
            "satisfaction": details.satisfaction,
            "reopened": came_back(details.history) if details.reopened is None else details.reopened,
        }
        if details.external_id in found:
            found[details.external_id] = {
                name: value for name, value in values.items() if value not in ("", [], None)
            }
    return found


def lived_through(asked: Iterable[Ticket], told: Iterable[Details]) -> dict[str, Sequence[StatusChange]]:
    """The status histories that were told, by our own ids, as they are kept."""
    ids = {t.external_id: t.id for t in asked}
    return {
        ids[d.external_id]: normalise.history(d.history) for d in told if d.external_id in ids and d.history
    }
