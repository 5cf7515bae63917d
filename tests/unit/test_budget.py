from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from app.detectors.budget import Step, confidence, is_calm, severity, spend, step
from app.detectors.scan import threshold
from app.detectors.sentence import amount, plural, sentence, span
from app.domain import Finding, Tier
from tests.unit._desk import at, desk, desk_series, moment, series, topic, working_times


def _finding(key: str = "a", strength: float = 2.6, customers: int = 7, kind: str = "spike") -> Finding:
    return Finding(
        topic=topic(key), rule="scan", kind=kind, at=moment(84, 15.5), since=moment(84, 13),
        tickets=customers + 2, customers=customers, expected=0.8, spread=1.0, strength=strength,
        ticket_ids=(), notes={"counted": customers, "traffic": 1.0, "first_at": moment(84, 13.5).isoformat()},
    )  # fmt: skip


def test_the_strongest_findings_spend_the_budget_and_the_rest_is_watched() -> None:
    findings = [_finding(str(i), strength) for i, strength in enumerate([1.75, 2.9, 1.9, 2.7])]
    spent = spend(findings, opened=0, weeks=1.0, per_week=2, active_topics=100)
    assert [(f.strength, tier) for f, tier in spent] == [
        (2.9, Tier.ALERT), (2.7, Tier.ALERT), (1.9, Tier.ALERT), (1.75, Tier.WATCH),
    ]  # fmt: skip


def test_the_bar_rises_with_every_alert_beyond_the_budget() -> None:
    finding = _finding(strength=1.6)
    assert spend([finding], opened=4, weeks=1.0, per_week=5, active_topics=100)[0][1] is Tier.ALERT
    assert spend([finding], opened=7, weeks=1.0, per_week=5, active_topics=100)[0][1] is Tier.WATCH
    assert spend([finding], opened=7, weeks=2.0, per_week=5, active_topics=100)[0][1] is Tier.ALERT
    strong = _finding(strength=2.1)
    assert spend([strong], opened=7, weeks=1.0, per_week=5, active_topics=100)[0][1] is Tier.ALERT


def test_findings_no_stronger_than_chance_cannot_exceed_the_budget_for_long() -> None:
    """Every tick brings one that stands right at the threshold: once the budget is spent, all wait."""
    findings = [_finding(str(i), strength=threshold(100, 5)) for i in range(40)]
    tiers = [tier for _, tier in spend(findings, opened=0, weeks=1.0, per_week=5, active_topics=100)]
    assert tiers.count(Tier.ALERT) == 5


def test_high_severity_passes_a_spent_budget() -> None:
    finding = _finding(strength=6.0)
    assert severity(finding, threshold(100, 5)) == "high"
    assert spend([finding], opened=9, weeks=1.0, per_week=5, active_topics=100)[0][1] is Tier.ALERT


def test_many_customers_alone_do_not_make_a_weak_finding_severe() -> None:
    assert severity(_finding(strength=0.5, customers=60), threshold(100, 5)) == "low"
    assert severity(_finding(strength=1.4, customers=60), threshold(100, 5)) == "high"


def test_three_customers_are_never_of_high_severity() -> None:
    assert severity(_finding(strength=9.0, customers=3), threshold(100, 5)) == "medium"
    assert severity(_finding(strength=9.0, customers=5), threshold(100, 5)) == "high"


def test_equal_strength_is_ranked_by_customers_whatever_the_order() -> None:
    few, many = _finding("a", customers=3), _finding("b", customers=9)
    for order in ([few, many], [many, few]):
        spent = spend(order, opened=0, weeks=1.0, per_week=1, active_topics=100)
        assert [f.topic.key for f, _ in spent] == ["b", "a"]


def test_confidence_is_one_minus_the_share_of_alerts_chance_explains() -> None:
    assert confidence(3.0, active_topics=1000, weeks=8, as_strong=160) == pytest.approx(0.95)
    assert confidence(1.0, active_topics=1000, weeks=8, as_strong=3) == 0.0


def test_an_alert_is_raised_once_held_and_resolved_after_three_quiet_days() -> None:
    now = moment(84)
    assert (
        step(_finding(), bar=2.0, open_severity=None, last_strong_at=None, calm=False, at=now) is Step.RAISE
    )
    assert (
        step(_finding(strength=1.9), bar=2.0, open_severity=None, last_strong_at=None, calm=False, at=now)
        is Step.NOTHING
    )
    held = step(_finding(strength=1.1), bar=2.0, open_severity="low", last_strong_at=now, calm=True, at=now)
    assert held is Step.HOLD
    recent = now - timedelta(hours=71)
    assert step(None, bar=2.0, open_severity="low", last_strong_at=recent, calm=True, at=now) is Step.HOLD
    old = now - timedelta(hours=72)
    assert step(None, bar=2.0, open_severity="low", last_strong_at=old, calm=True, at=now) is Step.RESOLVE
    assert step(None, bar=2.0, open_severity="low", last_strong_at=old, calm=False, at=now) is Step.HOLD


