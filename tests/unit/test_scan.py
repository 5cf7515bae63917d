from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import nbinom

from app.detectors.baseline import Desk
from app.detectors.calendar import BusinessClock
from app.detectors.guards import desk_notices, one_customer
from app.detectors.releases import after_release
from app.detectors.scan import mid_p, scan, threshold
from app.detectors.sentence import sentence
from app.detectors.slowburn import slow_burn
from app.domain import Change, Finding, Release, Series
from tests.unit._desk import at, desk, desk_series, moment, series, working_times

NORMAL = working_times(np.random.default_rng(7), days=130, per_day=50)


def _scan(topic: Series, now: float, *, extra: list[float] | None = None, zone: str = "UTC") -> list[Finding]:
    whole = desk_series([t for t in NORMAL if t <= now], extra if extra is not None else list(topic.at))
    return scan([topic], desk(whole, now, zone=zone), now)


def test_a_new_error_of_three_customers_in_an_afternoon_is_an_alert_on_a_desk_of_fifty_a_day() -> None:
    [finding] = _scan(series("e", [at(84, 13.1), at(84, 14.2), at(84, 15.5)]), at(84, 15.6))
    assert finding.kind == "new"
    assert (finding.tickets, finding.customers) == (3, 3)
    assert finding.strength > threshold(100, 5)


def test_two_customers_are_no_evidence() -> None:
    assert _scan(series("e", [at(84, 13.1), at(84, 14.2)]), at(84, 15.6)) == []


def test_one_customer_filing_forty_tickets_raises_nothing() -> None:
    times = [at(84, 9 + i / 10) for i in range(40)]
    assert _scan(series("e", times, [5] * 40), at(84, 13.1), extra=times[:1]) == []


def test_one_customer_filing_daily_for_weeks_raises_nothing() -> None:
    times = [at(64 + i, 10) for i in range(21)]
    assert _scan(series("e", times, [5] * 21), at(84, 13.1)) == []


def test_one_loud_customer_does_not_make_two_others_an_alert() -> None:
    quiet, loud = [at(79, 12), at(82, 12)], [at(78 + i, 10) for i in range(7)]
    times = sorted(quiet + loud)
    [alone] = _scan(series("e", times, [5 if t in loud else int(t) for t in times]), at(84, 13.1))
    [many] = _scan(series("e", times), at(84, 13.1))
    assert alone.strength < many.strength - 1.5


def test_a_surge_of_the_desk_itself_is_seen_on_the_desk() -> None:
    rng = np.random.default_rng(5)
    usual = [t for t in NORMAL if t < at(85)]
    surge = [*usual, *(t for t in NORMAL if at(85) < t < at(85, 17)), *rng.uniform(at(85, 8), at(85, 17), 60)]
    for times, least, most in ((usual, -9.0, 1.0), (surge, 2.0, 99.0)):
        whole = desk_series(times)
        now = max(times) + 1.0
        found = [f.strength for f in scan([whole], desk(whole, now), now)]
        assert least < max(found, default=0.0) < most


def test_backfilled_tickets_never_raise_and_still_teach() -> None:
    times = [at(84, 9 + i / 10) for i in range(40)]
    assert _scan(series("e", times, live=False), at(84, 13.1)) == []
    usual = working_times(np.random.default_rng(3), days=84, per_day=8)
    burst = [at(84, 13 + i / 10) for i in range(6)]
    taught = series("e", [*usual, *burst])
    live = Series(taught.topic, taught.at, taught.customer, taught.at >= at(84), taught.ticket_ids)
    [known] = _scan(live, at(84, 13.7))
    [unknown] = _scan(series("e", burst), at(84, 13.7))
    assert known.strength < unknown.strength - 2


def test_a_surge_of_the_whole_desk_raises_no_pattern() -> None:
    rng = np.random.default_rng(11)
    usual = working_times(rng, days=84, per_day=10)
    surge = working_times(rng, days=2, per_day=20, start=moment(84))
    others = working_times(rng, days=2, per_day=100, start=moment(84))
    now = at(85, 17)
    whole = desk_series([t for t in NORMAL if t < at(84)], usual, [t for t in surge + others if t <= now])
    for finding in scan([series("e", [t for t in usual + surge if t <= now])], desk(whole, now), now):
        assert finding.strength < 1.0


