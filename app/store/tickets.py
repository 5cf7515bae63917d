"""Tickets: stored once by (source, external id), digested once per content."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import and_, func, or_, select, update
from sqlmodel import Session

from app.domain import Status, Ticket, TicketDraft, sortable_id
from app.errors import NotFound
from app.store.paging import Slice, page
from app.store.records import columns, record, says, table
from app.store.tables import TicketRow, VectorRow

_T, _V = table(TicketRow).c, table(VectorRow).c
ERASED = "erased"  # content hash of a ticket that is never taken again
CHUNK = 500  # bound parameters per IN list


@dataclass(frozen=True, slots=True)
class Accepted:
    """What one write did: ids by outcome, in the order given."""

    new: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Known:
    """What is stored of a ticket that a source says again."""

    id: str
    content_hash: str
    updated_at: datetime
    body: str
    subject: str


def chunks(values: Sequence[str]) -> Iterable[Sequence[str]]:
    for start in range(0, len(values), CHUNK):
        yield values[start : start + CHUNK]


def known(session: Session, source: str, external_ids: Sequence[str]) -> dict[str, Known]:
    """What is already stored, by external id."""
    found: dict[str, Known] = {}
    wanted = (_T.external_id, _T.id, _T.content_hash, _T.updated_at, _T.body, _T.subject)
    for some in chunks(external_ids):
        query = select(*wanted).where(_T.source == source, _T.external_id.in_(some))
        for external_id, id_, content_hash, updated_at, body, subject in session.execute(query):
            found[external_id] = Known(id_, content_hash, updated_at, body, subject)
    return found


def save(session: Session, drafts: Sequence[TicketDraft], *, seen_at: datetime) -> Accepted:
    """Insert new tickets and overwrite those whose content changed and is not older.

    A changed text sends the ticket through digestion again; any other change does not.
    """
    stored: dict[tuple[str, str], Known] = {}
    for source in {draft.source for draft in drafts}:
        mine = [d.external_id for d in drafts if d.source == source]
        stored |= {(source, e): k for e, k in known(session, source, mine).items()}
    new, changed, unchanged, inserts, updates = [], [], [], [], []
    for draft in {(d.source, d.external_id): d for d in drafts}.values():
        before = stored.get((draft.source, draft.external_id))
        if before is None:
            id_ = sortable_id("tkt", draft.created_at, draft.source, draft.external_id)
            inserts.append(
                _row(draft) | {"id": id_, "seen_at": seen_at, "digested_at": None, "pattern_id": None}
            )
            new.append(id_)
        elif before.content_hash in (draft.content_hash, ERASED) or draft.updated_at < before.updated_at:
            unchanged.append(before.id)
        else:
            values = _row(draft)
            del values["backfill"]
            if (before.subject, before.body) != (draft.subject, draft.body):
                values["digested_at"] = None
            updates.append(values | {"id": before.id})
            changed.append(before.id)
    if inserts:
        session.execute(table(TicketRow).insert(), inserts)
    for values in updates:
        session.execute(update(TicketRow).where(_T.id == values["id"]).values(**values))
    return Accepted(tuple(new), tuple(changed), tuple(unchanged))


def _row(draft: TicketDraft) -> dict[str, Any]:
    values = columns(draft)
    values["customer"] = draft.account or draft.requester or "unknown"
    return values


def delete(session: Session, source: str, external_ids: Sequence[str]) -> tuple[str, ...]:
    """Mark tickets as deleted at their source: the text goes at once, the rest with the next digestion.

    When they were last changed stays, so that a ticket restored at the source is taken again.
    """
    stored = known(session, source, external_ids)
    gone = [k.id for k in stored.values()]
    for some in chunks(gone):
        session.execute(
            update(TicketRow)
            .where(_T.id.in_(some), _T.status != Status.DELETED.value, _T.content_hash != ERASED)
            .values(status=Status.DELETED.value, subject="", body="", resolution="", digested_at=None,
                    content_hash="deleted")
        )  # fmt: skip
    return tuple(gone)


def undigested(session: Session, *, limit: int, until: datetime | None = None) -> list[Ticket]:
    """The oldest tickets not yet digested, by (created_at, id)."""
    query = select(TicketRow).where(_T.digested_at.is_(None))
    if until is not None:
        query = query.where(_T.created_at <= until)
    query = query.order_by(_T.created_at, _T.id).limit(limit)
    return [record(Ticket, row) for row in session.scalars(query)]


def count_undigested(session: Session) -> int:
    return session.scalar(select(func.count()).where(_T.digested_at.is_(None))) or 0


def mark_digested(session: Session, ticket_ids: Sequence[str], *, at: datetime) -> None:
    for some in chunks(ticket_ids):
        session.execute(update(TicketRow).where(_T.id.in_(some)).values(digested_at=at))


def set_pattern(session: Session, ticket_ids: Sequence[str], pattern_id: str | None) -> None:
    for some in chunks(ticket_ids):
        session.execute(update(TicketRow).where(_T.id.in_(some)).values(pattern_id=pattern_id))


def get(session: Session, id_: str) -> Ticket:
    row = session.get(TicketRow, id_)
    if row is None:
        raise NotFound(f"there is no ticket {id_}")
    return record(Ticket, row)


def by_ids(session: Session, ids: Sequence[str]) -> dict[str, Ticket]:
    found: dict[str, Ticket] = {}
    for some in chunks(ids):
        rows = session.scalars(select(TicketRow).where(_T.id.in_(some)))
        found |= {row.id: record(Ticket, row) for row in rows}
    return found


def members(session: Session, pattern_id: str, *, limit: int | None = None) -> list[Ticket]:
    """A pattern's tickets, newest first."""
    query = (
        select(TicketRow)
        .where(_T.pattern_id == pattern_id)
        .order_by(_T.created_at.desc(), _T.id.desc())
        .limit(limit)
    )
    return [record(Ticket, row) for row in session.scalars(query)]


