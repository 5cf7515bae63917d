"""The figures of any period against the one before it, and what rose and fell."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from app.api.deps import Reader, Run, answer, incomplete, one_of
from app.pipeline import figures
from app.reports.exports import csv_lines, xlsx

router = APIRouter(prefix="/v1", tags=["reports"])
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
Day = Annotated[str, Query(description="business day, as 2026-05-04; the last 28 whole days without it")]
By = Annotated[str, Query(description="attribute that names the populations of the escalation rate")]
Format = Annotated[str, Query(description="json, csv (one table, named by panel) or xlsx (all of them)")]


@router.get("/reports", operation_id="getReport", response_class=Response)
def report(
    request: Request, run: Run, actor: Reader, since: Day = "", until: Day = "", by: By = "plan",
    format: Format = "json", panel: str = "volume",
) -> Response:  # fmt: skip
    """Volume, escalation, resolution, satisfaction, articles, handed-over cases and the quality of our alerts."""
    one_of(format, "format", ("json", "csv", "xlsx"))
    found = figures.report(run, figures.span(run, since, until), by=by)
    about = figures.about(run, found.span)
    if format == "csv":
        chosen = found.panel(panel)
        lines, headers = csv_lines(chosen.head, chosen.rows), incomplete(request, about)
        return StreamingResponse(lines, media_type="text/csv; charset=utf-8", headers=headers)
    if format == "xlsx":
        book = xlsx(found.sheets(), made=found.made)
        return Response(book, media_type=XLSX, headers=incomplete(request, about))
    tables = [
        {"key": p.key, "title": p.title, "note": p.note, "columns": list(p.head), "rows": [list(r) for r in p.rows]}
        for p in found.panels
    ]  # fmt: skip
    content = {**_span(found.span), "by": by, "time_zone": run.settings.time_zone, "tables": tables}
    return answer(request, content, about=about)


@router.get("/trends", operation_id="getTrends")
def trends(
    request: Request, run: Run, actor: Reader, kind: str = "product", since: Day = "", until: Day = ""
) -> Response:
    """Every product, signature, pattern or segment against the period before, false discoveries kept at 5 %."""
    chosen = figures.span(run, since, until)
    data = [
        asdict(m.count) | {"expected": round(m.expected, 3), "ratio": m.ratio, "p": m.p, "q": m.q,
                           "direction": m.direction}
        for m in figures.trend(run, chosen, kind=kind)
    ]  # fmt: skip
    content = {**_span(chosen), "kind": kind, "data": data}
    return answer(request, content, about=figures.about(run, chosen))


def _span(chosen: figures.Span) -> dict[str, str]:
    return {
        "since": chosen.since.isoformat(), "until": chosen.until.isoformat(),
        "before_since": chosen.before.since.isoformat(), "before_until": chosen.before.until.isoformat(),
    }  # fmt: skip
