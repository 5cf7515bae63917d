"""Releases and fixes: dated marks that rules compare before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import select
from sqlmodel import Session

from app.domain import Release
from app.errors import NotFound
from app.store.paging import Slice, page
from app.store.records import columns, insert_ignoring, record, table
from app.store.tables import ReleaseRow

_R = table(ReleaseRow).c


def save(session: Session, releases: Sequence[Release]) -> None:
    """Keep the marks; one that is already there stays as it is."""
    insert_ignoring(session, ReleaseRow, [columns(r) for r in releases])


def get(session: Session, id_: str) -> Release:
    row = session.get(ReleaseRow, id_)
    if row is None:
        raise NotFound(f"there is no release {id_}")
    return record(Release, row)


def between(session: Session, start: datetime, end: datetime) -> list[Release]:
    query = select(ReleaseRow).where(_R.at > start, _R.at <= end).order_by(_R.at, _R.id)
    return [record(Release, row) for row in session.scalars(query)]


def judged(session: Session, id_: str, *, outcome: str, at: datetime) -> None:
    """Keep the verdict on a fix."""
    row = session.get(ReleaseRow, id_)
    if row is None:
        raise NotFound(f"there is no release {id_}")
    row.outcome, row.judged_at = outcome, at
    session.flush()


def fixes_of(session: Session, pattern_ids: Sequence[str]) -> dict[str, Release]:
    """The newest fix of each pattern that has one."""
    query = select(ReleaseRow).where(_R.pattern_id.in_(pattern_ids)).order_by(_R.at, _R.id)
    return {row.pattern_id or "": record(Release, row) for row in session.scalars(query)}


def of_pattern(session: Session, pattern_id: str) -> list[Release]:
    """The fixes recorded for a pattern, oldest first."""
    query = select(ReleaseRow).where(_R.pattern_id == pattern_id).order_by(_R.at, _R.id)
    return [record(Release, row) for row in session.scalars(query)]


FILTERS = ("kind", "product", "pattern")


def search(
    session: Session, filters: Mapping[str, str], *, cursor: str | None = None, limit: int = 50
) -> Slice[Release]:
    query = select(ReleaseRow)
    for name, value in filters.items():
        query = query.where(_R[{"pattern": "pattern_id"}.get(name, name)] == value)
    rows, following = page(
        lambda q: session.scalars(q).all(), query, (_R.at, _R.id), filters=filters, cursor=cursor,
        limit=limit, key=lambda row: (row.at, row.id),
    )  # fmt: skip
    return Slice(tuple(record(Release, row) for row in rows), following)
