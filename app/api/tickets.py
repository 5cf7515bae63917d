"""Push tickets in, list and read them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Request, Response
from pydantic import ValidationError

from app.api import schemas
from app.api.deps import Cursor, Limit, Reader, Run, Writer, answer, filters, listing
from app.api.idempotency import Idempotent
from app.detectors.grouping import EditKind
from app.domain import RawTicket
from app.errors import Invalid
from app.pipeline import intake, review
from app.pipeline.feeds import About
from app.store import histories, patterns, tickets

router = APIRouter(prefix="/v1/tickets", tags=["tickets"], route_class=Idempotent)


@router.post(
    "", operation_id="pushTickets", status_code=202,
    responses={207: {"description": "Some were refused: a result for each", "content": {"application/json": {}}}},
)  # fmt: skip
def push(run: Run, actor: Writer, content: Annotated[schemas.Pushed, Body()]) -> Response:
    """Push one ticket, or many as `{"source": ..., "tickets": [...]}`.

    202 when all were accepted, 207 with a result for each when some were not. A ticket is known by
    (source, external_id): sending it again updates it, and changes nothing when nothing changed.
    """
    source = "push" if isinstance(content, schemas.TicketIn) else content.source
    raws: list[RawTicket] = []
    refused: dict[int, dict[str, Any]] = {}
    order: list[str] = []
    items = [content] if isinstance(content, schemas.TicketIn) else content.tickets
    for number, item in enumerate(items):
        try:
            wire = item if isinstance(item, schemas.TicketIn) else schemas.TicketIn.model_validate(item)
            raw = wire.raw(source)
            intake.check(raw, run.now())
        except (ValidationError, Invalid) as error:
            external = item.get("external_id", "") if isinstance(item, dict) else raw.external_id
            if isinstance(content, schemas.TicketIn) and isinstance(error, Invalid):
                raise
            refused[number] = {"external_id": str(external), "status": "invalid", "error": _why(error)}
            order.append("")
        else:
            raws.append(raw)
            order.append(raw.external_id)
    outcome = intake.accept(run, raws, source_kind="push")
    results = [refused.get(n) or {"external_id": e, **outcome[e]} for n, e in enumerate(order)]
    return answer_status(results, 207 if refused else 202)


def answer_status(results: list[dict[str, Any]], status: int) -> Response:
    from fastapi.responses import JSONResponse

    return JSONResponse({"results": results}, status)


def _why(error: ValidationError | Invalid) -> str:
    if isinstance(error, Invalid):
        return str(error)
    first = error.errors()[0]
    return f"{'/'.join(str(p) for p in first['loc'])}: {first['msg']}"


@router.get("", operation_id="listTickets")
def list_(request: Request, run: Run, actor: Reader, cursor: Cursor = None, limit: Limit = 50) -> Response:
    """Tickets, newest first. Filters: source, status, pattern, product, version, language, channel, text."""
    wanted = filters(request, tickets.FILTERS)
    with run.store.read() as session:
        found = tickets.search(session, wanted, cursor=cursor, limit=limit)
    about = About(sources={t.source for t in found.items})
    return listing(request, [schemas.ticket(t) for t in found.items], found.next_cursor, about=about)


@router.get("/{id}", operation_id="getTicket")
def get(request: Request, run: Run, actor: Reader, id: str) -> Response:
    """One ticket, with the reason it is in its pattern and the statuses it went through."""
    with run.store.read() as session:
        found = tickets.get(session, id)
        placement = patterns.placements(session, [id]).get(id)
        history = histories.of(session, [id]).get(id, ())
    content = schemas.ticket(found, placement=placement, history=history)
    return answer(request, content, about=About(sources={found.source}))


@router.post("/{id}/link", operation_id="linkTickets")
def link(request: Request, run: Run, actor: Writer, id: str, content: schemas.LinkIn) -> Response:
    """Say that tickets are the same problem: they stay in one pattern for ever.

    Refused with 409 when it contradicts an earlier edit, which is named.
    """
    named = dict.fromkeys((id, *content.tickets))
    made = review.edit(run, EditKind.LINK, tickets_=tuple(named), actor=actor)
    with run.store.read() as session:
        found = tickets.get(session, id)
    return answer(request, schemas.ticket(found) | {"edit_id": made})
