"""Before and after a dated mark: what a release did to a topic, and whether a fix worked.

Both compare shares of the traffic that really came, block by block, so season, growth and a source that
fell silent cannot pass for an effect: no traffic is no exposure, and no exposure is no verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import numpy as np
from scipy.stats import beta

from app.detectors import calibration
from app.detectors.baseline import BLOCK_WEIGHT, Desk, Ledger
from app.detectors.calendar import DAY_S, HOUR_S, Floats, Ints
from app.detectors.scan import MIN_CUSTOMERS, Counts, calibrated, count, mid_p, moment, noted, window
from app.domain import Finding, Release, Series

RELEASE_DAYS = 7.0  # how long after it a release is held responsible; twice as long costs more than it finds
FIX_BEFORE_DAYS = 28.0  # the level a fix is measured against
FIX_SETTLE_DAYS = 7.0  # a whole business week before a fix may be called one
MARGIN = 0.35  # recovered: at most this share of the level before
ERROR = 0.01  # either side of the interval; small, as a fix is looked at again and again
DAY_NOISE = 0.15  # coefficient of variation of a topic's day, beyond chance


def evidence(ledger: Ledger, rows: Ints, desk: Desk, since: float, at: float) -> tuple[Counts, Floats]:
    """What topics `rows` brought since `since` against the prediction of that moment, and (n,) its score.

    -inf for fewer than MIN_CUSTOMERS. One window per topic instead of one per width: that the beginning is
    known beforehand is what makes a release's problems show with fewer tickets than others. The score holds
    the count so far against what all of RELEASE_DAYS would bring: as a count only grows, chance passes a bar
    no more often than it does at the end, however often it is looked at.
    """
    begin, end = np.array([since]), np.array([at])
    seen = count(ledger, rows, desk, at, (end - begin) / HOUR_S)
    week = desk.forecast_between(begin - RELEASE_DAYS * DAY_S, begin).sum()
    whole = max(1.0, float(week / max(desk.forecast_between(begin, end).sum(), 1e-9)))
    born = ledger.born[rows, None] > since  # the ticket that made the topic known is no evidence
    variance = seen.mean * whole + (seen.variance - seen.mean) * whole**2
    p = mid_p(np.maximum(seen.observed - born, 0.0), seen.mean * whole, variance)[:, 0]
    score = -np.log10(np.maximum(p, 1e-300)) - calibration.RELEASE_PENALTY
    return seen, np.where(seen.observed[:, 0] >= MIN_CUSTOMERS, score, -np.inf)


def after_release(topics: Sequence[Series], desk: Desk, release: Release, at: float) -> list[Finding]:
    """What each of `topics` brought since `release`; nothing once RELEASE_DAYS have passed.

    Findings come in the order of `topics`; most are weak. The caller passes only topics of the release's
    product, where that is known.
    """
    since = release.at.timestamp()
    if not topics or not 0.0 < at - since <= RELEASE_DAYS * DAY_S:
        return []
    ledger = Ledger.build(topics, desk)
    rows = np.arange(len(topics))
    seen, score = evidence(ledger, rows, desk, since, at)
    begin, end = np.array([since - FIX_BEFORE_DAYS * DAY_S]), np.array([since])
    before = ledger.between(rows, begin, end).sum((1, 2))
    findings = []
    for i in np.flatnonzero(np.isfinite(score)).tolist():
        series = topics[i]
        tickets = window(series, since, at, voids=desk.voids)
        customers = len(np.unique(series.customer[tickets]))
        if customers < MIN_CUSTOMERS:
            continue
        ratio = float(seen.observed[i, 0] / seen.mean[i, 0])
        findings.append(
            Finding(
                topic=series.topic,
                rule="after_release",
                kind="after_release",
                at=moment(at),
                since=release.at,
                tickets=len(tickets),
                customers=customers,
                expected=float(seen.mean[i, 0]),
                spread=float(np.sqrt(seen.variance[i, 0])),
                strength=float(calibrated(score[i : i + 1])[0]),
                ticket_ids=tuple(series.ticket_ids[j] for j in tickets),
                release=release,
                notes={
                    **noted(seen, i, 0, desk=desk, series=series, at=at, score=float(score[i])),
                    "before_28_days": int(before[i]),
                    "ratio": round(ratio, 2),
                },
            )
        )
    return findings


class Outcome(StrEnum):
    RECOVERED = "recovered"
    NOT_YET = "not_yet"
    TOO_LITTLE_DATA = "too_little_data"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether a fix worked: the rate after over the rate before with its interval, at equal traffic.

    `since` is where the time before begins. `until` is when, if nothing more comes, there will be enough
    data; None once decided or when silent.
    """

    outcome: Outcome
    ratio: float
    low: float
    high: float
    since: datetime
    before: int  # customers from then to the fix, once a day
    after: int
    expected: float  # customers that would have come after it at the level before
    until: datetime | None
    reason: str


