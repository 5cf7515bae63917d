"""The sources page: how each ticketing tool is doing, and what an operator can do about it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from markupsafe import Markup

from app.detectors.sentence import plural, span
from app.domain import Checkpoint, Source
from app.errors import Invalid
from app.ingest.source import Checkup, Outside
from app.ingest.sources import SOURCES, examine
from app.pipeline import feeds, pull
from app.pipeline.feeds import Feed
from app.runtime import Runtime
from app.settings import secret
from app.store import operating, sources
from app.web.charts import Frame, scale
from app.web.freshness import Freshness, fresh
from app.web.guard import Admin, Reader, Run, Visitor
from app.web.render import PageRoute, done, page

router = APIRouter(route_class=PageRoute, include_in_schema=False)
Field = Annotated[str, Form(max_length=400)]
DAYS = 28
WIDTH, HEIGHT = 440, 92
WAYS = {"push": "pushed over HTTP", "file": "imported from files", "sample": "the generated sample"}
LINES = {
    "zendesk": 'base_url = {address}\nclient_id = "foreshock"\nclient_secret = "{NAME}_CLIENT_SECRET"',
    "freshdesk": 'base_url = {address}\napi_key = "{NAME}_API_KEY"',
    "salesforce": 'base_url = {address}\nclient_id = "..."\nclient_secret = "{NAME}_CLIENT_SECRET"',
    "jira": 'base_url = {address}\nprojects = ["SUP"]\nemail = "you@example.com"\napi_token = "{NAME}_API_TOKEN"',
    "servicenow": 'base_url = {address}\ntable = "incident"\nuser = "foreshock"\npassword = "{NAME}_PASSWORD"',
    "hubspot": 'access_token = "{NAME}_ACCESS_TOKEN"',
    "warehouse": 'dsn = "{NAME}_DSN"\nquery = """SELECT ... WHERE updated_at > :since_ts ... LIMIT :limit"""\n'
    'ts_column = "updated_at"\nid_column = "id"\ncolumns = {{ external_id = "id", subject = "title" }}',
}
"""The options of a new source; a secret is the name of the variable that holds it."""


@dataclass(frozen=True, slots=True)
class Card:
    """One source as the page shows it."""

    state: Freshness
    is_pulled: bool
    every: timedelta | None
    cursor: tuple[tuple[str, str], ...]
    files: int  # that were imported as this source
    total: int
    days: tuple[tuple[date, int], ...]
    asked_at: datetime | None
    feed: Feed | None  # of one that is pulled
    counted: tuple[feeds.Day, ...]  # its last whole days against the tool's own count, newest first

    @property
    def gaps(self) -> list[feeds.Day]:
        return [day for day in self.counted if day.gap]

    @property
    def history(self) -> str:
        """How far what was there before its first reading is read; "" of one that has none."""
        found = self.feed.history if self.feed else None
        if found is None:
            return ""
        if found.done:
            return f"read to its end, {plural(found.tickets, 'ticket')}"
        share = (
            "not begun"
            if found.share is None
            else f"{found.share:.0%} read, {plural(found.tickets, 'ticket')}"
        )
        left = (
            f", about {span(timedelta(seconds=found.left_s))} left" if found.left_s and not found.held else ""
        )
        return f"{share}{left}{'; on hold' if found.held else ''}"

    @property
    def name(self) -> str:
        return self.state.health.name

    @property
    def way(self) -> str:
        """How its tickets come."""
        kind = self.state.health.kind
        tool = SOURCES[kind].title if kind in SOURCES else WAYS.get(kind, kind)
        return f"{tool}, read every {span(self.every)}" if self.every else tool

    @property
    def busiest(self) -> tuple[date, int]:
        return max(self.days, key=lambda day: day[1])

    @property
    def failure(self) -> str:
        """What went wrong, unless it went well since."""
        h = self.state.health
        is_over = h.last_success_at and h.last_error_at and h.last_error_at < h.last_success_at
        return "" if is_over else h.last_error


@router.get("/sources")
def list_(request: Request, run: Run, visitor: Reader) -> Response:
    """Every source that ever delivered or is configured."""
    return _sources(request, run, visitor)


def _sources(
    request: Request, run: Runtime, visitor: Visitor, *, checked: tuple[str, Checkup] | None = None
) -> Response:
    now = run.now()
    edges = _midnights(run, now)
    with run.store.read() as session:
        known = sources.health(session)
        totals, counts = operating.totals(session), operating.counts(session, edges)
        reached = operating.checkpoints(session)
    asked = pull.asked(run)
    pulled = {s.name: timedelta(seconds=s.every_s) for s in run.settings.sources}
    dates = [edge.astimezone(run.settings.zone).date() for edge in edges[:-1]]
    known_of = {name: feeds.feed(run, name) for name in pulled if name in {h.name for h in known}}
    cards = [
        Card(
            fresh(h, run, now), h.name in pulled, pulled.get(h.name), _cursor(reached.get(h.name, [])),
            sum(c.stream.startswith("file:") for c in reached.get(h.name, [])), totals.get(h.name, 0),
            tuple(zip(dates, counts.get(h.name, [0] * DAYS), strict=True)), asked.get(h.name),
            *known_of.get(h.name, (None, ())),
        )
        for h in known
    ]  # fmt: skip
    cards.sort(key=lambda card: (not card.state.is_bad, card.name))
    return page(request, visitor, "sources.html", cards=cards, checked=checked, bars=bars, kinds=SOURCES)


def _midnights(run: Runtime, now: datetime) -> list[datetime]:
    """DAYS business midnights, the last one today's, and now."""
    zone = run.settings.zone
    today = now.astimezone(zone).date()
    days = [today - timedelta(days=n) for n in range(DAYS - 1, -1, -1)]
    return [*(datetime(d.year, d.month, d.day, tzinfo=zone) for d in days), now + timedelta(microseconds=1)]