def _release() -> Release:
    return Release("rel_1", moment(77, 10), Change.RELEASE, "Version 4.2", version="4.2")


def test_five_cases_in_the_week_after_a_release_name_the_release() -> None:
    times = [at(20, 10), at(50, 10), at(77, 14), at(78, 11), at(79, 9), at(80, 12), at(81, 10)]
    now = at(81, 10.1)
    topic = series("e", times)
    context = desk(desk_series([t for t in NORMAL if t <= now], times), now)
    (finding,) = after_release([topic], context, _release(), now)
    assert finding.strength > threshold(100, 5)
    assert finding.release == _release()
    text = sentence(replace(finding, notes={**finding.notes, "on_version": 2}), "UTC")
    assert text.startswith(
        '5 tickets from 5 customers in the 4 days since "Version 4.2" of 24 Mar, 10:00 (UTC), '
        "2 of them naming version 4.2; 0.2 expected, 1 customer in the 28 days before it; "
    )


def test_a_release_says_nothing_of_tickets_long_after_it() -> None:
    times = [at(100, 10), at(100, 11), at(100, 12), at(100, 13)]
    now = at(100, 14)
    context = desk(desk_series([t for t in NORMAL if t <= now], times), now)
    assert after_release([series("e", times)], context, _release(), now) == []


def _burn(per_week: float, seed: int) -> float:
    """The strongest finding at the end of each of three weeks at +40 %."""
    rng = np.random.default_rng(seed)
    per_day = per_week / 5.2
    usual = working_times(rng, days=84, per_day=per_day)
    risen = working_times(rng, days=21, per_day=1.4 * per_day, start=moment(84))
    strongest = -9.0
    for day in range(87, 105):
        now = at(day, 18)
        times = [t for t in usual + risen if t <= now]
        context = desk(desk_series([t for t in NORMAL if t <= now], times), now)
        found = scan([series("e", times)], context, now) + slow_burn([series("e", times)], context, now)
        strongest = max([strongest, *(finding.strength for finding in found)])
    return strongest


def test_forty_percent_for_three_weeks_is_watched_at_twenty_a_week_and_an_alert_at_fifty() -> None:
    bar = threshold(60, 2)
    weak = np.median([_burn(20, seed) for seed in range(7)])
    strong = np.median([_burn(50, seed) for seed in range(7)])
    assert weak < bar < strong, (weak, strong)
    assert weak > 0


@given(
    observed=st.integers(0, 200),
    mean=st.floats(0.01, 150),
    excess=st.floats(1.001, 5),
)
def test_the_tail_is_that_of_the_negative_binomial(observed: int, mean: float, excess: float) -> None:
    variance = mean * excess
    size = mean**2 / (variance - mean)
    tail = nbinom(size, size / (size + mean))
    expected = 0.5 * (tail.sf(observed - 1) + tail.sf(observed))
    got = mid_p(np.array([float(observed)]), np.array([mean]), np.array([variance]))[0]
    assert got == pytest.approx(expected, rel=1e-6, abs=1e-12)


def _by_every_rule(topic: Series, whole: Series, now: float) -> list[list[Finding]]:
    context = desk(whole, now)
    release = Release("rel_1", moment(57, 9), Change.RELEASE, "Version 4.2")
    return [
        scan([topic], context, now),
        slow_burn([topic], context, now),
        after_release([topic], context, release, now),
        desk_notices([topic], context, whole.topic, now, active_topics=1),
        [found] if (found := one_customer(topic, context, now)) else [],
    ]


@given(seed=st.integers(0, 50), later=st.integers(1, 30))
def test_nothing_after_an_instant_changes_what_was_said_at_it(seed: int, later: int) -> None:
    rng = np.random.default_rng(seed)
    now = at(60, 15)
    risen = working_times(rng, days=21, per_day=6, start=moment(39))
    mine = [*working_times(rng, days=60, per_day=4), *risen, *[at(60, 12 + i / 9) for i in range(7)]]
    known, future = sorted(t for t in mine if t <= now), [now + 60.0 * i for i in range(1, later)]
    past = [t for t in NORMAL if t <= now]
    then = _by_every_rule(series("e", known), desk_series(past, known), now)
    hindsight = _by_every_rule(series("e", known + future), desk_series(past, known, future), now)
    assert then == hindsight
    assert all(then[:3])


