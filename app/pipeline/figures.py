"""Reports and trends of a period of business days, gathered from the store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from sqlmodel import Session

from app.domain import TopicKind
from app.errors import Invalid
from app.pipeline.feeds import About
from app.reports.exports import Sheet
from app.reports.figures import AROUND, Case, Panel, Period, Raised, panels
from app.reports.trends import Count, Move, moves
from app.runtime import Runtime
from app.store import reports

DAYS = 28  # of a period nobody chose
MOST_DAYS = 366
KINDS = {"product": "Products", "signature": "Error signatures", "pattern": "Patterns", "segment": "Segments"}


@dataclass(frozen=True, slots=True)
class Span:
    """Business days `since` to `until`, both included, and the equally long stretch before them."""

    since: date
    until: date

    @property
    def days(self) -> int:
        return (self.until - self.since).days + 1

    @property
    def before(self) -> Span:
        return Span(self.since - timedelta(days=self.days), self.since - timedelta(days=1))


@dataclass(frozen=True, slots=True)
class Report:
    span: Span
    by: str
    panels: tuple[Panel, ...]
    made: datetime  # the end of its last day, or now when that day is not over

    def panel(self, key: str) -> Panel:
        found = next((p for p in self.panels if p.key == key), None)
        if found is None:
            known = ", ".join(p.key for p in self.panels)
            raise Invalid(f"there is no table {key!r}; tables are {known}", pointer="panel")
        return found

    def sheets(self) -> list[Sheet]:
        return [Sheet(p.title, p.head, p.rows, note=p.note, kinds=p.kinds) for p in self.panels]


def span(runtime: Runtime, since: str, until: str) -> Span:
    """The days asked for, as ISO dates; without them the last DAYS whole days."""
    today = runtime.now().astimezone(runtime.settings.zone).date()
    last = _day(until, "until") if until else today - timedelta(days=1)
    first = _day(since, "since") if since else last - timedelta(days=DAYS - 1)
    if first > last:
        raise Invalid(f"the period ends ({last}) before it begins ({first})", pointer="since")
    if (last - first).days >= MOST_DAYS:
        raise Invalid(f"a period may be {MOST_DAYS} days long at most", pointer="since")
    return Span(first, last)


def _day(text: str, name: str) -> date:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        raise Invalid(f"{text!r} is not a day such as 2026-05-04", pointer=name) from None
    if not 1970 <= found.year <= 9000:
        raise Invalid(f"{text} is out of range", pointer=name)
    return found


def report(runtime: Runtime, chosen: Span, *, by: str = "plan") -> Report:
    """All figures of a period and of the one before it."""
    if by not in reports.POPULATIONS:
        raise Invalid(f"by must be one of {', '.join(reports.POPULATIONS)}", pointer="by")
    with runtime.store.read() as session:
        now, before = (_period(session, runtime, s, by) for s in (chosen, chosen.before))
        named = reports.names(session, sorted({c.pattern for c in now.cases if c.pattern}))
    made = min(now.until, runtime.now())
    return Report(chosen, by, panels(now, before, by=by, names=named), made)


def _bounds(runtime: Runtime, chosen: Span) -> tuple[datetime, datetime]:
    """The instants at which the first day begins and the last one ends."""
    zone = runtime.settings.zone
    after = chosen.until + timedelta(days=1)
    return datetime.combine(chosen.since, time(), zone), datetime.combine(after, time(), zone)


def about(runtime: Runtime, chosen: Span) -> About:
    """The tickets a period's figures are made of, those of the stretch before it included."""
    return About(created=(_bounds(runtime, chosen.before)[0], _bounds(runtime, chosen)[1]))


def _period(session: Session, runtime: Runtime, chosen: Span, by: str) -> Period:
    since, until = _bounds(runtime, chosen)
    opened = reports.raised(session, since, until)
    about = sorted({pattern for *_, pattern in opened if pattern})
    times = reports.ticket_times(session, about, since - AROUND, until + AROUND)
    return Period(
        since,
        until,
        tuple(Case._make(row) for row in reports.cases(session, since, until, by=by)),
        tuple(
            Raised(opened_at=at, acknowledged_at=taken, verdict=verdict, tickets=tuple(times.get(pattern or "", ())))
            for at, taken, verdict, pattern in opened
        ),
    )  # fmt: skip


def trend(runtime: Runtime, chosen: Span, *, kind: str) -> list[Move]:
    """How every topic of one of KINDS changed from the period before."""
    if kind not in KINDS:
        raise Invalid(f"kind must be one of {', '.join(KINDS)}", pointer="kind")
    of = TopicKind.SEGMENT if kind == "product" else TopicKind(kind)
    now, before = _bounds(runtime, chosen), _bounds(runtime, chosen.before)
    with runtime.store.read() as session:
        begins = "product=" if kind == "product" else ""
        later, earlier = (reports.counts(session, of, *bounds, begins=begins) for bounds in (now, before))
        desk, desk_before = (reports.customers(session, *bounds) for bounds in (now, before))
    return moves(_joined(later, earlier), desk=desk, desk_before=desk_before)


def _joined(later: Sequence[reports.Counted], earlier: Sequence[reports.Counted]) -> list[Count]:
    then = {c.topic: c for c in earlier}
    now = {c.topic: c for c in later}
    found = []
    for topic in sorted(then | now):
        a, b = now.get(topic), then.get(topic)
        one = a or b
        assert one is not None
        found.append(
            Count(one.key, one.label, a.tickets if a else 0, a.customers if a else 0,
                  b.tickets if b else 0, b.customers if b else 0)
        )  # fmt: skip
    return found
