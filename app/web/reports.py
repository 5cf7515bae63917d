"""The figures of any period against the one before it, as a page, CSV and XLSX."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import StreamingResponse

from app.pipeline import figures, post
from app.reports.exports import csv_lines, xlsx
from app.reports.figures import figure
from app.runtime import Runtime
from app.store import posts
from app.store.reports import POPULATIONS
from app.web.guard import Reader, Run, Writer
from app.web.made import KEPT, Made
from app.web.render import PageRoute, done, page

router = APIRouter(route_class=PageRoute, include_in_schema=False)
Field = Annotated[str, Form(max_length=200)]
BY = "plan"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def prepare(run: Runtime, made: Made[figures.Report], *, younger: timedelta) -> None:
    """Have ready what the page shows when nothing is chosen, no older than `younger`."""
    _report(run, made, figures.span(run, "", ""), BY, younger=younger)


def _report(
    run: Runtime, made: Made[figures.Report], chosen: figures.Span, by: str, *, younger: timedelta = KEPT
) -> tuple[datetime, figures.Report]:
    return made.of((chosen, by), lambda: figures.report(run, chosen, by=by), now=run.now(), younger=younger)


@router.get("/reports")
def show(
    request: Request, run: Run, visitor: Reader, since: str = "", until: str = "", by: str = BY
) -> Response:
    chosen = figures.span(run, since, until)
    at, found = _report(run, request.app.state.reports, chosen, by)
    with run.store.read() as session:
        held = posts.every(session)
    query = urlencode({"since": chosen.since, "until": chosen.until, "by": by})
    return page(
        request, visitor, "reports.html", about=figures.about(run, chosen), report=found, at=at, query=query,
        populations=POPULATIONS, summary=_summary(found),
        latest=run.now().astimezone(run.settings.zone).date(), posts=held, rhythms=post.RHYTHMS,
        has_mail=bool(run.settings.smtp_host and run.settings.smtp_sender),
    )  # fmt: skip


def _summary(found: figures.Report) -> list[tuple[str, str, str]]:
    """(what, how much, against what) of the whole desk: what a lead reads first; nothing of an empty period."""
    _, tickets, customers, _, _, change, _ = _whole(found, "volume")
    _, told, escalated, low, high, _, escalated_before = _whole(found, "escalation")
    _, _, median, most, unsolved, _, median_before, _ = _whole(found, "resolution")
    _, rated, mean, _, _, _, mean_before = _whole(found, "satisfaction")
    _, alerts, judged, precision, *_ = _whole(found, "quality")
    if tickets == "0":
        return []
    return [
        ("Tickets", tickets, f"{change} against before; {customers} customers"),
        ("Escalated", escalated, f"{low} to {high}; before {escalated_before}" if told != "0" else "no source says"),
        ("Median time to resolution", median, f"90 % within {most}; before {median_before}; {unsolved} still open"),
        ("Satisfaction", mean, f"of {rated} rated; before {mean_before}"),
        ("Our alerts", alerts, f"{precision} precision of {judged} judged" if judged != "0" else "none judged yet"),
    ]  # fmt: skip


def _whole(found: figures.Report, key: str) -> list[str]:
    """The first row of a table, as it is read."""
    panel = found.panel(key)
    return [
        value if isinstance(value, str) else figure(value, kind)
        for value, kind in zip(panel.rows[0], panel.kinds, strict=True)
    ]


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
