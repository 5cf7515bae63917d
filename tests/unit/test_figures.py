"""Figures: shares with their n and interval, times as median and 90th percentile, trends that are not chance."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from app.reports.figures import Case, Panel, Period, Raised, lead_hours, panels, share, spread, wilson
from app.reports.trends import MAX_Q, Count, moves

AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def case(n: int, **values: object) -> Case:
    given_: dict[str, object] = {
        "customer": f"c{n}", "product": "Reports", "population": "plus", "escalated": False,
        "hours": None, "satisfaction": None, "ai_handled": None, "pattern": None, "articles": (),
    }  # fmt: skip
    return Case(**given_ | values)  # type: ignore[arg-type]


def made(
    now: list[Case], before: list[Case] | None = None, alerts: tuple[Raised, ...] = ()
) -> dict[str, Panel]:
    later = Period(AT, AT + 28 * DAY, tuple(now), alerts)
    earlier = Period(AT - 28 * DAY, AT, tuple(before or ()), ())
    return {p.key: p for p in panels(later, earlier, by="plan", names={"pat_1": "Export fails"})}


@given(st.integers(0, 400), st.integers(1, 400))
def test_wilsons_interval_is_the_one_of_scipy(hits: int, n: int) -> None:
    hits = min(hits, n)
    found = binomtest(hits, n).proportion_ci(method="wilson")
    assert wilson(hits, n) == pytest.approx((found.low, found.high), abs=1e-4)


def test_of_nothing_there_is_no_share_and_no_time() -> None:
    assert share([]) == (0, None, None, None)
    assert spread([]) == (0, None, None)
    assert wilson(0, 0) == (0.0, 1.0)


def test_volume_counts_tickets_and_customers_against_the_period_before() -> None:
    now = [case(n, customer="one" if n < 3 else f"c{n}") for n in range(5)]
    row = made(now, [case(-n) for n in range(1, 5)])["volume"].rows[0]
    assert row == ("All", 5, 3, 4, 4, 0.25, -0.25)


def test_escalation_leaves_out_tickets_whose_source_does_not_say() -> None:
    now = [case(n, escalated=n == 0) for n in range(4)] + [case(9, escalated=None, population="free")]
    rows = {row[0]: row for row in made(now)["escalation"].rows}
    assert rows["plus"][1:3] == (4, 0.25)
    assert rows["free"][1:3] == (0, None)
    assert rows["All"][1] == 4


def test_time_to_resolution_says_how_many_are_still_open() -> None:
    now = [case(n, hours=float(h)) for n, h in enumerate((1, 2, 3))] + [case(5)]
    row = made(now)["resolution"].rows[0]
    assert list(row[:5]) == ["All", 3, 2.0, pytest.approx(2.8), 1]


def test_an_article_seldom_used_for_a_common_issue_is_listed_and_a_well_used_one_is_not() -> None:
    done = {"hours": 24.0 * 90, "pattern": "pat_1"}
    rare = [case(n, articles=("kb/1",) if n == 0 else (), **done) for n in range(20)]
    (row,) = made(rare)["articles"].rows
    assert row[:6] == ("pat_1", "Export fails", "kb/1", 20, 1, 0.05)
    used = [case(n, articles=("kb/1",), **done) for n in range(20)]
    assert made(used)["articles"].rows == ()
    assert made(rare[:4])["articles"].rows == ()  # four answers are not common


def test_handed_over_cases_are_told_by_pattern() -> None:
    now = [case(n, ai_handled=n < 3, pattern="pat_1", escalated=n == 0) for n in range(8)]
    (row,) = made(now)["handed-over"].rows
    assert list(row[:6]) == ["pat_1", "Export fails", 3, 3, 8, pytest.approx(1 / 3)]


def test_precision_counts_only_judged_alerts_and_lead_time_is_ahead_of_half_the_tickets() -> None:
    times = tuple(AT + n * DAY for n in range(11))
    early = Raised(
        opened_at=AT + 2 * DAY, acknowledged_at=AT + 2 * DAY + HOUR, verdict="useful", tickets=times
    )
    noise = Raised(opened_at=AT, acknowledged_at=None, verdict="noise", tickets=())
    silent = Raised(opened_at=AT, acknowledged_at=None, verdict="", tickets=())
    assert lead_hours(early) == 72.0
    assert lead_hours(noise) is None
    row = made([], alerts=(early, noise, silent))["quality"].rows[0]
    assert row[:4] == ("This period", 3, 2, 0.5)
    assert row[6:9] == (1, 1.0, 1.0)


def test_a_desk_that_doubled_is_no_trend_and_one_that_rose_alone_is() -> None:
    doubled = [Count(f"k{n}", f"k{n}", 40, 40, 20, 20) for n in range(10)]
    assert {m.direction for m in moves(doubled, desk=800, desk_before=400)} == {"steady"}
    risen = [*doubled[:9], Count("up", "up", 60, 60, 5, 5), Count("down", "down", 4, 4, 40, 40)]
    found = {m.count.key: m for m in moves(risen, desk=800, desk_before=400)}
    assert found["up"].direction == "rising"
    assert found["up"].ratio == pytest.approx(6.0)
    assert found["down"].direction == "falling"


def test_of_many_topics_that_only_vary_by_chance_hardly_one_moves() -> None:
    """Benjamini and Hochberg keep the chance of any false discovery below MAX_Q when there is nothing to find."""
    random = np.random.default_rng(5)
    wrong = 0
    for _ in range(200):
        pairs = random.poisson(12, size=(60, 2)).tolist()
        counts = [Count(str(n), str(n), a, a, b, b) for n, (a, b) in enumerate(pairs)]
        wrong += any(m.direction != "steady" for m in moves(counts, desk=1000, desk_before=1000))
    assert wrong / 200 <= MAX_Q + 0.02


def test_q_is_never_below_p_and_too_few_customers_are_not_compared() -> None:
    counts = [Count(str(n), "", n, n, 10, 10) for n in range(12)]
    found = moves(counts, desk=100, desk_before=100)
    assert all(m.q >= m.p for m in found)
    assert [m.p for m in found] == sorted(m.p for m in found)
    assert moves([Count("x", "x", 1, 1, 1, 1)], desk=10, desk_before=10) == []
    assert moves(counts, desk=100, desk_before=0) == []
