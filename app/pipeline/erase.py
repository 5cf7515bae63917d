"""Erasure: what one person or one ticket said, at once and for good; and what has outlived its retention.

Both reach text, names, vectors, what is quoted of them on pages, in briefs and in similar cases (all are
read from the tickets when they are shown), names that patterns, alerts and events took from a ticket, and
the answers that were logged. An erased ticket is not taken again when its source says it once more.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta

from sqlmodel import Session

from app.detectors.grouping import Decision
from app.domain import Ticket, TopicKind
from app.errors import Invalid, NotFound
from app.ingest import normalise
from app.pipeline import memory, naming, regroup
from app.pipeline.memory import Memory
from app.runtime import Runtime
from app.store import audit, erasure, patterns, sources, tickets, topics

BATCH = 500
TOLD = 0.8  # share of a name's words in a subject, from which on the name was taken from it
WORD = re.compile(r"\w{3,}")
_HASH = re.compile(r"[0-9a-f]{16,64}")


def erase_ticket(runtime: Runtime, id_: str, *, actor: str) -> int:
    """Erase one ticket; how many were (0 when it was erased before)."""
    with runtime.store.read() as session:
        found = tickets.get(session, id_)
    ids = [] if found.content_hash == tickets.ERASED else [id_]
    _erase(runtime, ids, subject=id_, actor=actor)
    return len(ids)


def filed_by(runtime: Runtime, requester: str) -> list[str]:
    """Ids of the tickets a person filed, whichever source they came by, oldest first; NotFound when none.

    `requester` is the address or id the source knows the person by, or the keyed hash shown with a ticket.
    """
    if not requester.strip():
        raise Invalid("say who: the address or id their tickets came with", pointer="/requester")
    with runtime.store.read() as session:
        names = [h.name for h in sources.health(session)]
        hashes = sorted({normalise.identity(n, requester, key=runtime.key) for n in names})
        if _HASH.fullmatch(requester.strip()):
            hashes.append(requester.strip())
        ids = erasure.of_requesters(session, hashes)
    if not ids:
        raise NotFound("no ticket is by that person: check the address or id their tickets came with")
    return ids


def erase_requester(runtime: Runtime, requester: str, *, actor: str) -> int:
    """Erase all a person filed (see `filed_by`); how many tickets."""
    ids = filed_by(runtime, requester)
    for start in range(0, len(ids), BATCH):
        _erase(runtime, ids[start : start + BATCH], subject="a requester", actor=actor)
    return len(ids)


def _erase(runtime: Runtime, ids: Sequence[str], *, subject: str, actor: str) -> None:
    at = runtime.now()
    with memory.turn(runtime) as held:
        with runtime.store.read() as session:
            found = tickets.by_ids(session, ids)
            homes = sorted({t.pattern_id for t in found.values() if t.pattern_id})
            for item in memory.items_of(runtime, session, list(found.values())):
                home = found[item.ticket_id].pattern_id
                if home is not None:
                    held.grouping.recall(item, home)
        for id_ in ids:
            held.grouping.remove(id_)
        with runtime.store.write() as session:
            acts = [(found[id_].created_at, Decision(id_, None, "deleted")) for id_ in ids]
            regroup.write_down(runtime, session, held, acts, actor=actor)
            _forget(runtime, session, held, ids)
            erasure.erase(session, ids, at=at)
            for home in homes:
                _rename(session, held, home, list(found.values()))
            patterns.recount(session, dict.fromkeys(homes, 1))
            patterns.save_sums(session, [memory.sums(held.grouping.row(home)) for home in homes])
            audit.write(session, "tickets.erased", subject, {"tickets": len(ids)}, at=at, actor=actor)
            memory.keep(session, held)
        runtime.memory = None  # it knew the words; every process reads its own again


def _forget(runtime: Runtime, session: Session, held: Memory, ids: Sequence[str]) -> None:
    """No count and no vector of these tickets stays."""
    for topic_id, shown in topics.shown_by(session, ids).items():
        held.book.drop(topic_id, shown)
    topics.replace_sightings(session, ids, [])
    tickets.save_vectors(session, runtime.embedder.model_id, [(id_, "", None) for id_ in ids])


def _rename(session: Session, held: Memory, pattern_id: str, gone: Sequence[Ticket]) -> None:
    """Call a pattern otherwise when its name was taken from an erased ticket that no other one repeats."""
    before = patterns.resolve(session, pattern_id)
    members = tickets.members(session, pattern_id, limit=naming.READ)[::-1]
    rest = " ".join(f"{t.subject} {t.body}" for t in members).casefold()
    phrases = tuple(p for p in before.phrases if p.casefold() in rest)
    if phrases != before.phrases:
        patterns.change(session, pattern_id, phrases=phrases)
    taken = any(_told(before.name, t.subject) for t in gone)
    if before.name_by != "engine" or not taken or any(_told(before.name, t.subject) for t in members):
        return
    name = before.signature or naming.NEW
    patterns.change(session, pattern_id, name=name)
    topics.relabel(session, topics.topic_id(TopicKind.PATTERN, pattern_id), name)
    naming.name(session, held, pattern_id, members)
    after = patterns.resolve(session, pattern_id).name
    erasure.replace_name(session, pattern_id, before.name, after)


def _told(name: str, subject: str) -> bool:
    words = set(WORD.findall(name.casefold()))
    return bool(words) and len(words & set(WORD.findall(subject.casefold()))) >= TOLD * len(words)


def expire(runtime: Runtime) -> bool:
    """Erase text, names and vectors of one batch that is older than `retention_days`; True when more is left."""
    days = runtime.settings.retention_days
    if days is None:
        return False
    at = runtime.now()
    before = at - timedelta(days=days)
    with runtime.store.read() as session:
        ids = erasure.expired(session, before, limit=BATCH)
    with runtime.store.write() as session:
        erasure.expire_logs(session, before)
        if ids:
            erasure.expire(session, ids)
            tickets.save_vectors(session, runtime.embedder.model_id, [(id_, "", None) for id_ in ids])
            audit.write(session, "tickets.expired", "retention", {"tickets": len(ids), "days": days}, at=at,
                        actor="retention")  # fmt: skip
    return len(ids) == BATCH
