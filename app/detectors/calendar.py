"""The business clock: which local day, clock hour and block of the week an instant lies in.

Everything is counted on local clock hours, numbered without gaps: slot = 24 x the date's ordinal + the
hour on the wall. When clocks go forward one slot has no length, when they go back one is two hours
long; both fall out of asking when each local hour begins.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

_BLOCK_OF = np.repeat([0, 1, 0, 0], [8, 10, 6, 24])
"""Weekday night, morning, afternoon, evening; weekend night, day, evening: (48,) hour to block."""
BLOCKS = 2

DAY_S = 86_400.0
HOUR_S = 3_600.0


@lru_cache(maxsize=256)
def _edges_of_year(zone: str, year: int) -> Floats:
    """(24 x days of the year,) Unix seconds at which each local clock hour of the year begins."""
    tz = ZoneInfo(zone)
    first, last = date(year, 1, 1).toordinal(), date(year + 1, 1, 1).toordinal()
    dates = [date.fromordinal(ordinal) for ordinal in range(first, last + 1)]
    midnights = [datetime(d.year, d.month, d.day, tzinfo=tz).timestamp() for d in dates]
    edges = np.add.outer(np.array(midnights[:-1]), HOUR_S * np.arange(24))
    for i in np.flatnonzero(np.diff(midnights) != DAY_S):
        d = dates[i]
        edges[i] = [datetime(d.year, d.month, d.day, hour, tzinfo=tz).timestamp() for hour in range(24)]
    flat: Floats = np.maximum.accumulate(edges.ravel())
    flat.flags.writeable = False
    return flat


@lru_cache(maxsize=64)
def _edges(zone: str, first_year: int, last_year: int) -> Floats:
    edges = np.concatenate([_edges_of_year(zone, year) for year in range(first_year, last_year + 1)])
    edges.flags.writeable = False
    return edges


@dataclass(frozen=True, slots=True)
class BusinessClock:
    """One time zone per installation decides where days, hours and clock blocks begin."""

    zone: str = "UTC"

    def slots(self, at: Floats) -> Ints:
        """The clock-hour slot each of `at` (n,) Unix seconds lies in."""
        if not len(at):
            return np.empty(0, np.int64)
        first, last = self._year(float(at.min())), self._year(float(at.max()))
        edges = _edges(self.zone, first, last)
        return np.searchsorted(edges, at, side="right") - 1 + 24 * date(first, 1, 1).toordinal()

    def edges(self, first_day: int, last_day: int) -> Floats:
        """(24 n + 1,) Unix seconds bounding every slot of the local days first..last (date ordinals)."""
        first, last = date.fromordinal(first_day).year, date.fromordinal(last_day + 1).year
        edges = _edges(self.zone, first, last)
        offset = 24 * date(first, 1, 1).toordinal()
        return edges[24 * first_day - offset : 24 * (last_day + 1) - offset + 1]

    def blocks(self, slots: Ints) -> Ints:
        """The clock block (0 .. BLOCKS - 1) of each slot, by the hour on the wall."""
        day, hour = np.divmod(slots, 24)
        weekday = (day - 1) % 7  # ordinal 1 was a Monday
        return _BLOCK_OF[np.where(weekday < 5, hour, hour + 24)]

    def day(self, at: float) -> int:
        """The ordinal of the local date at Unix seconds `at`."""
        return int(self.slots(np.array([at]))[0]) // 24

    def midnight(self, day: int) -> datetime:
        """The instant (UTC) at which the local date with this ordinal begins."""
        return datetime.fromtimestamp(float(self.edges(day, day)[0]), UTC)

    def local(self, at: datetime) -> datetime:
        """`at` on the local wall clock."""
        return at.astimezone(ZoneInfo(self.zone))

    def _year(self, at: float) -> int:
        return (datetime.fromtimestamp(at, UTC).astimezone(ZoneInfo(self.zone)) + timedelta(0)).year
