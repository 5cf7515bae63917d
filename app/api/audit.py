"""Who did what, when."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from app.api import schemas
from app.api.deps import Admin, Cursor, Limit, Run, filters, listing
from app.store import audit

router = APIRouter(prefix="/v1/audit", tags=["audit"])


@router.get("", operation_id="listAudit")
def list_(request: Request, run: Run, actor: Admin, cursor: Cursor = None, limit: Limit = 50) -> Response:
    """What people and keys did, newest first; filters `actor`, `type` (or how it begins), `subject`."""
    wanted = filters(request, audit.FILTERS)
    with run.store.read() as session:
        found = audit.search(session, wanted, cursor=cursor, limit=limit)
    return listing(request, [schemas.act(a) for a in found.items], found.next_cursor)
