"""Erasure of what one person or one ticket said."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from app.api import schemas
from app.api.deps import Admin, Run, answer
from app.errors import Invalid
from app.pipeline import erase

router = APIRouter(prefix="/v1/erasures", tags=["erasures"])


@router.post("", operation_id="erase")
def create(request: Request, run: Run, actor: Admin, content: schemas.ErasureIn) -> Response:
    """Erase a requester's tickets, or one ticket: text, names, vectors, quotes and logs, at once, for good."""
    if bool(content.requester) == bool(content.ticket):
        raise Invalid("send either requester or ticket", pointer="/requester")
    if content.ticket:
        count = erase.erase_ticket(run, content.ticket, actor=actor)
    else:
        count = erase.erase_requester(run, content.requester, actor=actor)
    return answer(request, {"tickets": count})
