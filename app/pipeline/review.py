"""What people decide: about alerts, about patterns, and about what happened in the world."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import Session

from app.detectors.grouping import Edit, EditKind
from app.detectors.guards import slot
from app.detectors.lifecycle import alert_state
from app.detectors.thread import Thread, Witness
from app.detectors.thread import common_thread as compare
from app.domain import Alert, Change, Event, Pattern, Release, Tier, sortable_id
from app.errors import Conflict, Invalid
from app.ingest.redact import redact
from app.pipeline import lifecycle, memory, regroup
from app.pipeline.regroup import about
from app.runtime import Runtime
from app.store import alerts, events, patterns, releases, reports, sources, tickets, topics

WINDOW = timedelta(days=30)  # the others a pattern's customers are compared with
LEAST_WINDOW = timedelta(days=7)
COMPARED = 4_000  # other tickets looked at: enough for every share that matters
MOST_SNOOZE = timedelta(days=365)
UNDOABLE = frozenset({
    "alert.acknowledged", "alert.assigned", "alert.snoozed", "alert.dismissed", "alert.resolved",
    "alert.judged", "alert.muted",
})  # fmt: skip
TIMES = ("_at", "_until")  # how the names of an alert's times end


# --- alerts -----------------------------------------------------------------------------------------


def acknowledge(runtime: Runtime, id_: str, *, actor: str) -> Alert:
    """Somebody is looking at it; a second acknowledgement changes nothing."""
    return _decide(runtime, id_, "alert.acknowledged", actor, {
        "acknowledged_at": runtime.now(), "acknowledged_by": actor,
    }, unless=lambda a: a.acknowledged_at is not None)  # fmt: skip


def assign(runtime: Runtime, id_: str, *, owner: str, actor: str) -> Alert:
    """Give an alert, and the pattern it is about, an owner; "" takes the owner away."""
    with runtime.store.write() as session:
        changed = _change(session, id_, "alert.assigned", {"owner": owner}, runtime.now(), actor)
        if changed.pattern_id:
            patterns.change(session, changed.pattern_id, owner=owner)
    return changed


def snooze(
    runtime: Runtime,
    id_: str,
    *,
    until: datetime | None = None,
    customers: int = 0,
    escalating: bool = False,
    actor: str,
) -> Alert:
    """Hide an alert until a time, until so many further customers, or until it gets worse: what comes first."""
    now = runtime.now()
    if until is None and not customers and not escalating:
        raise Invalid(
            "say until when: a time, a number of further customers, or escalating", pointer="/until"
        )
    if until is not None and not now < until <= now + MOST_SNOOZE:
        raise Invalid("until must be in the future, and within a year", pointer="/until")
    return _decide(runtime, id_, "alert.snoozed", actor, {
        "snoozed_at": now, "snoozed_until": until or now + MOST_SNOOZE, "snoozed_customers": customers,
        "snoozed_escalating": escalating,
    })  # fmt: skip


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


def judge(runtime: Runtime, id_: str, *, useful: bool, actor: str) -> Alert:
    """Say whether an alert, open or closed, was worth reading: what the precision figures are made of."""
    with runtime.store.write() as session:
        verdict = {"verdict": "useful" if useful else "noise"}
        return _change(session, id_, "alert.judged", verdict, runtime.now(), actor)


def mute(runtime: Runtime, id_: str, *, reason: str, actor: str) -> Alert:
    """Hear no more of an alert's topic, and close the alert; its tickets go on being counted."""
    at = runtime.now()
    with runtime.store.write() as session:
        before = alerts.get(session, id_)
        topics.mute(session, before.topic.id, muted=True)
        closed = {} if before.resolved_at else {"resolved_at": at, "reason": reason or "muted"}
        return _change(session, id_, "alert.muted", closed, at, actor)


def unmute(runtime: Runtime, id_: str, *, actor: str) -> Alert:
    """Let an alert's topic be heard again."""
    with runtime.store.write() as session:
        topics.mute(session, alerts.get(session, id_).topic.id, muted=False)
        return _change(session, id_, "alert.unmuted", {}, runtime.now(), actor)


def undo(runtime: Runtime, id_: str, *, actor: str) -> Alert:
    """Take back the newest decision about an alert that was not taken back yet, whoever made it."""
    at = runtime.now()
    with runtime.store.write() as session:
        told = events.of(session, [id_])
        undone = {e.data["undoes"] for e in told if e.type == "alert.restored"}
        last = next(
            (e for e in told if e.type in UNDOABLE and e.actor != "engine" and e.id not in undone), None
        )
        if last is None:
            raise Conflict(f"there is no decision about alert {id_} to take back")
        _refuse_two_open(session, alerts.get(session, id_), last)
        if last.type == "alert.muted":
            topics.mute(session, alerts.get(session, id_).topic.id, muted=False)
        was = {
            k: datetime.fromisoformat(v) if v and k.endswith(TIMES) else v
            for k, v in last.data["was"].items()
        }
        return _change(session, id_, "alert.restored", was, at, actor, undoes=last.id)


