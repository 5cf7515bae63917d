"""A seeded support desk for unit tests: tickets in opening hours, and hand-placed topics."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from app.detectors.baseline import Desk
from app.detectors.calendar import BusinessClock
from app.domain import Series, Topic, TopicKind

START = datetime(2025, 1, 6, tzinfo=UTC)  # a Monday


def topic(key: str, kind: TopicKind = TopicKind.PATTERN) -> Topic:
    return Topic(f"t_{key}", kind, key, key, START)


def series(
    key: str, at: Sequence[float], customers: Sequence[int] | None = None, *, live: bool = True
) -> Series:
    """A topic seen at `at` Unix seconds, by as many customers unless said otherwise."""
    times = np.array(at, float)
    who = np.arange(len(times)) + 10**6 if customers is None else np.array(customers, np.int64)
    order = np.argsort(times, kind="stable")
    ids = tuple(f"{key}-{i:05d}" for i in range(len(times)))
    return Series(
        topic(key), times[order], who[order].astype(np.int64), np.full(len(times), live),
        tuple(ids[i] for i in order),
    )  # fmt: skip


def working_times(
    rng: np.random.Generator, *, days: int, per_day: float, start: datetime = START, zone: str = "UTC"
) -> list[float]:
    """Poisson tickets: `per_day` on weekdays between 8 and 18 local time, a tenth of it on weekends."""
    clock = BusinessClock(zone)
    times: list[float] = []
    first = clock.day(start.timestamp())
    for day in range(first, first + days):
        weekday = (day - 1) % 7
        edges = clock.edges(day, day)
        size = rng.poisson(per_day if weekday < 5 else per_day / 10)
        times += list(rng.uniform(edges[8], edges[18], size))
    return sorted(times)


def desk_series(*parts: Sequence[float]) -> Series:
    times = sorted(t for part in parts for t in part)
    whole = series("desk", times)
    return Series(topic("desk", TopicKind.DESK), whole.at, whole.customer, whole.live, whole.ticket_ids)


def moment(days: float = 0, hours: float = 0) -> datetime:
    return START + timedelta(days=days, hours=hours)


def at(days: float = 0, hours: float = 0) -> float:
    return moment(days, hours).timestamp()


def desk(whole: Series, now: float, *, zone: str = "UTC") -> Desk:
    return Desk.build(whole, BusinessClock(zone), now)
