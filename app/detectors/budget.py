"""The alert budget and an alert's life: what is worth interrupting someone for, and when it is over."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum

import numpy as np

from app.detectors.baseline import Desk, Ledger
from app.detectors.scan import count, threshold
from app.domain import Finding, Series, Tier

HOLD_H = 72.0
CALM = ((HOLD_H, 2.0, 0.0), (168.0, 1.0, 1.0))  # hours; what is calm: standard deviations and customers above
HOLD_SLACK = 1.0  # an open alert lives on a weaker signal than one that is to be raised
HORIZON_ALERTS = 12.0  # problems come in bunches: over fewer the budget is refused one day, wasted the next
FEW = 4.0  # customers beyond the expectation: fewer are never of high severity, however unlikely
RISE = 0.15  # of the bar, in strength, for every alert beyond the budget
SEVERITIES = ("low", "medium", "high")


def excess(finding: Finding) -> float:
    """Customers beyond the expectation, each counted once a day."""
    return float(finding.notes.get("counted", finding.customers)) - finding.expected


def severity(finding: Finding, bar: float) -> str:
    """low, medium or high; `bar` is `threshold(active topics, alerts per week)`. Below it all is low."""
    if finding.strength < bar:
        return "low"
    if excess(finding) >= 20.0 or (finding.strength >= bar + 3.0 and excess(finding) >= FEW):
        return "high"
    return "medium" if finding.strength >= bar + 1.0 or excess(finding) >= 8.0 else "low"


def spend(
    findings: Sequence[Finding], *, opened: int, weeks: float, per_week: float, active_topics: int
) -> list[tuple[Finding, Tier]]:
    """Which of the findings of one tick are alerts; strongest first, then by customers hit.

    `opened` alerts were opened in the `weeks` before it (see `horizon_weeks`). The bar is the threshold of
    the budget, and RISE more for every alert beyond what the time allowed: it gives way to what is strong
    and comes down again as alerts age. High severity always passes.
    """
    ranked = sorted(findings, key=lambda f: (-f.strength, -f.customers, f.topic.id, f.rule))
    base = threshold(active_topics, per_week)
    beyond = opened - per_week * weeks
    tiers = []
    for finding in ranked:
        fits = finding.strength >= base + RISE * max(0.0, beyond + 1.0)
        tier = Tier.ALERT if fits or severity(finding, base) == "high" else Tier.WATCH
        beyond += tier is Tier.ALERT
        tiers.append((finding, tier))
    return tiers


def horizon_weeks(per_week: float) -> float:
    """How long a time the budget is spent over: a week, or what it takes to hold HORIZON_ALERTS."""
    return max(1.0, HORIZON_ALERTS / per_week)


def confidence(strength: float, *, active_topics: int, weeks: float, as_strong: int) -> float:
    """Share of alerts this strong that chance does not explain: 1 - the Benjamini-Hochberg q-value.

    `as_strong` alerts of at least this strength were raised on `active_topics` topics in `weeks` weeks.
    """
    by_chance = active_topics * weeks * float(10.0 ** (-strength))
    return 1.0 - min(1.0, by_chance / max(as_strong, 1))


def chance_weeks(strength: float) -> float:
    """One topic does this by chance once in so many weeks."""
    return float(10.0**strength)


class Step(StrEnum):
    """What becomes of a topic's alert at one tick."""

    NOTHING = "nothing"
    RAISE = "raise"
    HOLD = "hold"
    WORSEN = "worsen"  # still open, severity has risen
    RESOLVE = "resolve"  # back to baseline


def step(
    finding: Finding | None,
    *,
    bar: float,
    open_severity: str | None,
    last_strong_at: datetime | None,
    calm: bool,
    at: datetime,
) -> Step:
    """The next step of one (topic, rule).

    `open_severity` of the open alert, None when there is none; `last_strong_at` when a finding last stood
    at `bar` - HOLD_SLACK or above; `calm` as `is_calm` says. An alert is raised once and then only held,
    worsened or, after 72 quiet hours back at baseline, resolved; a raise after that is a recurrence.
    """
    strength = finding.strength if finding is not None else -np.inf
    if open_severity is None:
        return Step.RAISE if strength >= bar else Step.NOTHING
    if finding is not None and strength >= bar:
        worse = SEVERITIES.index(severity(finding, bar)) > SEVERITIES.index(open_severity)
        return Step.WORSEN if worse else Step.HOLD
    if strength >= bar - HOLD_SLACK:
        return Step.HOLD
    recent = last_strong_at is not None and at - last_strong_at < timedelta(hours=HOLD_H)
    return Step.HOLD if recent or not calm else Step.RESOLVE


def is_calm(series: Series, desk: Desk, at: float) -> bool:
    """Whether the level is back to normal, on a feed that speaks.

    The last 72 hours lie within two standard deviations, and the last week within one and a stray customer:
    three quiet days of a problem that goes on are no end of it.
    """
    hours, deviations, strays = (np.array(column) for column in zip(*CALM, strict=True))
    seen = count(Ledger.build([series], desk), np.array([0]), desk, at, hours)
    limit = seen.mean[0] + deviations * np.sqrt(seen.variance[0]) + strays
    return bool((seen.observed[0] <= limit).all()) and desk.silent_since(at) is None
