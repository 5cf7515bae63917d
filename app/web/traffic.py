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
from app.store import topics

KEPT = timedelta(minutes=5)  # a chart may be this much older than the page
HISTORY = timedelta(days=HISTORY_DAYS + 14)
LEAST_KNOWN_DAYS = 7.0  # before this age of the desk nothing is expected of a day
INSIDE = 0.95  # share of days the band holds while nothing is wrong
DESK = topics.topic_id(TopicKind.DESK, "desk")


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
    """The desk as the charts see it, read again every few minutes, so that a page reads only its topics."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._clock = BusinessClock(runtime.settings.time_zone)
        self._lock = threading.Lock()
        self._desk: Desk | None = None
        self._read_at: datetime | None = None

    def desk(self, session: Session) -> Desk | None:
        """The desk's traffic up to now; None before the first ticket."""
        now = self._runtime.now()
        with self._lock:
            if self._read_at is None or not timedelta() <= now - self._read_at < KEPT:
                series = _series(session, [_desk_topic()], now)[0]
                known = len(series.at) and series.at[0] <= now.timestamp()
                self._desk = Desk.build(series, self._clock, now.timestamp()) if known else None
                self._read_at = now
            return self._desk

    def courses(self, session: Session, wanted: Sequence[Topic], *, days: int) -> Mapping[str, Course]:
        """The last `days` business days of each topic, by topic id."""
        desk = self.desk(session)
        if desk is None or not wanted:
            return {}
        now = self._runtime.now()
        series = _series(session, wanted, now)
        mean, low, high = _expected(series, desk, now, days)
        return {
            one.topic.id: _course(one, desk, now, mean[i], low[i], high[i]) for i, one in enumerate(series)
        }  # fmt: skip

    def series(self, session: Session, topic: Topic) -> Series:
        """The topic's sightings up to now."""
        return _series(session, [topic], self._runtime.now())[0]


def _desk_topic() -> Topic:
    return Topic(DESK, TopicKind.DESK, "desk", "Whole desk", EPOCH)


def _series(session: Session, wanted: Sequence[Topic], now: datetime) -> list[Series]:
    book = Book()
    book.know(wanted)
    for topic_id, at, ticket, customer, _ in topics.rows_of(
        session, [t.id for t in wanted], since=now - HISTORY
    ):
        book.add(topic_id, at, ticket, customer, live=True)
    return [book.series(t.id, until=now.timestamp()) for t in wanted]


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
