"""Saved views of the inbox."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select
from sqlmodel import Session

from app.store.records import record, table, upsert
from app.store.tables import ViewRow

_V = table(ViewRow).c


@dataclass(frozen=True, slots=True)
class View:
    """A name for a tab with filters, as the query of an address."""

    name: str
    query: str
    actor: str
    at: datetime


def every(session: Session) -> Sequence[View]:
    """All of them, by name."""
    return [record(View, row) for row in session.scalars(select(ViewRow).order_by(_V.name))]


def save(session: Session, view: View) -> None:
    """Keep it; one of the same name is replaced."""
    values = {"name": view.name, "query": view.query, "actor": view.actor, "at": view.at}
    upsert(session, ViewRow, [values], key=["name"])


def forget(session: Session, name: str) -> None:
    session.execute(delete(ViewRow).where(_V.name == name))
