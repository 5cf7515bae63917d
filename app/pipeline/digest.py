"""Tickets become sightings and members: embed, extract, place, in the order of their own time.

At every business midnight that ticket time crosses, the grouping is consolidated. Batches only decide
how much is committed at once: every decision follows from the tickets before it. While one day is
placed and written, the next is embedded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlmodel import Session

from app.detectors.grouping import Decision, Item
from app.detectors.grouping.fields import filed_under, with_component
from app.detectors.knot import Doc
from app.detectors.signature import signatures
from app.detectors.text import embedding_text
from app.domain import Sighting, Signature, Status, Ticket, Topic, TopicKind
from app.pipeline import lease, memory, naming, regroup
from app.pipeline.memory import NOTE, Behind, Memory
from app.pipeline.regroup import Act
from app.runtime import Runtime
from app.store import sources, tickets, topics

BATCH = 128
Vector = NDArray[np.float16]


@dataclass(frozen=True, slots=True)
class Night:
    """A consolidation: which of the batch's acts, `begin` to `end`, it came to."""

    at: datetime
    begin: int
    end: int


@dataclass
class Digested:
    """What one batch came to, before it is written."""

    acts: list[Act] = field(default_factory=list)
    sightings: list[Sighting] = field(default_factory=list)
    topics: dict[str, Topic] = field(default_factory=dict)
    vectors: list[tuple[str, str, Vector | None]] = field(default_factory=list)
    filed: dict[str, str] = field(default_factory=dict)
    knots: list[dict[str, Any]] = field(default_factory=list)
    night: datetime | None = None  # the midnight the batch began with, if it did
    nightly: int = 0  # how many of the first acts were that night's


def digest(runtime: Runtime, *, limit: int = BATCH, until: datetime | None = None) -> int:
    """Digest the oldest undigested tickets (created `until` then); how many.

    0 when there are none, or while another process digests.
    """
    with runtime.store.read() as session:
        batch = tickets.undigested(session, limit=limit, until=until)
    if not batch or not lease.held(runtime):
        return 0
    done = 0
    try:
        with memory.turn(runtime) as held, ThreadPoolExecutor(1, "embed") as ahead:
            days = _by_day(held, batch)
            embedded = [ahead.submit(_embed, runtime, day) for day in days]
            for day, vectors in zip(days, embedded, strict=True):
                considered = _consider(runtime, held, day, vectors.result())
                with runtime.store.write() as session:
                    _write(runtime, session, held, day, considered)
                done += len(day)
    except Behind:
        return done or digest(runtime, limit=limit, until=until)  # somebody edited: decide again
    return done


def _by_day(held: Memory, batch: Sequence[Ticket]) -> list[list[Ticket]]:
    """Runs of tickets of one business day: a consolidation comes first in its run or not at all."""
    runs: list[list[Ticket]] = []
    last = None
    for ticket in batch:
        day = held.clock.day(ticket.created_at.timestamp())
        if day != last:
            runs.append([])
            last = day
        runs[-1].append(ticket)
    return runs


def _embed(runtime: Runtime, batch: Sequence[Ticket]) -> dict[str, tuple[str, Vector]]:
    """(text hash, vector) by ticket; a text that was embedded before is not embedded again."""
    texts = {t.id: embedding_text(t.subject, t.body) for t in batch if t.status is not Status.DELETED}
    hashes = {id_: hashlib.sha256(text.encode()).hexdigest()[:32] for id_, text in texts.items()}
    with runtime.store.read() as session:
        known = tickets.cached_vectors(session, runtime.embedder.model_id, sorted(set(hashes.values())))
    new = {hashes[id_]: text for id_, text in texts.items() if hashes[id_] not in known}
    if new:
        rows = runtime.embedder.embed(list(new.values())).astype(np.float16)
        known |= dict(zip(new, rows, strict=True))
    return {id_: (text_hash, known[text_hash]) for id_, text_hash in hashes.items()}


