"""Suggestions, not surprises: what the engine would change and leaves to people to accept or reject."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from app.detectors.grouping import EditKind
from app.domain import Suggestion, SuggestionKind
from app.pipeline import review
from app.pipeline.memory import Memory
from app.pipeline.regroup import about
from app.runtime import Runtime
from app.store import events, sources, suggestions

NOTE = "suggested"


def refresh(session: Session, held: Memory) -> None:
    """Look again, once after each nightly consolidation."""
    night = held.grouping.state.consolidated_at
    if night is None or sources.note(session, NOTE).get("night") == night.isoformat():
        return
    suggestions.replace_open(session, held.grouping.suggestions(night), at=night)
    sources.save_note(session, NOTE, {"night": night.isoformat()})


def accept(runtime: Runtime, id_: str, *, actor: str) -> str:
    """Carry a suggestion out as a hand edit that holds for ever; the id of the pattern that remains."""
    with runtime.store.read() as session:
        found = suggestions.get(session, id_)
    if found.kind is SuggestionKind.MERGE and found.other_id:
        review.edit(runtime, EditKind.MERGE, patterns_=(found.pattern_id, found.other_id), actor=actor)
    else:
        review.edit(runtime, EditKind.SPLIT, patterns_=(found.pattern_id,), tickets_=found.ticket_ids,
                    actor=actor)  # fmt: skip
    with runtime.store.write() as session:
        _decide(session, id_, found, "accepted", at=runtime.now(), actor=actor)
        suggestions.forget(session, [i for i in (found.pattern_id, found.other_id) if i])
    return found.pattern_id


def reject(runtime: Runtime, id_: str, *, actor: str) -> None:
    """It does not come back."""
    with runtime.store.write() as session:
        _decide(session, id_, suggestions.get(session, id_), "rejected", at=runtime.now(), actor=actor)


def _decide(session: Session, id_: str, found: Suggestion, verdict: str, *, at: datetime, actor: str) -> None:
    suggestions.decide(session, id_, verdict, actor=actor)
    data = about(found.pattern_id) | {
        "suggestion": found.kind.value, "verdict": verdict, "sentence": found.sentence,
    }  # fmt: skip
    events.write(session, "suggestion.decided", found.pattern_id, data, at=at, actor=actor, owed=False)
