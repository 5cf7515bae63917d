"""Out of the ticketing tools: one page at a time, its tickets and how far it reaches written together.

A source is read in two streams. The live one begins when the source is first met and is always read
first. The history before that moment is read in pieces between, while at least half of the tool's call
limit is free; it can be held and goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import Session

from app.domain import Checkpoint, Source
from app.errors import ForeshockError, Invalid, NotFound, TryLater
from app.ingest.source import Connector, Outside, reached, seeded
from app.ingest.sources import connect
from app.pipeline import intake
from app.runtime import Runtime
from app.settings import SourceSettings, secret
from app.store import audit, events, sources, tickets
from app.store.sources import Health

ASKED = "asked"  # the note of sources to be read at once
LINKS = {"sources": "/v1/sources"}
LIVE, HISTORY = "tickets", "history"  # streams
MOST_PAGES = 200  # of live tickets in one turn, so that no source keeps the others waiting
HISTORY_PAGES = 5  # in one turn: what is new is looked for again after so many
SPARE = 2  # history waits while less than 1/SPARE of the tool's call limit is left
KEPT = timedelta(minutes=5)  # a walker that says nothing for so long is dead
FRESH = timedelta(hours=1)
"""A connection is made anew after so long, because secrets, names and fields change. Credentials that were
refused are not tried again before: accounts get locked."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the history of a source has been read; `share` from 0 to 1 by time, None before the first page."""

    done: bool
    held: bool
    tickets: int
    share: float | None
    left_s: float | None


def pull(runtime: Runtime, name: str) -> int:
    """Read a source to its end, what is new first and then its history; how many tickets were new or changed.

    A failure is kept on the source in words and raised; what was read before it stays. TryLater while
    another process reads this account.
    """
    chosen = setting(runtime, name)
    if known(runtime, chosen).paused:
        return 0
    with _walk(runtime, chosen) as is_mine, _noted(runtime, chosen):
        if not is_mine:
            raise TryLater(f"{name} is being read by another process: stop it, or leave the reading to it")
        taken = _live(runtime, chosen)
        while not progress(runtime, name).done:
            taken += _history(runtime, chosen, spare=1)
    return taken


def turn(runtime: Runtime, name: str, *, at_once: bool = False) -> bool:
    """Read what is new if it is due or wanted `at_once`, else a piece of history; whether to call again now."""
    chosen = setting(runtime, name)
    health = known(runtime, chosen)
    if health.paused or not (at_once or health.next_at is None or health.next_at <= runtime.now()):
        return _has_history(runtime, name, health) and _piece(runtime, chosen)
    with _walk(runtime, chosen) as is_mine:
        if is_mine:
            with _noted(runtime, chosen):
                _live(runtime, chosen)
    return is_mine and _has_history(runtime, name, health)


def hold(runtime: Runtime, name: str, *, is_held: bool) -> Progress:
    """Stop reading the history of a source, or go on; what is new is read all the same."""
    setting(runtime, name)
    with runtime.store.write() as session:
        note = sources.note(session, f"history:{name}")
        sources.save_note(session, f"history:{name}", note | {"held": is_held})
    return progress(runtime, name)


def progress(runtime: Runtime, name: str) -> Progress:
    """How far the history has been read. The time left assumes that the pace so far goes on."""
    with runtime.store.read() as session:
        note = sources.note(session, f"history:{name}")
        until = sources.note(session, f"live:{name}").get("at")
    share = left_s = None
    if note.get("done"):
        share, left_s = 1.0, 0.0
    elif until and note.get("first") and note.get("reached"):
        first, at, end = map(datetime.fromisoformat, (note["first"], note["reached"], until))
        share = min(1.0, max(0.0, (at - first) / (end - first))) if end > first else 1.0
        spent_s = (runtime.now() - datetime.fromisoformat(note["begun"])).total_seconds()
        left_s = spent_s * (1 - share) / share if share else None
    is_held, done = bool(note.get("held")), bool(note.get("done"))
    return Progress(done, is_held, int(note.get("tickets", 0)), share, left_s)


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


