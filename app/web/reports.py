"""The figures of any period against the one before it, as a page, CSV and XLSX."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import StreamingResponse

from app.pipeline import figures, post
from app.reports.exports import csv_lines, xlsx
from app.store import posts
from app.store.reports import POPULATIONS
from app.web.guard import Reader, Run, Writer
from app.web.made import Made
from app.web.render import PageRoute, done, page

router = APIRouter(route_class=PageRoute, include_in_schema=False)
Field = Annotated[str, Form(max_length=200)]
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@router.get("/reports")
def show(
    request: Request, run: Run, visitor: Reader, since: str = "", until: str = "", by: str = "plan"
) -> Response:
    chosen = figures.span(run, since, until)
    made: Made[figures.Report] = request.app.state.reports
    at, found = made.of((chosen, by), lambda: figures.report(run, chosen, by=by), now=run.now())
    with run.store.read() as session:
        held = posts.every(session)
    query = urlencode({"since": chosen.since, "until": chosen.until, "by": by})
    return page(
        request, visitor, "reports.html", about=figures.about(run, chosen), report=found, at=at, query=query, populations=POPULATIONS,
        latest=run.now().astimezone(run.settings.zone).date(), posts=held, rhythms=post.RHYTHMS,
        has_mail=bool(run.settings.smtp_host and run.settings.smtp_sender),
    )  # fmt: skip


@router.post("/reports/posts")
def send_by_mail(
    run: Run, visitor: Writer, recipient: Field, every: Field = "weekly", by: Field = "plan"
) -> Response:
    """Have the report sent to an address every day, week or month."""
    post.ask(run, recipient=recipient, every=every, by=by, actor=visitor.name)
    return done("/reports#by-mail", "report-asked")


@router.post("/reports/posts/{id_}/stop")
def stop_mail(run: Run, visitor: Writer, id_: str) -> Response:
    post.stop(run, id_, actor=visitor.name)
    return done("/reports#by-mail", "report-stopped")


@router.get("/reports.xlsx")
def workbook(run: Run, _: Reader, since: str = "", until: str = "", by: str = "plan") -> Response:
    """Every table on a sheet of its own."""
    found = figures.report(run, figures.span(run, since, until), by=by)
    return Response(
        xlsx(found.sheets(), made=found.made), media_type=XLSX, headers=_named(found.span, "report", "xlsx")
    )


@router.get("/reports.csv")
def table(
    run: Run, _: Reader, panel: str = "volume", since: str = "", until: str = "", by: str = "plan"
) -> Response:
    """One of the tables."""
    found = figures.report(run, figures.span(run, since, until), by=by)
    chosen = found.panel(panel)
    lines = csv_lines(chosen.head, chosen.rows)
    return StreamingResponse(
        lines, media_type="text/csv; charset=utf-8", headers=_named(found.span, panel, "csv")
    )


def _named(span: figures.Span, name: str, suffix: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}-{span.since}-{span.until}.{suffix}"'}
