"""Topics and their sightings: the only stored counts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import delete, func, select, update
from sqlmodel import Session

from app.domain import EPOCH, Sighting, Topic, TopicKind, sortable_id
from app.store.records import columns, insert_ignoring, record, table
from app.store.tables import SightingRow, TopicRow
from app.store.tickets import chunks

_S, _T = table(SightingRow).c, table(TopicRow).c


def topic(kind: TopicKind, key: str, label: str, first_at: datetime, *, generic: bool = False) -> Topic:
    """A topic with its id, which depends on kind and key only."""
    return Topic(topic_id(kind, key), kind, key, label, first_at, generic)


def topic_id(kind: TopicKind, key: str) -> str:
    return sortable_id("top", EPOCH, kind, key)


def ensure(session: Session, topics: Iterable[Topic]) -> None:
    """Insert the topics that are not there yet."""
    insert_ignoring(session, TopicRow, [columns(t) for t in topics])


def by_ids(session: Session, ids: Sequence[str]) -> dict[str, Topic]:
    found: dict[str, Topic] = {}
    for some in chunks(ids):
        rows = session.scalars(select(TopicRow).where(_T.id.in_(some)))
        found |= {row.id: record(Topic, row) for row in rows}
    return found


def relabel(session: Session, topic: str, label: str) -> None:
    session.execute(update(TopicRow).where(_T.id == topic).values(label=label))


def mute(session: Session, topic: str, *, muted: bool) -> None:
    session.execute(update(TopicRow).where(_T.id == topic).values(muted=muted))


def muted(session: Session) -> set[str]:
    """Topics nobody wants to hear of."""
    return set(session.scalars(select(_T.id).where(_T.muted)))


def replace_sightings(session: Session, ticket_ids: Sequence[str], sightings: Sequence[Sighting]) -> None:
    """Make `sightings` the only ones of these tickets: doing it twice counts once."""
    for some in chunks(ticket_ids):
        session.execute(delete(SightingRow).where(_S.ticket_id.in_(some)))
    if sightings:
        session.execute(table(SightingRow).insert(), [columns(s) for s in sightings])


def shown_by(session: Session, ticket_ids: Sequence[str]) -> dict[str, list[str]]:
    """Which of these tickets show which topic."""
    found: dict[str, list[str]] = {}
    for some in chunks(ticket_ids):
        rows = session.execute(select(_S.topic_id, _S.ticket_id).where(_S.ticket_id.in_(some)))
        for topic, ticket in rows:
            found.setdefault(topic, []).append(ticket)
    return found


def add_sightings(session: Session, sightings: Sequence[Sighting]) -> None:
    insert_ignoring(session, SightingRow, [columns(s) for s in sightings])


def forget(session: Session, topic: str, ticket_ids: Sequence[str]) -> None:
    """These tickets do not show the topic any more."""
    for some in chunks(ticket_ids):
        session.execute(delete(SightingRow).where(_S.ticket_id.in_(some), _S.topic_id == topic))


def merge(session: Session, loser: str, survivor: str) -> None:
    """All sightings of one topic become the other's."""
    session.execute(update(SightingRow).where(_S.topic_id == loser).values(topic_id=survivor))


def active(session: Session, since: datetime) -> int:
    """How many topics were seen since then."""
    query = select(func.count(func.distinct(_S.topic_id))).where(_S.at >= since)
    return session.scalar(query) or 0


def of_tickets(session: Session, ticket_ids: Sequence[str], kind: TopicKind) -> dict[str, list[Topic]]:
    """The topics of one kind each ticket shows."""
    found: dict[str, list[Topic]] = {}
    for some in chunks(ticket_ids):
        query = (
            select(_S.ticket_id, TopicRow)
            .join(TopicRow, _T.id == _S.topic_id)
            .where(_S.ticket_id.in_(some), _T.kind == kind.value)
            .order_by(_S.seq)
        )
        for ticket_id, row in session.execute(query):
            found.setdefault(ticket_id, []).append(record(Topic, row))
    return found


def tickets_between(session: Session, topic_ids: Sequence[str], start: datetime, end: datetime) -> list[str]:
    """Tickets that show one of these topics in [start, end), oldest first."""
    query = select(_S.ticket_id).where(_S.topic_id.in_(topic_ids), _S.at >= start, _S.at < end)
    return list(dict.fromkeys(session.scalars(query.order_by(_S.at, _S.ticket_id))))


def rows_of(
    session: Session, topic_ids: Sequence[str] | None, *, since: datetime
) -> list[tuple[str, float, str, str, bool]]:
    """(topic, Unix seconds, ticket, customer, live) of sightings after `since`, of some topics or of all."""
    query = select(_S.topic_id, _S.at, _S.ticket_id, _S.customer, _S.live).where(_S.at > since)
    if topic_ids is None:
        return [(t, at.timestamp(), k, c, live) for t, at, k, c, live in session.execute(query)]
    return [
        (t, at.timestamp(), k, c, live)
        for some in chunks(topic_ids)
        for t, at, k, c, live in session.execute(query.where(_S.topic_id.in_(some)))
    ]


def every(session: Session) -> list[Topic]:
    return [record(Topic, row) for row in session.scalars(select(TopicRow).order_by(_T.id))]
