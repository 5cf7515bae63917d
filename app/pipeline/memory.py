"""The engine's working memory: derived from the store, rebuilt from it at start and after any failure.

Everything in it follows from committed rows alone, so a process killed anywhere goes on exactly where the
last commit stood. Every process may hold one: the worker digests with it, the API carries out edits. Each
write that follows from a memory makes it one turn older, and is refused when another process took that turn.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlmodel import Session

from app.detectors.book import Book
from app.detectors.calendar import BusinessClock
from app.detectors.grouping.engine import Grouping, Snapshot
from app.detectors.grouping.fields import WIDTH, with_component
from app.detectors.grouping.locks import Edit, EditKind
from app.detectors.grouping.state import Anchor, Item, Member, Parameters, PatternRow
from app.detectors.knot import Doc, Neighbourhood
from app.detectors.knot import Settings as ScanSettings
from app.detectors.label import Background
from app.detectors.signature import error_lines, frames
from app.domain import EPOCH, Sighting, Signature, Ticket, TopicKind
from app.errors import Invalid, TryLater
from app.runtime import Runtime
from app.store import patterns, sources, tickets, topics
from app.store.patterns import Sums

JOIN = {"finer": 0.65, "balanced": 0.58, "broader": 0.55}
SERIES_KEPT = timedelta(days=200)  # rules look back 26 weeks
WORDS_EVERY, WORDS_KEPT, WORDS_MOST = timedelta(days=7), timedelta(days=90), 2000
NOTE = "digest"
HOOD = (
    "neighbourhood"  # what the scan keeps besides its counts: a note of its own, for the turn's is read often
)
THRESHOLDS = "thresholds"  # what a calibration chose, in place of the setting's own


@dataclass
class Memory:
    """What digestion and detection know; `fresh` are topics with live sightings no tick has looked at."""

    grouping: Grouping
    hood: Neighbourhood
    book: Book
    clock: BusinessClock
    turn: int  # how many writes, of any process, it has seen
    model_id: str  # whose vectors the patterns are sums of
    thresholds: Mapping[str, Any]  # what a calibration chose, {} when none did
    fresh: set[str] = field(default_factory=set)
    words: Background = field(default_factory=Background)
    words_at: datetime | None = None

    def take(self, sightings: Iterable[Sighting]) -> None:
        """Count new sightings; live ones are fresh for the next tick."""
        for s in sightings:
            self.book.add(s.topic_id, s.at.timestamp(), s.ticket_id, s.customer, live=s.live)
            if s.live:
                self.fresh.add(s.topic_id)

    def learn_words(self, session: Session, night: datetime) -> None:
        """Once a week of ticket time: what the desk said in the 90 days before `night`, or lately."""
        if self.words_at is None or night - self.words_at >= WORDS_EVERY:
            self.words = Background(tickets.texts(session, night - WORDS_KEPT, night, most=WORDS_MOST))
            self.words_at = night


class Behind(TryLater):
    """Another process wrote since this memory was read: read it again and decide again."""

    def __init__(self) -> None:
        super().__init__("the patterns changed at this moment: send the same again", after_s=1.0)


def of(runtime: Runtime) -> Memory:
    """The memory, loaded when there is none or when another process wrote since."""
    held: Memory | None = runtime.memory
    with runtime.store.read() as session:
        if held is None or held.turn != sources.note(session, NOTE).get("turn", 0):
            held = runtime.memory = load(runtime, session)
    limits = parameters(runtime, held.thresholds)
    if held.grouping.state.parameters != limits:
        held.grouping.adopt(limits)  # the dial was turned
    return held


@contextmanager
def turn(runtime: Runtime) -> Iterator[Memory]:
    """The memory for one decision and the write that follows from it; it is read again after any failure."""
    with runtime.lock:
        try:
            yield of(runtime)
        except BaseException:
            runtime.memory = None  # it is ahead of the store, or behind it
            raise


def keep(session: Session, held: Memory, **more: Any) -> None:
    """Take the turn, in the transaction of the write itself, and keep what cannot be derived from rows.

    Raises Behind when another process took it.
    """
    note = sources.note(session, NOTE)
    if note.get("turn", 0) != held.turn:
        raise Behind
    held.turn += 1
    own = {"turn": held.turn, "fresh": sorted(held.fresh), "model": held.model_id}
    sources.save_note(session, NOTE, note | own | more)


def touch(session: Session, held: Memory, pattern_ids: Iterable[str | None]) -> None:
    """People have been told of these patterns, or acted on them: the engine never dissolves them."""
    living = sorted({held.grouping.resolve(id_) for id_ in pattern_ids if id_})
    for id_ in living:
        held.grouping.touch(id_)
    patterns.touch(session, living)


def load(runtime: Runtime, session: Session) -> Memory:
    note = sources.note(session, NOTE)
    made_with = note.get("model", runtime.embedder.model_id)
    if made_with != runtime.embedder.model_id:
        raise Invalid(
            f"the patterns here were grouped with the model {made_with}, and the model set is "
            f"{runtime.embedder.model_id}: set `model` back, or try the new one with `foreshock regroup "
            "--model FOLDER --rehearse` under the old setting", pointer="model",
        )  # fmt: skip
    clock = BusinessClock(runtime.settings.time_zone)
    since = (tickets.newest(session) or EPOCH) - SERIES_KEPT
    book = Book()
    book.know(topics.every(session))
    for topic_id, at, ticket, customer, live in topics.rows_of(session, None, since=since):
        book.add(topic_id, at, ticket, customer, live=live)
    thresholds = sources.note(session, THRESHOLDS)
    held = Memory(
        grouping=_grouping(runtime, session, parameters(runtime, thresholds), note.get("consolidated_at")),
        hood=_neighbourhood(runtime, session, sources.note(session, HOOD) or note.get("hood", {})),
        book=book,
        clock=clock,
        turn=note.get("turn", 0),
        model_id=runtime.embedder.model_id,
        thresholds=thresholds,
        fresh=set(note.get("fresh", ())),
    )
    if note.get("words_at"):
        held.learn_words(session, datetime.fromisoformat(note["words_at"]))
    return held


def parameters(runtime: Runtime, thresholds: Mapping[str, Any]) -> Parameters:
    """As calibrated, until the dial is turned."""
    dial = runtime.settings.granularity
    return Parameters(join=thresholds["join"] if thresholds.get("set_at") == dial else JOIN[dial])


def _grouping(runtime: Runtime, session: Session, limits: Parameters, consolidated: str | None) -> Grouping:
    last = datetime.fromisoformat(consolidated) if consolidated else None
    edits = tuple(
        Edit(id=e.id, kind=EditKind(e.kind), at=e.at, actor=e.actor, patterns=e.patterns, tickets=e.tickets,
             undoes=e.undoes)
        for e in patterns.edits(session) if e.kind in set(EditKind)
    )  # fmt: skip
    found = tickets.in_memory(
        session,
        members_since=last - timedelta(days=limits.active_days) if last else EPOCH,
        pool_since=last - timedelta(days=limits.pool_days) if last else EPOCH,
        kept=sorted({ticket for edit in edits for ticket in edit.tickets}),
    )
    rules = {t: p.rule for t, p in patterns.placements(session, [t.id for t in found]).items()}
    items = items_of(runtime, session, found)
    homes = {t.id: t.pattern_id for t in found}
    return Grouping.restore(
        Snapshot(
            patterns=tuple(_row(s) for s in patterns.sums(session)),
            members=tuple(Member(i, home, rules[i.ticket_id]) for i in items if (home := homes[i.ticket_id])),
            pool=tuple(i for i in items if not homes[i.ticket_id]),
            edits=edits,
            consolidated_at=last,
            dirty=True,
        ),
        dim=runtime.embedder.dim + WIDTH,
        parameters=limits,
    )


def _row(s: Sums) -> PatternRow:
    return PatternRow(
        id=s.id, founded_at=s.founded_at, last_at=s.last_at, count=s.vector_count, vector_sum=s.vector_sum,
        signatures=s.signature_counts, generic=frozenset(s.generic_keys), touched=s.touched,
        split_from=s.split_from, merged_into=s.merged_into, dissolved=s.dissolved,
        anchors=tuple(Anchor(a["edit"], b64decode(a["vector_sum"]), a["count"]) for a in s.anchors),
    )  # fmt: skip


def sums(row: PatternRow) -> Sums:
    """An engine's pattern as it is stored."""
    anchors = tuple(
        {"edit": a.edit, "vector_sum": b64encode(a.vector_sum).decode(), "count": a.count}
        for a in row.anchors
    )
    return Sums(
        row.id, row.founded_at, row.last_at, row.count, row.vector_sum, dict(row.signatures),
        tuple(sorted(row.generic)), anchors, row.touched, row.split_from, row.merged_into, row.dissolved,
    )  # fmt: skip


