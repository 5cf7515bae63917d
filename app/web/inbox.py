"""The inbox: what is new or getting worse, how sure we are, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse
from sqlmodel import Session

from app.domain import Alert, Change, Pattern, Placement, Release, Ticket, Tier
from app.errors import Invalid
from app.pipeline import detect, review
from app.pipeline.detect import NOTE as DETECT_NOTE
from app.runtime import Runtime
from app.store import alerts, pages, patterns, releases, sources, tickets
from app.web import shown
from app.web.charts import Mark
from app.web.freshness import Freshness, fresh
from app.web.guard import Reader, Run, Writer
from app.web.render import PageRoute, done, page
from app.web.traffic import Course, Traffic

router = APIRouter(route_class=PageRoute, include_in_schema=False)
TITLES = {
    "review": "Needs review",
    "acknowledged": "Acknowledged",
    "watching": "Watching",
    "snoozed": "Snoozed",
    "resolved": "Resolved",
    "all": "All",
}
SPARK_DAYS = 14
CHART_DAYS = 63
EVIDENCE = 50  # newest tickets shown of an alert
BASELINE_DAYS = 28
SNOOZES = {"1": "until tomorrow", "3": "for 3 days", "7": "for a week", "30": "for 30 days"}
REASONS = {
    "noise": "Noise: not worth an alert",
    "known": "Real, but already known",
    "expected": "Real, but expected (campaign, planned work)",
    "other": "Real, for another reason",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One alert as the inbox shows it."""

    alert: Alert
    pattern: Pattern | None
    product: str
    course: Course | None

    @property
    def title(self) -> str:
        return title(self.pattern.name, self.signature) if self.pattern else self.alert.topic.label

    @property
    def signature(self) -> str:
        return self.pattern.signature if self.pattern else ""

    @property
    def counted(self) -> int:
        """Customers once a day: what the expectation is held against."""
        return int(self.alert.finding.get("counted", self.alert.finding.get("customers", 0)))

    @property
    def times(self) -> str:
        """Customers, each once a day, over those expected."""
        return shown.ratio(self.counted, float(self.alert.finding.get("expected", 0.0)))

    @property
    def is_notice(self) -> bool:
        return self.alert.kind in detect.NOTICES


def title(name: str, signature: str) -> str:
    """A pattern's name without the signature that stands before it as a chip."""
    rest = name.removeprefix(signature).lstrip(" ·,:") if signature else name
    return rest[:1].upper() + rest[1:] if rest else name


@dataclass(frozen=True, slots=True)
class Evidence:
    """One ticket behind a number and why it is where it is."""

    ticket: Ticket
    why: Placement | None


@dataclass(frozen=True, slots=True)
class Standing:
    """What the head of the inbox says about the desk as a whole."""

    used: int
    budget: float
    sources: tuple[Freshness, ...]
    checked_at: datetime | None
    waiting: int  # tickets not yet digested
    tickets: int
    age_days: float
    silent_since: datetime | None
    is_stalled: bool

    @property
    def is_learning(self) -> bool:
        return self.tickets > 0 and self.age_days < BASELINE_DAYS

    @property
    def baseline_days(self) -> int:
        return int(self.age_days)

    @property
    def problems(self) -> list[Freshness]:
        return [s for s in self.sources if s.is_bad]


@router.get("/")
def inbox(request: Request, run: Run, visitor: Reader, tab: str = "review", cursor: str = "") -> Response:
    """One tab of the inbox under the filters of the address."""
    if tab not in pages.TABS:
        raise Invalid(f"there is no tab {tab!r}: tabs are {', '.join(pages.TABS)}")
    wanted = {n: v for n in pages.FILTERS if (v := request.query_params.get(n, "").strip())}
    traffic: Traffic = request.app.state.traffic
    now = run.now()
    values: dict[str, Any]
    with run.store.read() as session:
        found = pages.inbox(session, tab, wanted, at=now, cursor=cursor or None)
        rows = _rows(session, traffic, found.items if cursor else _worst_first(found.items))
        marks = _marks(releases.between(session, now - timedelta(days=SPARK_DAYS), now), run)
        values = {
            "counts": pages.tab_counts(session, wanted, at=now),
            "products": pages.products(session),
            "standing": standing(session, run, traffic),
        }
    return page(
        request, visitor, "inbox.html", tab=tab, tabs=TITLES, rows=rows, marks=marks, wanted=wanted,
        following=_address(tab, wanted, found.next_cursor) if found.next_cursor else "", is_later=bool(cursor),
        addresses={name: _address(name, wanted) for name in TITLES}, kinds=shown.KINDS, snoozes=SNOOZES,
        reasons=REASONS, severities=shown.SEVERITIES, **values,
    )  # fmt: skip


def _rows(session: Session, traffic: Traffic, found: Sequence[Alert]) -> list[Row]:
    named = patterns.by_ids(session, sorted({a.pattern_id for a in found if a.pattern_id}))
    products = pages.products_of(session, [a.id for a in found])
    topics_ = list({a.topic.id: a.topic for a in found}.values())
    courses = traffic.courses(session, topics_, days=SPARK_DAYS)
    return [
        Row(a, named.get(a.pattern_id or ""), products.get(a.id, ""), courses.get(a.topic.id)) for a in found
    ]


