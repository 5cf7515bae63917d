"""What the engine leaves to people, and what they said of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, or_, select, update
from sqlmodel import Session

from app.domain import Suggestion
from app.errors import Conflict, NotFound
from app.store.records import columns, insert_ignoring, record, table
from app.store.tables import SuggestionRow

_S = table(SuggestionRow).c


def id_of(suggestion: Suggestion) -> str:
    """Its name in an address."""
    return "sug_" + hashlib.sha256(suggestion.key.encode()).hexdigest()[:24]


def replace_open(session: Session, found: Sequence[Suggestion], *, at: datetime) -> None:
    """Make `found` the open ones; those that people decided stay decided."""
    session.execute(delete(SuggestionRow).where(_S.verdict.is_(None)))
    insert_ignoring(session, SuggestionRow, [
        columns(s) | {"id": id_of(s), "at": at, "verdict": None, "actor": ""} for s in found
    ])  # fmt: skip


def open_(session: Session, pattern_id: str | None = None) -> list[Suggestion]:
    """Those that wait for a decision, about one pattern or about any."""
    query = select(SuggestionRow).where(_S.verdict.is_(None)).order_by(_S.kind, _S.key)
    if pattern_id is not None:
        query = query.where(or_(_S.pattern_id == pattern_id, _S.other_id == pattern_id))
    return [record(Suggestion, row) for row in session.scalars(query)]


def get(session: Session, id_: str) -> Suggestion:
    """One that waits for a decision; raises NotFound, or Conflict when it was decided."""
    row = session.get(SuggestionRow, id_)
    if row is None:
        raise NotFound(f"there is no suggestion {id_}: it may no longer hold; list them again")
    if row.verdict is not None:
        raise Conflict(f"{row.actor} {row.verdict} this suggestion already")
    return record(Suggestion, row)


def decide(session: Session, id_: str, verdict: str, *, actor: str) -> None:
    session.execute(update(SuggestionRow).where(_S.id == id_).values(verdict=verdict, actor=actor))


def forget(session: Session, pattern_ids: Sequence[str]) -> None:
    """Drop the open ones about patterns that an edit has changed; the next night looks again."""
    about = or_(_S.pattern_id.in_(pattern_ids), _S.other_id.in_(pattern_ids))
    session.execute(delete(SuggestionRow).where(_S.verdict.is_(None), about))