def _refuse_two_open(session: Session, alert: Alert, decision: Event) -> None:
    """A closed alert cannot be opened again beside a newer one about the same."""
    if "resolved_at" not in decision.data["was"]:
        if alert.resolved_at is not None:
            raise Conflict(f"alert {alert.id} is closed since {alert.resolved_at:%Y-%m-%d %H:%M} UTC")
        return
    for other in alerts.unresolved(session, [alert.topic.id]):
        if other.id != alert.id and slot(other.topic, other.kind) == slot(alert.topic, alert.kind):
            raise Conflict(f"alert {other.id} is open about the same: decide about that one")


def _decide(
    runtime: Runtime, id_: str, type_: str, actor: str, values: dict[str, Any], *, unless: Any = None
) -> Alert:
    """Change an open alert; Conflict when it is closed."""
    with runtime.store.write() as session:
        before = alerts.get(session, id_)
        if unless is not None and unless(before):
            return before
        if before.resolved_at is not None:
            raise Conflict(f"alert {id_} is closed since {before.resolved_at:%Y-%m-%d %H:%M} UTC")
        return _change(session, id_, type_, values, runtime.now(), actor)


def _change(
    session: Session, id_: str, type_: str, values: dict[str, Any], at: datetime, actor: str, **more: Any
) -> Alert:
    """Change an alert, let its pattern's state follow when it closed or opened, and tell of it with what was there before."""
    before = alerts.get(session, id_)
    changed = alerts.change(session, id_, **values, updated_at=at)
    if changed.pattern_id and "resolved_at" in values:
        lifecycle.refresh(session, [changed.pattern_id], at, actor=actor)
    was = {name: getattr(before, name) for name in values}
    data = {
        "alert_id": id_, "kind": changed.kind, "severity": changed.severity, "pattern_id": changed.pattern_id,
        "reason": changed.reason, "state": alert_state(changed, at).value, "owner": changed.owner,
        "verdict": changed.verdict, "links": {"alert": f"/v1/alerts/{id_}"},
        "was": {k: v.isoformat() if isinstance(v, datetime) else v for k, v in was.items()}, **more,
    }  # fmt: skip
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


def link_release(runtime: Runtime, id_: str, release_id: str | None, *, actor: str) -> Pattern:
    """Say which release a pattern came with; None takes that back."""
    at = runtime.now()
    with memory.turn(runtime) as held, runtime.store.write() as session:
        _living(session, id_)
        release = releases.get(session, release_id) if release_id else None
        if release is not None and release.kind is not Change.RELEASE:
            raise Invalid(f"{release_id} is a fix: name a release", pointer="/release_id")
        changed = patterns.change(session, id_, came_with=release_id)
        memory.touch(session, held, [id_])
        memory.keep(session, held)
        data = about(id_) | {"name": changed.name, "release": release.title if release else ""}
        events.write(session, "pattern.linked", id_, data, at=at, actor=actor)
    return changed


def annotate(runtime: Runtime, id_: str, text: str, *, on: datetime | None = None, actor: str) -> Event:
    """Put a dated note beside a pattern, redacted like a ticket; `on` is when what it says happened."""
    at = runtime.now()
    on = on or at
    if on > at:
        raise Invalid("a note is about what has happened: its time lies in the future", pointer="/at")
    with memory.turn(runtime) as held, runtime.store.write() as session:
        found = _living(session, id_)
        memory.touch(session, held, [id_])
        memory.keep(session, held)
        said = {"name": found.name, "text": redact(text), "noted_at": on.isoformat().replace("+00:00", "Z")}
        return events.write(session, "pattern.noted", id_, about(id_) | said, at=at, actor=actor)


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
    patterns.change(session, id_, dismissed_at=at if is_muted else None)
    lifecycle.refresh(session, [id_], at, actor=actor)
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
        lived = reports.lifetime(session, id_)
        if lived is None:
            return []
        own = patterns.resolve(session, id_).signature.lower()
        first, end = lived
        start = min(max(first, end - WINDOW), end - LEAST_WINDOW)
        members = reports.witnesses_of(session, id_, since=start)
        others = reports.witnesses(session, start, end, most=COMPARED)
    found = compare([_witness(w) for _, w in members], [_witness(w) for home, w in others if home != id_])
    # The signature is what the pattern is called by: that its customers say it is no news.
    return [t for t in found if t.attribute != "words" or t.value.lower() not in own]


def _witness(row: reports.WitnessRow) -> Witness:
    customer, attributes, tags, subject, body = row
    return Witness(customer, attributes, tuple(tags), subject, body)


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
    with ExitStack() as stack:
        held = stack.enter_context(memory.turn(runtime)) if pattern_id is not None else None
        session = stack.enter_context(runtime.store.write())
        if pattern_id is not None and held is not None:
            _living(session, pattern_id)
            memory.touch(session, held, [pattern_id])
            memory.keep(session, held)
            sources.save_note(session, "fixes", {})  # judge at the next tick
        releases.save(session, [made])
        if pattern_id is not None:
            lifecycle.refresh(session, [pattern_id], now, actor=actor, fix=made.id)
        data = {"title": title, "kind": kind.value, "product": product, "version": version}
        events.write(session, "release.recorded", made.id, data, at=now, actor=actor)
    return made