def _worst_first(found: Sequence[Alert]) -> list[Alert]:
    """Open alerts by severity, the newest first among equals; closed ones after them as they come."""
    return sorted(found, key=lambda a: 9 if a.resolved_at else shown.SEVERITIES.index(a.severity))


def _marks(found: Sequence[Release], run: Runtime) -> dict[str, list[Mark]]:
    """Release marks by product; "" holds those of every product."""
    marks: dict[str, list[Mark]] = {}
    for release in found:
        if release.kind is Change.RELEASE:
            on = release.at.astimezone(run.settings.zone).date()
            marks.setdefault(release.product, []).append(Mark(on, "release", release.title.split(":")[0]))
    return marks


def standing(session: Session, run: Runtime, traffic: Traffic) -> Standing:
    now = run.now()
    desk = traffic.desk(session)
    checked = sources.note(session, DETECT_NOTE).get("at")
    checked_at = datetime.fromisoformat(checked) if checked else None
    silent = desk.silent_since(now.timestamp()) if desk else None
    patience = timedelta(seconds=max(10 * run.settings.tick_s, 900))
    return Standing(
        used=alerts.opened_since(session, now - detect.WEEK, tier=Tier.ALERT),
        budget=run.settings.alerts_per_week,
        sources=tuple(fresh(h, run, now) for h in sources.health(session)),
        checked_at=checked_at,
        waiting=tickets.count_undigested(session),
        tickets=tickets.total(session),
        age_days=desk.age_days(now.timestamp()) if desk else 0.0,
        silent_since=datetime.fromtimestamp(silent, now.tzinfo) if silent else None,
        is_stalled=checked_at is not None and now - checked_at > patience,
    )


def _address(tab: str, wanted: Mapping[str, str], cursor: str | None = None) -> str:
    query = dict(wanted) | ({} if tab == "review" else {"tab": tab}) | ({"cursor": cursor} if cursor else {})
    return f"/?{urlencode(query)}" if query else "/"


# --- decisions --------------------------------------------------------------------------------------

Then = Annotated[str, Form()]


@router.get("/alerts/{id_}")
def alert(request: Request, run: Run, visitor: Reader, id_: str) -> Response:
    """An alert about a pattern leads to its page; one about a signature, a segment or the desk has its own."""
    with run.store.read() as session:
        found = alerts.get(session, id_)
        if found.pattern_id:
            return RedirectResponse(f"/patterns/{patterns.heir(session, found.pattern_id)}", 303)
        traffic: Traffic = request.app.state.traffic
        course = traffic.courses(session, [found.topic], days=CHART_DAYS).get(found.topic.id)
        held = tickets.by_ids(session, found.ticket_ids).values()
        newest = sorted(held, key=lambda t: (t.created_at, t.id), reverse=True)[:EVIDENCE]
        homes = patterns.by_ids(session, sorted({t.pattern_id for t in newest if t.pattern_id}))
        row = Row(found, None, pages.products_of(session, [id_]).get(id_, ""), course)
        now = run.now()
        marks = _marks(releases.between(session, now - timedelta(days=CHART_DAYS), now), run)
    return page(
        request,
        visitor,
        "alert.html",
        row=row,
        newest=[Evidence(t, None) for t in newest],
        homes=homes,
        marks=marks,
        snoozes=SNOOZES,
        reasons=REASONS,
    )


@router.post("/alerts/{id_}/acknowledge")
def acknowledge(run: Run, visitor: Writer, id_: str, then: Then = "/") -> Response:
    review.acknowledge(run, id_, actor=visitor.name)
    return done(then, "acknowledged")


@router.post("/alerts/{id_}/dismiss")
def dismiss(
    run: Run, visitor: Writer, id_: str, why: Annotated[str, Form()],
    note: Annotated[str, Form(max_length=500)] = "", then: Then = "/",
) -> Response:  # fmt: skip
    """Close it with a reason; only "noise" counts against the engine."""
    if why not in REASONS:
        raise Invalid(f"the reason must be one of {', '.join(REASONS)}")
    reason = f"{REASONS[why]}. {note.strip()}" if note.strip() else REASONS[why]
    review.dismiss(run, id_, reason=reason, noise=why == "noise", actor=visitor.name)
    return done(then, "dismissed")


@router.post("/alerts/{id_}/snooze")
def snooze(run: Run, visitor: Writer, id_: str, days: Annotated[str, Form()], then: Then = "/") -> Response:
    if days not in SNOOZES:
        raise Invalid(f"days must be one of {', '.join(SNOOZES)}")
    review.snooze(run, id_, until=run.now() + timedelta(days=int(days)), actor=visitor.name)
    return done(then, "snoozed")


@router.post("/alerts/{id_}/resolve")
def resolve(run: Run, visitor: Writer, id_: str, then: Then = "/") -> Response:
    review.resolve(run, id_, reason="", actor=visitor.name)
    return done(then, "resolved")
