"""Read alerts and decide about them."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from app.api import schemas
from app.api.deps import Cursor, Limit, Reader, Run, Writer, answer, filters, listing, one_of
from app.api.idempotency import Idempotent
from app.domain import Alert, Tier
from app.pipeline import review
from app.store import alerts

router = APIRouter(prefix="/v1/alerts", tags=["alerts"], route_class=Idempotent)
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
    return listing(request, [schemas.alert(a) for a in found.items], found.next_cursor)


@router.get("/{id}", operation_id="getAlert")
def get(request: Request, run: Run, actor: Reader, id: str) -> Response:
    """One alert with the numbers its sentence was made from."""
    with run.store.read() as session:
        return _shown(request, alerts.get(session, id))


def _shown(request: Request, found: Alert) -> Response:
    return answer(request, schemas.alert(found))


@router.post("/{id}/acknowledge", operation_id="acknowledgeAlert")
def acknowledge(request: Request, run: Run, actor: Writer, id: str) -> Response:
    """Say that somebody is looking at it."""
    return _shown(request, review.acknowledge(run, id, actor=actor))


@router.post("/{id}/snooze", operation_id="snoozeAlert")
def snooze(request: Request, run: Run, actor: Writer, id: str, content: schemas.SnoozeIn) -> Response:
    """Hide it until a time; it returns by itself."""
    return _shown(request, review.snooze(run, id, until=content.until, actor=actor))


@router.post("/{id}/dismiss", operation_id="dismissAlert")
def dismiss(request: Request, run: Run, actor: Writer, id: str, content: schemas.DismissIn) -> Response:
    """Close it as not worth reading; the reason feeds the quality figures."""
    return _shown(request, review.dismiss(run, id, reason=content.reason, noise=content.noise, actor=actor))


@router.post("/{id}/resolve", operation_id="resolveAlert")
def resolve(request: Request, run: Run, actor: Writer, id: str, content: schemas.Reason) -> Response:
    """Close it as dealt with."""
    return _shown(request, review.resolve(run, id, reason=content.reason, actor=actor))
