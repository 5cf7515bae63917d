"""What leads us to expect a count: a topic's decayed, outlier-resistant share of the desk's traffic.

A customer counts once per topic and business day, at the earliest ticket of that day, so a count is a
function of the set of sightings and not of the order they arrived in. Everything here answers for one
instant `at` and reads nothing after it; both classes may hold later rows (a replay prepares them once).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.detectors.calendar import BLOCKS, DAY_S, BusinessClock, Flags, Floats, Ints
from app.domain import Series

HISTORY_DAYS = 182  # older sightings no longer weigh anything
FORECAST_HALF_LIFE_DAYS = 42.0
MEMORY_HALF_LIFE_DAYS = 42.0
PRIOR_WEIGHT = 0.35  # customers' worth of prior; small, as the population of rates is heavy-tailed
PRIOR_PER_DAY = 0.05  # customers a day of a topic we know nothing of
DAY_NOISE = 0.12  # usual coefficient of variation of a topic's day beyond chance
NOISE_WEIGHT = 2000.0  # information (inverse variance) of that prior
SINCE_BIRTH_DAYS = 7.5  # windows longer than this measure a topic since its birth
BLOCK_WEIGHT = 8.0  # pseudo-customers pulling a block's share to the topic's own
GAP_CUSTOMERS = 12.0  # a silence is a gap once this many customers were due in it
Span = tuple[float, float]  # (begin, end] in Unix seconds


def inside(at: Floats, spans: Sequence[Span]) -> Flags:
    hit = np.zeros(len(at), bool)
    for begin, end in spans:
        hit |= (at > begin) & (at <= end)
    return hit


@dataclass(frozen=True, slots=True)
class Counted:
    """Customers counted once per topic and day, sorted by topic, then time: (m,) columns."""

    topic: Ints
    at: Floats
    slot: Ints
    live: Flags

    def __iter__(self) -> Iterator[NDArray[Any]]:
        return iter((self.topic, self.at, self.slot, self.live))

    @classmethod
    def of(cls, topics: Sequence[Series], clock: BusinessClock, spans: Sequence[Span]) -> Counted:
        """Count `topics`; sightings inside `spans` (mass events) are as if they had never been."""
        at = np.concatenate([s.at for s in topics]) if topics else np.empty(0)
        live = np.concatenate([s.live for s in topics]) if topics else np.empty(0, bool)
        customer = np.concatenate([s.customer for s in topics]) if topics else np.empty(0, np.int64)
        topic = np.repeat(np.arange(len(topics)), [len(s.at) for s in topics])
        if spans:
            kept = ~inside(at, spans)
            at, live, customer, topic = at[kept], live[kept], customer[kept], topic[kept]
        slot = clock.slots(at)
        day = slot // 24
        # Stable, so the first row of a (topic, day, customer) run is its earliest.
        order = np.lexsort((customer, day, topic))
        t, d, c = topic[order], day[order], customer[order]
        new = np.ones(len(order), bool)
        new[1:] = (t[1:] != t[:-1]) | (d[1:] != d[:-1]) | (c[1:] != c[:-1])
        first = np.sort(order[new])
        return cls(topic[first], at[first], slot[first], live[first])


def _so_far(block: Ints, wanted: Flags) -> Ints:
    """(m + 1, BLOCKS) running count of the `wanted` rows per clock block."""
    running = np.zeros((len(block) + 1, BLOCKS), np.int64)
    running[1:][wanted, block[wanted]] = 1
    return np.cumsum(running, axis=0)


def _by_block(values: Floats, block: Ints) -> Floats:
    """`values` (n,) spread over (n, BLOCKS) columns, each into its block's."""
    spread = np.zeros((len(values), BLOCKS))
    spread[np.arange(len(values)), block] = values
    return spread


