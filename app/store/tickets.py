"""Tickets: stored once by (source, external id), digested once per content."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import and_, bindparam, func, or_, select, update
from sqlmodel import Session

from app.domain import Status, Ticket, TicketDraft, sortable_id
from app.errors import NotFound
from app.store.paging import Slice, page
from app.store.records import columns, record, says, table
from app.store.tables import RankerRow, TicketRow, VectorRow

_T, _V, _R = table(TicketRow).c, table(VectorRow).c, table(RankerRow).c
ERASED = "erased"  # content hash of a ticket that is never taken again
CHUNK = 500  # bound parameters per IN list
LOADED_AT_ONCE = 20_000  # vectors


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
    attributes: Mapping[str, str]


def chunks(values: Sequence[str]) -> Iterable[Sequence[str]]:
    for start in range(0, len(values), CHUNK):
        yield values[start : start + CHUNK]


def known(session: Session, source: str, external_ids: Sequence[str]) -> dict[str, Known]:
    """What is already stored, by external id."""
    found: dict[str, Known] = {}
    wanted = (_T.external_id, _T.id, _T.content_hash, _T.updated_at, _T.body, _T.subject, _T.attributes)
    for some in chunks(external_ids):
        query = select(*wanted).where(_T.source == source, _T.external_id.in_(some))
        found |= {external_id: Known(*rest) for external_id, *rest in session.execute(query)}
    return found


def save(session: Session, drafts: Sequence[TicketDraft], *, seen_at: datetime) -> Accepted:
    """Insert new tickets and overwrite those whose content changed and is not older.

    Other words, or another product or component, send the ticket through digestion again; no other change does.
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
            if _grouped_by(before) != _grouped_by(draft):
                values["digested_at"] = None
            updates.append(values | {"id": before.id})
            changed.append(before.id)
    revision = _next_revision(session)
    if inserts:
        session.execute(table(TicketRow).insert(), [values | {"revision": revision} for values in inserts])
    for values in updates:
        session.execute(update(TicketRow).where(_T.id == values["id"]).values(**values, revision=revision))
    return Accepted(tuple(new), tuple(changed), tuple(unchanged))


def _grouped_by(ticket: Known | TicketDraft) -> tuple[str | None, ...]:
    return (ticket.subject, ticket.body, *(ticket.attributes.get(name) for name in ("product", "component")))


def _row(draft: TicketDraft) -> dict[str, Any]:
    values = columns(draft)
    values["customer"] = draft.account or draft.requester or "unknown"
    return values


def _next_revision(session: Session) -> int:
    """A number above all given so far; writes do not overlap, so a reader never skips one."""
    return (session.scalar(select(func.max(_T.revision))) or 0) + 1


