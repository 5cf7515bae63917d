"""The scan: over eight windows, how improbable is the number of distinct customers, given today's traffic?

Kulldorff's scan with expectations from the margins (share of volume), negative binomial tails whose
variance holds everything we do not know, and one calibrated scale. A pure function of the sightings up
to `at`, the desk's series, the business clock and the calibration.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from scipy.special import betainc

from app.detectors import calibration
from app.detectors.baseline import PRIOR_WEIGHT, Desk, Ledger, Span, inside, shares
from app.detectors.calendar import DAY_S, HOUR_S, Flags, Floats, Ints
from app.domain import Change, Finding, Release, Series

WINDOWS_H = tuple(calibration.WINDOW_PENALTY)
MIN_CUSTOMERS = 3
SHRINK = 60.0  # customers pulling the traffic factor to 1 on small desks
DRIFT = 0.0375  # standard deviation of a week's step in a topic's log share
SURGE_SPREAD = 0.25  # topics do not follow a surge equally
P_TO_E = 0.5  # an improbability p weighs p ** -P_TO_E as evidence
YOUNG_DAYS = 3.0  # the first alerts of a new desk


def mid_p(observed: Floats, mean: Floats, variance: Floats) -> Floats:
    """(P(X >= x) + P(X >= x + 1)) / 2 of the negative binomial with this mean and variance.

    By the incomplete beta function: P(X >= x) = I_p(x, r) with r = mean^2 / (variance - mean).
    """
    size = mean**2 / np.maximum(variance - mean, 1e-9)
    p = mean / (mean + size)
    reach = np.where(observed > 0, betainc(np.maximum(observed, 1e-9), size, p), 1.0)
    return np.asarray(0.5 * (reach + betainc(observed + 1.0, size, p)))


@dataclass(frozen=True, slots=True)
class Counts:
    """What came and what was expected in k windows ending at one instant, for n topics; all (n, k)."""

    starts: Floats  # (k,)
    observed: Floats
    steady: Floats  # without single days' bursts where the window is longer than a day
    mean: Floats
    variance: Floats
    factor: Floats  # what today's traffic does to the expectation


def count(ledger: Ledger, rows: Ints, desk: Desk, at: float, hours: Floats) -> Counts:
    """Live customers of the topics `rows` in the last `hours` (k,), and the prediction for them."""
    starts = desk.back_over_gaps(at - hours * HOUR_S, at)
    ends = np.array([at])
    ranks = ledger.rank(rows, starts)
    share = shares(ledger, rows, desk, at, starts, ranks)
    own = ledger.ranked(ranks, ledger.rank(rows, ends), live=True)
    came = desk.between(starts, ends, live=True)
    due = desk.forecast_between(starts, ends)
    late = desk.overlaps_gap(starts, at)
    came[late] = (due * (came.sum(1) / np.maximum(due.sum(1), 1e-9))[:, None])[late]
    theta = share.overall[:, :, None]
    factor = (np.maximum(came - own, 0.0) + SHRINK) / (due * (1.0 - theta) + SHRINK)
    overall = (came.sum(1) + SHRINK) / (due.sum(1) + SHRINK)
    mean = (share.by_block * due * factor).sum(2)
    as_forecast = (share.by_block * due).sum(2)
    # A floor for short windows protects topics with an odd clock profile.
    day = desk.forecast_between(np.array([at - DAY_S]), np.array([at]))[0]
    floor = np.einsum("nkb,b->nk", share.by_block, day) * np.where(hours < 24, hours / 80.0, 0.0)
    mean = np.maximum(np.maximum(mean, floor), 1e-6)
    surge = mean / np.maximum(as_forecast, 1e-6)
    weeks = hours / 168.0
    relative = (
        1.0 / (share.worth + PRIOR_WEIGHT)
        + share.day_noise[:, None] / np.maximum(1.0, hours / 24.0)
        + DRIFT**2 * (share.age_weeks + weeks) / 2.0
        + (SURGE_SPREAD * np.log(overall)) ** 2
        + (share.overall * desk.unrest_at(at)) ** 2
    )
    observed = own.sum(2)
    steady = np.where(hours > 24.0, np.maximum(observed - share.burst, 0.0), observed)
    return Counts(starts, observed, steady, mean, mean + mean**2 * relative, surge)


@dataclass(frozen=True, slots=True)
class Look:
    """The scored windows of n topics at one instant: `score` (n, windows), -inf where a window does not
    count, and the `penalty` (n, windows) already taken off."""

    counts: Counts
    score: Floats
    penalty: Floats


def candidates(ledger: Ledger, rows: Ints, desk: Desk, at: float) -> Ints:
    """Those of `rows` with enough live customers for any window to count."""
    begin = desk.back_over_gaps(np.array([at - WINDOWS_H[-1] * HOUR_S]), at)
    came = ledger.between(rows, begin, np.array([at]), live=True)
    return np.asarray(rows[came.sum((1, 2)) >= MIN_CUSTOMERS])


def look(ledger: Ledger, rows: Ints, desk: Desk, at: float) -> Look:
    """Score every window of the topics `rows` of `ledger` at `at`."""
    seen = count(ledger, rows, desk, at, np.array(WINDOWS_H, float))
    birth = ledger.born[rows, None] > seen.starts  # the ticket that made the topic known is no evidence
    weekly = seen.mean[:, -1] / (WINDOWS_H[-1] / 168.0)
    penalty = penalties(weekly)
    usable = (seen.observed >= MIN_CUSTOMERS) & known_long_enough(desk, at) & lasting(ledger, rows, at, birth)
    p = mid_p(np.maximum(seen.steady - birth, 0.0)[usable], seen.mean[usable], seen.variance[usable])
    score = np.full(usable.shape, -np.inf)
    score[usable] = -np.log10(np.maximum(p, 1e-300))
    return Look(seen, score - penalty, penalty)


def penalties(weekly: Floats) -> Floats:
    """(n, windows) what to take off -log10 p of topics that bring `weekly` (n,) customers a week.

    Only a ticket can raise, so a busy topic looks more often; it costs most in the shortest windows.
    """
    base, per_tenfold = (
        np.array(list(t.values())) for t in (calibration.WINDOW_PENALTY, calibration.BUSY_PENALTY)
    )
    tenfolds = np.log10(np.clip(weekly, *calibration.BUSY_RANGE) / calibration.BUSY_USUAL)
    return np.asarray(base + tenfolds[:, None] * per_tenfold)


def together(score: Floats) -> Floats:
    """(n,) the evidence of (n, windows) scores, on their scale: windows that agree count more.

    Improbabilities become e-values before they are added: a power of p does that, and their mean is one
    whatever the windows have in common (Vovk and Wang 2021, "E-values: calibration, combination").
    """
    power = P_TO_E * np.log(10.0)
    return np.asarray(np.logaddexp.reduce(score * power, axis=1) / power)


def lasting(ledger: Ledger, rows: Ints, at: float, birth: Flags) -> Flags:
    """(n, windows) whether a window of more than a week shows something that lasts.

    It needs MIN_CUSTOMERS in its last third, or an old burst would come back with one stray ticket; and a
    topic born inside it has no level of its own to have risen from.
    """
    hours = np.array(WINDOWS_H, float)
    long = hours > 168.0
    late = ledger.between(rows, at - hours[long] / 3.0 * HOUR_S, np.array([at]), live=True).sum(2)
    shown = np.ones(birth.shape, bool)
    shown[:, long] = (late >= MIN_CUSTOMERS) & ~birth[:, long]
    return shown


def known_long_enough(desk: Desk, at: float) -> Flags:
    """(windows,) bool: a young desk only looks at windows half its age, and at none in its first days."""
    age = desk.age_days(at)
    return np.asarray((np.array(WINDOWS_H) <= age * 24.0 / 2.0) & (age >= YOUNG_DAYS))


def calibrated(score: Floats) -> Floats:
    """-log10 of false episodes per topic-week for a score; linear beyond the table."""
    x, y = (np.array(axis) for axis in zip(*calibration.SCALE, strict=True))
    inside = np.interp(score, x, y)
    below = y[0] + (score - x[0]) * (y[1] - y[0]) / (x[1] - x[0])
    above = y[-1] + (score - x[-1]) * (y[-1] - y[-2]) / (x[-1] - x[-2])
    return np.asarray(np.where(score < x[0], below, np.where(score > x[-1], above, inside)))


def scan(
    topics: Sequence[Series],
    desk: Desk,
    at: float,
    *,
    releases: Sequence[Release] = (),
    returning: Collection[str] = (),
) -> list[Finding]:
    """The best window of every topic with at least 3 live customers in it, at Unix seconds `at`.

    Call it with the topics that had a live ticket since the last evaluation (only a ticket can raise) or
    hold an open alert. `returning` are ids of topics with a closed alert: their finding is a recurrence.
    Findings come in the order of `topics`; most are weak: hold their strength against `threshold`.
    """
    if not topics:
        return []
    ledger = Ledger.build(topics, desk)
    rows = candidates(ledger, np.arange(len(topics)), desk, at)
    seen = look(ledger, rows, desk, at)
    findings = []
    for i, row in enumerate(rows.tolist()):
        finding = _finding(topics[row], seen, i, desk, at, releases=releases, returning=returning)
        if finding is not None:
            findings.append(finding)
    return findings


def _finding(
    series: Series,
    seen: Look,
    i: int,
    desk: Desk,
    at: float,
    *,
    releases: Sequence[Release],
    returning: Collection[str],
) -> Finding | None:
    for k in np.argsort(-seen.score[i], kind="stable").tolist():
        if not np.isfinite(seen.score[i, k]):
            return None
        start = float(seen.counts.starts[k])
        rows = window(series, start, at, voids=desk.voids)
        customers = len(np.unique(series.customer[rows]))
        if customers >= MIN_CUSTOMERS:
            break
    else:
        return None
    score = float(together(seen.score[i : i + 1])[0]) - _of_the_loudest(series, rows, seen, i, k, desk=desk)
    release = _release(releases, WINDOWS_H[k], start, at)
    return Finding(
        topic=series.topic,
        rule="scan",
        kind=_kind(series, WINDOWS_H[k], start, release, returning),
        at=moment(at),
        since=moment(start),
        tickets=len(rows),
        customers=customers,
        expected=float(seen.counts.mean[i, k]),
        spread=float(np.sqrt(seen.counts.variance[i, k])),
        strength=float(calibrated(np.array([score]))[0]),
        ticket_ids=tuple(series.ticket_ids[j] for j in rows),
        release=release,
        notes=noted(seen.counts, i, k, desk=desk, series=series, at=at, score=score),
    )


def _of_the_loudest(series: Series, rows: Ints, seen: Look, i: int, k: int, *, desk: Desk) -> float:
    """What the window's score loses when its loudest customer counts for one day only: no one alone raises
    an alert."""
    days = desk.clock.slots(series.at[rows]) // 24
    pairs = np.unique(np.stack([series.customer[rows], days]), axis=1)
    loudest = int(np.unique(pairs[0], return_counts=True)[1].max())
    if loudest == 1:
        return 0.0
    counts = seen.counts
    fewer = np.maximum(counts.steady[i, k : k + 1] - (loudest - 1), 0.0)
    p = mid_p(fewer, counts.mean[i, k : k + 1], counts.variance[i, k : k + 1])
    left = float(-np.log10(max(float(p[0]), 1e-300)) - seen.penalty[i, k])
    return max(0.0, float(seen.score[i, k]) - left)


def noted(
    seen: Counts, i: int, k: int, *, desk: Desk, series: Series, at: float, score: float
) -> Mapping[str, object]:
    """What a finding keeps besides its fields, so that its sentence can be made again years later."""
    return {
        "window_h": round((at - float(seen.starts[k])) / HOUR_S, 3),
        "counted": int(seen.observed[i, k]),  # customers once a day: what the expectation is held against
        "traffic": round(float(seen.factor[i, k]), 4),
        "score": round(score, 4),
        "first_at": moment(float(series.at[0])).isoformat(),
        "zone": desk.clock.zone,
        "known_days": int(desk.age_days(at)),
        "calibration": calibration.VERSION,
    }


def window(series: Series, start: float, at: float, *, voids: Sequence[Span] = ()) -> Ints:
    """Row numbers of the live sightings in (start, at] that no void covers."""
    low, high = (int(np.searchsorted(series.at, mark, side="right")) for mark in (start, at))
    return np.asarray(low + np.flatnonzero(series.live[low:high] & ~inside(series.at[low:high], voids)))


def moment(at: float) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=at)


def _kind(
    series: Series, hours: int, start: float, release: Release | None, returning: Collection[str]
) -> str:
    if release is not None:
        return "after_release"
    if series.at[0] > start:
        return "new"
    if series.topic.id in returning and hours <= 72:
        return "recurrence"
    if hours <= 24:
        return "spike"
    return "rising" if hours <= 72 else "sustained"


def _release(releases: Sequence[Release], hours: int, start: float, at: float) -> Release | None:
    """The latest release in the first third of a window of three days or more, or in the day before it."""
    if hours < 72:
        return None
    first_third = start + (at - start) / 3.0
    found = [
        r for r in releases
        if r.kind is Change.RELEASE and start - DAY_S < r.at.timestamp() <= first_third
    ]  # fmt: skip
    return max(found, key=lambda r: (r.at, r.id), default=None)


def threshold(active_topics: int, alerts_per_week: float) -> float:
    """The strength at which `active_topics` topics raise `alerts_per_week` false alerts a week in all."""
    return float(np.log10(max(active_topics, 1) / max(alerts_per_week, 1e-6)))
