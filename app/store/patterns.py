"""Patterns, why each ticket is in one, and what people decided about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, or_, select, update
from sqlmodel import Session

from app.domain import Pattern, PatternState, Placement
from app.errors import NotFound
from app.store import tickets
from app.store.paging import Slice, page
from app.store.records import columns, record, says, table
from app.store.tables import AlertRow, EditRow, PatternRow, PlacementRow, ReleaseRow, TicketRow

_P, _L, _E, _T = (table(r).c for r in (PatternRow, PlacementRow, EditRow, TicketRow))
HIDDEN = (PatternState.MERGED, PatternState.DISMISSED)


@dataclass(frozen=True, slots=True)
class Edit:
    """A person's decision about patterns, as the grouping engine speaks of it, and renames."""

    seq: int
    id: str
    kind: str
    patterns: tuple[str, ...]
    tickets: tuple[str, ...]
    value: str
    actor: str
    at: datetime
    undoes: str


@dataclass(frozen=True, slots=True)
class Sums:
    """What the grouping engine keeps of a pattern: exact sums over all its members."""

    id: str
    founded_at: datetime
    last_at: datetime
    vector_count: int
    vector_sum: bytes
    signature_counts: dict[str, int]
    generic_keys: tuple[str, ...]
    anchors: tuple[dict[str, Any], ...]
    touched: bool
    split_from: str | None
    merged_into: str | None
    dissolved: bool


def create(session: Session, pattern: Pattern) -> None:
    session.add(PatternRow(**columns(pattern), signature_counts={}, generic_keys=[], anchors=[]))
    session.flush()


def resolve(session: Session, id_: str) -> Pattern:
    """The pattern itself, tombstone or not."""
    return record(Pattern, _row(session, id_))


def heir(session: Session, id_: str) -> str:
    """The id a merged pattern lives on under; its own id when it was not merged."""
    row = _row(session, id_)
    while row.merged_into is not None:
        row = _row(session, row.merged_into)
    return row.id


def _row(session: Session, id_: str) -> PatternRow:
    row = session.get(PatternRow, id_)
    if row is None:
        raise NotFound(f"there is no pattern {id_}")
    return row


def change(session: Session, id_: str, **values: Any) -> Pattern:
    """Set fields and move the version on."""
    row = _row(session, id_)
    for name, value in values.items():
        setattr(row, name, list(value) if isinstance(value, tuple) else value)
    row.version += 1
    session.flush()
    return record(Pattern, row)


def touch(session: Session, ids: Sequence[str]) -> None:
    """People were told of these patterns or acted on them; nothing that is shown changes."""
    if ids:
        session.execute(update(PatternRow).where(_P.id.in_(ids)).values(touched=True))


def recount(session: Session, changes: Mapping[str, int]) -> None:
    """Bring ticket and customer counts and first and last times up to the members.

    The version moves on by the number of changes, so it does not depend on how they were batched.
    """
    for id_, count in sorted(changes.items()):
        row = _row(session, id_)
        row.tickets, row.customers, first, last = tickets.counts_by_pattern(session, id_)
        row.first_at, row.last_at = first or row.first_at, last or row.last_at
        row.version += count
    session.flush()


def merge(session: Session, loser: str, survivor: str) -> tuple[str, ...]:
    """Leave a tombstone that redirects; the survivor gets the tickets, whose ids are returned."""
    moved = tuple(session.scalars(select(_T.id).where(_T.pattern_id == loser).order_by(_T.id)))
    tickets.set_pattern(session, moved, survivor)
    session.execute(update(PatternRow).where(_P.merged_into == loser).values(merged_into=survivor))
    for row in (AlertRow, ReleaseRow):
        session.execute(update(row).where(table(row).c.pattern_id == loser).values(pattern_id=survivor))
    change(session, loser, merged_into=survivor, state=PatternState.MERGED.value)
    recount(session, {loser: 1, survivor: 1})
    return moved


def by_ids(session: Session, ids: Sequence[str]) -> dict[str, Pattern]:
    found: dict[str, Pattern] = {}
    for some in tickets.chunks(ids):
        rows = session.scalars(select(PatternRow).where(_P.id.in_(some)))
        found |= {row.id: record(Pattern, row) for row in rows}
    return found


FILTERS = ("state", "product", "text", "min_customers", "owner")


def search(
    session: Session, filters: Mapping[str, str], *, cursor: str | None = None, limit: int = 50
) -> Slice[Pattern]:
    """Patterns that match every filter (see FILTERS), the one with the newest ticket first."""
    query = select(PatternRow)
    if "state" not in filters:
        query = query.where(_P.state.notin_([s.value for s in HIDDEN]), _P.tickets > 0)
    for name, value in filters.items():
        query = query.where(_condition(name, value))
    rows, following = page(
        lambda q: session.scalars(q).all(), query, (_P.last_at, _P.id), filters=filters,
        cursor=cursor, limit=limit, key=lambda row: (row.last_at, row.id),
    )  # fmt: skip
    return Slice(tuple(record(Pattern, row) for row in rows), following)


