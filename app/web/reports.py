"""The figures of any period against the one before it, as a page, CSV and XLSX."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from app.pipeline import figures
from app.reports.exports import csv_lines, xlsx
from app.runtime import Runtime
from app.store.reports import POPULATIONS
from app.web.guard import Reader, Run
from app.web.render import PageRoute, page

router = APIRouter(route_class=PageRoute, include_in_schema=False)
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
KEPT = timedelta(minutes=5)  # a report may be this much older than its page, which says so
MOST_KEPT = 64


class Made:
    """Reports as last made: a period's figures read every ticket of two periods, which changes little in minutes."""

    def __init__(self) -> None:
        self._held: dict[tuple[figures.Span, str], tuple[datetime, figures.Report]] = {}
        self._lock = threading.Lock()

    def of(self, run: Runtime, chosen: figures.Span, by: str) -> tuple[datetime, figures.Report]:
        """When the report was made, and the report."""
        with self._lock:
            held = self._held.get((chosen, by))
        if held is not None and timedelta() <= run.now() - held[0] < KEPT:
            return held
        found = (run.now(), figures.report(run, chosen, by=by))
        with self._lock:
            self._held[chosen, by] = found
            while len(self._held) > MOST_KEPT:
                del self._held[next(iter(self._held))]
        return found


@router.get("/reports")
def show(
    request: Request, run: Run, visitor: Reader, since: str = "", until: str = "", by: str = "plan"
) -> Response:
    chosen = figures.span(run, since, until)
    made: Made = request.app.state.reports
    at, found = made.of(run, chosen, by)
    query = urlencode({"since": chosen.since, "until": chosen.until, "by": by})
    return page(
        request, visitor, "reports.html", report=found, at=at, query=query, populations=POPULATIONS,
        latest=run.now().astimezone(run.settings.zone).date(),
    )  # fmt: skip


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
