"""What patterns are called: named when founded, named again while they are young, then left alone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlmodel import Session

from app.detectors import label
from app.domain import Ticket, TopicKind
from app.pipeline.memory import Memory
from app.store import patterns, tickets, topics

NEW = "New pattern"
FROZEN_AT = 20  # members from which on a name stays
GROWTH = 1.5  # a young pattern is named again when it has grown by this factor
SHARE = 0.3  # of members showing a signature: it leads the name
READ = 60  # members read for a name; above FROZEN_AT, so that the number read tells whether it stays


def name(session: Session, memory: Memory, id_: str, members: Sequence[Ticket]) -> None:
    """Give a pattern the name its members (oldest first) suggest; a name a person gave stays."""
    pattern = patterns.resolve(session, id_)
    if pattern.name_by != "engine" or not members:
        return
    signature = _signature(session, [t.id for t in members])
    texts = [(t.subject, t.body) for t in members]
    made = label.name(texts, signature=signature, background=memory.words)
    patterns.change(session, id_, name=made.title, phrases=made.phrases, signature=signature,
                    named_tickets=len(members))  # fmt: skip
    topic = memory.book.topic(topics.topic_id(TopicKind.PATTERN, id_))
    topics.relabel(session, topic.id, made.title)
    memory.book.know([topics.topic(topic.kind, topic.key, made.title, topic.first_at)])


def _signature(session: Session, members: Sequence[str]) -> str:
    """The label of the specific signature most members show, when enough of them do."""
    shown = topics.of_tickets(session, members, TopicKind.SIGNATURE)
    counts: dict[str, int] = {}
    for found in shown.values():
        for topic in found:
            if not topic.generic:
                counts[topic.label] = counts.get(topic.label, 0) + 1
    best = min(counts, key=lambda lab: (-counts[lab], lab), default="")
    return best if best and counts[best] >= SHARE * len(members) else ""


def nightly(session: Session, memory: Memory, night: datetime) -> None:
    """Learn the desk's words of the last quarter, and name young patterns that have grown again."""
    memory.learn_words(session, night)
    for id_ in patterns.to_name(session, until=FROZEN_AT, growth=GROWTH):
        name(session, memory, id_, tickets.members(session, id_, limit=READ)[::-1])