def _cursor(points: Sequence[Checkpoint]) -> tuple[tuple[str, str], ...]:
    """How far a ticketing tool was read, in its own words."""
    state = {k: v for c in points if not c.stream.startswith("file:") for k, v in c.state.items()}
    return tuple((name.replace("_", " "), str(value)[:80]) for name, value in sorted(state.items()))


def bars(days: Sequence[tuple[date, int]]) -> Markup:
    """Tickets a day as bars, the last day lighter because it is not over."""
    ticks = scale(max(3.0, *(float(n) for _, n in days)))
    frame = Frame(len(days), ticks[-1], 0, WIDTH, 6, HEIGHT - 18)
    parts = [
        Markup('<rect class="bar{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="1"/>').format(
            " partial" if i == len(days) - 1 else "", frame.x(i) + 1, frame.y(n), frame.step - 2,
            frame.below - frame.y(n),
        )
        for i, (_, n) in enumerate(days) if n
    ]  # fmt: skip
    parts.append(Markup('<line class="axis" x1="0" y1="{0}" x2="{1}" y2="{0}"/>').format(frame.below, WIDTH))
    for i, (on, _) in enumerate(days):
        if on.weekday() == 0 and i + 3 < len(days):
            parts.append(
                Markup('<text class="date" x="{:.1f}" y="{}">{} {:%b}</text>').format(
                    frame.x(i), HEIGHT - 3, on.day, on
                )
            )
    busiest = max(days, key=lambda day: day[1])
    label = (
        f"Tickets a day over {len(days)} days: {sum(n for _, n in days)} in all, "
        f"most on {busiest[0].day} {busiest[0]:%b}: {busiest[1]}, today so far {days[-1][1]}."
    )
    opening = Markup('<svg class="day-bars" viewBox="0 0 {} {}" role="img" aria-label="{}">')
    return opening.format(WIDTH, HEIGHT, label) + Markup("").join(parts) + Markup("</svg>")


@router.post("/sources/{name}/pause")
def pause(run: Run, visitor: Admin, name: str) -> Response:
    pull.pause(run, name, is_paused=True, actor=visitor.name)
    return done("/sources", "paused")


@router.post("/sources/{name}/resume")
def resume(run: Run, visitor: Admin, name: str) -> Response:
    pull.pause(run, name, is_paused=False, actor=visitor.name)
    return done("/sources", "resumed")


@router.post("/sources/{name}/history/pause")
def pause_history(run: Run, _visitor: Admin, name: str) -> Response:
    """Leave its history where it is; what is new is read all the same."""
    pull.hold(run, name, is_held=True)
    return done("/sources", "history-held")


@router.post("/sources/{name}/history/resume")
def resume_history(run: Run, _visitor: Admin, name: str) -> Response:
    pull.hold(run, name, is_held=False)
    return done("/sources", "history-goes-on")


@router.post("/sources/{name}/sync")
def sync(run: Run, visitor: Admin, name: str) -> Response:
    """Have the worker read it at once."""
    pull.ask(run, name, actor=visitor.name)
    return done("/sources", "asked")


@router.post("/sources/{name}/check")
def check(request: Request, run: Run, visitor: Admin, name: str) -> Response:
    """Do credentials, permissions and fields work? Nothing is stored."""
    chosen = pull.setting(run, name)
    outside = Outside(now=run.now, secret=secret, known=lambda: [], transport=run.transport)
    found = examine(Source(chosen.name, chosen.kind, chosen.options), outside)
    return _sources(request, run, visitor, checked=(name, found))


@router.get("/sources/add")
def add(
    request: Request, run: Run, visitor: Reader, kind: str = "", name: str = "", address: str = ""
) -> Response:
    """Which lines to put into the settings file; secrets are never typed into a page."""
    name, problem = name.strip().lower(), ""
    if kind and kind not in SOURCES:
        raise Invalid(f"kinds of source are {', '.join(SOURCES)}")
    if kind and not _is_name(name):
        problem = "A name begins with a letter or digit and has letters, digits, - and _ only."
    if kind and not problem and any(s.name == name for s in run.settings.sources):
        problem = f"There is a source {name} already: take another name."
    lines = _lines(kind, name, address.strip()) if kind and not problem else ""
    return page(
        request, visitor, "source-add.html", kinds=SOURCES, kind=kind, name=name, address=address, lines=lines,
        problem=problem, variable=_variable(name),
    )  # fmt: skip


def _is_name(name: str) -> bool:
    plain = name.replace("-", "").replace("_", "")
    return plain.isascii() and plain.isalnum() and name[0].isalnum() and len(name) <= 40


def _variable(name: str) -> str:
    return name.upper().replace("-", "_")


def _lines(kind: str, name: str, address: str) -> str:
    quoted = json.dumps(address or "https://...", ensure_ascii=False)  # a TOML string is written like JSON's
    options = LINES[kind].format(address=quoted, NAME=_variable(name))
    return f'[[sources]]\nname = "{name}"\nkind = "{kind}"\nevery_s = 300\n[sources.options]\n{options}\n'
