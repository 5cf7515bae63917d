"""Similar-case queries as answered, and what people said of the answers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlmodel import Session

from app.store.records import insert_ignoring, upsert
from app.store.tables import FeedbackRow, QueryRow


def keep_query(
    session: Session, id_: str, *, at: datetime, ticket_id: str | None, answer: Sequence[dict[str, Any]]
) -> None:
    values = {"id": id_, "at": at, "ticket_id": ticket_id, "answer": list(answer)}
    insert_ignoring(session, QueryRow, [values])


def query(session: Session, id_: str) -> list[dict[str, Any]] | None:
    """The answer a query got; None when there was no such query."""
    row = session.get(QueryRow, id_)
    return list(row.answer) if row else None


def keep(session: Session, query_id: str, ticket_id: str, *, verdict: str, at: datetime, actor: str) -> None:
    values = {"query_id": query_id, "ticket_id": ticket_id, "verdict": verdict, "at": at, "actor": actor}
    upsert(session, FeedbackRow, [values], key=["query_id", "ticket_id"])