def items_of(runtime: Runtime, session: Session, found: Sequence[Ticket]) -> list[Item]:
    """Stored tickets as the grouping engine sees them; those without a vector are left out."""
    ids = [t.id for t in found]
    vectors = tickets.vectors_of(session, runtime.embedder.model_id, ids)
    filed = tickets.filed_under(session, ids)
    shown = _signatures(session, ids)
    return [
        Item(t.id, t.created_at, t.customer, with_component(vectors[t.id], filed[t.id]), shown.get(t.id, ()))
        for t in found if t.id in vectors
    ]  # fmt: skip


def _signatures(session: Session, ids: Sequence[str]) -> dict[str, tuple[Signature, ...]]:
    """The signatures of those tickets that show some, as they were digested."""
    return {
        id_: tuple(Signature(topic.key, "", topic.label, topic.generic) for topic in shown)
        for id_, shown in topics.of_tickets(session, ids, TopicKind.SIGNATURE).items()
    }


def _neighbourhood(runtime: Runtime, session: Session, state: dict[str, Any]) -> Neighbourhood:
    limits = ScanSettings(per_1000=runtime.settings.clusters_per_1000)
    if not state:
        return Neighbourhood(limits)
    newest = tickets.newest(session) or EPOCH
    found = tickets.digested_since(session, newest - limits.memory - limits.window, runtime.embedder.model_id)
    ids = [t.id for t in found]
    vectors = tickets.vectors_of(session, runtime.embedder.model_id, ids)  # none of what was deleted since
    shown = _signatures(session, ids)
    docs = [doc(t, vectors[t.id], shown.get(t.id, ())) for t in found if t.id in vectors]
    return Neighbourhood.restore(sources.terms(session), state, docs, settings=limits)


def doc(ticket: Ticket, vector: NDArray[np.float16], found: Sequence[Signature]) -> Doc:
    """A ticket with its vector (dim,) and signatures, as the neighbourhood scan sees it."""
    return Doc(
        ticket.id, ticket.created_at, ticket.customer, ticket.subject, ticket.body, vector,
        codes=tuple(s.key for s in found if not s.generic),
        frames=tuple(frames(ticket.body)), error_lines=tuple(error_lines(ticket.body)),
    )  # fmt: skip


def topic_of(pattern_id: str) -> str:
    return topics.topic_id(TopicKind.PATTERN, pattern_id)


def sighting(ticket: Ticket, topic_id: str) -> Sighting:
    return Sighting(ticket.id, topic_id, ticket.created_at, ticket.customer, live=not ticket.backfill)
