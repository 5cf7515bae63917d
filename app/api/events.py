"""The event log, for consumers that missed something."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from app.api import schemas
from app.api.deps import Limit, Reader, Run, answer, filters
from app.store import events

router = APIRouter(prefix="/v1/events", tags=["events"])
KEPT = timedelta(days=30)


@router.get("", operation_id="listEvents")
def list_(
    request: Request,
    run: Run,
    actor: Reader,
    after: Annotated[
        str | None, Query(description="id of the last event you have; none: from the start")
    ] = None,
    limit: Limit = 50,
) -> Response:
    """Events in the order they were written; the last 30 days can be read."""
    filters(request, ("after",))
    with run.store.read() as session:
        start = events.seq_of(session, after) if after else 0
        found = events.after(session, start, limit=limit, since=run.now() - KEPT)
    data = [schemas.event(e) for e in found]
    following = found[-1].id if len(found) == limit else None
    response = answer(request, {"data": data, "next_after": following})
    if following:
        response.headers["Link"] = f'<{request.url.path}?after={following}&limit={limit}>; rel="next"'
    return response
