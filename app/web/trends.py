"""What rose and what fell: products, error signatures, patterns and segments against the period before."""

from __future__ import annotations

from datetime import datetime, timedelta
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response

from app.detectors.calendar import BusinessClock
from app.domain import Change, Topic, TopicKind
from app.pipeline import figures
from app.reports.trends import Move
from app.runtime import Runtime
from app.store import releases, topics
from app.web.charts import Mark
from app.web.guard import Reader, Run
from app.web.made import KEPT, Made
from app.web.render import PageRoute, page
from app.web.traffic import Traffic

router = APIRouter(route_class=PageRoute, include_in_schema=False)
MOST_STEADY = 40
CHART_DAYS = 63


def prepare(run: Runtime, made: Made[list[Move]], *, younger: timedelta) -> None:
    """Have ready what the page shows when nothing is chosen, no older than `younger`."""
    for kind in figures.KINDS:
        _moves(run, made, figures.span(run, "", ""), kind, younger=younger)


def _moves(
    run: Runtime, made: Made[list[Move]], chosen: figures.Span, kind: str, *, younger: timedelta = KEPT
) -> tuple[datetime, list[Move]]:
    return made.of(
        (chosen, kind), lambda: figures.trend(run, chosen, kind=kind), now=run.now(), younger=younger
    )


@router.get("/trends")
def show(
    request: Request, run: Run, visitor: Reader,
    kind: str = "product", since: str = "", until: str = "", topic: str = "",
) -> Response:  # fmt: skip
    """Risers and fallers of one kind, and the chart of the desk or of one topic with releases on it."""
    chosen = figures.span(run, since, until)
    at, found = _moves(run, request.app.state.moves, chosen, kind)
    of = TopicKind.SEGMENT if kind == "product" else TopicKind(kind)
    traffic: Traffic = request.app.state.traffic
    with run.store.read() as session:
        id_ = topics.topic_id(of, topic) if topic else topics.topic_id(TopicKind.DESK, "desk")
        held: Topic | None = topics.by_ids(session, [id_]).get(id_)
        course = traffic.courses(session, [held] if held else [], days=CHART_DAYS).get(id_)
        midnight = BusinessClock(run.settings.time_zone).midnight(chosen.before.since.toordinal())
        marks = [
            Mark(r.at.astimezone(run.settings.zone).date(), r.kind.value, r.title.split(":")[0])
            for r in releases.between(session, midnight, run.now()) if r.kind is Change.RELEASE
        ]  # fmt: skip
    groups = {d: [m for m in found if m.direction == d] for d in ("rising", "falling", "steady")}
    base = {"kind": kind, "since": chosen.since, "until": chosen.until}
    about = figures.about(run, chosen)
    return page(
        request, visitor, "trends.html", about=about, span=chosen, kind=kind, kinds=figures.KINDS, groups=groups, at=at,
        compared=len(found), steady_left=max(0, len(groups["steady"]) - MOST_STEADY), most=MOST_STEADY,
        course=course, marks=marks, shown=held, query=urlencode(base),
        latest=run.now().astimezone(run.settings.zone).date(),
    )  # fmt: skip