def setting(runtime: Runtime, name: str) -> SourceSettings:
    """The `[[sources]]` table of that name."""
    found = next((s for s in runtime.settings.sources if s.name == name), None)
    if found is None:
        known = ", ".join(s.name for s in runtime.settings.sources) or "none is configured"
        raise NotFound(f"there is no source {name!r} in the settings; sources: {known}")
    return found


def known(runtime: Runtime, chosen: SourceSettings) -> Health:
    """How a source is doing; one that was added to the settings since the start is made known."""
    with runtime.store.read() as session:
        found = next((h for h in sources.health(session) if h.name == chosen.name), None)
    if found is not None:
        return found
    with runtime.store.write() as session:
        sources.register(session, Source(chosen.name, chosen.kind, chosen.options))
        return sources.one(session, chosen.name)


def connection(runtime: Runtime, chosen: SourceSettings) -> Connector:
    """The one connection of this process to a source: its walk, hints and messages share pacing and token."""

    def stored() -> list[str]:
        with runtime.store.read() as session:
            return tickets.external_ids(session, chosen.name)

    with runtime.lock:
        made, before, made_at = runtime.connections.get(chosen.name, (None, None, runtime.now()))
        if made is None or runtime.now() - made_at > FRESH:
            if before is not None:
                before.close()  # nobody has used it for an hour; the one in use may be in the middle of a call
            source = Source(chosen.name, chosen.kind, chosen.options)
            outside = Outside(
                now=runtime.now, secret=secret, sleep=runtime.sleep, known=stored, transport=runtime.transport
            )
            made, before = connect(source, outside), made
            runtime.connections[chosen.name] = (made, before, runtime.now())
        return made  # type: ignore[no-any-return]


def account(chosen: SourceSettings) -> str:
    """What shares one call limit: the kind of tool and where it is."""
    return f"{chosen.kind} {chosen.options.get('base_url') or chosen.options.get('dsn') or chosen.name}"


# --- turns ---------------------------------------------------------------------------------------------


def _has_history(runtime: Runtime, name: str, health: Health) -> bool:
    found = progress(runtime, name)
    return not (found.done or found.held or health.paused)


def _piece(runtime: Runtime, chosen: SourceSettings) -> bool:
    """A few pages of history; whether there is more to be read now."""
    if known(runtime, chosen).last_error:
        return False  # what is new comes first, and it is waiting
    with _walk(runtime, chosen) as is_mine:
        if not is_mine:
            return False
        with _noted(runtime, chosen):
            _history(runtime, chosen, spare=SPARE)
        return not (progress(runtime, chosen.name).done or _is_short(connection(runtime, chosen), SPARE))


@contextmanager
def _walk(runtime: Runtime, chosen: SourceSettings) -> Iterator[bool]:
    """Whether we may walk through the account: there is one walker at a time, whatever the process."""
    holder = f"{runtime.process} {chosen.name}"
    is_mine = _renew(runtime, chosen)
    try:
        yield is_mine
    finally:
        if is_mine:
            with runtime.store.write() as session:
                sources.give_back(session, account(chosen), holder=holder)


def _renew(runtime: Runtime, chosen: SourceSettings) -> bool:
    now, holder = runtime.clock(), f"{runtime.process} {chosen.name}"
    with runtime.store.write() as session:
        return sources.take(session, account(chosen), holder=holder, now=now, until=now + KEPT)


@contextmanager
def _noted(runtime: Runtime, chosen: SourceSettings) -> Iterator[None]:
    """Keep on the source how reading it went, and when it is read next; tell when it begins or ceases to fail."""
    was_failing = bool(known(runtime, chosen).last_error)
    try:
        yield
    except ForeshockError as error:
        wait = timedelta(seconds=chosen.every_s)
        if isinstance(error, TryLater):
            wait = max(wait, timedelta(seconds=error.after_s))
        if isinstance(error, Invalid):
            wait = max(wait, FRESH)
        now = runtime.now()
        with runtime.store.write() as session:
            sources.change(session, chosen.name, last_error=str(error), last_error_at=now, next_at=now + wait)
            if not was_failing:
                _tell(session, "source.failing", chosen.name, now, reason=str(error))
        raise
    if was_failing and not known(runtime, chosen).last_error:
        with runtime.store.write() as session:
            _tell(session, "source.recovered", chosen.name, runtime.now())


