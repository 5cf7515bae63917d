"""The event log, for consumers that missed something, and the shape of every event."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse

from app.api import schemas
from app.api.deps import Limit, Reader, Run, answer, filters
from app.api.webhooks import EVENTS, event_schema
from app.errors import NotFound
from app.store import events

router = APIRouter(prefix="/v1/events", tags=["events"])
KEPT = timedelta(days=30)
DIALECT = "https://json-schema.org/draft/2020-12/schema"


@router.get("", operation_id="listEvents")
def list_(
    request: Request,
    run: Run,
    actor: Reader,
    after: Annotated[
        str | None, Query(description="id of the last event you have; none: from the start")
    ] = None,
    pattern: Annotated[str, Query(description="only events that touch this pattern")] = "",
    type: Annotated[str, Query(description="only this type; `alert.*` is a family")] = "",
    limit: Limit = 50,
) -> Response:
    """Events in the order they were written; the last 30 days can be read.

    `next_after` is the id to go on from: also on the last page, so that a poller keeps it.
    """
    filters(request, ("after", "pattern", "type"))
    with run.store.read() as session:
        start = events.seq_of(session, after) if after else 0
        since = run.now() - KEPT
        found = events.after(session, start, limit=limit, since=since, pattern_id=pattern, type_=type)
    following = found[-1].id if found else after
    response = answer(request, {"data": [schemas.event(e) for e in found], "next_after": following})
    if len(found) == limit:
        url = request.url.include_query_params(after=following)
        response.headers["Link"] = f'<{url.path}?{url.query}>; rel="next"'
    return response


@router.get("/schemas", operation_id="listEventSchemas")
def schemas_(request: Request, run: Run, actor: Reader) -> Response:
    """Every event type, what it means, and where its JSON Schema is."""
    base = run.settings.base_url
    rows = [{"type": t, "meaning": text, "schema": f"{base}/v1/events/schemas/{t}"}
            for t, text in EVENTS.items()]  # fmt: skip
    return answer(request, {"data": rows})


@router.get("/schemas/{type}", operation_id="getEventSchema")
def schema(run: Run, type: str) -> Response:
    """The JSON Schema of one event type's body; open to everyone, as it holds nothing of yours."""
    if type not in EVENTS:
        raise NotFound(f"there is no event type {type}; see /v1/events/schemas")
    named = {"$schema": DIALECT, "$id": f"{run.settings.base_url}/v1/events/schemas/{type}"}
    return JSONResponse(named | event_schema(type), media_type="application/schema+json")
