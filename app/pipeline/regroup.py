"""What the grouping engine decided, written down: memberships, reasons, patterns, lineage, events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlmodel import Session

from app.detectors.grouping import ENGINE, Decision, Revision, RevisionKind
from app.domain import Pattern, PatternState, Placement, Ticket, TopicKind
from app.pipeline import naming
from app.pipeline.memory import Memory, sighting, sums, topic_of
from app.runtime import Runtime
from app.store import events, patterns, tickets, topics

Act = tuple[datetime, Decision | Revision]
"""When, in ticket time, the engine decided what."""


@dataclass
class Written:
    """What a sequence of acts came to."""

    founded: dict[str, tuple[datetime, tuple[str, ...]]] = field(
        default_factory=dict
    )  # when, of which tickets
    touched: Counter[str] = field(default_factory=Counter)  # changes of each pattern
    homes: dict[str, str | None] = field(default_factory=dict)
    reasons: list[Placement] = field(default_factory=list)


def write_down(
    runtime: Runtime, session: Session, memory: Memory, acts: Sequence[Act], *, actor: str = "engine"
) -> Written:
    """Write the acts down in their order; tickets, sightings, counts and the engine's sums follow."""
    done = Written()
    engine = f"{ENGINE}/{runtime.embedder.model_id}"
    for at, act in acts:
        if isinstance(act, Decision):
            _decide(session, memory, act, at, done, engine)
        else:
            _revise(session, memory, act, done, actor)
            to = _destination(act)
            done.reasons += [
                Placement(t, to, act.at, act.reason, act.score, None, 0.0, engine) for t in act.ticket_ids
            ]
    patterns.place(session, done.reasons)
    _rehome(session, memory, done.homes)
    patterns.recount(session, done.touched)
    patterns.save_sums(session, [sums(memory.grouping.row(id_)) for id_ in done.touched])
    for id_, (at, members) in done.founded.items():
        _name(session, memory, id_, at, members)
    return done


def _decide(
    session: Session, memory: Memory, act: Decision, at: datetime, done: Written, engine: str
) -> None:
    if act.pattern_id and act.new:
        _found(session, memory, act.pattern_id, at, done, (act.ticket_id, *act.members))
    for ticket in (act.ticket_id, *act.members):
        done.homes[ticket] = act.pattern_id
        done.reasons.append(
            Placement(
                ticket, act.pattern_id, at, act.rule, act.score, act.runner_up, act.runner_up_score, engine
            )
        )
    if act.pattern_id:
        done.touched[act.pattern_id] += 1
        if act.returned:
            events.write(session, "pattern.returned", act.pattern_id, about(act.pattern_id), at=at)


def _destination(act: Revision) -> str | None:
    match act.kind:
        case RevisionKind.MOVED | RevisionKind.SPLIT | RevisionKind.MERGED:
            return act.other_id
        case RevisionKind.FOUNDED | RevisionKind.RESTORED:
            return act.pattern_id
        case _:
            return None


def _revise(session: Session, memory: Memory, act: Revision, done: Written, actor: str) -> None:
    one, other = act.pattern_id, act.other_id
    done.touched.update(id_ for id_ in (one, other) if id_ is not None)
    match act.kind:
        case RevisionKind.FOUNDED if one:
            _found(session, memory, one, act.at, done, act.ticket_ids)
        case RevisionKind.SPLIT if one and other:
            _found(session, memory, other, act.at, done, act.ticket_ids, split_from=one)
            _tell(session, "pattern.split", one, act, actor, into=other)
        case RevisionKind.MERGED if one and other:
            _merge(session, memory, one, other, done)
            _tell(session, "pattern.merged", one, act, actor, merged_into=other)
        case RevisionKind.RESTORED if one:
            patterns.change(session, one, merged_into=None, state=PatternState.WATCHING.value)
            _tell(session, "pattern.restored", one, act, actor)
        case RevisionKind.DISSOLVED if one:
            _tell(session, "pattern.dissolved", one, act, actor)
        case _:
            pass
    done.homes |= dict.fromkeys(act.ticket_ids, _destination(act))


def _found(
    session: Session,
    memory: Memory,
    id_: str,
    at: datetime,
    done: Written,
    members: tuple[str, ...],
    *,
    split_from: str | None = None,
) -> None:
    row = memory.grouping.row(id_)
    patterns.create(
        session,
        Pattern(id=id_, name=naming.NEW, name_by="engine", founded_at=at, first_at=row.founded_at,
                last_at=row.last_at, split_from=split_from),
    )  # fmt: skip
    topic = topics.topic(TopicKind.PATTERN, id_, naming.NEW, row.founded_at)
    topics.ensure(session, [topic])
    memory.book.know([topic])
    done.founded[id_] = (at, members)


def _merge(session: Session, memory: Memory, loser: str, survivor: str, done: Written) -> None:
    patterns.merge(session, loser, survivor)
    old, new = topic_of(loser), topic_of(survivor)
    topics.merge(session, old, new)
    memory.book.merge(old, new)
    done.homes |= {ticket: survivor for ticket, home in done.homes.items() if home == loser}
    done.founded.pop(loser, None)


def _rehome(session: Session, memory: Memory, homes: Mapping[str, str | None]) -> None:
    """Set every ticket's pattern and let its sighting of the pattern follow."""
    before = tickets.by_ids(session, list(homes))
    leaving: dict[str, list[str]] = {}
    entering: dict[str | None, list[Ticket]] = {}
    for id_, home in homes.items():
        ticket = before[id_]
        if ticket.pattern_id != home:
            if ticket.pattern_id is not None:
                leaving.setdefault(ticket.pattern_id, []).append(id_)
            entering.setdefault(home, []).append(ticket)
    for pattern, gone in leaving.items():
        topics.forget(session, topic_of(pattern), gone)
        memory.book.drop(topic_of(pattern), gone)
    for home, come in entering.items():
        tickets.set_pattern(session, [t.id for t in come], home)
        if home is not None:
            sightings = [sighting(t, topic_of(home)) for t in come]
            topics.add_sightings(session, sightings)
            memory.take(sightings)


def _tell(session: Session, type_: str, id_: str, act: Revision, actor: str, **more: Any) -> None:
    data = about(id_) | {"tickets": len(act.ticket_ids), "reason": act.reason, **more}
    events.write(session, type_, id_, data, at=act.at, actor=actor)


def _name(session: Session, memory: Memory, id_: str, at: datetime, members: tuple[str, ...]) -> None:
    """Name a new pattern by the tickets that founded it, and tell of it."""
    found = list(tickets.by_ids(session, members).values())
    naming.name(session, memory, id_, sorted(found, key=lambda t: (t.created_at, t.id)))
    made = patterns.resolve(session, id_)
    data = about(id_) | {
        "name": made.name, "tickets": len(found), "customers": len({t.customer for t in found}),
        "ticket_ids": sorted(members), "split_from": made.split_from,
    }  # fmt: skip
    events.write(session, "pattern.created", id_, data, at=at)


def about(id_: str) -> dict[str, Any]:
    """What every event about a pattern says: its id and where to look at it."""
    return {"pattern_id": id_, "links": {"page": f"/patterns/{id_}", "pattern": f"/v1/patterns/{id_}"}}