def between(session: Session, start: datetime, end: datetime, *, most: int | None = None) -> list[Ticket]:
    """Live tickets created in [start, end), oldest first; of more than `most` an even sample by id."""
    query = select(TicketRow).where(_T.created_at >= start, _T.created_at < end)
    query = query.where(_T.status != Status.DELETED.value)
    if most is not None:
        # The last characters of an id are a hash: their order is as good as a shuffle, and always the same.
        drawn = query.order_by(func.substr(_T.id, 23), _T.id).limit(most)
        found = [record(Ticket, row) for row in session.scalars(drawn)]
        return sorted(found, key=lambda t: (t.created_at, t.id))
    return [record(Ticket, row) for row in session.scalars(query.order_by(_T.created_at, _T.id))]


def texts(session: Session, start: datetime, end: datetime, *, most: int) -> list[tuple[str, str]]:
    """(subject, body) of the newest tickets created in [start, end), at most so many."""
    query = select(_T.subject, _T.body).where(_T.created_at >= start, _T.created_at < end)
    newest = query.order_by(_T.created_at.desc(), _T.id.desc()).limit(most)
    return [(subject, body) for subject, body in session.execute(newest)]


FILTERS = ("source", "status", "pattern", "product", "version", "language", "channel", "text")


def search(
    session: Session, filters: dict[str, str], *, cursor: str | None = None, limit: int = 50
) -> Slice[Ticket]:
    """Tickets that match every filter (see FILTERS), newest first."""
    query = select(TicketRow)
    for name, value in filters.items():
        query = query.where(_condition(name, value))
    rows, following = page(
        lambda q: session.scalars(q).all(), query, (_T.created_at, _T.id),
        filters=filters, cursor=cursor, limit=limit, key=lambda row: (row.created_at, row.id),
    )  # fmt: skip
    return Slice(tuple(record(Ticket, row) for row in rows), following)


def _condition(name: str, value: str) -> Any:
    if name == "text":
        return or_(says(_T.subject, value), says(_T.body, value))
    if name in ("source", "status"):
        return _T[name] == value
    if name == "pattern":
        return _T.pattern_id == value
    return _T.attributes[name].as_string() == value


def matching(session: Session, filters: dict[str, str]) -> set[str]:
    """Ids of all tickets that match every filter."""
    query = select(_T.id)
    for name, value in filters.items():
        query = query.where(_condition(name, value))
    return set(session.scalars(query))


def counts_by_pattern(session: Session, pattern_id: str) -> tuple[int, int, datetime | None, datetime | None]:
    """(tickets, customers, first, last) of a pattern's members."""
    row = session.execute(
        select(
            func.count(), func.count(func.distinct(_T.customer)),
            func.min(_T.created_at), func.max(_T.created_at),
        ).where(_T.pattern_id == pattern_id)
    ).one()  # fmt: skip
    return int(row[0]), int(row[1]), row[2], row[3]


def total(session: Session) -> int:
    return session.scalar(select(func.count()).select_from(TicketRow)) or 0


def external_ids(session: Session, source: str) -> list[str]:
    """Of every ticket of a source that is stored and not deleted."""
    query = select(_T.external_id).where(_T.source == source, _T.status != Status.DELETED.value)
    return list(session.scalars(query))


