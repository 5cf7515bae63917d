from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import nbinom

from app.detectors.sentence import sentence
from app.detectors.slowburn import log_likelihood_ratio, slow_burn
from app.domain import Finding
from tests.unit._desk import at, desk, desk_series, moment, series, working_times

NORMAL = working_times(np.random.default_rng(7), days=130, per_day=50)


@pytest.mark.parametrize(
    ("observed", "mean", "variance", "ratio"), [(12, 8.0, 10.0, 1.4), (0, 5.0, 9.0, 2.0)]
)
def test_the_evidence_is_a_likelihood_ratio_of_negative_binomials(
    observed: int, mean: float, variance: float, ratio: float
) -> None:
    size = mean**2 / (variance - mean)
    under = nbinom(size, size / (size + mean)).logpmf(observed)
    above = nbinom(size, size / (size + ratio * mean)).logpmf(observed)
    got = log_likelihood_ratio(np.array([observed]), np.array([mean]), np.array([variance]), ratio)
    assert got[0] == pytest.approx(above - under)


def test_the_evidence_has_expectation_one_when_nothing_changed() -> None:
    mean, variance = np.array([9.0]), np.array([13.0])
    size = mean**2 / (variance - mean)
    counts = np.arange(400.0)
    chance = nbinom(size, size / (size + mean)).pmf(counts)
    for ratio in (1.25, 1.4, 1.7, 2.0):
        e_value = np.exp(log_likelihood_ratio(counts, mean, variance, ratio))
        assert float(chance @ e_value) == pytest.approx(1.0, abs=1e-6)


def _after_three_weeks(per_day: float, rise: float) -> list[Finding]:
    rng = np.random.default_rng(5)
    times = working_times(rng, days=84, per_day=per_day)
    times += working_times(rng, days=21, per_day=rise * per_day, start=moment(84))
    now = at(105)
    times = [t for t in times if t <= now]
    context = desk(desk_series([t for t in NORMAL if t <= now], times), now)
    return slow_burn([series("e", times)], context, now)


def test_a_rise_that_never_spikes_is_found_and_told_with_its_size() -> None:
    [finding] = _after_three_weeks(per_day=10, rise=1.6)
    assert finding.kind == "sustained"
    assert finding.strength > 2.0
    assert moment(76) <= finding.since <= moment(97)
    assert "counting each customer once a day" in sentence(finding, "UTC")


def test_a_slow_burn_says_the_same_all_day_and_nothing_of_the_day_that_runs() -> None:
    rng = np.random.default_rng(5)
    times = working_times(rng, days=84, per_day=10)
    times += working_times(rng, days=20, per_day=17, start=moment(84))
    burst = [at(104, 9 + i / 20) for i in range(40)]
    told = []
    for hour in (7, 12, 17):
        mine = [t for t in times + burst if t <= at(104, hour)]
        whole = desk_series([t for t in NORMAL if t <= at(104, hour)], mine)
        told += slow_burn([series("e", mine)], desk(whole, at(104, hour)), at(104, hour))
    assert [f.at for f in told] == [moment(104)] * 3
    assert len({(f.strength, f.customers, f.expected) for f in told}) == 1
    assert told[0].strength > 2.0


def test_a_level_that_stays_is_no_slow_burn() -> None:
    assert all(finding.strength < 0.5 for finding in _after_three_weeks(per_day=10, rise=1.0))