@dataclass(frozen=True, slots=True)
class Desk:
    """The whole desk's traffic, prepared: per day and block, forecast per clock hour, exact in windows.

    `volume` (D, BLOCKS) customers per day and clock block; `edges` (24 D + 1,) Unix seconds of the
    clock-hour slots; `hourly` and `forecast` (D, 24); `ahead` (24 D + 1, BLOCKS) the
    forecast summed up per block; `unrest` (D,) see `unrest_at`.
    """

    clock: BusinessClock
    first_day: int
    until: float
    counted: Counted
    volume: Floats
    edges: Floats
    hourly: Floats
    forecast: Floats
    ahead: Floats
    unrest: Floats
    so_far: Ints
    live_so_far: Ints
    voids: tuple[Span, ...] = ()
    gaps: tuple[Span, ...] = ()

    @classmethod
    def build(cls, series: Series, clock: BusinessClock, at: float, *, voids: Sequence[Span] = ()) -> Desk:
        """Prepare the desk's own series as it was at `at`; `voids` are the hours of mass events, left out.

        Raises ValueError when the series holds no sighting up to `at`: there is nothing to expect from.
        """
        if not len(series.at) or series.at[0] > at:
            raise ValueError("the desk has no ticket yet: nothing can be expected of it")
        last_day = clock.day(at)
        first_day = max(clock.day(float(series.at[0])), last_day - HISTORY_DAYS + 1)
        edges = clock.edges(first_day, last_day)
        counted = Counted.of([_between(series, float(edges[0]), at)], clock, voids)
        days = last_day - first_day + 1
        hourly = np.bincount(counted.slot - 24 * first_day, minlength=24 * days).reshape(days, 24)
        forecast = _forecast(hourly.astype(float), edges)
        return cls._laid_out(
            clock, at,
            voids=tuple(voids), first_day=first_day, edges=edges, counted=counted, hourly=hourly,
            forecast=forecast,
        )  # fmt: skip

    def advance(self, series: Series, at: float, *, voids: Sequence[Span] = ()) -> Desk:
        """The desk at a later `at`, equal to `build(series, clock, at)` but cheap within one local day.

        `series` must hold the rows this desk was built from unchanged; after a late ticket, build anew.
        """
        last_day = self.first_day + self.days - 1
        same_day = self.clock.day(at) == last_day
        if not same_day or tuple(voids) != self.voids or self.days <= 7 or at < self.until:
            return Desk.build(series, self.clock, at, voids=voids)
        midnight = float(self.edges[-25])
        today = Counted.of([_between(series, midnight, at)], self.clock, voids)
        closed = int(np.searchsorted(self.counted.at, midnight))
        counted = Counted(
            *(np.concatenate([old[:closed], new]) for old, new in zip(self.counted, today, strict=True))
        )
        hourly = self.hourly.copy()
        hourly[-1] = np.bincount(today.slot - 24 * last_day, minlength=24)
        return self._laid_out(
            self.clock, at,
            voids=self.voids, first_day=self.first_day, edges=self.edges, counted=counted, hourly=hourly,
            forecast=self.forecast,
        )  # fmt: skip

    @classmethod
    def _laid_out(
        cls,
        clock: BusinessClock,
        at: float,
        *,
        voids: tuple[Span, ...],
        first_day: int,
        edges: Floats,
        counted: Counted,
        hourly: NDArray[Any],
        forecast: Floats,
    ) -> Desk:
        block = clock.blocks(np.arange(24 * first_day, 24 * (first_day + len(hourly))))
        exposure = forecast.ravel() * _kept_share(edges, voids)
        ahead = np.zeros((len(exposure) + 1, BLOCKS))
        np.cumsum(_by_block(exposure, block), axis=0, out=ahead[1:])
        came = clock.blocks(counted.slot)
        return cls(
            clock=clock,
            first_day=first_day,
            until=at,
            counted=counted,
            volume=_by_block(hourly.ravel().astype(float), block).reshape(-1, 24, BLOCKS).sum(1),
            edges=edges,
            hourly=hourly.astype(float),
            forecast=forecast,
            ahead=ahead,
            unrest=_unrest(hourly.sum(1), forecast.sum(1)),
            so_far=_so_far(came, np.ones(len(came), bool)),
            live_so_far=_so_far(came, counted.live),
            voids=voids,
            gaps=_gaps(edges, hourly.ravel(), exposure, at),
        )

    @property
    def days(self) -> int:
        return len(self.volume)

    def day_index(self, at: float) -> int:
        """Index of the local day `at` lies in, counted from the first day of the desk's memory."""
        return (int(np.searchsorted(self.edges[:-1], at, side="right")) - 1) // 24

    def midnight_before(self, at: float) -> float:
        """The beginning of the local day `at` lies in."""
        return float(self.edges[24 * self.day_index(at)])

    def age_days(self, at: float) -> float:
        """How long the desk has been known at `at`."""
        return (at - float(self.counted.at[0])) / DAY_S if len(self.counted.at) else 0.0

    def unrest_at(self, at: float) -> float:
        """How far a day's traffic usually lies from its forecast, as a log ratio.

        A topic's share cannot account for what the whole desk does; the larger it is, the less.
        """
        return float(self.unrest[min(self.day_index(at), len(self.unrest) - 1)])

    def forecast_between(self, begin: Floats, end: Floats) -> Floats:
        """(k, BLOCKS) customers forecast per block in each (begin, end]."""
        return self._ahead_at(end) - self._ahead_at(begin)

    def _ahead_at(self, at: Floats) -> Floats:
        """(k, BLOCKS) the forecast summed from the first day up to `at`, linear within an hour."""
        slot = np.clip(np.searchsorted(self.edges, at, side="right") - 1, 0, len(self.edges) - 2)
        length = np.maximum(self.edges[slot + 1] - self.edges[slot], 1e-9)
        part = np.clip((at - self.edges[slot]) / length, 0.0, 1.0)
        return np.asarray(self.ahead[slot] + part[:, None] * (self.ahead[slot + 1] - self.ahead[slot]))

    def between(self, begin: Floats, end: Floats, *, live: bool = False) -> Floats:
        """(k, BLOCKS) customers that came per block in each (begin, end]; only live ones when asked.

        `begin` and `end` have k entries, or one for all.
        """
        so_far = self.live_so_far if live else self.so_far
        low, high = (np.searchsorted(self.counted.at, mark, side="right") for mark in (begin, end))
        return np.asarray(so_far[high] - so_far[low], float)

    def silent_since(self, at: float) -> float | None:
        """The last sign of life before the silence that holds at `at`, or None: the feed speaks.

        Silent means that GAP_CUSTOMERS were due since the last one came.
        """
        seen = int(np.searchsorted(self.counted.at, at, side="right"))
        if not seen:
            return None
        last = self.counted.at[seen - 1 : seen]
        due = float(self.forecast_between(last, np.array([at])).sum())
        return float(last[0]) if due >= GAP_CUSTOMERS else None

    def overlaps_gap(self, begin: Floats, at: float) -> Flags:
        """(k,) whether a gap lies, even in part, in (begin, at]: its tickets came at the wrong hours."""
        hit = np.zeros(len(begin), bool)
        for start, end in self.gaps:
            hit |= (start < at) & (end > begin)
        return hit

    def back_over_gaps(self, begin: Floats, at: float) -> Floats:
        """`begin` moved back to the start of the gap it lies in: a catch-up is spread over its silence."""
        moved = begin.copy()
        for start, end in self.gaps:
            if start < at:
                moved[(begin > start) & (begin < end)] = start
        return moved