def test_a_severity_that_rises_says_so() -> None:
    worse = _finding(strength=5.5)
    assert step(worse, bar=2.0, open_severity="medium", last_strong_at=None, calm=False, at=worse.at) is (
        Step.WORSEN
    )
    assert step(worse, bar=2.0, open_severity="high", last_strong_at=None, calm=False, at=worse.at) is (
        Step.HOLD
    )


def test_calm_needs_normal_counts_and_a_feed_that_speaks() -> None:
    normal = working_times(np.random.default_rng(7), days=60, per_day=60)
    usual = working_times(np.random.default_rng(8), days=57, per_day=3)
    now = at(57, 17)
    whole = desk_series([t for t in normal if t <= now], usual)
    assert is_calm(series("e", usual), desk(whole, now), now)
    burst = usual + [at(56, 10 + i / 9) for i in range(30)]
    assert not is_calm(series("e", burst), desk(whole, now), now)
    silent = desk_series([t for t in normal if t <= at(57, 9)], [t for t in usual if t < at(57, 9)])
    assert not is_calm(series("e", usual), desk(silent, now), now)


def test_three_quiet_days_do_not_end_a_problem_whose_week_is_still_up() -> None:
    normal = working_times(np.random.default_rng(7), days=90, per_day=50)
    before = working_times(np.random.default_rng(8), days=63, per_day=4)
    risen = working_times(np.random.default_rng(9), days=14, per_day=8, start=moment(63))
    now = at(77, 8)  # Monday morning, after a weekend
    whole = desk_series([t for t in normal if t <= now], before, risen)
    assert not is_calm(series("e", [*before, *risen]), desk(whole, now), now)
    later = at(91, 8)
    after = working_times(np.random.default_rng(10), days=14, per_day=4, start=moment(77))
    whole = desk_series([t for t in normal if t <= later], before, risen, after)
    assert is_calm(series("e", [*before, *risen, *after]), desk(whole, later), later)


def test_a_spike_reads_as_one_plain_sentence() -> None:
    assert sentence(_finding(), "UTC") == (
        "9 tickets from 7 customers since 31 Mar, 13:00 (UTC); 0.8 expected in that time with today's traffic; "
        "one pattern does this by chance once in about 400 weeks."
    )


def test_a_new_error_says_when_it_was_first_seen_in_business_time() -> None:
    text = sentence(_finding(kind="new", customers=4), "Australia/Sydney")
    assert text.startswith(
        "First seen 1 Apr, 00:30 (Australia/Sydney); 3 more customers within 2 hours (6 tickets"
    )


@pytest.mark.parametrize(
    ("strength", "words"),
    [
        (0.1, "about every week"),
        (1.0, "once in about 10 weeks"),
        (2.94, "once in about 900 weeks"),
        (4.0, "less than once in 1,000 weeks"),
    ],
)
def test_chance_is_told_in_weeks_as_far_as_the_scale_was_checked(strength: float, words: str) -> None:
    assert words in sentence(_finding(strength=strength), "UTC")


def test_a_sustained_rise_tells_its_share_and_the_traffic_allowed_for() -> None:
    finding = replace(
        _finding(kind="sustained", customers=55), since=moment(63), expected=43.0, tickets=70,
        notes={"counted": 61, "traffic": 1.08, "first_at": moment(2).isoformat()},
    )  # fmt: skip
    assert sentence(finding, "UTC").startswith(
        "70 tickets from 55 customers in the 22 days since 10 Mar, 00:00 (UTC); counting each customer "
        "once a day, 61 against 43 expected (+42%), already allowing for 8% more traffic overall; "
    )


def test_numbers_read_well() -> None:
    assert [plural(1, "ticket"), plural(2, "ticket"), plural(1200, "ticket")] == [
        "1 ticket", "2 tickets", "1,200 tickets",
    ]  # fmt: skip
    assert [amount(x) for x in (0.001, 0.02, 0.8, 7.25, 43.4)] == ["almost none", "0.02", "0.8", "7.2", "43"]
    assert [span(timedelta(hours=h)) for h in (0.5, 1, 24, 72)] == [
        "30 minutes", "1 hour", "24 hours", "3 days",
    ]  # fmt: skip
