"""What people decide: about alerts, about patterns, and about what happened in the world."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import Session

from app.detectors.grouping import Edit, EditKind
from app.detectors.thread import Thread, Witness
from app.detectors.thread import common_thread as compare
from app.domain import Alert, Change, Pattern, PatternState, Release, Ticket, Tier, sortable_id
from app.errors import Conflict, Invalid
from app.pipeline import memory, regroup
from app.pipeline.regroup import about
from app.runtime import Runtime
from app.store import alerts, events, patterns, releases, sources, tickets, topics

WINDOW = timedelta(days=30)  # the others a pattern's customers are compared with
LEAST_WINDOW = timedelta(days=7)
COMPARED = 4_000  # other tickets looked at: enough for every share that matters
MOST_SNOOZE = timedelta(days=365)


# --- alerts -----------------------------------------------------------------------------------------


def acknowledge(runtime: Runtime, id_: str, *, actor: str) -> Alert:
    """Somebody is looking at it; a second acknowledgement changes nothing."""
    return _decide(runtime, id_, "alert.acknowledged", actor, {
        "acknowledged_at": runtime.now(), "acknowledged_by": actor,
    }, unless=lambda a: a.acknowledged_at is not None)  # fmt: skip


def snooze(runtime: Runtime, id_: str, *, until: datetime, actor: str) -> Alert:
    now = runtime.now()
    if not now < until <= now + MOST_SNOOZE:
        raise Invalid("until must be in the future, and within a year", pointer="/until")
    return _decide(runtime, id_, "alert.snoozed", actor, {"snoozed_until": until})


def dismiss(runtime: Runtime, id_: str, *, reason: str, noise: bool, actor: str) -> Alert:
    """Close an alert as not worth reading. Its topic stays quiet unless it gets much worse."""
    return _decide(runtime, id_, "alert.dismissed", actor, {
        "resolved_at": runtime.now(), "reason": reason, "verdict": "noise" if noise else "useful",
    })  # fmt: skip


def resolve(runtime: Runtime, id_: str, *, reason: str, actor: str) -> Alert:
    """Close an alert as dealt with."""
    return _decide(runtime, id_, "alert.resolved", actor, {
        "resolved_at": runtime.now(), "reason": reason or "resolved by hand", "verdict": "useful",
    })  # fmt: skip


def _decide(
    runtime: Runtime, id_: str, type_: str, actor: str, values: dict[str, Any], *, unless: Any = None
) -> Alert:
    at = runtime.now()
    with runtime.store.write() as session:
        before = alerts.get(session, id_)
        if unless is not None and unless(before):
            return before
        if before.resolved_at is not None:
            raise Conflict(f"alert {id_} is closed since {before.resolved_at:%Y-%m-%d %H:%M} UTC")
        changed = alerts.change(session, id_, **values, updated_at=at)
        data = {"alert_id": id_, "kind": changed.kind, "severity": changed.severity,
                "pattern_id": changed.pattern_id, "reason": changed.reason,
                "links": {"alert": f"/v1/alerts/{id_}"}}  # fmt: skip
        events.write(session, type_, id_, data, at=at, actor=actor, owed=changed.tier is Tier.ALERT)
    return changed


# --- patterns ---------------------------------------------------------------------------------------


def rename(runtime: Runtime, id_: str, name: str, *, actor: str) -> Pattern:
    """Give a pattern a name that the engine never touches again."""
    at = runtime.now()
    with memory.turn(runtime) as held, runtime.store.write() as session:
        before = _living(session, id_)
        patterns.save_edit(session, id_=sortable_id("edt", at, "rename", id_, name), kind="rename",
                           patterns=[id_], tickets=[], actor=actor, at=at, value=name)  # fmt: skip
        changed = patterns.change(session, id_, name=name, name_by=actor)
        topic = held.book.topic(memory.topic_of(id_))
        topics.relabel(session, topic.id, name)
        held.book.know([replace(topic, label=name)])
        memory.touch(session, held, [id_])
        memory.keep(session, held)
        data = about(id_) | {"name": name, "was": before.name}
        events.write(session, "pattern.renamed", id_, data, at=at, actor=actor)
    return changed


def merge(runtime: Runtime, loser: str, *, into: str, actor: str) -> Pattern:
    """Merge a pattern into another: for ever, for tickets that arrive later too."""
    edit(runtime, EditKind.MERGE, patterns_=(into, loser), actor=actor)
    with runtime.store.read() as session:
        return patterns.resolve(session, patterns.heir(session, into))


def edit(
    runtime: Runtime,
    kind: EditKind,
    *,
    patterns_: Sequence[str] = (),
    tickets_: Sequence[str] = (),
    undoes: str = "",
    actor: str,
) -> str:
    """Carry out a hand edit and return its id, or refuse it naming the edit it contradicts.

    It holds for ever, for tickets that arrive later too; an undo names the edit it takes back.
    """
    at = runtime.now()
    identity = (kind.value, *patterns_, *tickets_, undoes)
    with memory.turn(runtime) as held:
        with runtime.store.read() as session:
            ids = [_living(session, id_).id for id_ in patterns_]
            asked = Edit(id=sortable_id("edt", at, *identity), kind=kind, at=at, actor=actor,
                         patterns=tuple(ids), tickets=tuple(tickets_), undoes=undoes)  # fmt: skip
            _recall(runtime, session, held, held.grouping.needs(asked))
        done, revisions = held.grouping.edit(asked)
        with runtime.store.write() as session:
            patterns.save_edit(session, id_=done.id, kind=done.kind.value, patterns=done.patterns,
                               tickets=done.tickets, actor=actor, at=at, undoes=done.undoes)  # fmt: skip
            regroup.write_down(runtime, session, held, [(at, r) for r in revisions], actor=actor)
            _mute(session, done, at, actor)
            _pin(session, done)
            memory.touch(session, held, done.patterns)
            memory.keep(session, held)
    return done.id


def _mute(session: Session, done: Edit, at: datetime, actor: str) -> None:
    """A dismissed pattern goes on absorbing its tickets, silently; undoing that lets it speak again."""
    undone = next((e for e in patterns.edits(session) if e.id == done.undoes), None)
    if done.kind is EditKind.DISMISS:
        named, is_muted = done.patterns[0], True
    elif undone is not None and undone.kind == EditKind.DISMISS.value:
        named, is_muted = undone.patterns[0], False
    else:
        return
    id_ = patterns.heir(session, named)
    before = patterns.resolve(session, id_)
    state = PatternState.DISMISSED if is_muted else PatternState.WATCHING
    patterns.change(session, id_, muted=is_muted, state=state.value)
    data = about(id_) | {"name": before.name, "state": state.value, "was": before.state.value}
    events.write(session, "pattern.changed", id_, data, at=at, actor=actor)
    for alert in alerts.of_patterns(session, [id_]).get(id_, []) if is_muted else []:
        if alert.resolved_at is None:
            alerts.change(session, alert.id, resolved_at=at, updated_at=at, verdict="noise",
                          reason="not a pattern")  # fmt: skip


def _pin(session: Session, done: Edit) -> None:
    undone = next((e for e in patterns.edits(session) if e.id == done.undoes), None)
    if EditKind.PIN in (done.kind, undone.kind if undone else None):
        named = (done if undone is None else undone).patterns[0]
        patterns.change(session, patterns.heir(session, named), pinned=undone is None)


def _recall(runtime: Runtime, session: Session, held: memory.Memory, ids: Sequence[str]) -> None:
    """Have the tickets an edit names in memory, however old they are."""
    found = tickets.by_ids(session, ids)
    for item in memory.items_of(runtime, session, list(found.values())):
        held.grouping.recall(item, found[item.ticket_id].pattern_id)


def _living(session: Session, id_: str) -> Pattern:
    found = patterns.resolve(session, id_)
    if found.merged_into is not None:
        raise Conflict(f"pattern {id_} was merged into {found.merged_into}: use that one")
    return found


def common_thread(runtime: Runtime, id_: str) -> list[Thread]:
    """What the pattern's customers share that the desk's others, in the same time, do not."""
    with runtime.store.read() as session:
        members = tickets.members(session, id_)
        if not members:
            return []
        end = members[0].created_at
        start = min(max(members[-1].created_at, end - WINDOW), end - LEAST_WINDOW)
        ids = {t.id for t in members}
        others = [t for t in tickets.between(session, start, end, most=COMPARED) if t.id not in ids]
    return compare([_witness(t) for t in members if t.created_at >= start], [_witness(t) for t in others])


def _witness(t: Ticket) -> Witness:
    return Witness(t.customer, t.attributes, t.tags, t.subject, t.body)


# --- the world --------------------------------------------------------------------------------------


def record_release(
    runtime: Runtime,
    *,
    at: datetime,
    kind: Change,
    title: str,
    product: str = "",
    version: str = "",
    pattern_id: str | None = None,
    url: str = "",
    actor: str,
) -> Release:
    """Remember a release or a fix; recording the same one twice keeps one. A fix awaits its verdict."""
    now = runtime.now()
    if pattern_id is not None and kind is not Change.FIX:
        raise Invalid("only a fix can name a pattern", pointer="/pattern_id")
    identity = (kind.value, title, product, version, pattern_id or "")
    made = Release(sortable_id("rel", at, *identity), at, kind, title, product, version, pattern_id, url)
    with runtime.store.write() as session:
        if pattern_id is not None:
            found = _living(session, pattern_id)
            patterns.change(session, pattern_id, state=PatternState.FIX_PENDING.value, touched=True)
            data = about(pattern_id) | {"name": found.name, "state": "fix_pending", "was": found.state.value,
                                        "fix": made.id}  # fmt: skip
            events.write(session, "pattern.changed", pattern_id, data, at=now, actor=actor)
            sources.save_note(session, "fixes", {})  # judge at the next tick
        releases.save(session, [made])
        data = {"title": title, "kind": kind.value, "product": product, "version": version}
        events.write(session, "release.recorded", made.id, data, at=now, actor=actor)
    return made
