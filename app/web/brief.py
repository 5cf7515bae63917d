"""The brief of a pattern as a page, and as files to take along."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse

from app.errors import Invalid
from app.pipeline import brief as briefs
from app.reports import html
from app.reports.brief import document
from app.store import patterns
from app.web.guard import Reader, Run
from app.web.render import PageRoute, page
from app.web.threads import Threads

router = APIRouter(prefix="/patterns", route_class=PageRoute, include_in_schema=False)
TAKEN = {"pdf": "PDF", "md": "Markdown", "html": "HTML", "jira": "Text for Jira", "slack": "Text for Slack"}
Format = Annotated[str, Query(alias="format")]
SUFFIX = {"pdf": "pdf", "md": "md", "html": "html", "jira": "jira.txt", "slack": "slack.txt"}


@router.get("/{id_}/brief")
def brief(request: Request, run: Run, visitor: Reader, id_: str, form: Format = "") -> Response:
    """The page, or with `format` a file; a merged pattern answers 308 to its heir's."""
    with run.store.read() as session:
        pattern = patterns.resolve(session, id_)
        if pattern.merged_into is not None:
            query = f"?format={form}" if form in TAKEN else ""
            return RedirectResponse(f"/patterns/{patterns.heir(session, id_)}/brief{query}", 308)
    if form:
        return _file(run, id_, form)
    threads: Threads = request.app.state.threads
    known = threads.of(run, pattern)
    found = briefs.gathered(run, id_, known)
    return page(
        request, visitor, "brief.html", pattern=pattern, body=html.body(document(found)), taken=TAKEN,
        is_comparing=known is None,
    )  # fmt: skip


def _file(run: Run, id_: str, format_: str) -> Response:
    if format_ not in TAKEN:
        raise Invalid(f"format must be one of {', '.join(TAKEN)}")
    made = briefs.rendered(briefs.brief(run, id_), format_)
    name = f'attachment; filename="brief-{id_}.{SUFFIX[format_]}"'
    return Response(made, media_type=briefs.FORMATS[format_], headers={"Content-Disposition": name})