def _forecast(hourly: Floats, edges: Floats) -> Floats:
    """(D, 24) customers expected per clock hour, each day from the same weekdays before it.

    A decayed mean by hour of the week, smoothed 1-2-1 over the clock; what came, as long as there is no
    earlier week.
    """
    length = np.diff(edges).reshape(-1, 24) / 3600.0
    decay = 2.0 ** (-7.0 / FORECAST_HALF_LIFE_DAYS)
    total, hours = np.zeros((7, 24)), np.zeros((7, 24))
    forecast = hourly.copy()
    for first in range(0, len(hourly), 7):
        week = slice(first, first + 7)
        n = len(hourly[week])
        if first:
            rate = total[:n] / np.maximum(hours[:n], 1e-9)
            smooth = 0.25 * np.roll(rate, 1, axis=1) + 0.5 * rate + 0.25 * np.roll(rate, -1, axis=1)
            forecast[week] = smooth * length[week]
        total[:n] = total[:n] * decay + hourly[week]
        hours[:n] = hours[:n] * decay + length[week]
    return forecast


def _kept_share(edges: Floats, voids: Sequence[Span]) -> Floats:
    """(H,) the share of each slot that no void covers."""
    length = np.diff(edges)
    kept = length.copy()
    for begin, end in voids:
        kept -= np.clip(np.minimum(edges[1:], end) - np.maximum(edges[:-1], begin), 0.0, None)
    return np.asarray(np.clip(kept, 0.0, None) / np.maximum(length, 1e-9))


def _unrest(came: Floats, due: Floats) -> Floats:
    """(D,) root mean square log ratio of traffic to forecast over the days before each, drawn to 0.15."""
    off = np.clip(np.log((came + 20.0) / (due + 20.0)), -0.7, 0.7) ** 2
    days = np.maximum(np.arange(len(off)) - 7.0, 0.0)  # the first week is its own forecast
    before = np.concatenate([[0.0], np.cumsum(off)[:-1]])
    return np.asarray(np.sqrt((before + 14.0 * 0.15**2) / (days + 14.0)))