def _consider(
    runtime: Runtime, held: Memory, batch: Sequence[Ticket], vectors: dict[str, tuple[str, Vector]]
) -> Digested:
    done = Digested()
    counted = _counted(runtime, held, batch)
    for ticket in batch:
        _nights(held, ticket.created_at, done)
        if ticket.id in counted:
            held.grouping.recall(counted[ticket.id], ticket.pattern_id)
        if ticket.status is Status.DELETED:
            held.grouping.remove(ticket.id)
            done.acts.append((ticket.created_at, Decision(ticket.id, None, "deleted")))
            done.vectors.append((ticket.id, "", None))
            continue
        text_hash, vector = vectors[ticket.id]
        found = signatures(ticket.subject, ticket.body, ticket_prefixes=runtime.settings.ticket_prefixes)
        filed = filed_under(ticket.attributes)
        item = Item(ticket.id, ticket.created_at, ticket.customer, with_component(vector, filed), found)
        done.acts.append((ticket.created_at, held.grouping.place(item)))
        done.vectors.append((ticket.id, text_hash, vector))
        done.filed[ticket.id] = filed
        _sight(runtime, held, ticket, found, done)
        _scan(held, ticket, memory.doc(ticket, vector, found), done)
    return done


def _counted(runtime: Runtime, held: Memory, batch: Sequence[Ticket]) -> dict[str, Item]:
    """Tickets digested before and not in memory, as their pattern's sums count them still."""
    grouping = held.grouping.state
    away = [t for t in batch if t.pattern_id is not None and grouping.item(t.id) is None]
    if not away:
        return {}
    with runtime.store.read() as session:
        return {item.ticket_id: item for item in memory.items_of(runtime, session, away)}


def _nights(held: Memory, at: datetime, done: Digested) -> None:
    """Consolidate for the last business midnight before `at`, unless that was done."""
    last = held.grouping.state.consolidated_at
    midnight = held.clock.midnight(held.clock.day(at.timestamp()))
    if last is None or midnight > last:
        revisions = held.grouping.consolidate(midnight)
        done.acts += [(midnight, revision) for revision in revisions]
        done.night, done.nightly = midnight, len(done.acts)


def _sight(
    runtime: Runtime, held: Memory, ticket: Ticket, found: Sequence[Signature], done: Digested
) -> None:
    at = ticket.created_at
    shown = [topics.topic(TopicKind.DESK, "desk", "Whole desk", at)]
    shown += [topics.topic(TopicKind.SIGNATURE, s.key, s.label, at, generic=s.generic) for s in found]
    for name in runtime.settings.segments:
        value = ticket.attributes.get(name, "")
        if value:
            shown.append(topics.topic(TopicKind.SEGMENT, f"{name}={value}", f"{name.title()} {value}", at))
    for topic in shown:
        if topic.id not in done.topics and not held.book.knows(topic.id):
            done.topics[topic.id] = topic
        done.sightings.append(memory.sighting(ticket, topic.id))
    if ticket.pattern_id is not None:
        done.sightings.append(memory.sighting(ticket, memory.topic_of(ticket.pattern_id)))


def _scan(held: Memory, ticket: Ticket, doc: Doc, done: Digested) -> None:
    """The neighbourhood scan; the tickets of a knot found a pattern when they are still ungrouped."""
    if ticket.backfill:
        held.hood.learn(doc, held.grouping.earlier)
        return
    knot = held.hood.feed(doc, held.grouping.earlier)
    if knot is not None:
        done.knots.append(asdict(knot) | {"at": knot.at.isoformat()})
        founded = held.grouping.found(knot.ticket_ids, ticket.created_at)
        if founded is not None:
            done.acts.append((ticket.created_at, founded))


def _write(runtime: Runtime, session: Session, held: Memory, batch: Sequence[Ticket], done: Digested) -> None:
    ids = [t.id for t in batch]
    if done.night is not None:
        regroup.write_down(runtime, session, held, done.acts[: done.nightly])
        naming.nightly(session, held, done.night)
    topics.ensure(session, done.topics.values())
    held.book.know(done.topics.values())
    for topic_id, shown in topics.shown_by(session, ids).items():
        held.book.drop(topic_id, shown)
    topics.replace_sightings(session, ids, done.sightings)
    held.take(done.sightings)
    tickets.save_vectors(session, runtime.embedder.model_id, done.vectors, done.filed)
    tickets.mark_digested(session, ids, at=runtime.now())
    regroup.write_down(runtime, session, held, done.acts[done.nightly :])
    sources.save_terms(session, held.hood.counts(changed=True))
    sources.save_note(session, memory.HOOD, held.hood.state())
    consolidated = held.grouping.state.consolidated_at
    memory.keep(
        session, held,
        consolidated_at=consolidated.isoformat() if consolidated else None,
        words_at=held.words_at.isoformat() if held.words_at else None,
        knots=[*sources.note(session, NOTE).get("knots", ()), *done.knots],
    )  # fmt: skip
