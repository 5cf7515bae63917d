"""Settings that may change while the service runs."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from app.api import schemas
from app.api.deps import Admin, Reader, Run, answer
from app.pipeline import configure
from app.store import choices

router = APIRouter(prefix="/v1/settings", tags=["settings"])


@router.get("", operation_id="getSettings")
def get(request: Request, run: Run, actor: Reader) -> Response:
    """Each setting with where its value comes from: the file, a person's choice, or fixed by a variable."""
    return _told(request, run)


@router.patch("", operation_id="changeSettings")
def change(request: Request, run: Run, actor: Admin, content: schemas.SettingsChange) -> Response:
    """Choose values; API and worker follow without a restart."""
    configure.apply_settings(run, content.model_dump(exclude_unset=True), actor=actor)
    return _told(request, run)


@router.delete("/{name}", operation_id="resetSetting")
def reset(request: Request, run: Run, actor: Admin, name: str) -> Response:
    """Let the file's value count again."""
    configure.reset_settings(run, [name], actor=actor)
    return _told(request, run)


def _told(request: Request, run: Run) -> Response:
    with run.store.read() as session:
        chosen = choices.every(session)
    return answer(request, schemas.settings(run.settings, chosen))
