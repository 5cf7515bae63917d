"""How each source is doing, its history held or read on, and the webhooks its tool sends."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from app.api import schemas
from app.api.deps import Admin, Reader, Run, answer
from app.ingest.webhooks import Delivery
from app.pipeline import feeds, hooks, pull

router = APIRouter(tags=["sources"])


@router.get("/v1/sources", operation_id="listSources")
def list_(request: Request, run: Run, actor: Reader) -> Response:
    """Every source: its state in words, last success, lag, newest change read, remaining quota, last error."""
    found = [schemas.feed(feed) for feed in feeds.feeds(run)]
    return answer(request, {"data": found, "next_cursor": None})


@router.get("/v1/sources/{name}", operation_id="getSource")
def get(request: Request, run: Run, actor: Reader, name: str) -> Response:
    """One source, with its tickets of each of the last days against what the source itself counts."""
    feed, days = feeds.feed(run, name)
    return answer(request, schemas.feed(feed, days))


@router.post("/v1/sources/{name}/pause", operation_id="pauseSource")
def pause(request: Request, run: Run, actor: Admin, name: str) -> Response:
    """Stop reading a source; what it delivered stays."""
    return _set(request, run, name, is_paused=True, actor=actor)


@router.post("/v1/sources/{name}/resume", operation_id="resumeSource")
def resume(request: Request, run: Run, actor: Admin, name: str) -> Response:
    """Read a source again, from where it stopped."""
    return _set(request, run, name, is_paused=False, actor=actor)


@router.post("/v1/sources/{name}/history/pause", operation_id="pauseHistory")
def pause_history(request: Request, run: Run, actor: Admin, name: str) -> Response:
    """Stop reading a source's history; what is new is read all the same."""
    return answer(request, schemas.progress(pull.hold(run, name, is_held=True)))


@router.post("/v1/sources/{name}/history/resume", operation_id="resumeHistory")
def resume_history(request: Request, run: Run, actor: Admin, name: str) -> Response:
    """Read a source's history on, from where it stopped."""
    return answer(request, schemas.progress(pull.hold(run, name, is_held=False)))


async def _delivery(request: Request, run: Run) -> Delivery:
    """The request as it was signed: its raw body, and the address that the outside knows."""
    path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return Delivery(
        headers={name.lower(): value for name, value in request.headers.items()},
        body=await request.body(),
        method=request.method,
        url=f"{run.settings.base_url}{path}",
    )


@router.post("/v1/ingest/{source}/webhook", operation_id="receiveWebhook", status_code=202)
def webhook(run: Run, delivery: Annotated[Delivery, Depends(_delivery)], source: str) -> dict[str, int]:
    """A ticketing tool says that tickets changed: they are fetched through its API a few seconds later.

    Signed the way that tool signs; an API key is not asked for. 401 when forged or too old, 413 over 1 MiB.
    A delivery that came before is answered and changes nothing.
    """
    return {"hints": hooks.receive(run, source, delivery)}


def _set(request: Request, run: Run, name: str, *, is_paused: bool, actor: str) -> Response:
    return answer(request, schemas.source(pull.pause(run, name, is_paused=is_paused, actor=actor)))
