"""Out of the ticketing tools: one page at a time, its tickets and how far it reaches written together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime

from app.domain import Source
from app.errors import ForeshockError, NotFound
from app.ingest.source import Connector, Outside
from app.ingest.sources import connect
from app.pipeline import intake
from app.runtime import Runtime
from app.settings import SourceSettings, secret
from app.store import audit, events, sources, tickets
from app.store.sources import Health

ASKED = "asked"  # the note of sources to be read at once
LINKS = {"sources": "/v1/sources"}
MOST_PAGES = 200  # of one call, so that no source keeps the others waiting


def pull(runtime: Runtime, name: str) -> int:
    """Read a source to its end, or for `MOST_PAGES` pages; how many tickets were new or changed.

    A failure is kept on the source in words and raised; what was read before it stays.
    """
    chosen = setting(runtime, name)
    with runtime.store.read() as session:
        known = {h.name: h for h in sources.health(session)}.get(name)
    if known is not None and known.paused:
        return 0
    was_failing = known is not None and bool(known.last_error)
    live_from = _live_from(runtime, name)
    taken = 0
    try:
        with connected(runtime, chosen) as connector:
            for _ in range(MOST_PAGES):
                with runtime.store.read() as session:
                    after = sources.checkpoint(session, name)
                page = connector.pull(after)
                last = {raw.external_id: raw for raw in page.tickets}  # the last copy of a ticket counts
                outcome = intake.accept(
                    runtime, list(last.values()), source_kind=chosen.kind, live_from=live_from,
                    checkpoint=page.checkpoint, deleted=page.deleted, notes=page.notes,
                )  # fmt: skip
                if was_failing:
                    was_failing = _recovered(runtime, name)
                taken += sum(o["status"] != "duplicate" for o in outcome.values())
                if not page.more:
                    break
    except ForeshockError as error:
        _failed(runtime, name, str(error), is_new=not was_failing)
        raise
    return taken


def ask(runtime: Runtime, name: str, *, actor: str) -> None:
    """Have the worker read a source as soon as it can, whichever process it is in."""
    setting(runtime, name)
    at = runtime.now()
    with runtime.store.write() as session:
        sources.save_note(session, ASKED, sources.note(session, ASKED) | {name: at.isoformat()})
        audit.write(session, "source.asked", name, {}, at=at, actor=actor)


def asked(runtime: Runtime) -> dict[str, datetime]:
    """Sources somebody asked to be read, which the worker has not got to yet, and when."""
    with runtime.store.read() as session:
        return {name: datetime.fromisoformat(at) for name, at in sources.note(session, ASKED).items()}


def begun(runtime: Runtime, name: str) -> None:
    """The worker reads it now: what was asked for is on its way."""
    with runtime.store.write() as session:
        left = {n: at for n, at in sources.note(session, ASKED).items() if n != name}
        sources.save_note(session, ASKED, left)


def pause(runtime: Runtime, name: str, *, is_paused: bool, actor: str) -> Health:
    """Stop reading a source, or go on from where it stopped."""
    with runtime.store.write() as session:
        found = sources.change(session, name, paused=is_paused)
        type_ = "source.paused" if is_paused else "source.resumed"
        audit.write(session, type_, name, {}, at=runtime.now(), actor=actor)
    return found


def _failed(runtime: Runtime, name: str, reason: str, *, is_new: bool) -> None:
    """Keep the reason on the source; the first failure in a row is an event."""
    at = runtime.now()
    with runtime.store.write() as session:
        sources.change(session, name, last_error=reason, last_error_at=at)
        if is_new:
            events.write(session, "source.failing", name, {"reason": reason, "links": LINKS}, at=at)


def _recovered(runtime: Runtime, name: str) -> bool:
    """Tell that a source that failed is read again; False, as it does not fail now."""
    with runtime.store.write() as session:
        events.write(session, "source.recovered", name, {"links": LINKS}, at=runtime.now())
    return False


def setting(runtime: Runtime, name: str) -> SourceSettings:
    """The `[[sources]]` table of that name."""
    found = next((s for s in runtime.settings.sources if s.name == name), None)
    if found is None:
        known = ", ".join(s.name for s in runtime.settings.sources) or "none is configured"
        raise NotFound(f"there is no source {name!r} in the settings; sources: {known}")
    return found


@contextmanager
def connected(runtime: Runtime, chosen: SourceSettings) -> Iterator[Connector]:
    """A connection to one source."""

    def known() -> list[str]:
        with runtime.store.read() as session:
            return tickets.external_ids(session, chosen.name)

    source = Source(chosen.name, chosen.kind, chosen.options)
    outside = Outside(now=runtime.now, secret=secret, known=known, transport=runtime.transport)
    with closing(connect(source, outside)) as connector:
        yield connector


def _live_from(runtime: Runtime, name: str) -> datetime:
    """When the source was first read: what is older is history and raises no alert."""
    note = f"live:{name}"
    with runtime.store.write() as session:
        at = sources.note(session, note).get("at")
        if at is None:
            at = runtime.now().isoformat()
            sources.save_note(session, note, {"at": at})
    return datetime.fromisoformat(at)
