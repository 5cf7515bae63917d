"""States follow from stored facts; one event is one alert; a young desk says what it can say."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from app.detectors.coldstart import cold_start
from app.detectors.lifecycle import DORMANT_AFTER, FRESH, Facts, alert_state, pattern_state
from app.detectors.members import groups
from app.domain import Alert, AlertState, Change, Finding, PatternState, Release, Tier, Topic, TopicKind
from tests.unit._desk import START, topic

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
FIX = Release("rel_1", START, Change.FIX, "4.2.1", pattern_id="p")


def alert(opened_at: datetime = START, *, kind: str = "spike", **values: object) -> Alert:
    made = Alert(
        id="alt_1", topic=topic("p"), rule="scan", kind=kind, tier=Tier.ALERT, severity="low", sentence="",
        finding={}, ticket_ids=(), pattern_id="p", opened_at=opened_at, updated_at=opened_at,
    )  # fmt: skip
    return replace(made, **values)  # type: ignore[arg-type]


def facts(**values: object) -> Facts:
    return Facts(last_at=START, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("known", "after", "state"),
    [
        (facts(), DAY, PatternState.WATCHING),
        (facts(), DORMANT_AFTER + HOUR, PatternState.DORMANT),
        (facts(is_merged=True, alert=alert()), DAY, PatternState.MERGED),
        (facts(alert=alert(kind="new")), HOUR, PatternState.NEW),
        (facts(alert=alert(kind="cluster")), HOUR, PatternState.NEW),
        (facts(alert=alert()), HOUR, PatternState.ESCALATING),
        (facts(alert=alert(kind="new")), FRESH, PatternState.ONGOING),
        (facts(alert=alert(kind="new", escalated_at=START + FRESH)), FRESH, PatternState.ESCALATING),
        (facts(alert=alert(resolved_at=START)), HOUR, PatternState.WATCHING),
        (facts(dismissed_at=START, alert=alert(START - DAY, resolved_at=START)), DAY, PatternState.DISMISSED),
        (facts(dismissed_at=START, alert=alert(START + HOUR)), DAY, PatternState.ESCALATING),
        (facts(fix=FIX, alert=alert(START - DAY)), DAY, PatternState.FIX_PENDING),
        (facts(fix=FIX), 91 * DAY, PatternState.DORMANT),
        (facts(fix=replace(FIX, outcome="not_yet", judged_at=START + DAY)), 2 * DAY, PatternState.ONGOING),
        (facts(fix=replace(FIX, outcome="recovered", judged_at=START + DAY), alert=alert()), 2 * DAY,
         PatternState.RECOVERED),
        (facts(fix=replace(FIX, outcome="recovered", judged_at=START + DAY), alert=alert(START + 2 * DAY)),
         30 * DAY, PatternState.REGRESSED),
        (facts(fix=replace(FIX, outcome="recovered", judged_at=START + DAY),
               alert=alert(START + 2 * DAY, resolved_at=START + 3 * DAY)), 4 * DAY, PatternState.WATCHING),
    ],
)  # fmt: skip
def test_a_patterns_state_follows_from_what_is_stored(
    known: Facts, after: timedelta, state: PatternState
) -> None:
    assert pattern_state(known, START + after) is state


@pytest.mark.parametrize(
    ("given", "after", "state"),
    [
        (alert(tier=Tier.WATCH), HOUR, AlertState.WATCHING),
        (alert(kind="new"), HOUR, AlertState.NEW),
        (alert(), FRESH, AlertState.ONGOING),
        (alert(snoozed_until=START + DAY), HOUR, AlertState.SNOOZED),
        (alert(snoozed_until=START + DAY), DAY, AlertState.ESCALATING),
        (alert(resolved_at=START, verdict="useful"), HOUR, AlertState.RESOLVED),
        (alert(resolved_at=START, verdict="noise"), HOUR, AlertState.DISMISSED),
    ],
)
def test_an_alerts_state_follows_from_what_is_stored(
    given: Alert, after: timedelta, state: AlertState
) -> None:
    assert alert_state(given, START + after) is state


def finding(about: Topic, ids: range, *, strength: float = 3.0, expected: float = 0.5) -> Finding:
    return Finding(
        topic=about, rule="scan", kind="spike", at=START, since=START - DAY, tickets=len(ids),
        customers=len(ids), expected=expected, spread=1.0, strength=strength,
        ticket_ids=tuple(f"t{i}" for i in ids),
    )  # fmt: skip


def test_a_dozen_topics_that_are_one_event_are_one_alert_with_members() -> None:
    told = [finding(topic(f"pattern {n}"), range(n, 20), strength=4.0 - n / 10) for n in range(4)]
    told += [finding(topic(f"code {n}", TopicKind.SIGNATURE), range(20 - n)) for n in range(5)]
    told += [finding(topic(f"region {n}", TopicKind.SEGMENT), range(30), expected=9.0) for n in range(2)]
    told.append(finding(topic("desk", TopicKind.DESK), range(40), expected=19.0))
    (one,) = groups(told[::-1], [], [])
    assert one.topic == topic("pattern 0")
    assert len(one.told().notes["members"]) == 11


def test_two_events_at_the_same_time_are_two() -> None:
    found = groups([finding(topic("a"), range(9)), finding(topic("b"), range(20, 29))], [], [])
    assert [g.topic.key for g in found] == ["a", "b"]


def test_a_segment_with_an_excess_of_its_own_is_told_beside_a_pattern_in_it() -> None:
    region = finding(topic("region", TopicKind.SEGMENT), range(40), expected=10.0)
    found = groups([finding(topic("a"), range(9)), region], [], [])
    assert len(found) == 2


def test_what_comes_later_joins_the_alert_that_stands() -> None:
    standing = (alert(), tuple(f"t{i}" for i in range(9)))
    (one,) = groups([finding(topic("code", TopicKind.SIGNATURE), range(9))], [standing], [])
    assert one.alert is not None
    assert [t.key for t in one.members] == ["code"]


def test_a_watch_does_not_silence_what_is_worth_an_alert() -> None:
    watched = (alert(tier=Tier.WATCH), tuple(f"t{i}" for i in range(9)))
    strong = finding(topic("code", TopicKind.SIGNATURE), range(9))
    assert len(groups([strong], [watched], [], bar=strong.strength)) == 2
    assert len(groups([strong], [watched], [], bar=strong.strength + 0.1)) == 1
    alerted = (alert(), watched[1])
    assert len(groups([strong], [alerted], [], bar=strong.strength)) == 1


def test_what_joins_a_dismissed_event_is_as_quiet_as_it() -> None:
    quiet = finding(topic("a"), range(9))
    (one,) = groups([finding(topic("code", TopicKind.SIGNATURE), range(9))], [], [quiet])
    assert one.is_quiet


@pytest.mark.parametrize(
    ("days", "active", "waiting"),
    [
        (0, {"cluster"}, {"new", "spike", "sustained", "segments"}),
        (3, {"cluster", "new", "spike"}, {"rising", "sustained", "segments"}),
        (14, {"rising", "sustained", "mass_event"}, {"segments"}),
        (28, {"segments"}, set()),
    ],
)
def test_a_young_desk_says_what_is_active_and_why_the_rest_waits(
    days: int, active: set[str], waiting: set[str]
) -> None:
    found = cold_start(days)
    assert active <= {s.name for s in found.active}
    assert waiting <= {s.name for s in found.waiting}
    assert found.is_learning == (days < 28)
    assert f"{days} of 28 baseline days" in found.sentence or not found.is_learning
    assert all(s.why for s in found.waiting)