def _tell(session: Session, type_: str, name: str, at: datetime, **more: str) -> None:
    events.write(session, type_, name, {**more, "links": LINKS}, at=at)


def _live(runtime: Runtime, chosen: SourceSettings) -> int:
    """Read what is new to its end; how many tickets were new or changed."""
    taken = 0
    for _ in range(MOST_PAGES):
        more, some = _page(runtime, chosen, LIVE)
        taken += some
        if not more or not _renew(runtime, chosen):
            break
    next_at = runtime.now() + timedelta(seconds=chosen.every_s)
    quotas = connection(runtime, chosen).quotas()
    with runtime.store.write() as session:
        quota = {lane: {"remaining": q.remaining, "total": q.total} for lane, q in quotas.items()}
        sources.change(session, chosen.name, next_at=next_at, quota=quota)
    return taken


def _history(runtime: Runtime, chosen: SourceSettings, *, spare: int) -> int:
    """Read some pages of history; how many tickets were new or changed."""
    taken = 0
    for _ in range(HISTORY_PAGES):
        more, some = _page(runtime, chosen, HISTORY)
        taken += some
        if _step(runtime, chosen.name, some, more=more) or not _renew(runtime, chosen):
            break
        if _is_short(connection(runtime, chosen), spare):
            break
    return taken


def _is_short(connector: Connector, spare: int) -> bool:
    """Whether so little of a call limit is left that it is kept for what is new."""
    return any(quota.remaining * spare < quota.total for quota in connector.quotas().values() if spare > 1)


def _step(runtime: Runtime, name: str, taken: int, *, more: bool) -> bool:
    """Note how far history has been read; whether that was its end."""
    until = live_from(runtime, name)
    with runtime.store.write() as session:
        note: dict[str, Any] = sources.note(session, f"history:{name}")
        at = reached(sources.checkpoint(session, name, HISTORY))
        note = {"begun": runtime.now().isoformat()} | note | {"tickets": note.get("tickets", 0) + taken}
        if at is not None:
            note = {"first": at.isoformat()} | note | {"reached": at.isoformat()}
        is_done = not more or (at is not None and at > until)
        sources.save_note(session, f"history:{name}", note | {"done": is_done})
    return is_done


def _page(runtime: Runtime, chosen: SourceSettings, stream: str) -> tuple[bool, int]:
    """Read and store one page of a stream; whether more follows, and how many tickets were new or changed."""
    born = live_from(runtime, chosen.name)
    with runtime.store.read() as session:
        after = sources.checkpoint(session, chosen.name, stream)
    if stream == LIVE and not after.state:
        after = seeded(chosen.name, LIVE, born)
    page = connection(runtime, chosen).pull(after)
    last = {raw.external_id: raw for raw in page.tickets}  # the last copy of a ticket counts
    outcome = intake.accept(
        runtime, list(last.values()), source_kind=chosen.kind, live_from=born,
        checkpoint=Checkpoint(chosen.name, stream, page.checkpoint.state), deleted=page.deleted,
        rated=page.rated, notes=page.notes, enrich=True,
    )  # fmt: skip
    return page.more, sum(o["status"] != "duplicate" for o in outcome.values())


def live_from(runtime: Runtime, name: str) -> datetime:
    """When the source was first read: what is older is history and raises no alert."""
    note = f"live:{name}"
    with runtime.store.read() as session:
        at = sources.note(session, note).get("at")
    if at is None:
        at = runtime.now().isoformat()
        with runtime.store.write() as session:
            sources.save_note(session, note, {"at": at})
    return datetime.fromisoformat(at)
