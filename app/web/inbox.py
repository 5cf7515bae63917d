"""The inbox: what is new or getting worse, how sure we are, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any
from urllib.parse import parse_qsl, urlencode

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from sqlmodel import Session

from app.detectors.guards import NOTICES
from app.detectors.thread import Thread
from app.domain import Alert, Change, Pattern, PatternState, Placement, Release, StatusChange, Ticket, Tier
from app.errors import Conflict, Invalid
from app.pipeline import detect, feeds, review
from app.pipeline.detect import NOTE as DETECT_NOTE
from app.pipeline.feeds import DESK, About
from app.runtime import Runtime
from app.store import alerts, histories, pages, patterns, releases, sources, tickets, views
from app.store.views import View
from app.web import shown
from app.web.charts import Mark
from app.web.freshness import Freshness, fresh
from app.web.guard import Reader, Run, Writer
from app.web.render import PageRoute, done, page
from app.web.threads import Threads
from app.web.traffic import Course, Traffic
from app.web.visits import COOKIE as VISITS
from app.web.visits import Visits

router = APIRouter(route_class=PageRoute, include_in_schema=False)
TITLES = {
    "review": "Needs review",
    "acknowledged": "Acknowledged",
    "escalating": "Escalating",
    "regressed": "Regressed",
    "watching": "Watching",
    "fix_pending": "Fix pending",
    "snoozed": "Snoozed",
    "resolved": "Resolved",
    "all": "All",
}
VIEWS_KEPT = 50
TOLD_STATES = (
    PatternState.ESCALATING, PatternState.REGRESSED, PatternState.FIX_PENDING, PatternState.RECOVERED,
)  # fmt: skip
"""States that change what a lead does next: the others are left to the pattern's page."""
Then = Annotated[str, Form()]
SPARK_DAYS = 14
CHART_DAYS = 63
LONGEST_DAYS = 91  # of a chart
READY = 60  # open alerts whose charts are ready before anybody looks
PREPARED = 10  # rows at the top whose common thread is computed before anybody opens them
EVIDENCE = 50  # newest tickets shown of an alert
BASELINE_DAYS = 28
SNOOZES = {"1": "until tomorrow", "3": "for 3 days", "7": "for a week", "30": "for 30 days"}
PAST = {
    "acknowledge": "acknowledged", "snooze": "snoozed", "dismiss": "dismissed", "resolve": "resolved",
}  # fmt: skip
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
    thread: Thread | None

    @property
    def title(self) -> str:
        return title(self.pattern.name, self.signature) if self.pattern else self.alert.topic.label

    @property
    def signature(self) -> str:
        return self.pattern.signature if self.pattern else ""

    @property
    def owner(self) -> str:
        return self.alert.owner or (self.pattern.owner if self.pattern else "")

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
        return self.alert.kind in NOTICES


def title(name: str, signature: str) -> str:
    """A pattern's name without the signature that stands before it as a chip."""
    rest = name.removeprefix(signature).lstrip(" ·,:") if signature else name
    return rest[:1].upper() + rest[1:] if rest else name


@dataclass(frozen=True, slots=True)
class Evidence:
    """One ticket behind a number and why it is where it is."""

    ticket: Ticket
    why: Placement | None
    history: tuple[StatusChange, ...] = ()


def evidence_of(
    session: Session, found: Sequence[Ticket], reasons: Mapping[str, Placement] | None = None
) -> list[Evidence]:
    """These tickets with what is stored about each; `reasons` only where a page shows why they belong."""
    lived = histories.of(session, [t.id for t in found])
    return [Evidence(t, (reasons or {}).get(t.id), lived.get(t.id, ())) for t in found]


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


@dataclass(frozen=True, slots=True)
class Away:
    """When this browser was here before, and what happened since."""

    at: datetime
    new: int
    worse: int


