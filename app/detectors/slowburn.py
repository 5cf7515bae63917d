"""Slow burns: a rise that never spikes, found by a Shiryaev-Roberts sum over possible beginnings.

For every day the rise may have begun and every size it may have, the likelihood ratio of what came since
against the prediction made the day before; their sum is large when a rise is under way, whenever it
began. Under no change each ratio has expectation 1 (it is an e-value), which is what keeps the sum honest
under continuous looking (Shiryaev 1963; Roberts 1966; Shin, Ramdas and Rinaldo 2022, "E-detectors").

Only days that are closed are looked at: a rise of weeks is no surer at noon than at midnight, and every
further look costs false alarms.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from app.detectors import calibration
from app.detectors.baseline import Desk, Ledger
from app.detectors.calendar import DAY_S, Floats, Ints
from app.detectors.scan import (
    MIN_CUSTOMERS,
    YOUNG_DAYS,
    Counts,
    calibrated,
    count,
    moment,
    noted,
    window,
)
from app.domain import Finding, Series

BEGINNINGS_DAYS = (5, 9, 14, 21, 28)
RATIOS = (1.25, 1.4)  # evidence that grows slowly: larger ones mostly weigh what is left of single bursts
LATELY_DAYS = 21.0
MIN_EXPECTED = 16.0  # a rise by half of fewer cannot be told from chance; the scan sees larger ones


def log_likelihood_ratio(observed: Floats, mean: Floats, variance: Floats, ratio: float) -> Floats:
    """ln of NB(observed; ratio x mean) over NB(observed; mean), both with the size the variance implies."""
    size = mean**2 / np.maximum(variance - mean, 1e-9)
    return np.asarray(
        observed * np.log(ratio) + (observed + size) * np.log((size + mean) / (size + ratio * mean))
    )


def candidates(ledger: Ledger, rows: Ints, at: float) -> Ints:
    """Those of `rows` with enough live customers lately for a slow burn to be told from chance."""
    lately = ledger.between(rows, np.array([at - LATELY_DAYS * DAY_S]), np.array([at]), live=True)
    return np.asarray(rows[lately.sum((1, 2)) >= MIN_EXPECTED])


def evidence(ledger: Ledger, rows: Ints, desk: Desk, until: float) -> tuple[Counts, Floats, Floats]:
    """The counts from every beginning to the midnight `until`, the log10 evidence (n, k) for each and (n,)
    their sum's score."""
    hours = 24.0 * np.array(BEGINNINGS_DAYS)
    seen = count(ledger, rows, desk, until, hours)
    ratios = [log_likelihood_ratio(seen.steady, seen.mean, seen.variance, r) for r in RATIOS]
    each = np.logaddexp.reduce(ratios, axis=0) - np.log(len(RATIOS))
    age = desk.age_days(until)
    old = (np.array(BEGINNINGS_DAYS) <= age / 2.0) & (age >= YOUNG_DAYS)
    usable = old & (seen.mean >= MIN_EXPECTED) & (seen.observed >= MIN_CUSTOMERS)
    each = np.where(usable & (ledger.born[rows, None] <= seen.starts), each, -np.inf)
    total = np.logaddexp.reduce(each, axis=1) / np.log(10.0)
    slope, base = calibration.BURN_LINE
    return seen, each / np.log(10.0), slope * total + base


def slow_burn(topics: Sequence[Series], desk: Desk, at: float) -> list[Finding]:
    """Sustained rises among `topics` as of the midnight before `at`, on the scan's scale of strength.

    One finding for every topic whose evidence speaks for a rise at all (strength above 0), with the
    likeliest beginning as its window, which ends at that midnight.
    """
    if not topics:
        return []
    ledger = Ledger.build(topics, desk)
    rows = candidates(ledger, np.arange(len(topics)), at)
    until = desk.midnight_before(at)
    seen, each, score = evidence(ledger, rows, desk, until)
    strength = calibrated(score)
    findings = []
    for i in np.flatnonzero(strength > 0).tolist():
        series, k = topics[rows[i]], int(each[i].argmax())
        tickets = window(series, float(seen.starts[k]), until, voids=desk.voids)
        customers = len(np.unique(series.customer[tickets]))
        if customers < MIN_CUSTOMERS:
            continue
        findings.append(
            Finding(
                topic=series.topic,
                rule="slow_burn",
                kind="sustained",
                at=moment(until),
                since=moment(float(seen.starts[k])),
                tickets=len(tickets),
                customers=customers,
                expected=float(seen.mean[i, k]),
                spread=float(np.sqrt(seen.variance[i, k])),
                strength=float(strength[i]),
                ticket_ids=tuple(series.ticket_ids[j] for j in tickets),
                notes=noted(seen, i, k, desk=desk, series=series, at=until, score=float(score[i])),
            )
        )
    return findings