def delete(session: Session, source: str, external_ids: Sequence[str]) -> tuple[str, ...]:
    """Mark tickets as deleted at their source: the text goes at once, the rest with the next digestion.

    When they were last changed stays, so that a ticket restored at the source is taken again.
    """
    stored = known(session, source, external_ids)
    gone = [k.id for k in stored.values()]
    revision = _next_revision(session)
    for some in chunks(gone):
        session.execute(
            update(TicketRow)
            .where(_T.id.in_(some), _T.status != Status.DELETED.value, _T.content_hash != ERASED)
            .values(status=Status.DELETED.value, subject="", body="", resolution="", digested_at=None,
                    content_hash="deleted", revision=revision)
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


def counts_by_pattern(session: Session, pattern_id: str) -> tuple[int, int, datetime | None, datetime | None]:
    """(tickets, customers, first, last) of a pattern's members."""
    row = session.execute(
        select(
            func.count(), func.count(func.distinct(_T.customer)),
            func.min(_T.created_at), func.max(_T.created_at),
        ).where(_T.pattern_id == pattern_id)
    ).one()  # fmt: skip
    return int(row[0]), int(row[1]), row[2], row[3]


def of_sources(session: Session, sources: Sequence[str], ids: Sequence[str]) -> dict[str, str]:
    """Which of these tickets came from one of these sources, and from which."""
    found: dict[str, str] = {}
    for some in chunks(ids):
        query = select(_T.id, _T.source).where(_T.id.in_(some), _T.source.in_(sources))
        found |= {row.id: row.source for row in session.execute(query)}
    return found


def sources_among(
    session: Session,
    sources: Sequence[str],
    *,
    ids: Sequence[str] = (),
    patterns: Sequence[str] = (),
    created: tuple[datetime, datetime] | None = None,
) -> set[str]:
    """Which of these sources have a ticket among some ids, in some patterns, or created in [start, end)."""
    told = set(of_sources(session, sources, ids).values())
    wheres: list[Any] = [_T.pattern_id.in_(some) for some in chunks(patterns)]
    wheres += [and_(_T.created_at >= created[0], _T.created_at < created[1])] if created else []
    for source in set(sources) - told:
        queries = (select(_T.id).where(_T.source == source, where).limit(1) for where in wheres)
        told |= {source} if any(session.scalar(query) for query in queries) else set()
    return told


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


def times(session: Session, source: str, since: datetime) -> list[datetime]:
    """When the tickets of a source were created, oldest first."""
    query = select(_T.created_at).where(_T.source == source, _T.created_at >= since)
    return list(session.scalars(query.order_by(_T.created_at)))


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


# --- similar cases ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Facets:
    """What a filter asks of a ticket, as last written; `revision` and `id` are the place in that log."""

    id: str
    revision: int
    source: str
    status: str
    attributes: Mapping[str, str]


def facets_after(session: Session, place: tuple[int, str], *, limit: int) -> list[Facets]:
    """Tickets written after a place in the log of revisions, in its order."""
    query = select(_T.id, _T.revision, _T.source, _T.status, _T.attributes)
    later = or_(_T.revision > place[0], and_(_T.revision == place[0], _T.id > place[1]))
    return [
        Facets(*row) for row in session.execute(query.where(later).order_by(_T.revision, _T.id).limit(limit))
    ]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one case ended: all that is counted of it when resolutions are compared."""

    id: str
    created_at: datetime
    updated_at: datetime
    resolution: str
    resolved_at: datetime
    reopened: bool | None


def outcomes(session: Session, pattern_id: str, *, before: datetime, limit: int) -> list[Outcome]:
    """A pattern's newest cases resolved by `before`, newest first."""
    query = select(_T.id, _T.created_at, _T.updated_at, _T.resolution, _T.resolved_at, _T.reopened)
    query = query.where(_T.pattern_id == pattern_id, _T.created_at < before, _T.resolved_at <= before)
    query = query.where(_T.resolution != "")
    newest_first = query.order_by(_T.created_at.desc(), _T.id.desc()).limit(limit)
    return [Outcome(*row) for row in session.execute(newest_first)]


@dataclass(frozen=True, slots=True)
class Link:
    """One ticket that people tied to others, by its id; equal `group` means the same issue."""

    id: str
    group: str
    created_at: datetime


def links(session: Session) -> list[Link]:
    """Tickets tied by a merge, a duplicate mark or a problem record, and what they are tied to; by (time, id)."""
    columns_ = (_T.id, _T.source, _T.external_id, _T.created_at, _T.duplicate_of, _T.problem)
    tied = or_(_T.duplicate_of != "", _T.problem != "")
    rows = list(session.execute(select(*columns_).where(tied, _T.status != Status.DELETED.value)).all())
    heads: dict[str, set[str]] = {}
    for _, source, _, _, duplicate_of, _ in rows:
        heads.setdefault(source, set()).add(duplicate_of)
    for source, wanted in sorted(heads.items()):
        for some in chunks(sorted(wanted - {""})):
            query = select(*columns_).where(_T.source == source, _T.external_id.in_(some))
            rows += session.execute(query.where(_T.duplicate_of == "", _T.problem == "")).all()
    groups = _Groups()
    for _, source, external_id, _, duplicate_of, problem in rows:
        if duplicate_of:
            groups.join(f"{source}\x1f{external_id}", f"{source}\x1f{duplicate_of}")
        if problem:
            groups.join(f"{source}\x1f{external_id}", f"{source}\x1fproblem\x1f{problem}")
    found = [Link(row[0], groups.of(f"{row[1]}\x1f{row[2]}"), row[3]) for row in rows]
    return sorted(found, key=lambda link: (link.created_at, link.id))


class _Groups:
    """Disjoint sets of names (union by smaller name, path halving)."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}

    def of(self, name: str) -> str:
        parent = self._parent
        while parent.setdefault(name, name) != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    def join(self, one: str, other: str) -> None:
        first, second = sorted((self.of(one), self.of(other)))
        self._parent[second] = first


# --- vectors ---------------------------------------------------------------------------------------


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
    session: Session,
    model_id: str,
    vectors: Sequence[tuple[str, str, NDArray[np.float16] | None]],
    filed: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Append (ticket, text hash, vector or None to retire) rows; of a retired ticket no vector stays.

    `filed`: the component each ticket is grouped under, as far as it names one.
    """
    retired = [t for t, _, v in vectors if v is None]
    for some in chunks(retired):
        session.execute(update(VectorRow).where(_V.ticket_id.in_(some)).values(vector=None))
    rows = [
        {"ticket_id": t, "model_id": model_id, "text_hash": h, "filed_under": filed.get(t, ""),
         "vector": None if v is None else v.tobytes()}
        for t, h, v in vectors
    ]  # fmt: skip
    if rows:
        session.execute(table(VectorRow).insert(), rows)


@dataclass(frozen=True, slots=True)
class Searchable:
    """One row of the vector log with the words of its ticket, as far as a search reads them."""

    seq: int
    ticket_id: str
    vector: NDArray[np.float16] | None
    created_at: datetime
    requester: str
    subject: str
    body: str  # its beginning
    attributes: Mapping[str, str]


def searchable_after(
    session: Session, model_id: str, seq: int, *, limit: int, body_chars: int
) -> list[Searchable]:
    """The vector log after `seq`, in its order; a retired or deleted ticket comes without a vector."""
    body = func.substr(_T.body, 1, body_chars)
    query = (
        select(_V.seq, _V.ticket_id, _V.vector, _T.status, _T.created_at, _T.requester, _T.subject, body,
               _T.attributes)
        .outerjoin(TicketRow, _T.id == _V.ticket_id)
        .where(_V.seq > seq, _V.model_id == model_id)
        .order_by(_V.seq)
        .limit(limit)
    )  # fmt: skip
    return [
        Searchable(number, id_, None if raw is None or status in (None, Status.DELETED.value)
                   else np.frombuffer(raw, np.float16), *rest)
        for number, id_, raw, status, *rest in session.execute(query)
    ]  # fmt: skip


def vectors_by_seq(
    session: Session, model_id: str, after: int, until: int
) -> Iterator[tuple[list[int], bytes]]:
    """Vectors kept in (after, until], ascending, in batches: places in the log and float16 bytes of all."""
    query = select(_V.seq, _V.vector).where(
        _V.seq > after, _V.seq <= until, _V.model_id == model_id, _V.vector.isnot(None)
    )
    for some in session.execute(query.order_by(_V.seq)).partitions(LOADED_AT_ONCE):
        yield [int(seq or 0) for seq, _ in some], b"".join(raw or b"" for _, raw in some)


def ticket_at(session: Session, seq: int) -> str | None:
    """Whose row of the vector log this is."""
    return session.scalar(select(_V.ticket_id).where(_V.seq == seq))


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


def filed_under(session: Session, ticket_ids: Sequence[str]) -> dict[str, str]:
    """The component each digested ticket is grouped under, "" where it named none."""
    found: dict[str, str] = {}
    for some in chunks(ticket_ids):
        query = select(_V.ticket_id, _V.filed_under).where(_V.ticket_id.in_(some)).order_by(_V.seq)
        found.update((ticket_id, filed) for ticket_id, filed in session.execute(query))
    return found


def newest_places(session: Session, model_id: str) -> tuple[int, int, int]:
    """Ends of the three logs a cache follows: of vectors, of revisions, of fitted rankers; 0 for an empty one."""
    vectors, revisions, rankers = session.execute(_PLACES, {"model": model_id}).one()
    return vectors, revisions, rankers


_PLACES = select(  # asked with every search: made once
    select(func.coalesce(func.max(_V.seq), 0)).where(_V.model_id == bindparam("model")).scalar_subquery(),
    select(func.coalesce(func.max(_T.revision), 0)).scalar_subquery(),
    select(func.coalesce(func.max(_R.version), 0)).scalar_subquery(),
)


def count_vectors_after(session: Session, model_id: str, seq: int) -> int:
    """Rows of the vector log after `seq`."""
    query = select(func.count()).where(_V.seq > seq, _V.model_id == model_id)
    return session.scalar(query) or 0


def last_vector_seq(session: Session, model_id: str) -> int:
    return session.scalar(select(func.max(_V.seq)).where(_V.model_id == model_id)) or 0
