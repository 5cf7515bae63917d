"""Read alerts and decide about them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from app.api import schemas
from app.api.deps import Cursor, Limit, Reader, Run, Writer, answer, filters, listing, one_of
from app.api.idempotency import Idempotent
from app.domain import Alert, Tier
from app.pipeline import feeds, review, standing
from app.pipeline.feeds import DESK, About
from app.store import alerts

router = APIRouter(prefix="/v1/alerts", tags=["alerts"], route_class=Idempotent)
Behind = standing.Behind
STATES = ("open", "acknowledged", "snoozed", "resolved")


@router.get("", operation_id="listAlerts")
def list_(request: Request, run: Run, actor: Reader, cursor: Cursor = None, limit: Limit = 50) -> Response:
    """Alerts, newest first. Filters: state (open, acknowledged, snoozed, resolved), tier, severity, kind, pattern."""
    wanted = filters(request, alerts.FILTERS)
    for name, allowed in (("state", STATES), ("tier", tuple(t.value for t in Tier))):
        if name in wanted:
            one_of(wanted[name], name, allowed)
    with run.store.read() as session:
        found = alerts.search(session, wanted, cursor=cursor, limit=limit)
        sure = standing.confidences(session, found.items, run.now())
    missing = feeds.touched(run, {a.id: a.ticket_ids for a in found.items})
    data = [
        schemas.alert(a, at=run.now(), confidence=sure.get(a.id)) | _lacking(missing.get(a.id, ()))
        for a in found.items
    ]
    return listing(request, data, found.next_cursor, about=DESK)


def _lacking(names: Iterable[str]) -> dict[str, list[str]]:
    """The late, silent or failing sources whose tickets an alert may lack; nothing when there are none."""
    return {"incomplete": sorted(names)} if names else {}


@router.get("/{id}", operation_id="getAlert")
def get(request: Request, run: Run, actor: Reader, id: str) -> Response:
    """One alert with the numbers its sentence was made from."""
    with run.store.read() as session:
        found = alerts.get(session, id)
    return _shown(request, run, found)


def _shown(request: Request, run: Run, found: Alert) -> Response:
    with run.store.read() as session:
        sure = standing.confidences(session, [found], run.now())
    missing = feeds.touched(run, {found.id: found.ticket_ids}).get(found.id, {})
    content = schemas.alert(found, at=run.now(), confidence=sure.get(found.id)) | _lacking(missing)
    return answer(request, content, about=About(tickets=found.ticket_ids))


@router.get("/{id}/tickets", operation_id="listAlertTickets")
def evidence(
    request: Request, run: Run, actor: Reader, id: str, of: Annotated[Behind, Query()] = "observed"
) -> Response:
    """The tickets behind a number: those observed, those the expectation rests on, or those of the members."""
    found, count = standing.tickets_behind(run, id, of=of)
    content = {"data": [schemas.ticket(t) for t in found], "count": count, "next_cursor": None}
    return answer(request, content, about=About(sources={t.source for t in found}))


@router.post("/{id}/acknowledge", operation_id="acknowledgeAlert")
def acknowledge(request: Request, run: Run, actor: Writer, id: str) -> Response:
    """Say that somebody is looking at it."""
    return _shown(request, run, review.acknowledge(run, id, actor=actor))


@router.post("/{id}/assign", operation_id="assignAlert")
def assign(request: Request, run: Run, actor: Writer, id: str, content: schemas.AssignIn) -> Response:
    """Give it, and the pattern it is about, an owner."""
    return _shown(request, run, review.assign(run, id, owner=content.owner, actor=actor))


@router.post("/{id}/snooze", operation_id="snoozeAlert")
def snooze(request: Request, run: Run, actor: Writer, id: str, content: schemas.SnoozeIn) -> Response:
    """Hide it until a time, until so many further customers, or until it gets worse; it returns by itself."""
    return _shown(request, run, review.snooze(
        run, id, until=content.until, customers=content.customers, escalating=content.escalating, actor=actor
    ))  # fmt: skip


@router.post("/{id}/feedback", operation_id="judgeAlert")
def judge(request: Request, run: Run, actor: Writer, id: str, content: schemas.JudgeIn) -> Response:
    """Say whether it was worth reading, while it is open or after; the precision figures are made of this."""
    return _shown(request, run, review.judge(run, id, useful=content.useful, actor=actor))


@router.post("/{id}/mute", operation_id="muteAlert")
def mute(request: Request, run: Run, actor: Writer, id: str, content: schemas.Reason) -> Response:
    """Close it and hear no more of its topic; tickets go on being counted."""
    return _shown(request, run, review.mute(run, id, reason=content.reason, actor=actor))


@router.post("/{id}/unmute", operation_id="unmuteAlert")
def unmute(request: Request, run: Run, actor: Writer, id: str) -> Response:
    """Let its topic be heard again."""
    return _shown(request, run, review.unmute(run, id, actor=actor))


@router.post("/{id}/undo", operation_id="undoAlert")
def undo(request: Request, run: Run, actor: Writer, id: str) -> Response:
    """Take back the newest decision about it: an acknowledgement, a snooze, a dismissal and so on."""
    return _shown(request, run, review.undo(run, id, actor=actor))


@router.post("/{id}/dismiss", operation_id="dismissAlert")
def dismiss(request: Request, run: Run, actor: Writer, id: str, content: schemas.DismissIn) -> Response:
    """Close it as not worth reading; the reason feeds the quality figures."""
    return _shown(
        request, run, review.dismiss(run, id, reason=content.reason, noise=content.noise, actor=actor)
    )


@router.post("/{id}/resolve", operation_id="resolveAlert")
def resolve(request: Request, run: Run, actor: Writer, id: str, content: schemas.Reason) -> Response:
    """Close it as dealt with."""
    return _shown(request, run, review.resolve(run, id, reason=content.reason, actor=actor))
