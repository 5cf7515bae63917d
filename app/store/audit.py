"""Who did what, when: what people did to the installation, and of the event log what people caused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, literal_column, select, union_all
from sqlmodel import Session

from app.domain import sortable_id
from app.store.paging import Slice, page
from app.store.records import table
from app.store.tables import AuditRow, EventRow

_A, _E = table(AuditRow).c, table(EventRow).c
FILTERS = ("actor", "type", "subject")


@dataclass(frozen=True, slots=True)
class Act:
    """One thing a person (or a key) did."""

    id: str
    at: datetime
    actor: str
    type: str
    subject: str
    data: Mapping[str, Any]


def write(
    session: Session, type_: str, subject: str, data: Mapping[str, Any], *, at: datetime, actor: str
) -> None:
    """Record an act in the transaction of what it changed; `data` never holds a secret or ticket text."""
    number = 1 + (session.scalar(select(func.max(_A.seq))) or 0)
    id_ = sortable_id("act", at, type_, subject, actor, str(number))
    session.add(AuditRow(id=id_, at=at, actor=actor, type=type_, subject=subject, data=dict(data)))
    session.flush()


def search(
    session: Session, filters: Mapping[str, Any], *, cursor: str | None = None, limit: int = 50
) -> Slice[Act]:
    """Acts that match every filter (see FILTERS), newest first."""
    names = ("id", "at", "actor", "type", "subject", "data")
    both = union_all(
        select(*(_A[n] for n in names)),
        select(*(_E[n] for n in names)).where(_E.actor != "engine"),
    ).subquery()
    columns = both.c
    query = select(both)
    for name, value in filters.items():
        begins = columns.type.startswith(value, autoescape=True)
        query = query.where(begins if name == "type" else columns[name] == value)
    rows, following = page(
        lambda q: session.execute(q).all(), query, (columns.at, columns.id), filters=filters, cursor=cursor,
        limit=limit, key=lambda row: (row.at, row.id),
    )  # fmt: skip
    return Slice(tuple(Act(**row._mapping) for row in rows), following)


def actors(session: Session) -> list[str]:
    """Everybody who ever did something, by name."""
    query = union_all(select(_A.actor), select(_E.actor).where(_E.actor != "engine")).subquery()
    return list(session.scalars(select(query.c.actor).distinct().order_by(literal_column("actor"))))