def test_nothing_after_an_instant_changes_a_notice_given_at_it() -> None:
    now = at(60, 15)
    flood = [at(60, 10 + i / 5) for i in range(20)]
    customers = [5] * 20
    known = series("e", flood, customers)
    more = series("e", [*flood, *(now + 60.0 * i for i in range(1, 9))], [*customers, *range(8)])
    silent = [t for t in NORMAL if t <= at(57, 11)]
    later = [t for t in NORMAL if t > at(60, 15)]
    for whole in (desk_series(silent), desk_series(silent, later)):
        [notice] = desk_notices([], desk(whole, now), whole.topic, now, active_topics=1)
        assert (notice.kind, notice.since) == ("silent_feed", datetime.fromtimestamp(silent[-1], UTC))
    context = desk(desk_series([t for t in NORMAL if t <= now], flood), now)
    assert one_customer(known, context, now) == one_customer(more, context, now)
    assert one_customer(known, context, now) is not None


def test_topics_are_judged_alone_and_together_alike() -> None:
    rng = np.random.default_rng(2)
    now = at(70, 15)
    topics = [
        series(f"e{i}", [t for t in working_times(rng, days=71, per_day=2) if t <= now]) for i in range(6)
    ]
    context = desk(desk_series([t for t in NORMAL if t <= now], *(list(s.at) for s in topics)), now)
    together = scan(topics, context, now) + slow_burn(topics, context, now)
    apart = [f for s in topics for f in scan([s], context, now)]
    apart += [f for s in topics for f in slow_burn([s], context, now)]
    assert together == apart


@pytest.mark.parametrize("hours", [9.2, 9.5, 11.0, 23.9])
def test_a_desk_moved_forward_is_the_desk_built_anew(hours: float) -> None:
    whole = desk_series(NORMAL)
    early = Desk.build(whole, BusinessClock("UTC"), at(64, 9.0))
    now = at(64, hours)
    topic = [series("e", [at(64, 8.5 + i / 20) for i in range(10)])]
    assert scan(topic, early.advance(whole, now), now) == scan(topic, desk(whole, now), now)
    assert early.advance(whole, now).live_so_far.tolist() == desk(whole, now).live_so_far.tolist()


def test_a_young_desk_says_nothing_in_its_first_three_days() -> None:
    young = [t for t in NORMAL if t < at(2, 18)]
    burst = [at(2, 12 + i / 9) for i in range(9)]
    context = desk(desk_series(young, burst), at(2, 14))
    assert scan([series("e", burst)], context, at(2, 14)) == []


def test_an_outbreak_long_fixed_is_as_visible_when_it_returns_as_a_new_error() -> None:
    outbreak = [at(30, 9 + i / 6) for i in range(50)]
    back = [at(84, 10), at(84, 10.5), at(84, 11), at(84, 12)]
    now = at(84, 12.1)
    context = desk(desk_series([t for t in NORMAL if t <= now], outbreak, back), now)
    [again] = scan([series("e", outbreak + back)], context, now, returning={"t_e"})
    assert again.kind == "recurrence"
    assert again.strength > threshold(100, 5)


@pytest.mark.parametrize("zone", ["Australia/Sydney", "America/Los_Angeles"])
def test_desks_on_both_sides_of_the_world_see_the_same_afternoon(zone: str) -> None:
    rng = np.random.default_rng(4)
    clock = BusinessClock(zone)
    start = clock.midnight(clock.day(at(0)) + 1)  # crosses clock changes in both places
    times = working_times(rng, days=120, per_day=50, start=start, zone=zone)
    day = clock.day(start.timestamp()) + 98
    edges = clock.edges(day, day)
    new = [float(edges[13]), float(edges[14]), float(edges[15])]
    now = float(edges[16])
    whole = desk_series([t for t in times if t <= now], new)
    [finding] = scan([series("e", new)], Desk.build(whole, clock, now), now)
    assert finding.strength > threshold(100, 5)
    assert f"({zone.replace('_', ' ')})" in sentence(finding, zone)
    assert re.search(r"First seen \d+ \w+, 13:00", sentence(finding, zone))