def rate_ratio(before: float, after: float, exposure: float) -> tuple[float, float, float]:
    """Rate ratio after/before, its interval's low and high end; `exposure` is after's over before's.

    Given the total, the count after is binomial (Przyborowski and Wilenski 1940); Jeffreys' interval,
    counts deflated for day-to-day noise beyond chance.
    """
    if exposure <= 0:
        return 1.0, 0.0, float("inf")
    noise = 1.0 + DAY_NOISE**2 * max(before, after) / FIX_BEFORE_DAYS
    a, b = after / noise, before / noise
    part = np.asarray(beta.ppf(np.array([0.5, ERROR, 1.0 - ERROR]), a + 0.5, b + 0.5))
    ratio, low, high = (part / np.maximum(1.0 - part, 1e-12) / exposure).tolist()
    return ratio, low if after else 0.0, high


def fix_verdict(
    series: Series, desk: Desk, fix: Release, at: float, *, onset: datetime | None = None
) -> Verdict:
    """Did `fix` end the topic's problem, as far as `at` can tell?

    `desk` must hold the traffic of the sources the topic's tickets come from; `onset` is when the rise the
    fix is meant to end began, where one was told of: quiet weeks before it are no level to fall below.
    Recovered needs a week of traffic and an interval below MARGIN; not yet needs an interval above it; all
    else is too little data.
    """
    done = fix.at.timestamp()
    begin = max(done - FIX_BEFORE_DAYS * DAY_S, float(series.at[0]) if len(series.at) else done)
    if onset is not None:
        begin = max(begin, min(onset.timestamp(), done))
    marks = np.array([begin, done]), np.array([done, at])
    ledger = Ledger.build([series], desk)
    seen = ledger.between(np.array([0]), *marks)[0]  # (before/after, block)
    # Traffic of the others: a problem that is much of the desk is no measure of itself.
    traffic = np.maximum(desk.between(*marks) - seen, 0.0)
    overall = (seen[0].sum() + 0.5) / max(traffic[0].sum(), 1.0)
    level = (seen[0] + BLOCK_WEIGHT) / (traffic[0] + BLOCK_WEIGHT / overall)
    expected_before, expected = float(traffic[0] @ level), float(traffic[1] @ level)
    before, after = int(seen[0].sum()), int(seen[1].sum())
    exposure = expected / max(expected_before, 1e-9)
    ratio, low, high = rate_ratio(before, after, exposure)
    silent = desk.silent_since(at)
    outcome, reason = _judge(before, low, high, (at - done) / DAY_S, silent)
    until = None
    if outcome is Outcome.TOO_LITTLE_DATA and silent is None and before >= MIN_CUSTOMERS:
        until = _enough_at(before, after, exposure, done, at)
    return Verdict(
        outcome=outcome, ratio=ratio, low=low, high=high, since=moment(begin), before=before,
        after=after, expected=expected * before / max(expected_before, 1e-9), until=until, reason=reason,
    )  # fmt: skip


def _judge(before: int, low: float, high: float, days: float, silent: float | None) -> tuple[Outcome, str]:
    if silent is not None:
        return Outcome.TOO_LITTLE_DATA, "the source is silent: no tickets is not the same as no problem"
    if before < MIN_CUSTOMERS:
        return Outcome.TOO_LITTLE_DATA, "too few customers before the fix to compare with"
    if low > MARGIN:
        return Outcome.NOT_YET, "as far as can be told it goes on"
    if high >= MARGIN:
        return Outcome.TOO_LITTLE_DATA, "what came since fits a fix that worked as well as one that did not"
    if days < FIX_SETTLE_DAYS:
        return Outcome.TOO_LITTLE_DATA, "less than a week since the fix"
    return Outcome.RECOVERED, "the rate has fallen below the stated margin"


def _enough_at(before: int, after: int, exposure: float, done: float, at: float) -> datetime | None:
    """When the interval will lie below the margin if no further customer comes; None if not in a quarter."""
    per_day = exposure / max((at - done) / DAY_S, 1e-9)
    for days in range(int((at - done) / DAY_S) + 1, 92):
        if days >= FIX_SETTLE_DAYS and rate_ratio(before, after, per_day * days)[2] < MARGIN:
            return moment(done + days * DAY_S)
    return None