@router.get("/")
def inbox(request: Request, run: Run, visitor: Reader, tab: str = "review", cursor: str = "") -> Response:
    """One tab of the inbox under the filters of the address."""
    if tab not in pages.TABS:
        raise Invalid(f"there is no tab {tab!r}: tabs are {', '.join(pages.TABS)}")
    wanted = _wanted(request.query_params)
    traffic: Traffic = request.app.state.traffic
    threads: Threads = request.app.state.threads
    now = run.now()
    visits = Visits.of(request.cookies.get(VISITS, ""), now)
    values: dict[str, Any]
    with run.store.read() as session:
        found = pages.inbox(session, tab, wanted, at=now, cursor=cursor or None)
        rows = _rows(session, traffic, threads, found.items if cursor else _worst_first(found.items))
        threads.prepare(run, [row.pattern for row in rows[:PREPARED] if row.pattern])
        marks = _marks(releases.between(session, now - timedelta(days=SPARK_DAYS), now), run)
        values = {
            "counts": pages.tab_counts(session, wanted, at=now),
            "products": pages.products(session),
            "saved": views.every(session),
            "seq": pages.news(session, 0)[0],
            "standing": standing(session, run, traffic),
            "owners": pages.owners(session),
            "away": Away(visits.before, *pages.since(session, visits.before)) if visits.before else None,
        }
    missing = feeds.touched(run, {row.alert.id: row.alert.ticket_ids for row in rows})
    response = page(
        request, visitor, "inbox.html", about=DESK, missing=missing, tab=tab, tabs=TITLES, rows=rows, marks=marks, wanted=wanted,
        following=_address(tab, wanted, found.next_cursor) if found.next_cursor else "", is_later=bool(cursor),
        addresses={name: _address(name, wanted) for name in TITLES}, kinds=shown.KINDS, snoozes=SNOOZES,
        reasons=REASONS, severities=shown.SEVERITIES, attributes=pages.ATTRIBUTES,
        told_states=TOLD_STATES, spark_days=SPARK_DAYS, query=_query(tab, wanted), **values,
    )  # fmt: skip
    response.set_cookie(VISITS, visits.cookie(now), max_age=30 * 86400, httponly=True, samesite="lax")
    return response


def prepare(session: Session, run: Runtime, traffic: Traffic, threads: Threads) -> None:
    """Have ready what the rows of open alerts and the pages behind them show, for the newest READY of them."""
    traffic.desk(session)
    found = alerts.unresolved(session)[-READY:]
    traffic.courses(session, list({a.topic.id: a.topic for a in found}.values()), days=LONGEST_DAYS)
    threads.prepare(
        run, patterns.by_ids(session, sorted({a.pattern_id for a in found if a.pattern_id})).values()
    )


def _wanted(given: Mapping[str, str]) -> dict[str, str]:
    """The filters an address names; Invalid for a number that is none."""
    wanted = {n: v for n in pages.FILTERS if (v := given.get(n, "").strip())}
    if not wanted.get("min_customers", "0").isdecimal():
        raise Invalid("the least number of customers must be a whole number, such as 3")
    return wanted


def _rows(session: Session, traffic: Traffic, threads: Threads, found: Sequence[Alert]) -> list[Row]:
    named = patterns.by_ids(session, sorted({a.pattern_id for a in found if a.pattern_id}))
    products = pages.products_of(session, [a.id for a in found])
    topics_ = list({a.topic.id: a.topic for a in found}.values())
    courses = traffic.courses(session, topics_, days=SPARK_DAYS)
    return [
        Row(a, named.get(a.pattern_id or ""), products.get(a.id, ""), courses.get(a.topic.id),
            threads.strongest(a.pattern_id or ""))
        for a in found
    ]  # fmt: skip


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
        used=alerts.opened_since(session, now - detect.WEEK, tier=Tier.ALERT, besides=NOTICES),
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
    query = _query(tab, wanted) + (f"&{urlencode({'cursor': cursor})}" if cursor else "")
    return f"/?{query.lstrip('&')}" if query else "/"


def _query(tab: str, wanted: Mapping[str, str]) -> str:
    return urlencode(dict(wanted) | ({} if tab == "review" else {"tab": tab}))


@router.get("/inbox/news")
def news(run: Run, _visitor: Reader, after: int) -> Response:
    """How many alerts opened or got worse after event number `after`: what a page that stays open asks."""
    with run.store.read() as session:
        newest, count = pages.news(session, after)
    return JSONResponse({"newest": newest, "alerts": count})


# --- saved views ------------------------------------------------------------------------------------


@router.post("/views")
def save_view(
    run: Run, visitor: Writer, name: Annotated[str, Form(max_length=60)], query: Annotated[str, Form()]
) -> Response:
    """Give a tab with its filters a name that everybody finds on the inbox."""
    given = dict(parse_qsl(query))
    tab = given.get("tab", "review")
    if not (label := " ".join(name.split())) or tab not in pages.TABS:
        raise Invalid("a view needs a name and a tab of the inbox")
    made = View(label, _query(tab, _wanted(given)), visitor.name, run.now())
    with run.store.write() as session:
        kept = {v.name for v in views.every(session)}
        if made.name not in kept and len(kept) >= VIEWS_KEPT:
            raise Invalid(f"there are {VIEWS_KEPT} views already: forget one first")
        views.save(session, made)
    return done(f"/?{made.query}" if made.query else "/", "view")


