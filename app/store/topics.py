"""Topics and their sightings: the only stored counts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import numpy as np
from sqlalchemy import delete, func, select, update
from sqlmodel import Session

from app.domain import EPOCH, Series, Sighting, Topic, TopicKind, sortable_id
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


def replace_sightings(session: Session, ticket_ids: Sequence[str], sightings: Sequence[Sighting]) -> None:
    """Make `sightings` the only ones of these tickets: doing it twice counts once."""
    for some in chunks(ticket_ids):
        session.execute(delete(SightingRow).where(_S.ticket_id.in_(some)))
    if sightings:
        session.execute(table(SightingRow).insert(), [columns(s) for s in sightings])


def move_pattern(session: Session, ticket_ids: Sequence[str], old: str | None, new: str | None) -> None:
    """Let the tickets' pattern sightings follow them from one pattern topic to another."""
    for some in chunks(ticket_ids):
        if old is not None:
            session.execute(delete(SightingRow).where(_S.ticket_id.in_(some), _S.topic_id == old))
        if new is not None:
            desk = topic_id(TopicKind.DESK, "desk")
            rows = session.execute(
                select(_S.ticket_id, _S.at, _S.customer, _S.live).where(
                    _S.ticket_id.in_(some), _S.topic_id == desk
                )
            )
            values = [{"topic_id": new, **row._asdict()} for row in rows]
            insert_ignoring(session, SightingRow, values)


def seen_after(session: Session, seq: int) -> tuple[set[str], int]:
    """Topics with a live sighting stored after sequence number `seq`, and the newest number."""
    newest = session.scalar(select(func.max(_S.seq))) or 0
    query = select(_S.topic_id).where(_S.seq > seq, _S.live).distinct()
    return set(session.scalars(query)), newest


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


def series(
    session: Session, topic_ids: Sequence[str], *, since: datetime, until: datetime
) -> dict[str, Series]:
    """Each topic's sightings in (since, until], sorted by (time, ticket)."""
    rows: dict[str, list[tuple[float, str, str, bool]]] = {t: [] for t in topic_ids}
    for some in chunks(topic_ids):
        query = select(_S.topic_id, _S.at, _S.ticket_id, _S.customer, _S.live).where(
            _S.topic_id.in_(some), _S.at > since, _S.at <= until
        )
        for topic_, at, ticket, customer, live in session.execute(query):
            rows[topic_].append((at.timestamp(), ticket, customer, live))
    topics = by_ids(session, topic_ids)
    return {id_: as_series(topics[id_], found) for id_, found in rows.items() if id_ in topics}


def as_series(topic: Topic, rows: list[tuple[float, str, str, bool]]) -> Series:
    """(time, ticket, customer, live) rows in any order as a Series."""
    rows = sorted(rows)
    codes: dict[str, int] = {}
    return Series(
        topic=topic,
        at=np.array([r[0] for r in rows], np.float64),
        customer=np.array([codes.setdefault(r[2], len(codes)) for r in rows], np.int64),
        live=np.array([r[3] for r in rows], np.bool_),
        ticket_ids=tuple(r[1] for r in rows),
    )


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