def oldest(session: Session) -> datetime | None:
    """When the first ticket was filed."""
    found: datetime | None = session.scalar(
        select(func.min(_T.created_at)).where(_T.status != Status.DELETED.value)
    )
    return found


def newest(session: Session) -> datetime | None:
    found: datetime | None = session.scalar(select(func.max(_T.created_at)))
    return found


def in_memory(
    session: Session, *, members_since: datetime, pool_since: datetime, kept: Sequence[str]
) -> list[Ticket]:
    """What the grouping engine holds: members and ungrouped tickets of its windows, and those kept."""
    current = or_(
        and_(_T.pattern_id.isnot(None), _T.created_at >= members_since),
        and_(_T.pattern_id.is_(None), _T.created_at >= pool_since),
    )
    query = select(TicketRow).where(_T.digested_at.isnot(None), _T.status != Status.DELETED.value)
    found = {row.id: record(Ticket, row) for row in session.scalars(query.where(current))}
    for some in chunks(kept):
        found |= {row.id: record(Ticket, row) for row in session.scalars(query.where(_T.id.in_(some)))}
    return [found[id_] for id_ in sorted(found)]


def digested_since(session: Session, at: datetime, model_id: str) -> list[Ticket]:
    """Tickets created since `at`, in the order they were digested."""
    first = (
        select(_V.ticket_id, func.min(_V.seq).label("seq"))
        .where(_V.model_id == model_id)
        .group_by(_V.ticket_id)
        .subquery()
    )
    query = (
        select(TicketRow)
        .join(first, first.c.ticket_id == _T.id)
        .where(_T.created_at >= at, _T.digested_at.isnot(None))
        .order_by(first.c.seq)
    )
    return [record(Ticket, row) for row in session.scalars(query)]


# --- vectors ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StoredVector:
    """One row of the append-only vector log; `vector` is None where a ticket's vector was retired."""

    seq: int
    ticket_id: str
    vector: NDArray[np.float16] | None


def cached_vectors(session: Session, model_id: str, hashes: Sequence[str]) -> dict[str, NDArray[np.float16]]:
    """Vectors already computed for the same text under the same fingerprint, by text hash."""
    found: dict[str, NDArray[np.float16]] = {}
    for some in chunks(hashes):
        query = select(_V.text_hash, _V.vector).where(
            _V.model_id == model_id, _V.text_hash.in_(some), _V.vector.isnot(None)
        )  # fmt: skip
        found |= {h: np.frombuffer(v, np.float16) for h, v in session.execute(query) if v is not None}
    return found


def save_vectors(
    session: Session, model_id: str, vectors: Sequence[tuple[str, str, NDArray[np.float16] | None]]
) -> None:
    """Append (ticket, text hash, vector or None to retire) rows; of a retired ticket no vector stays."""
    retired = [t for t, _, v in vectors if v is None]
    for some in chunks(retired):
        session.execute(update(VectorRow).where(_V.ticket_id.in_(some)).values(vector=None))
    rows = [
        {"ticket_id": t, "model_id": model_id, "text_hash": h, "vector": None if v is None else v.tobytes()}
        for t, h, v in vectors
    ]
    if rows:
        session.execute(table(VectorRow).insert(), rows)


def vectors_after(session: Session, model_id: str, seq: int, *, limit: int) -> list[StoredVector]:
    query = (
        select(_V.seq, _V.ticket_id, _V.vector)
        .where(_V.seq > seq, _V.model_id == model_id)
        .order_by(_V.seq)
        .limit(limit)
    )
    return [
        StoredVector(s or 0, t, None if v is None else np.frombuffer(v, np.float16))
        for s, t, v in session.execute(query)
    ]


def vectors_of(session: Session, model_id: str, ticket_ids: Sequence[str]) -> dict[str, NDArray[np.float16]]:
    """The newest vector of each ticket."""
    found: dict[str, NDArray[np.float16]] = {}
    for some in chunks(ticket_ids):
        query = (
            select(_V.ticket_id, _V.vector)
            .where(_V.model_id == model_id, _V.ticket_id.in_(some))
            .order_by(_V.seq)
        )
        for ticket_id, vector in session.execute(query):
            if vector is None:
                found.pop(ticket_id, None)
            else:
                found[ticket_id] = np.frombuffer(vector, np.float16)
    return found


def last_vector_seq(session: Session, model_id: str) -> int:
    return session.scalar(select(func.max(_V.seq)).where(_V.model_id == model_id)) or 0
