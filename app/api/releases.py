"""Tell Foreshock about releases and fixes."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from app.api import schemas
from app.api.deps import Cursor, Limit, Reader, Run, Writer, answer, filters, listing, one_of
from app.api.idempotency import Idempotent
from app.domain import Change
from app.pipeline import review
from app.store import releases

router = APIRouter(prefix="/v1/releases", tags=["releases"], route_class=Idempotent)


@router.post("", operation_id="recordRelease", status_code=201)
def record(request: Request, run: Run, actor: Writer, content: schemas.ReleaseIn) -> Response:
    """Record a release, or a fix of a pattern."""
    found = review.record_release(run, actor=actor, **content.model_dump())
    return answer(request, schemas.release(found), status=201)


@router.get("", operation_id="listReleases")
def list_(request: Request, run: Run, actor: Reader, cursor: Cursor = None, limit: Limit = 50) -> Response:
    """Releases and fixes, newest first. Filters: kind, product, pattern."""
    wanted = filters(request, releases.FILTERS)
    if "kind" in wanted:
        one_of(wanted["kind"], "kind", tuple(c.value for c in Change))
    with run.store.read() as session:
        found = releases.search(session, wanted, cursor=cursor, limit=limit)
    return listing(request, [schemas.release(r) for r in found.items], found.next_cursor)


@router.get("/{id}", operation_id="getRelease")
def get(request: Request, run: Run, actor: Reader, id: str) -> Response:
    """One release or fix."""
    with run.store.read() as session:
        return answer(request, schemas.release(releases.get(session, id)))
