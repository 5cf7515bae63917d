"""Ask for a replay of the history, watch it, stop it, compare settings and put one in force."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from app.api import schemas
from app.api.deps import Admin, Cursor, Limit, Reader, Run, Writer, answer, listing
from app.api.idempotency import Idempotent
from app.backtest import jobs
from app.store import backtests

router = APIRouter(prefix="/v1/backtests", tags=["backtests"], route_class=Idempotent)


@router.get("", operation_id="listBacktests")
def list_(request: Request, run: Run, actor: Reader, cursor: Cursor = None, limit: Limit = 50) -> Response:
    """Replays, newest first, without their alerts."""
    with run.store.read() as session:
        found = backtests.search(session, cursor=cursor, limit=limit)
    return listing(request, [schemas.backtest(b, whole=False) for b in found.items], found.next_cursor)


@router.post("", operation_id="startBacktest", status_code=202)
def start(request: Request, run: Run, actor: Writer, content: schemas.BacktestIn) -> Response:
    """Have the worker replay the history under each of a few settings."""
    made = jobs.ask(run, content.model_dump(mode="json", exclude_none=True), actor=actor)
    return answer(request, schemas.backtest(made), status=202)


@router.get("/{id}", operation_id="getBacktest")
def get(request: Request, run: Run, actor: Reader, id: str) -> Response:
    """How far it has come; once done, every alert, the score of each run and what was missed, with reasons."""
    with run.store.read() as session:
        return answer(request, schemas.backtest(backtests.get(session, id)))


@router.post("/{id}/stop", operation_id="stopBacktest")
def stop(request: Request, run: Run, actor: Writer, id: str) -> Response:
    """Stop it at its next tick; it can go on from there."""
    return answer(request, schemas.backtest(jobs.stop(run, id)))


@router.post("/{id}/resume", operation_id="resumeBacktest")
def resume(request: Request, run: Run, actor: Writer, id: str) -> Response:
    """Go on where it was stopped or failed."""
    return answer(request, schemas.backtest(jobs.resume(run, id)))


@router.post("/{id}/apply", operation_id="applyBacktest")
def apply(request: Request, run: Run, actor: Admin, id: str, content: schemas.ApplyIn) -> Response:
    """Put the budget and granularity of one of its runs in force; kept in the audit trail."""
    return answer(request, jobs.apply(run, id, run=content.run, actor=actor))
