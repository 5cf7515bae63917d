"""What the engine would change and leaves to people: list, accept, reject."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from app.api import schemas
from app.api.deps import Reader, Run, Writer, answer, filters
from app.api.idempotency import Idempotent
from app.pipeline import suggest
from app.pipeline.feeds import About
from app.store import patterns, suggestions

router = APIRouter(prefix="/v1/suggestions", tags=["patterns"], route_class=Idempotent)


@router.get("", operation_id="listSuggestions")
def list_(request: Request, run: Run, actor: Reader) -> Response:
    """Merges, splits and new variants as of the last night, each with its evidence. Filter: pattern."""
    wanted = filters(request, ("pattern",))
    with run.store.read() as session:
        found = suggestions.open_(session, wanted.get("pattern"))
    data = [schemas.suggestion(s, suggestions.id_of(s)) for s in found]
    about = About(patterns=sorted({id_ for s in found for id_ in (s.pattern_id, s.other_id) if id_}))
    return answer(request, {"data": data, "next_cursor": None}, about=about)


@router.post("/{id}/accept", operation_id="acceptSuggestion")
def accept(request: Request, run: Run, actor: Writer, id: str) -> Response:
    """Carry it out as a hand edit; answers with the pattern that remains."""
    remaining = suggest.accept(run, id, actor=actor)
    with run.store.read() as session:
        found = patterns.resolve(session, patterns.heir(session, remaining))
    return answer(request, schemas.pattern(found))


@router.post("/{id}/reject", operation_id="rejectSuggestion", status_code=204)
def reject(run: Run, actor: Writer, id: str) -> Response:
    """Say no; it does not come back."""
    suggest.reject(run, id, actor=actor)
    return Response(status_code=204)
