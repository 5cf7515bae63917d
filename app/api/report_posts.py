"""The report by e-mail: who gets it, how often, and up to which day."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from app.api import schemas
from app.api.deps import Reader, Run, Writer, answer, listing
from app.api.idempotency import Idempotent
from app.pipeline import post
from app.store import posts

router = APIRouter(prefix="/v1/report-posts", tags=["reports"], route_class=Idempotent)


@router.get("", operation_id="listReportPosts")
def list_posts(request: Request, run: Run, actor: Reader) -> Response:
    """Who gets the report by e-mail, and up to which day they have it."""
    with run.store.read() as session:
        held = posts.every(session)
    return listing(request, [schemas.report_post(p) for p in held], None)


@router.post("", operation_id="addReportPost", status_code=201)
def add_post(request: Request, run: Run, actor: Writer, content: schemas.ReportPostIn) -> Response:
    """Have the report sent by e-mail every business day, week or month."""
    made = post.ask(run, actor=actor, **content.model_dump())
    return answer(request, schemas.report_post(made), status=201)


@router.delete("/{id}", operation_id="removeReportPost", status_code=204)
def remove_post(run: Run, actor: Writer, id: str) -> Response:
    """Send nothing more there."""
    post.stop(run, id, actor=actor)
    return Response(status_code=204)
