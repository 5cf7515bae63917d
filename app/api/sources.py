"""How each source is doing."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from app.api import schemas
from app.api.deps import Admin, Reader, Run, answer
from app.pipeline import pull
from app.store import sources

router = APIRouter(prefix="/v1/sources", tags=["sources"])


@router.get("", operation_id="listSources")
def list_(request: Request, run: Run, actor: Reader) -> Response:
    """Every source with its last success, newest ticket and last error in words."""
    with run.store.read() as session:
        found = sources.health(session)
    return answer(request, {"data": [schemas.source(h) for h in found], "next_cursor": None})


@router.post("/{name}/pause", operation_id="pauseSource")
def pause(request: Request, run: Run, actor: Admin, name: str) -> Response:
    """Stop reading a source; what it delivered stays."""
    return _set(request, run, name, is_paused=True, actor=actor)


@router.post("/{name}/resume", operation_id="resumeSource")
def resume(request: Request, run: Run, actor: Admin, name: str) -> Response:
    """Read a source again, from where it stopped."""
    return _set(request, run, name, is_paused=False, actor=actor)


def _set(request: Request, run: Run, name: str, *, is_paused: bool, actor: str) -> Response:
    return answer(request, schemas.source(pull.pause(run, name, is_paused=is_paused, actor=actor)))