@router.post("/views/forget")
def forget_view(run: Run, _visitor: Writer, name: Annotated[str, Form()], then: Then = "/") -> Response:
    with run.store.write() as session:
        views.forget(session, name)
    return done(then, "forgotten")


# --- decisions --------------------------------------------------------------------------------------


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
        shown_ = evidence_of(session, newest)
        homes = patterns.by_ids(session, sorted({t.pattern_id for t in newest if t.pattern_id}))
        owners = pages.owners(session)
        row = Row(found, None, pages.products_of(session, [id_]).get(id_, ""), course, None)
        now = run.now()
        marks = _marks(releases.between(session, now - timedelta(days=CHART_DAYS), now), run)
    return page(
        request,
        visitor,
        "alert.html",
        about=About(tickets=found.ticket_ids),
        row=row,
        newest=shown_,
        homes=homes,
        marks=marks,
        owners=owners,
        snoozes=SNOOZES,
        reasons=REASONS,
    )


@router.post("/alerts/bulk")
def bulk(
    run: Run, visitor: Writer, do: Annotated[str, Form()], alert: Annotated[tuple[str, ...], Form()] = (),
    days: Annotated[str, Form()] = "1", why: Annotated[str, Form()] = "noise", then: Then = "/",
) -> Response:  # fmt: skip
    """One decision about several alerts; those that were closed meanwhile stay as they are."""
    if not alert:
        raise Invalid("select at least one alert first")
    if days not in SNOOZES or why not in REASONS:
        raise Invalid(f"days must be one of {', '.join(SNOOZES)}, the reason one of {', '.join(REASONS)}")
    until, by = run.now() + timedelta(days=int(days)), visitor.name
    acts: dict[str, Callable[[str], Alert]] = {
        "acknowledge": lambda id_: review.acknowledge(run, id_, actor=by),
        "snooze": lambda id_: review.snooze(run, id_, until=until, actor=by),
        "dismiss": lambda id_: review.dismiss(run, id_, reason=REASONS[why], noise=why == "noise", actor=by),
        "resolve": lambda id_: review.resolve(run, id_, reason="", actor=by),
    }
    if do not in acts:
        raise Invalid(f"with several alerts one can {', '.join(acts)}")
    changed = []
    for id_ in dict.fromkeys(alert):
        with suppress(Conflict):
            changed.append(acts[do](id_).id)
    return done(then, PAST[do], undo=changed)


@router.post("/alerts/undo")
def undo(
    run: Run, visitor: Writer, alert: Annotated[tuple[str, ...], Form()] = (), then: Then = "/"
) -> Response:
    """Take back the newest decision about each of these alerts."""
    for id_ in dict.fromkeys(alert):
        review.undo(run, id_, actor=visitor.name)
    return done(then, "undone")


@router.post("/alerts/{id_}/acknowledge")
def acknowledge(run: Run, visitor: Writer, id_: str, then: Then = "/") -> Response:
    review.acknowledge(run, id_, actor=visitor.name)
    return done(then, "acknowledged", undo=[id_])


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
    return done(then, "dismissed", undo=[id_])


@router.post("/alerts/{id_}/snooze")
def snooze(
    run: Run, visitor: Writer, id_: str, days: Annotated[str, Form()] = "",
    customers: Annotated[int, Form(ge=0, le=9999)] = 0, escalating: Annotated[str, Form()] = "", then: Then = "/",
) -> Response:  # fmt: skip
    """Hide it for some days, until so many more customers, or until it gets worse."""
    if days and days not in SNOOZES:
        raise Invalid(f"days must be one of {', '.join(SNOOZES)}")
    until = run.now() + timedelta(days=int(days)) if days else None
    review.snooze(run, id_, until=until, customers=customers, escalating=bool(escalating), actor=visitor.name)
    return done(then, "snoozed", undo=[id_])


@router.post("/alerts/{id_}/assign")
def assign(
    run: Run, visitor: Writer, id_: str, owner: Annotated[str, Form(max_length=100)] = "", then: Then = "/"
) -> Response:
    """Give it, and the pattern it is about, an owner; an empty name takes the owner away."""
    name = " ".join(owner.split())
    review.assign(run, id_, owner=name, actor=visitor.name)
    return done(then, "assigned" if name else "unassigned")


@router.post("/alerts/{id_}/resolve")
def resolve(run: Run, visitor: Writer, id_: str, then: Then = "/") -> Response:
    review.resolve(run, id_, reason="", actor=visitor.name)
    return done(then, "resolved", undo=[id_])
