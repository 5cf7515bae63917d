"""What came each day and what the engine would have expected of it, for the charts.

Every ticket counts here, imported ones too: a chart shows the whole history, while a rule only raises on
live tickets. The expectation is the engine's own, made for each day from the days before it.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
from scipy.stats import nbinom
from sqlmodel import Session

from app.detectors.baseline import HISTORY_DAYS, Desk, Ledger
from app.detectors.book import Book
from app.detectors.calendar import HOUR_S, BusinessClock, Floats
from app.detectors.scan import count
from app.domain import EPOCH, Series, Topic, TopicKind
from app.runtime import Runtime
from app.store import pages, topics

KEPT = timedelta(minutes=5)  # a chart may be this much older than the page
HISTORY = timedelta(days=HISTORY_DAYS + 14)
LEAST_KNOWN_DAYS = 7.0  # before this age of the desk nothing is expected of a day
INSIDE = 0.95  # share of days the band holds while nothing is wrong
BROAD = (TopicKind.DESK, TopicKind.SEGMENT)


@dataclass(frozen=True, slots=True)
class Day:
    """One business day of a topic; `low` to `high` is where the engine expects `customers` to lie."""

    date: date
    tickets: int
    customers: int
    expected: float | None  # None while the desk is too young to say
    low: float
    high: float
    partial: bool  # the day is not over

    @property
    def is_above(self) -> bool:
        return self.expected is not None and self.customers > self.high


@dataclass(frozen=True, slots=True)
class Course:
    """A topic day by day, oldest first, and when it was last seen."""

    days: tuple[Day, ...]
    last_at: datetime | None

    @property
    def peak(self) -> int:
        return max((d.tickets for d in self.days), default=0)


class Traffic:
    """The desk as the charts see it.

    Broad topics (the desk, its segments) have as many sightings as there are tickets: they are read once
    a business day and then only added to, so that a page's cost does not grow with the desk.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._clock = BusinessClock(runtime.settings.time_zone)
        self._lock = threading.Lock()
        self._book = Book()
        self._held: set[str] = set()
        self._seq = 0  # every sighting of a held topic up to this one is in the book
        self._day = -1
        self._desk: Desk | None = None
        self._courses: dict[tuple[str, int], tuple[float, Course]] = {}  # of broad topics

    def desk(self, session: Session) -> Desk | None:
        """The desk's traffic up to now, at most KEPT old; None before the first ticket."""
        moment = self._runtime.now().timestamp()
        with self._lock:
            old = self._desk
            if old is not None and 0 <= moment - old.until < KEPT.total_seconds():
                return old
            (series,) = self._broad(session, [_DESK])
            known = len(series.at) and series.at[0] <= moment
            if not known:
                self._desk = None
            else:
                self._desk = old.advance(series, moment) if old else Desk.build(series, self._clock, moment)
            return self._desk

    def courses(self, session: Session, wanted: Sequence[Topic], *, days: int) -> Mapping[str, Course]:
        """The last `days` business days of each topic, by topic id."""
        desk = self.desk(session)
        if desk is None or not wanted:
            return {}
        now = self._runtime.now()
        found = {t.id: c for t in wanted if (c := self._drawn(t, days, desk)) is not None}
        series = self._series(session, [t for t in wanted if t.id not in found])
        if not series:
            return found
        mean, low, high = _expected(series, desk, now, days)
        for i, one in enumerate(series):
            found[one.topic.id] = _course(one, desk, now, mean[i], low[i], high[i])
            if one.topic.kind in BROAD:
                self._courses[one.topic.id, days] = (desk.until, found[one.topic.id])
        return found

    def _drawn(self, topic: Topic, days: int, desk: Desk) -> Course | None:
        """A broad topic's course, when it was computed from this very desk."""
        until, course = self._courses.get((topic.id, days), (0.0, None))
        return course if until == desk.until else None

    def series(self, session: Session, topic: Topic) -> Series:
        """The topic's sightings up to now."""
        return self._series(session, [topic])[0]

    def _series(self, session: Session, wanted: Sequence[Topic]) -> list[Series]:
        broad = [t for t in wanted if t.kind in BROAD]
        with self._lock:
            found = {s.topic.id: s for s in self._broad(session, broad)} if broad else {}
        narrow = Book()
        narrow.know(t for t in wanted if t.id not in found)
        _fill(session, narrow, [t.id for t in wanted if t.id not in found], self._runtime.now())
        until = self._runtime.now().timestamp()
        return [found.get(t.id) or narrow.series(t.id, until=until) for t in wanted]

    def _broad(self, session: Session, wanted: Sequence[Topic]) -> list[Series]:
        """The series of broad topics; call it with the lock held."""
        now = self._runtime.now()
        today, last = self._clock.day(now.timestamp()), pages.last_sighting(session)
        if today != self._day:
            self._book, self._held, self._day, self._seq = Book(), set(), today, last
        for topic, at, ticket, customer in pages.sightings_after(session, self._seq):
            if topic in self._held:  # adding one twice counts it once
                self._book.add(topic, at, ticket, customer, live=True)
        new = [t for t in wanted if t.id not in self._held]
        self._book.know(new)
        _fill(session, self._book, [t.id for t in new], now)
        self._held.update(t.id for t in new)
        self._seq = last
        return [self._book.series(t.id, until=now.timestamp()) for t in wanted]


