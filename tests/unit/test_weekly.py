from __future__ import annotations

import numpy as np
import pytest

from app.detectors.weekly import weekly_score


def _season(seed: int, *, years: int = 6, topics: int = 40, level: float = 8.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    weeks = np.arange(52 * years)
    mean = level * np.exp(0.8 * np.cos(2 * np.pi * weeks / 52))
    return rng.poisson(mean, (topics, len(weeks)))


def test_the_top_of_the_season_is_no_outbreak_and_twice_as_much_is_one() -> None:
    counts = _season(1)[:, : 52 * 5 + 1]  # ends at the top of the season
    usual, _ = weekly_score(counts)
    assert np.mean(usual > 2.0) <= 0.05
    counts[:, -1] *= 2
    raised, _ = weekly_score(counts)
    assert np.median(raised) > 3.0


def test_the_same_count_means_more_in_the_quiet_season() -> None:
    high, low = _season(1)[:, : 52 * 5 + 1], _season(1)[:, : 52 * 5 + 27]
    high[:, -1], low[:, -1] = 18, 18
    assert np.median(weekly_score(low)[0]) > np.median(weekly_score(high)[0]) + 3


def test_past_outbreaks_do_not_hide_the_next_one() -> None:
    counts = _season(2)
    counts[:, -1] += 20
    clean, _ = weekly_score(counts)
    counts[:, 60:300:60] += 40
    scarred, _ = weekly_score(counts)
    assert np.median(clean - scarred) < 2.0
    assert np.median(scarred) > 2.0


def test_two_weeks_of_a_small_rise_weigh_more_than_one() -> None:
    counts = _season(3)
    counts[:, -1] += 6
    one, _ = weekly_score(counts)
    counts[:, -2] += 6
    two, _ = weekly_score(counts)
    assert np.median(two) > np.median(one)


def test_less_than_a_year_of_history_is_refused() -> None:
    with pytest.raises(ValueError, match="weeks of history, got 50"):
        weekly_score(np.ones((2, 50)))
