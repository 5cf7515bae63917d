"""Settings chosen while running: they overlay those of the file, in every process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select
from sqlmodel import Session

from app.store.records import record, table, upsert
from app.store.tables import ChoiceRow

_C = table(ChoiceRow).c


@dataclass(frozen=True, slots=True)
class Choice:
    """One setting's value, who chose it and when."""

    name: str
    value: Any
    at: datetime
    actor: str


def every(session: Session) -> dict[str, Choice]:
    return {row.name: record(Choice, row) for row in session.scalars(select(ChoiceRow).order_by(_C.name))}


def save(session: Session, values: Mapping[str, Any], *, at: datetime, actor: str) -> None:
    rows = [{"name": n, "value": v, "at": at, "actor": actor} for n, v in values.items()]
    upsert(session, ChoiceRow, rows, key=["name"])


def forget(session: Session, names: list[str]) -> None:
    """Let the file's values count again."""
    session.execute(delete(ChoiceRow).where(_C.name.in_(names)))
