"""Read, rename and merge patterns; their evidence and the reason each ticket belongs."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from app.api import schemas
from app.api.deps import (
    Cursor,
    IfMatch,
    Limit,
    Reader,
    Run,
    Writer,
    answer,
    filters,
    listing,
    matched,
    one_of,
    whole,
)
from app.api.idempotency import Idempotent
from app.detectors.grouping import EditKind
from app.domain import Pattern, PatternState
from app.pipeline import review
from app.pipeline.feeds import DESK, About
from app.store import alerts, events, patterns, tickets

router = APIRouter(prefix="/v1/patterns", tags=["patterns"], route_class=Idempotent)


def tag(found: Pattern) -> str:
    return f'"{found.id}.{found.version}"'


def redirect(found: Pattern, heir: str) -> Response:
    """308 to the pattern this one was merged into."""
    return JSONResponse(
        schemas.pattern(found), 308, headers={"Location": f"/v1/patterns/{heir}", "ETag": tag(found)}
    )


@router.get("", operation_id="listPatterns")
def list_(request: Request, run: Run, actor: Reader, cursor: Cursor = None, limit: Limit = 50) -> Response:
    """Patterns, the one with the newest ticket first. Filters: state, product, text, min_customers, owner."""
    wanted = filters(request, patterns.FILTERS)
    if "min_customers" in wanted:
        whole(wanted["min_customers"], "min_customers")
    if "state" in wanted:
        one_of(wanted["state"], "state", tuple(s.value for s in PatternState))
    with run.store.read() as session:
        found = patterns.search(session, wanted, cursor=cursor, limit=limit)
    return listing(request, [schemas.pattern(p) for p in found.items], found.next_cursor, about=DESK)


@router.get("/{id}", operation_id="getPattern")
def get(request: Request, run: Run, actor: Reader, id: str) -> Response:
    """One pattern with its alerts and common thread; a merged one answers 308 to its heir."""
    with run.store.read() as session:
        found = patterns.resolve(session, id)
        if found.merged_into:
            return redirect(found, patterns.heir(session, id))
        about = alerts.of_patterns(session, [id]).get(id, [])
    content = schemas.pattern(found) | {
        "alerts": [schemas.alert(a, at=run.now()) for a in about],
        "common_thread": [t.as_dict() for t in review.common_thread(run, found.id)],
    }
    return answer(request, content, tag=tag(found), about=About(patterns=[found.id]))


@router.get("/{id}/tickets", operation_id="listPatternTickets")
def evidence(
    request: Request, run: Run, actor: Reader, id: str, cursor: Cursor = None, limit: Limit = 50
) -> Response:
    """Every member ticket with the reason it belongs, newest first."""
    with run.store.read() as session:
        heir = patterns.heir(session, id)
        found = tickets.search(session, {"pattern": heir}, cursor=cursor, limit=limit)
        reasons = patterns.placements(session, [t.id for t in found.items])
    data = [schemas.ticket(t, placement=reasons.get(t.id)) for t in found.items]
    return listing(request, data, found.next_cursor, about=About(patterns=[heir]))


@router.get("/{id}/events", operation_id="listPatternEvents")
def timeline(request: Request, run: Run, actor: Reader, id: str) -> Response:
    """What happened to a pattern, newest first."""
    with run.store.read() as session:
        found = events.of(session, [patterns.resolve(session, id).id])
    return answer(request, {"data": [schemas.event(e) for e in found], "next_cursor": None})


@router.post("/{id}/rename", operation_id="renamePattern")
def rename(
    request: Request, run: Run, actor: Writer, id: str, content: schemas.RenameIn, if_match: IfMatch = None
) -> Response:
    """Give a pattern a name; it is kept for ever."""
    _unchanged(run, id, if_match)
    found = review.rename(run, id, content.name, actor=actor)
    return answer(request, schemas.pattern(found), tag=tag(found), about=About(patterns=[found.id]))


@router.put("/{id}/release", operation_id="linkRelease")
def link_release(
    request: Request,
    run: Run,
    actor: Writer,
    id: str,
    content: schemas.ReleaseLinkIn,
    if_match: IfMatch = None,
) -> Response:
    """Say which release a pattern came with; null takes that back."""
    _unchanged(run, id, if_match)
    found = review.link_release(run, id, content.release_id, actor=actor)
    return answer(request, schemas.pattern(found), tag=tag(found), about=About(patterns=[found.id]))


@router.post("/{id}/notes", operation_id="annotatePattern", status_code=201)
def annotate(run: Run, actor: Writer, id: str, content: schemas.NoteIn) -> Response:
    """Put a note beside a pattern: in its timeline, and on its chart at the time it names."""
    made = review.annotate(run, id, content.text, on=content.at, actor=actor)
    return JSONResponse(schemas.event(made), 201)


@router.post("/{id}/merge", operation_id="mergePattern")
def merge(
    request: Request, run: Run, actor: Writer, id: str, content: schemas.MergeIn, if_match: IfMatch = None
) -> Response:
    """Merge another pattern into this one; its id redirects here from now on."""
    _unchanged(run, id, if_match)
    found = review.merge(run, content.pattern_id, into=id, actor=actor)
    return answer(request, schemas.pattern(found), tag=tag(found), about=About(patterns=[found.id]))


@router.get("/{id}/edits", operation_id="listPatternEdits")
def list_edits(request: Request, run: Run, actor: Reader, id: str) -> Response:
    """What people decided about a pattern, oldest first."""
    with run.store.read() as session:
        named = patterns.resolve(session, id).id
        found = [e for e in patterns.edits(session) if named in e.patterns]
    return answer(request, {"data": [schemas.edit(e) for e in found], "next_cursor": None})


@router.post("/{id}/edits", operation_id="editPattern")
def edit(
    request: Request, run: Run, actor: Writer, id: str, content: schemas.EditIn, if_match: IfMatch = None
) -> Response:
    """Split tickets off, move one here, take one out, keep apart, pin, dismiss, or undo an edit.

    Refused with 409 when it contradicts an earlier edit, which is named.
    """
    _unchanged(run, id, if_match)
    kind = EditKind(content.kind)
    named = () if kind is EditKind.UNDO else (id, content.pattern_id) if content.pattern_id else (id,)
    made = review.edit(
        run, kind, patterns_=named, tickets_=content.tickets, undoes=content.undoes, actor=actor
    )
    with run.store.read() as session:
        found = patterns.resolve(session, patterns.heir(session, id))
    return answer(
        request, schemas.pattern(found) | {"edit_id": made}, tag=tag(found), about=About(patterns=[found.id])
    )


def _unchanged(run: Run, id: str, if_match: str | None) -> None:
    with run.store.read() as session:
        matched(if_match, tag(patterns.resolve(session, id)))
