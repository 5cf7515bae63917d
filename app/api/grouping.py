"""How alike tickets of one pattern must be: what the desk's own tickets say, tried before it is done."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from app.api import schemas
from app.api.deps import Admin, Run, Writer, answer
from app.api.idempotency import Idempotent
from app.pipeline import rehearse
from app.pipeline.feeds import DESK

router = APIRouter(prefix="/v1/grouping", tags=["patterns"], route_class=Idempotent)


@router.get("/rehearsal", operation_id="rehearseGrouping")
def rehearsal(
    request: Request,
    run: Run,
    actor: Writer,
    dial: Annotated[Literal["finer", "balanced", "broader"] | None, Query()] = None,
) -> Response:
    """What a calibration at this dial would change; changes nothing, but takes as long as a night's work."""
    return answer(request, rehearse.rehearse(run, dial=dial).as_dict(), about=DESK)


@router.post("/calibration", operation_id="calibrateGrouping")
def calibrate(request: Request, run: Run, actor: Admin, content: schemas.CalibrateIn) -> Response:
    """Calibrate: new tickets follow at once, the others at the next night. Kept in the audit trail."""
    return answer(request, rehearse.carry_out(run, dial=content.dial, actor=actor).as_dict(), about=DESK)
