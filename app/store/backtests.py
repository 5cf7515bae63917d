"""Replays that were asked for: their options, how far they have come, what they found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlmodel import Session

from app.errors import NotFound
from app.store.paging import Slice, page
from app.store.records import columns, record, table
from app.store.tables import BacktestRow

_B = table(BacktestRow).c
STATES = ("waiting", "running", "stopped", "done", "failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Backtest:
    """One replay; `done` of `total` tickets over all its runs; `result` is empty until it is done."""

    id: str
    asked_at: datetime
    asked_by: str
    options: Mapping[str, Any]
    state: str = "waiting"
    done: int = 0
    total: int = 0
    result: Mapping[str, Any]
    error: str = ""


def add(session: Session, made: Backtest) -> None:
    session.add(BacktestRow(**columns(made)))
    session.flush()


def get(session: Session, id_: str) -> Backtest:
    return record(Backtest, _row(session, id_))


def change(session: Session, id_: str, **values: Any) -> Backtest:
    row = _row(session, id_)
    for name, value in values.items():
        setattr(row, name, value)
    session.flush()
    return record(Backtest, row)


def _row(session: Session, id_: str) -> BacktestRow:
    row = session.get(BacktestRow, id_)
    if row is None:
        raise NotFound(f"there is no backtest {id_}")
    return row


def to_run(session: Session) -> Backtest | None:
    """The oldest one that waits, or that was running when its process died."""
    query = select(BacktestRow).where(_B.state.in_(("running", "waiting"))).order_by(_B.asked_at, _B.id)
    row = session.scalars(query).first()
    return record(Backtest, row) if row else None


def search(session: Session, *, cursor: str | None = None, limit: int = 50) -> Slice[Backtest]:
    """Every replay, newest first."""
    rows, following = page(
        lambda q: session.scalars(q).all(), select(BacktestRow), (_B.asked_at, _B.id), filters={},
        cursor=cursor, limit=limit, key=lambda row: (row.asked_at, row.id),
    )  # fmt: skip
    return Slice(tuple(record(Backtest, row) for row in rows), following)
