"""When tickets come: working hours, weekends, a slow season, a holiday, a surge and an outage."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from itertools import accumulate
from random import Random

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
WEEKDAY = (1.18, 1.06, 1.02, 0.98, 0.9, 0.24, 0.19)
CLOCK = (2, 2, 2, 2, 2, 3, 5, 8, 10, 11, 11, 10, 9, 10, 11, 10, 9, 8, 6, 5, 4, 3, 3, 2)  # by hour, UTC


def midweek(end: datetime, days_before: float) -> date:
    """The Tuesday, Wednesday or Thursday nearest to `days_before` the end, looking back."""
    day = (end - timedelta(days=days_before)).date()
    while day.weekday() not in (1, 2, 3):
        day -= DAY
    return day


@dataclass(frozen=True)
class Season:
    """The queue's hourly intensity over `days` up to `end`; all times aware UTC."""

    end: datetime
    days: int = 120
    holiday_before: float = 74.0
    surge_before: float = 30.0
    outage_before: float = 16.0

    @property
    def start(self) -> datetime:
        return self.end - self.days * DAY

    @cached_property
    def holiday(self) -> date:
        return midweek(self.end, self.holiday_before)

    @cached_property
    def surge(self) -> tuple[date, date]:
        """Two days in a row with twice the usual volume."""
        second = midweek(self.end, self.surge_before)
        return second - DAY, second

    @cached_property
    def outage(self) -> tuple[datetime, datetime]:
        """Seven hours in which nothing was delivered; it all came right after."""
        day = midweek(self.end, self.outage_before)
        start = datetime(day.year, day.month, day.day, 8, tzinfo=self.end.tzinfo)
        return start, start + 7 * HOUR

    def intensity(self, at: datetime) -> float:
        """Relative expected volume of the hour at `at`; 1 is an average working hour's order of magnitude."""
        day = at.date()
        factor = WEEKDAY[day.weekday()] * CLOCK[at.hour] / 10
        factor *= 1 + 0.08 * math.sin(2 * math.pi * (self.end - at) / (84 * DAY))
        if day == self.holiday:
            factor *= 0.15
        if day in self.surge:
            factor *= 2
        return factor

    def times(self, rng: Random, count: int, start: datetime, stop: datetime) -> list[datetime]:
        """`count` sorted instants in [start, stop), denser where the queue is busier."""
        minutes = max(1, int((stop - start).total_seconds() // 600))
        slots = [start + (stop - start) * k / minutes for k in range(minutes)]
        weights = list(accumulate(self.intensity(slot) for slot in slots))
        width = (stop - start) / minutes
        picked = rng.choices(slots, cum_weights=weights, k=count)
        return sorted((at + width * rng.random()).replace(microsecond=0) for at in picked)

    def weekly(self, rng: Random, per_week: float, start: datetime, stop: datetime) -> list[datetime]:
        """About `per_week` instants in each seven days of [start, stop): steady, so a change stands out."""
        found: list[datetime] = []
        while start < stop:
            until = min(start + 7 * DAY, stop)
            expected = per_week * ((until - start) / (7 * DAY)) * self._against_normal(start, until)
            found += self.times(rng, round(expected + rng.gauss(0, 0.3 * math.sqrt(expected))), start, until)
            start = until
        return found

    def _against_normal(self, start: datetime, stop: datetime) -> float:
        hours: Sequence[datetime] = [start + k * HOUR for k in range(int((stop - start) / HOUR))]
        normal = sum(WEEKDAY[at.weekday()] * CLOCK[at.hour] / 10 for at in hours)
        return sum(map(self.intensity, hours)) / normal if normal else 1.0

    def received(self, rng: Random, at: datetime) -> datetime:
        """When a ticket created `at` reached us: within minutes, or in the rush after the outage."""
        begin, over = self.outage
        if begin <= at < over:
            return over + timedelta(seconds=rng.randint(60, 1500))
        return at + timedelta(seconds=rng.randint(4, 100))
