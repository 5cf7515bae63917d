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
from numpy.typing import NDArray
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
Bands = NDArray[np.float64]
"""(3, d) for d days: customers expected, and where the band of usual days begins and ends; NaN: nothing is."""


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

    What was read of a topic is kept for the business day and then only added to, what was expected of days
    that are over is worked out once a day, and a course is drawn again only when its topic was seen since: a
    page's cost grows neither with the desk nor with its history.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._clock = BusinessClock(runtime.settings.time_zone)
        self._lock = threading.Lock()
        self._books: dict[str, Book] = {}  # one for each topic that was looked at today
        self._seq = 0  # every sighting of those topics up to this one is in their books
        self._since = EPOCH  # and none before this
        self._day = -1
        self._desk: Desk | None = None
        self._courses: dict[
            str, dict[int, tuple[float, Course]]
        ] = {}  # by topic and days: desk's age, course
        self._closed: dict[str, Bands] = {}  # by topic: what was expected of the days before today

    def desk(self, session: Session) -> Desk | None:
        """The desk's traffic up to now, at most KEPT old; None before the first ticket."""
        moment = self._runtime.now().timestamp()
        with self._lock:
            old = self._desk
            if old is not None and 0 <= moment - old.until < KEPT.total_seconds():
                return old
            (series,) = self._series(session, [_DESK])
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
        with self._lock:
            self._follow(session, wanted)
            found = {t.id: c for t in wanted if (c := self._drawn(t.id, days, desk)) is not None}
            series = self._series(session, [t for t in wanted if t.id not in found])
        if not series:
            return found
        for one, bands in zip(series, self._expected(series, desk, now, days), strict=True):
            found[one.topic.id] = _course(one, desk, now, bands)
        with self._lock:
            for one in series:
                self._courses.setdefault(one.topic.id, {})[days] = (desk.until, found[one.topic.id])
        return found

    def _expected(self, series: Sequence[Series], desk: Desk, now: datetime, days: int) -> list[Bands]:
        """What the last `days` days should bring: of those that are over as worked out before, if they were."""
        with self._lock:
            closed = {s.topic.id: held for s in series if (held := self._closed.get(s.topic.id)) is not None}
        new = [s for s in series if s.topic.id not in closed or closed[s.topic.id].shape[1] < days - 1]
        edges = _edges(desk, now, days)
        made = _bands(new, desk, edges[:-1])
        closed |= {s.topic.id: bands for s, bands in zip(new, made, strict=True)}
        today = _bands(series, desk, edges[-2:])
        with self._lock:
            if desk.clock.day(now.timestamp()) == self._day:  # else a day ended meanwhile
                self._closed |= {s.topic.id: closed[s.topic.id] for s in new}
        over = days - 1
        return [
            np.hstack([closed[s.topic.id][:, closed[s.topic.id].shape[1] - over :], today[i]])
            for i, s in enumerate(series)
        ]

    def _drawn(self, topic: str, days: int, desk: Desk) -> Course | None:
        """A topic's course when it was drawn from this very desk, and the topic was not seen since."""
        until, course = self._courses.get(topic, {}).get(days, (0.0, None))
        return course if until == desk.until else None

    def series(self, session: Session, topic: Topic) -> Series:
        """The topic's sightings up to now."""
        with self._lock:
            return self._series(session, [topic])[0]

    def _series(self, session: Session, wanted: Sequence[Topic]) -> list[Series]:
        """The series of topics; call it with the lock held."""
        now = self._runtime.now()
        self._follow(session, wanted)
        new = [t for t in wanted if t.id not in self._books]
        for topic in new:
            self._books[topic.id] = book = Book()
            book.know([topic])
        rows = topics.rows_of(session, [t.id for t in new], since=self._since)
        for topic_id, at, ticket, customer, _ in sorted(rows, key=lambda row: row[:3]):
            self._books[topic_id].add(topic_id, at, ticket, customer, live=True)
        return [self._books[t.id].series(t.id, until=now.timestamp()) for t in wanted]

    def _follow(self, session: Session, wanted: Sequence[Topic]) -> None:
        """Take in what was seen since the last look, and forget what was taken away. Lock held.

        A hand edit moves sightings between patterns: a narrow topic whose count is not that of its book is
        read again. Broad ones lose none but erased tickets', which the next day's empty books leave out.
        """
        now = self._runtime.now()
        today, last = self._clock.day(now.timestamp()), pages.last_sighting(session)
        if today != self._day:
            self._books, self._courses, self._closed = {}, {}, {}
            self._day, self._seq, self._since = today, last, now - HISTORY
        if last > self._seq:
            midnight = float(self._clock.edges(today, today)[0])
            for topic, at, ticket, customer in pages.sightings_after(session, self._seq):
                if topic in self._books:  # adding one twice counts it once
                    self._books[topic].add(topic, at, ticket, customer, live=True)
                    self._courses.pop(topic, None)
                    if at < midnight:
                        self._closed.pop(topic, None)
            self._seq = last
        narrow = [t.id for t in wanted if t.kind not in BROAD and t.id in self._books]
        stored = pages.sighting_counts(session, narrow, since=self._since)
        for topic in narrow:
            if stored.get(topic, 0) != len(self._books[topic].series(topic).at):
                del self._books[topic]
                self._courses.pop(topic, None)
                self._closed.pop(topic, None)


_DESK = Topic(topics.topic_id(TopicKind.DESK, "desk"), TopicKind.DESK, "desk", "Whole desk", EPOCH)


def _edges(desk: Desk, now: datetime, days: int) -> Floats:
    """(days + 1,) Unix seconds: the midnights of the last `days` days, and now."""
    today = desk.clock.day(now.timestamp())
    midnights = desk.clock.edges(today - days + 1, today)[::24]
    return np.append(midnights[:days], now.timestamp())


def _bands(series: Sequence[Series], desk: Desk, edges: Floats) -> Bands:
    """(n, 3, d) customers expected of each of the d days between `edges`, and the ends of their band.

    NaN where nothing can be expected.
    """
    days = len(edges) - 1
    found = np.full((len(series), 3, days), np.nan)
    if not series:
        return found
    ledger, rows = Ledger.build(series, desk), np.arange(len(series))
    mean, variance = np.full((2, len(series), days), np.nan)
    for d in range(days):
        hours = (edges[d + 1] - edges[d]) / HOUR_S
        if hours > 0 and desk.age_days(edges[d]) >= LEAST_KNOWN_DAYS:
            seen = count(ledger, rows, desk, float(edges[d + 1]), np.array([hours]))
            mean[:, d], variance[:, d] = seen.mean[:, 0], seen.variance[:, 0]
    size = mean**2 / np.maximum(variance - mean, 1e-9)
    outside = (1.0 - INSIDE) / 2.0
    found[:, 0] = mean
    found[:, 1], found[:, 2] = (nbinom.ppf(q, size, size / (size + mean)) for q in (outside, 1.0 - outside))
    return found


def _course(series: Series, desk: Desk, now: datetime, bands: Bands) -> Course:
    mean, low, high = bands
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