_DESK = Topic(topics.topic_id(TopicKind.DESK, "desk"), TopicKind.DESK, "desk", "Whole desk", EPOCH)


def _fill(session: Session, book: Book, topic_ids: Sequence[str], now: datetime) -> None:
    rows = topics.rows_of(session, topic_ids, since=now - HISTORY)
    for topic, at, ticket, customer, _ in sorted(rows, key=lambda row: row[:3]):
        book.add(topic, at, ticket, customer, live=True)


def _edges(desk: Desk, now: datetime, days: int) -> Floats:
    """(days + 1,) Unix seconds: the midnights of the last `days` days, and now."""
    today = desk.clock.day(now.timestamp())
    midnights = desk.clock.edges(today - days + 1, today)[::24]
    return np.append(midnights[:days], now.timestamp())


def _expected(
    series: Sequence[Series], desk: Desk, now: datetime, days: int
) -> tuple[Floats, Floats, Floats]:
    """(n, days) customers expected a day and the ends of their band; NaN where nothing can be expected."""
    edges = _edges(desk, now, days)
    ledger, rows = Ledger.build(series, desk), np.arange(len(series))
    mean, variance = np.full((2, len(series), days), np.nan)
    for d in range(days):
        hours = (edges[d + 1] - edges[d]) / HOUR_S
        if hours > 0 and desk.age_days(edges[d]) >= LEAST_KNOWN_DAYS:
            seen = count(ledger, rows, desk, float(edges[d + 1]), np.array([hours]))
            mean[:, d], variance[:, d] = seen.mean[:, 0], seen.variance[:, 0]
    size = mean**2 / np.maximum(variance - mean, 1e-9)
    outside = (1.0 - INSIDE) / 2.0
    low, high = (nbinom.ppf(q, size, size / (size + mean)) for q in (outside, 1.0 - outside))
    return mean, low, high


def _course(series: Series, desk: Desk, now: datetime, mean: Floats, low: Floats, high: Floats) -> Course:
    edges = _edges(desk, now, len(mean))
    first = desk.clock.day(float(edges[0]))
    bounds = np.searchsorted(series.at, edges, side="left")
    bounds[-1] = len(series.at)
    days = []
    for d, (begin, end) in enumerate(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)):
        known = bool(np.isfinite(mean[d]))
        days.append(
            Day(
                date=date.fromordinal(first + d),
                tickets=end - begin,
                customers=len(np.unique(series.customer[begin:end])),
                expected=float(mean[d]) if known else None,
                low=float(low[d]) if known else 0.0,
                high=float(high[d]) if known else 0.0,
                partial=d == len(mean) - 1,
            )
        )
    last = datetime.fromtimestamp(float(series.at[-1]), now.tzinfo) if len(series.at) else None
    return Course(tuple(days), last)
