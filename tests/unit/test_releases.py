from __future__ import annotations

import numpy as np
import pytest

from app.detectors.releases import RELEASE_DAYS, Outcome, Verdict, after_release, fix_verdict, rate_ratio
from app.detectors.scan import threshold
from app.detectors.sentence import verdict_sentence
from app.domain import Change, Finding, Release
from tests.unit._desk import at, desk, desk_series, moment, series, working_times

NORMAL = working_times(np.random.default_rng(7), days=140, per_day=50)
FIX = Release("rel_fix", moment(70, 10), Change.FIX, "Retry the upload")


def _verdict(*, after: float, days: float, seed: int = 1, silent: bool = False) -> Verdict:
    rng = np.random.default_rng(seed)
    problem = working_times(rng, days=42, per_day=4, start=moment(28))
    rest = working_times(rng, days=60, per_day=4 * after, start=moment(70))
    now = at(70 + days, 10)
    spoke = at(70, 12) if silent else now
    mine = [t for t in problem if t <= at(70, 10)] + [t for t in rest if at(70, 10) < t <= spoke]
    context = desk(desk_series([t for t in NORMAL if t <= spoke], mine), now)
    return fix_verdict(series("e", mine), context, FIX, now)


def test_a_fix_that_works_is_recovered_within_two_weeks_at_twenty_a_week() -> None:
    verdict = _verdict(after=0.02, days=14)
    assert verdict.outcome is Outcome.RECOVERED
    assert verdict.high < 0.35
    text = verdict_sentence(verdict, "UTC")
    assert text.startswith("Recovered: ")
    assert f"expected at the level before it, {verdict.before} customers from 17 Feb 2025 (UTC) on" in text


def test_a_young_problem_is_judged_from_its_onset_and_not_by_the_quiet_weeks_before() -> None:
    rng = np.random.default_rng(6)
    early, onset = [at(45, 9), at(52, 9)], moment(64)
    mine = [*early, *working_times(rng, days=6, per_day=3, start=onset)]
    mine = [t for t in mine if t <= at(70, 10)]
    now = at(80, 10)
    context = desk(desk_series([t for t in NORMAL if t <= now], mine), now)
    assert fix_verdict(series("e", mine), context, FIX, now).outcome is Outcome.TOO_LITTLE_DATA
    verdict = fix_verdict(series("e", mine), context, FIX, now, onset=onset)
    assert (verdict.outcome, verdict.since) == (Outcome.RECOVERED, onset)


def test_a_fix_that_does_nothing_is_not_yet() -> None:
    verdict = _verdict(after=1.0, days=14)
    assert verdict.outcome is Outcome.NOT_YET
    assert verdict.low < 1.0 < verdict.high


def test_after_a_day_there_is_too_little_data_until_a_stated_date() -> None:
    verdict = _verdict(after=0.0, days=1)
    assert verdict.outcome is Outcome.TOO_LITTLE_DATA
    assert verdict.until is not None
    assert moment(77) <= verdict.until <= moment(90)
    assert verdict_sentence(verdict, "UTC").startswith("Too little data until ")


@pytest.mark.parametrize("days", [1, 7, 14, 40])
def test_a_silent_source_is_never_a_recovery(days: int) -> None:
    verdict = _verdict(after=0.0, days=days, silent=True)
    assert verdict.outcome is Outcome.TOO_LITTLE_DATA
    assert "silent" in verdict.reason
    assert verdict.until is None


def test_a_holiday_of_the_whole_desk_is_not_a_fix() -> None:
    rng = np.random.default_rng(3)
    problem = working_times(rng, days=42, per_day=4, start=moment(28))
    quiet = working_times(rng, days=14, per_day=0.4, start=moment(70))
    calm = working_times(rng, days=14, per_day=5, start=moment(70))
    now = at(84, 10)
    mine = [t for t in problem + quiet if t <= now]
    whole = desk_series([t for t in NORMAL if t < at(70)], [t for t in calm if t <= now], mine)
    assert fix_verdict(series("e", mine), desk(whole, now), FIX, now).outcome is not Outcome.RECOVERED


def test_a_problem_of_two_customers_cannot_be_judged() -> None:
    mine = [at(60, 10), at(61, 10)]
    now = at(100, 10)
    context = desk(desk_series([t for t in NORMAL if t <= now], mine), now)
    verdict = fix_verdict(series("e", mine), context, FIX, now)
    assert verdict.outcome is Outcome.TOO_LITTLE_DATA
    assert verdict.until is None


def test_the_interval_of_a_rate_ratio_covers_the_truth() -> None:
    rng = np.random.default_rng(8)
    inside = 0
    for _ in range(400):
        before, after = int(rng.poisson(80)), int(rng.poisson(20))
        _, low, high = rate_ratio(before, after, exposure=0.5)
        inside += low <= 0.5 <= high
    assert inside >= 0.96 * 400


RELEASE = Release("rel_42", moment(91, 9), Change.RELEASE, "4.2", version="4.2")


def _since_release(*days: float, until: float) -> list[Finding]:
    """A problem seen so many days after the release, as the release rule sees it `until` days after."""
    rng = np.random.default_rng(5)
    mine = [*working_times(rng, days=80, per_day=0.05), *(at(91 + d, 10) for d in days)]
    now = at(91 + until, 11)
    context = desk(desk_series([t for t in NORMAL if t <= now], mine), now)
    return after_release([series("e", mine)], context, RELEASE, now)


def test_what_a_release_brought_is_held_against_the_time_before_it() -> None:
    (found,) = _since_release(0.5, 1.2, 2.4, 3.1, 4.3, until=4.3)
    assert (found.kind, found.release, found.customers) == ("after_release", RELEASE, 5)
    assert found.expected < 1.0 < found.notes["ratio"]
    assert found.strength > threshold(100, 5)


def test_waiting_does_not_change_what_a_release_brought() -> None:
    brought = (0.5, 1.2, 2.4, 3.1)
    strengths = [_since_release(*brought, until=day)[0].strength for day in (3.2, 4.2, 5.2, 6.9)]
    assert max(strengths) - min(strengths) < 0.4
    [more] = _since_release(*brought, 4.3, until=4.3)
    assert more.strength > max(strengths)


def test_a_release_is_not_held_responsible_for_what_comes_after_its_time() -> None:
    assert _since_release(0.5, 1.2, 2.4, until=RELEASE_DAYS - 0.1)
    assert not _since_release(0.5, 1.2, 2.4, until=RELEASE_DAYS + 0.1)


def test_two_customers_after_a_release_are_no_finding() -> None:
    assert not _since_release(0.5, 1.2, until=3.0)
