"""The event log: every fact once, in the transaction of its change, with the deliveries it owes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, func, insert, select
from sqlmodel import Session

from app.domain import Event, sortable_id
from app.errors import Invalid
from app.store import webhooks
from app.store.records import record, table
from app.store.tables import AlertRow, EventRow, PatternRow, TicketRow

_E, _A, _P, _T = (table(r).c for r in (EventRow, AlertRow, PatternRow, TicketRow))
_INSERT = insert(table(EventRow)).returning(*_E)
_LAST = select(func.max(_E.sequence)).where(_E.subject == bindparam("of"))
_LAST_OF_PATTERN = select(func.max(_E.pattern_sequence)).where(_E.pattern_id == bindparam("of"))
_FIRST = select(_E.data).where(_E.subject == bindparam("of"), _E.sequence == 1)
LASTING = ("product", "component", "topic", "sentence", "tickets", "customers")
LOOKED_AT = 50  # of a pattern's newest tickets, to say which product and component it is about


def write(
    session: Session,
    type_: str,
    subject: str,
    data: Mapping[str, Any],
    *,
    at: datetime,
    actor: str = "engine",
    owed: bool = True,
) -> Event:
    """Record a fact about `subject` and, when `owed`, owe it to every subscription that wants it.

    An event that names a `pattern_id` says what the pattern is about, so that saved queries can choose by
    it, and counts on in the pattern's own sequence.
    """
    pattern_id = data.get("pattern_id")
    sequence = 1 + (session.scalar(_LAST, {"of": subject}) or 0)
    values: dict[str, Any] = {
        "id": sortable_id("evt", at, subject, type_, str(sequence)), "type": type_, "at": at, "subject": subject,
        "sequence": sequence, "pattern_id": pattern_id, "pattern_sequence": None, "owed": owed, "actor": actor,
        "data": (_before(session, subject) if sequence > 1 else {}) | dict(data),
    }  # fmt: skip
    if pattern_id:
        values["pattern_sequence"] = 1 + (session.scalar(_LAST_OF_PATTERN, {"of": pattern_id}) or 0)
        values["data"] = _facts(session, pattern_id) | values["data"]
    event = record(Event, session.execute(_INSERT, values).one())
    if owed:
        webhooks.owe(session, event)
    return event


def _before(session: Session, subject: str) -> dict[str, Any]:
    """What the first event of a subject said it is about: who was told of it is told how it ends."""
    first = session.scalar(_FIRST, {"of": subject}) or {}
    return {name: first[name] for name in LASTING if name in first}


def _facts(session: Session, pattern_id: str) -> dict[str, Any]:
    """Name, state, size, severity, product and component of a pattern as of this transaction."""
    row = session.execute(
        select(_P.name, _P.state, _P.tickets, _P.customers).where(_P.id == pattern_id)
    ).first()
    if row is None:
        return {}
    newest = (
        select(_T.attributes)
        .where(_T.pattern_id == pattern_id)
        .order_by(_T.created_at.desc(), _T.id)
        .limit(LOOKED_AT)
    )
    attributes = session.scalars(newest).all()
    standing = select(_A.severity).where(_A.pattern_id == pattern_id, _A.resolved_at.is_(None))
    severities = set(session.scalars(standing))
    worst = next((s for s in reversed(webhooks.SEVERITIES) if s in severities), "")
    return {
        **row._mapping,
        "severity": worst,
        **{name: _commonest([a[name] for a in attributes if a.get(name)])
           for name in ("product", "component")},
    }  # fmt: skip


def _commonest(values: list[str]) -> str:
    return max(sorted(set(values)), key=values.count, default="")


def after(
    session: Session,
    seq: int,
    *,
    limit: int,
    since: datetime | None = None,
    pattern_id: str = "",
    type_: str = "",
) -> list[Event]:
    """Events in the order written, after place `seq`; of one pattern or type (`alert.*`) when asked."""
    query = select(EventRow).where(_E.seq > seq).order_by(_E.seq).limit(limit)
    if since is not None:
        query = query.where(_E.at >= since)
    if pattern_id:
        query = query.where(_E.pattern_id == pattern_id)
    if type_.endswith("*"):
        query = query.where(_E.type.startswith(type_[:-1], autoescape=True))
    elif type_:
        query = query.where(_E.type == type_)
    return [record(Event, row) for row in session.scalars(query)]


def seq_of(session: Session, event_id: str) -> int:
    """The place of an event in the log, for reading on after it."""
    seq = session.scalar(select(_E.seq).where(_E.id == event_id))
    if seq is None:
        raise Invalid(f"after: there is no event {event_id}", pointer="after")
    return int(seq)


def by_id(session: Session, event_id: str) -> Event | None:
    row = session.scalars(select(EventRow).where(_E.id == event_id)).first()
    return record(Event, row) if row else None


def of(session: Session, subjects: list[str], *, type_: str = "", limit: int = 200) -> list[Event]:
    """The newest events about any of these (of one type), newest first."""
    query = select(EventRow).where(_E.subject.in_(subjects)).order_by(_E.seq.desc()).limit(limit)
    if type_:
        query = query.where(_E.type == type_)
    return [record(Event, row) for row in session.scalars(query)]


def last_seq(session: Session) -> int:
    return session.scalar(select(func.max(_E.seq))) or 0
