"""Has this happened before, and what fixed it?"""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from app.api import schemas
from app.api.deps import Reader, Run, answer
from app.errors import Invalid
from app.pipeline import learning, similar
from app.pipeline.feeds import About

router = APIRouter(prefix="/v1/similar", tags=["similar"])


@router.post("", operation_id="findSimilar")
def find(request: Request, run: Run, actor: Reader, content: schemas.SimilarIn) -> Response:
    """Earlier cases like this text or ticket, what resolved them, or an honest "nothing similar"."""
    if bool(content.text.strip()) == bool(content.ticket_id):
        raise Invalid("send either text or ticket_id", pointer="/text")
    found = similar.similar(
        run, text=content.text, ticket_id=content.ticket_id, k=content.k, as_of=content.as_of,
        include=tuple(content.include), filters=content.filters.model_dump(exclude_defaults=True),
    )  # fmt: skip
    about = About(tickets=similar.cases(found))
    return answer(request, found, tag=similar.tag(found), about=about)


@router.post("/{query_id}/feedback", operation_id="judgeSimilar", status_code=204)
def judge(run: Run, actor: Reader, query_id: str, content: schemas.FeedbackIn) -> Response:
    """Say whether an answer was right, wrong, or helped."""
    learning.judge(run, query_id, ticket=content.ticket, verdict=content.verdict, actor=actor)
    return Response(status_code=204)


@router.get("/quality", operation_id="getSimilarQuality")
def quality(request: Request, run: Run, actor: Reader) -> Response:
    """What people said of the answers, how well the probabilities held, and which ranker is in use."""
    return answer(request, learning.quality(run))