def _condition(name: str, value: str) -> Any:
    if name == "min_customers":
        return _P.customers >= int(value)
    if name == "text":
        return or_(says(_P.name, value), says(_P.signature, value))
    if name == "product":
        return _P.id.in_(select(_T.pattern_id).where(_T.attributes["product"].as_string() == value))
    return _P[name] == value


def sums(session: Session) -> list[Sums]:
    """Every pattern that ever was, as the engine keeps it, oldest first."""
    query = select(PatternRow).order_by(_P.founded_at, _P.id)
    return [record(Sums, row) for row in session.scalars(query)]


def dismissed(session: Session) -> dict[str, datetime]:
    """Patterns that people dismissed, and when."""
    query = select(_P.id, _P.dismissed_at).where(_P.dismissed_at.isnot(None))
    return {row[0]: row[1] for row in session.execute(query)}


UNSETTLED = tuple(
    s.value for s in PatternState
    if s not in (PatternState.WATCHING, PatternState.DORMANT, PatternState.MERGED, PatternState.DISMISSED)
)  # fmt: skip


def unsettled(session: Session) -> list[str]:
    """Patterns whose state can change by time alone, but for those that fall asleep (see `rest`)."""
    return list(session.scalars(select(_P.id).where(_P.state.in_(UNSETTLED)).order_by(_P.id)))


def rest(session: Session, quiet_since: datetime) -> None:
    """Watched patterns without a ticket since then are dormant; dormant ones with one are watched again."""
    watching, dormant = PatternState.WATCHING.value, PatternState.DORMANT.value
    falls, wakes = _P.last_at < quiet_since, _P.last_at >= quiet_since
    for was, now, condition in ((watching, dormant, falls), (dormant, watching, wakes)):
        changed = update(PatternRow).where(_P.state == was, condition)
        session.execute(changed.values(state=now, version=_P.version + 1))


def save_sums(session: Session, every: Sequence[Sums]) -> None:
    """Write the engine's sums of patterns that are already there; `touched` is set, never taken back."""
    own = (
        "vector_count",
        "vector_sum",
        "signature_counts",
        "generic_keys",
        "anchors",
        "dissolved",
    )
    for one in every:
        values = {name: value for name, value in columns(one).items() if name in own}
        values |= {"touched": True} if one.touched else {}
        session.execute(update(PatternRow).where(_P.id == one.id).values(values))


def to_name(session: Session, *, until: int, growth: float) -> list[str]:
    """Unedited patterns whose name is worth making again: few members, and `growth` times as many as then."""
    query = select(_P.id).where(
        _P.name_by == "engine", _P.merged_into.is_(None), _P.tickets > 0,
        or_(_P.named_tickets == 0, and_(_P.named_tickets < until, _P.tickets >= _P.named_tickets * growth)),
    )  # fmt: skip
    return list(session.scalars(query.order_by(_P.id)))


# --- placements -------------------------------------------------------------------------------------


def place(session: Session, placements: Sequence[Placement]) -> None:
    """Keep the reasons; the newest one of a ticket is the one in force."""
    if placements:
        session.execute(table(PlacementRow).insert(), [columns(p) for p in placements])


def placements(session: Session, ticket_ids: Sequence[str]) -> dict[str, Placement]:
    """The placement in force of each ticket."""
    found: dict[str, Placement] = {}
    for some in tickets.chunks(ticket_ids):
        query = select(PlacementRow).where(_L.ticket_id.in_(some)).order_by(_L.seq)
        found |= {row.ticket_id: record(Placement, row) for row in session.scalars(query)}
    return found


def placement_history(session: Session, ticket_id: str) -> list[Placement]:
    query = select(PlacementRow).where(_L.ticket_id == ticket_id).order_by(_L.seq)
    return [record(Placement, row) for row in session.scalars(query)]


# --- edits ------------------------------------------------------------------------------------------


def save_edit(
    session: Session, *, id_: str, kind: str, patterns: Sequence[str], tickets: Sequence[str],
    actor: str, at: datetime, undoes: str = "", value: str = "",
) -> None:  # fmt: skip
    """Keep a person's decision; every later step obeys it."""
    session.add(EditRow(id=id_, kind=kind, patterns=list(patterns), tickets=list(tickets), value=value,
                        actor=actor, at=at, undoes=undoes))  # fmt: skip
    session.flush()


def edits(session: Session) -> list[Edit]:
    """Every edit, oldest first."""
    return [record(Edit, row) for row in session.scalars(select(EditRow).order_by(_E.seq))]
