"""The course of a topic is the same whether it was worked out before and kept, or is worked out anew."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app.backtest import Clock
from app.domain import RawTicket, Topic, TopicKind
from app.pipeline.digest import digest
from app.pipeline.intake import accept
from app.runtime import Runtime
from app.store import topics
from app.web.traffic import Course, Traffic
from tests.fakes import START, raw

DAYS = 14


@pytest.fixture
def desk(runtime: Runtime, clock: Clock) -> Runtime:
    """Forty days of a question every seven hours."""
    tell(
        runtime,
        clock,
        [raw(n, "Export fails every night", at=START + timedelta(hours=7 * n)) for n in range(137)],
    )
    return runtime


def tell(runtime: Runtime, clock: Clock, raws: list[RawTicket]) -> None:
    clock.at = max(START + timedelta(days=40), *(r.created_at + timedelta(minutes=1) for r in raws))
    accept(runtime, raws, source_kind="push")
    while digest(runtime):
        pass


def course(traffic: Traffic, runtime: Runtime, days: int) -> Course:
    with runtime.store.read() as session:
        id_ = topics.topic_id(TopicKind.DESK, "desk")
        topic: Topic = topics.by_ids(session, [id_])[id_]
        return traffic.courses(session, [topic], days=days)[id_]


@pytest.mark.parametrize("longer_first", [False, True])
def test_a_course_drawn_from_what_was_kept_is_the_one_drawn_anew(
    desk: Runtime, clock: Clock, longer_first: bool
) -> None:
    kept = Traffic(desk)
    course(kept, desk, 35 if longer_first else 7)
    tell(desk, clock, [raw(500, "Export fails every night", at=clock.at + timedelta(minutes=6))])
    found = course(kept, desk, DAYS)
    assert found == course(Traffic(desk), desk, DAYS)
    assert found.days[-1].tickets > 0
    assert found.days[0].expected is not None


def test_a_late_ticket_changes_what_was_expected_after_it(desk: Runtime, clock: Clock) -> None:
    kept = Traffic(desk)
    before = course(kept, desk, DAYS)
    late = [
        raw(600 + n, "Export fails every night", at=START + timedelta(days=33, minutes=n)) for n in range(9)
    ]
    tell(desk, clock, late)
    clock.at += timedelta(days=1)
    after = course(kept, desk, DAYS)
    assert after == course(Traffic(desk), desk, DAYS)
    assert {d.date: d.expected for d in after.days}[before.days[-2].date] != before.days[-2].expected