def _gaps(edges: Floats, hourly: NDArray[Any], exposure: Floats, at: float) -> tuple[Span, ...]:
    """Silences of the feed whose tickets all came in the hour after, together with that hour."""
    quiet = hourly <= 0.1 * exposure
    quiet[: 7 * 24] = False  # nothing is forecast in the first week
    bounds = np.flatnonzero(np.diff(np.concatenate([[False], quiet, [False]]).astype(int)))
    due_before = np.concatenate([[0.0], np.cumsum(exposure)])
    gaps: list[Span] = []
    for first, after in zip(bounds[::2].tolist(), bounds[1::2].tolist(), strict=True):
        due = float(due_before[after] - due_before[first])
        if due < GAP_CUSTOMERS or after >= len(hourly) or edges[after] >= at:
            continue
        if hourly[after] >= exposure[after] + 0.5 * due:
            gaps.append((float(edges[first]), float(edges[after + 1])))
    return tuple(gaps)


@dataclass(frozen=True, slots=True)
class Ledger:
    """Several topics' counted customers, laid out for vectorised look-ups.

    `key` (m,) int64 sorts by topic, then time; `so_far` (m + 1, BLOCKS) customers before each row per block,
    `live_so_far` the live ones; `daily` (n, D, BLOCKS) customers per topic, day and block; `born` (n,) Unix
    seconds of each topic's first sighting; `first` (n,) where its rows begin.
    """

    key: Ints
    so_far: Ints
    live_so_far: Ints
    daily: NDArray[np.float32]
    born: Floats
    first: Ints
    _past: dict[int, Past] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def build(cls, topics: Sequence[Series], desk: Desk) -> Ledger:
        """Count every topic within the desk's memory; to be asked together with this desk only."""
        counted = Counted.of(
            [_between(s, float(desk.edges[0]), float(desk.edges[-1])) for s in topics], desk.clock, desk.voids
        )
        block = desk.clock.blocks(counted.slot)
        n, days = len(topics), desk.days
        day = np.clip(counted.slot // 24 - desk.first_day, 0, days - 1)
        cell = (counted.topic * days + day) * BLOCKS + block
        daily = np.bincount(cell, minlength=n * days * BLOCKS).reshape(n, days, BLOCKS)
        return cls(
            _key(counted.topic, counted.at),
            _so_far(block, np.ones(len(block), bool)),
            _so_far(block, counted.live),
            daily.astype(np.float32),
            np.array([s.at[0] if len(s.at) else np.inf for s in topics]),
            np.searchsorted(counted.topic, np.arange(n)),
        )

    def between(self, rows: Ints, begin: Floats, end: Floats, *, live: bool = False) -> Floats:
        """(n, k, BLOCKS) customers of each of `rows` per block in each (begin, end]; live ones when asked.

        `begin` and `end` have k entries, or one for all.
        """
        return self.ranked(self.rank(rows, begin), self.rank(rows, end), live=live)

    def ranked(self, begin: Ints, end: Ints, *, live: bool = False) -> Floats:
        """The same, from ranks (n, k) that are known already."""
        so_far = self.live_so_far if live else self.so_far
        return np.asarray(so_far[end] - so_far[begin], float)

    def past(self, desk: Desk, today: int) -> Past:
        """All topics' closed days before `today`, judged once however often they are asked for."""
        if today not in self._past:
            self._past.clear()
            self._past[today] = Past.of(self.daily[:, :today], desk)
        return self._past[today]

    def rank(self, rows: Ints, at: Floats) -> Ints:
        """(n, k) how many counted customers lie before or at `at`, those of earlier topics included."""
        wanted = _key(np.repeat(rows, len(at)), np.tile(at, len(rows)))
        return np.searchsorted(self.key, wanted, side="right").reshape(len(rows), len(at))


def _between(series: Series, begin: float, end: float) -> Series:
    """The rows of [begin, end]; their ticket ids are not needed here."""
    low, high = int(np.searchsorted(series.at, begin)), int(np.searchsorted(series.at, end, side="right"))
    return Series(series.topic, series.at[low:high], series.customer[low:high], series.live[low:high], ())


def _key(topic: Ints, at: Floats) -> Ints:
    return np.asarray(topic, np.int64) * 10**13 + np.round(at * 1000.0).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Share:
    """What each of n topics is expected to be of the desk, as known at each of k window starts.

    `overall` (n, k) and `by_block` (n, k, BLOCKS) shares; `worth` (n, k) how many customers' evidence they
    rest on (the decayed count over its design effect); `age_weeks` (k,) the evidence's mean age; `day_noise`
    (n,) the squared coefficient of variation of the topic's days beyond chance; `burst` (n, k) customers of
    the closed days since that a usual day could not have brought.
    """

    overall: Floats
    by_block: Floats
    worth: Floats
    age_weeks: Floats
    day_noise: Floats
    burst: Floats


@dataclass(frozen=True, slots=True)
class Days:
    """A topic's closed days: what each adds to the baseline, by block (n, D, BLOCKS) and in all (n, D), its
    expectation (n, D), and the part of its count (n, D) that a usual day could not have brought."""

    credited: Floats
    total: Floats
    mean: Floats
    burst: Floats


def judged_days(daily: Floats, volume: Floats, *, age_days: float) -> Days:
    """Winsorise days: a level that has held for much of the memory is the level; a burst teaches nothing.

    One-sided and Huber-like, iterated from the raw mean downwards, so a new level is never locked out. A
    desk of ten days has nothing to judge by: all is credited.
    """
    total = np.add.reduce([daily[:, :, block] for block in range(BLOCKS)])  # far faster than sum(2)
    weight = 2.0 ** (-np.arange(len(volume), 0, -1) / MEMORY_HALF_LIFE_DAYS)
    exposure = np.maximum(np.einsum("d,db->b", weight, volume), 1e-9)
    kept, burst = np.ones_like(total), np.zeros_like(total)
    for _ in range(3):
        share = np.einsum("nd,ndb->nb", weight * kept, daily) / exposure
        mean = np.einsum("nb,db->nd", share, volume)
        if age_days <= 10:
            break
        sd = np.sqrt(mean + (0.2 * mean) ** 2)
        usual = np.minimum(total, mean + 2.33 * sd + 1.0)
        burst = total - usual
        kept = np.where(total > mean + 3.5 * sd + 2.0, mean, usual) / np.maximum(total, 1.0)
    return Days(daily * kept[:, :, None], total * kept, mean, burst)


def day_noise(credited: Floats, mean: Floats) -> Floats:
    """(n,) squared coefficient of variation of each topic's days beyond chance, by moments.

    Drawn to the usual one, by as much as the topic's own estimate is worth.
    """
    information = (mean**2).sum(1) ** 2 / np.maximum((2.0 * mean**2 + mean).sum(1), 1e-9)
    own = ((credited - mean) ** 2 - mean).sum(1) / np.maximum((mean**2).sum(1), 1e-9)
    pooled = (NOISE_WEIGHT * DAY_NOISE**2 + information * own) / (NOISE_WEIGHT + information)
    return np.asarray(np.clip(pooled, (DAY_NOISE / 3.0) ** 2, (DAY_NOISE * 3.0) ** 2))


def _running(days: NDArray[Any]) -> Floats:
    """(n, D + 1, ...) sums of the days before each of (n, D, ...)."""
    sums = np.zeros((days.shape[0], days.shape[1] + 1, *days.shape[2:]))
    np.cumsum(days, axis=1, out=sums[:, 1:])
    return sums


@dataclass(frozen=True, slots=True)
class Past:
    """The D closed days of n topics, summed up so that the baseline at any window's start is looked up.

    A day weighs 2^(its age / the half-life): that is 2^(its date / the half-life), whatever the age is
    counted from, times one number for each start. Sums of the days before each: `credited`
    (n, D + 1, BLOCKS) so weighed, `squared` (n, D + 1) weighed by its square, `burst` (n, D + 1) and `came`
    (n, D + 1, BLOCKS) plain; of the desk's days `volume` (D + 1, BLOCKS), `weight` (D + 1,) and weight times
    date `dated` (D + 1,). `noise` (n,) see `day_noise`.
    """

    credited: Floats
    squared: Floats
    burst: Floats
    came: Floats
    volume: Floats
    weight: Floats
    dated: Floats
    noise: Floats

    @classmethod
    def of(cls, daily: NDArray[np.float32], desk: Desk) -> Past:
        """Judge the first D of the desk's days, (n, D, BLOCKS) customers of each topic."""
        today = daily.shape[1]
        volume = desk.volume[:today]
        days = judged_days(daily.astype(float), volume, age_days=desk.age_days(float(desk.edges[24 * today])))
        date = (desk.edges[24 : 24 * today + 1 : 24] - desk.edges[0]) / DAY_S
        weight = 2.0 ** (date / MEMORY_HALF_LIFE_DAYS)
        desk_days = np.column_stack([weight[:, None] * volume, weight, weight * date])
        sums = _running(desk_days[None])[0]
        return cls(
            credited=_running(days.credited * weight[:, None]),
            squared=_running(days.total * weight**2),
            burst=_running(days.burst),
            came=_running(daily),
            volume=sums[:, :BLOCKS],
            weight=sums[:, BLOCKS],
            dated=sums[:, BLOCKS + 1],
            noise=day_noise(days.total, days.mean),
        )


def shares(ledger: Ledger, rows: Ints, desk: Desk, at: float, starts: Floats, ranks: Ints) -> Share:
    """The baseline of `rows` at `at` as it was at each of `starts` (k,): a window is left out of its own.
    `ranks` (n, k) are the starts' ranks in the ledger.

    For a short window, that a topic was never seen before says it is rare. For a long one a topic born on
    this desk is measured since its birth, and not by the ticket that made it known: else every topic that
    stays looks like a rise.
    """
    today = desk.day_index(at)
    past = ledger.past(desk, today)
    midnights = desk.edges[::24]
    day = np.maximum(np.searchsorted(midnights[:-1], starts, side="right") - 1, 0)
    closed = np.minimum(day, today)
    date = (starts - desk.edges[0]) / DAY_S + 0.5
    scale = 2.0 ** (-date / MEMORY_HALF_LIFE_DAYS)
    exposure = scale[:, None] * past.volume[closed]
    evidence = scale[:, None] * past.credited[rows[:, None], closed]
    weight = scale * past.weight[closed]
    weighed = np.maximum(weight, 1e-9)
    usual_day = exposure.sum(1) / weighed
    # The hours of the day before the window, at full weight, credited up to what a usual day could bring.
    exposure = exposure + desk.between(midnights[day], starts)
    begun = ledger.so_far[ranks] - ledger.so_far[ledger.first[rows], None] - past.came[rows[:, None], closed]
    usual = evidence.sum(2) / weighed
    cap = usual + 2.33 * np.sqrt(usual) + 1.0
    begun *= np.minimum(1.0, cap / np.maximum(begun.sum(2), 1.0))[:, :, None]
    spread = scale**2 * past.squared[rows[:, None], closed] + begun.sum(2)
    evidence = evidence + begun
    born = ledger.born[rows]
    born_day = np.minimum(np.searchsorted(desk.edges[24::24], born, side="right"), today)
    lasting = (at - starts > SINCE_BIRTH_DAYS * DAY_S)[:, None]
    before_birth = scale[:, None] * past.volume[np.minimum(born_day[:, None], closed)]
    unborn = np.where(lasting, before_birth, 0.0)
    exposure = np.maximum(exposure - unborn, 0.0)
    a, b = evidence.sum(2), exposure.sum(2)
    birth = np.where(
        unborn.any(2),
        2.0 ** (-np.maximum(starts - born[:, None], 0.0) / DAY_S / MEMORY_HALF_LIFE_DAYS),
        0.0,
    )
    known = np.maximum(a - birth, 0.0) / np.maximum(a, 1e-9)
    evidence, a, spread = evidence * known[:, :, None], a * known, spread * known
    prior = PRIOR_WEIGHT * np.maximum(usual_day, 1.0) / PRIOR_PER_DAY
    overall = (a + PRIOR_WEIGHT) / (b + prior / (1.0 + a / 2.0))
    by_block = (evidence + BLOCK_WEIGHT) / (exposure + BLOCK_WEIGHT / overall[:, :, None])
    # Shrunken blocks need not add up to the whole; a long window must not inherit the difference.
    whole = (by_block * exposure).sum(2)
    by_block *= np.where(whole > 0.0, overall * b / np.maximum(whole, 1e-9), 1.0)[:, :, None]
    inside = np.searchsorted(midnights[1 : today + 1], starts, side="right")
    burst = past.burst[rows]
    return Share(
        worth=a**2 / np.maximum(spread, 1e-9),
        overall=overall,
        by_block=by_block,
        age_weeks=(date * weight - scale * past.dated[closed]) / weighed / 7.0,
        day_noise=past.noise[rows],
        burst=burst[:, -1:] - burst[:, inside],
    )
