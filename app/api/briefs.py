"""The brief of a pattern: HTML, Markdown, PDF, JSON, or a body for Slack or Jira."""

from __future__ import annotations

import hashlib
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse

from app.api.deps import Reader, Run, answer, incomplete, one_of
from app.pipeline import brief as briefs
from app.pipeline.feeds import About
from app.reports import html
from app.store import patterns

router = APIRouter(prefix="/v1/patterns", tags=["patterns"])
ACCEPTED = {"application/json": "json", "text/markdown": "md", "application/pdf": "pdf", "text/html": "html"}
Format = Annotated[
    str,
    Query(description=f"one of {', '.join(briefs.FORMATS)}; wins over Accept, which may name a media type"),
]


@router.get("/{id}/brief", operation_id="getPatternBrief", response_class=Response)
def brief(request: Request, run: Run, actor: Reader, id: str, format: Format = "") -> Response:
    """One printable page about a pattern; the same state gives the same bytes. JSON unless asked otherwise."""
    wanted = one_of(format, "format", tuple(briefs.FORMATS)) if format else accepted(request)
    with run.store.read() as session:
        heir = patterns.heir(session, id)
    if heir != id:
        return RedirectResponse(str(request.url.replace(path=f"/v1/patterns/{heir}/brief")), 308)
    found = briefs.brief(run, id)
    about = About(patterns=[id])
    if wanted == "json":
        return answer(request, found.as_dict(), about=about)
    made = briefs.rendered(found, wanted)
    tag = f'"{hashlib.sha256(made).hexdigest()[:24]}"'
    marked = incomplete(request, about)
    headers = marked | {
        "ETag": tag,
        "Cache-Control": "no-cache",
        "Vary": "Accept",
        "X-Content-Type-Options": "nosniff",
    }
    if wanted == "html":
        headers["Content-Security-Policy"] = html.policy()
    if request.headers.get("if-none-match", "").strip() == tag:
        return Response(status_code=304, headers=marked | {"ETag": tag})
    return Response(made, media_type=briefs.FORMATS[wanted], headers=headers)


def accepted(request: Request) -> str:
    """The first format that Accept names, by its order and weights; JSON when it names none of ours."""
    offers = []
    for n, part in enumerate(request.headers.get("accept", "").split(",")):
        kind, *parameters = [p.strip().lower() for p in part.split(";")]
        weight = next((p[2:] for p in parameters if p.startswith("q=")), "1")
        try:
            offers.append((-float(weight), n, kind))
        except ValueError:
            continue
    return next((ACCEPTED[kind] for weight, _, kind in sorted(offers) if kind in ACCEPTED and weight), "json")
