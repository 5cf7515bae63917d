"""What the engine holds follows from the store alone, also of tickets that were filed somewhere else since."""

from __future__ import annotations

from datetime import timedelta

import numpy as np

from app.backtest import Clock
from app.detectors.grouping.state import exact_sum
from app.pipeline import memory
from app.pipeline.digest import digest
from app.pipeline.intake import accept
from app.runtime import Runtime
from tests.fakes import START, raw

SAID = "Timer loses the hours of the day when the laptop sleeps"


def report(runtime: Runtime, component: str, numbers: range, later: timedelta = timedelta()) -> None:
    made = [
        raw(n, SAID, at=START + timedelta(hours=n), updated_at=START + timedelta(hours=n) + later,
            attributes={"product": "People", "component": component})
        for n in numbers
    ]  # fmt: skip
    accept(runtime, made, source_kind="push")


def settled(runtime: Runtime) -> None:
    while digest(runtime):
        pass


def sums(runtime: Runtime) -> dict[str, np.ndarray]:
    return {id_: group.total for id_, group in memory.of(runtime).grouping.state.groups.items()}


def test_a_ticket_filed_elsewhere_later_leaves_exact_sums_also_over_a_restart(
    runtime: Runtime, clock: Clock
) -> None:
    clock.at = START + timedelta(days=2)
    report(runtime, "Timer", range(6))
    settled(runtime)
    before = sums(runtime)
    assert len(before) == 1
    report(runtime, "Payroll", range(2), later=timedelta(days=1))
    runtime.memory = None  # as after a restart, with the change stored and not yet digested
    assert {id_: total.tolist() for id_, total in sums(runtime).items()} == {
        id_: total.tolist() for id_, total in before.items()
    }
    settled(runtime)
    for _ in range(2):
        (group,) = memory.of(runtime).grouping.state.groups.values()
        items = [member.item for member in group.members.values()]
        assert len(items) == 6
        assert group.total.tolist() == exact_sum((i.vector for i in items), len(group.total)).tolist()
        assert group.total.tolist() != before[group.id].tolist()
        runtime.memory = None


def test_a_ticket_deleted_at_its_source_over_a_restart_is_in_no_sum(runtime: Runtime, clock: Clock) -> None:
    clock.at = START + timedelta(days=2)
    report(runtime, "Timer", range(6))
    settled(runtime)
    accept(runtime, [], source_kind="push", deleted=["T-0002"], deleted_from="desk")
    runtime.memory = None  # as after a restart, with the deletion stored and not yet digested
    settled(runtime)
    (group,) = memory.of(runtime).grouping.state.groups.values()
    items = [member.item for member in group.members.values()]
    assert len(items) == group.count == 5
    assert group.total.tolist() == exact_sum((i.vector for i in items), len(group.total)).tolist()


def test_the_same_words_under_other_components_are_less_alike(runtime: Runtime, clock: Clock) -> None:
    clock.at = START + timedelta(days=2)
    report(runtime, "Timer", range(3))
    report(runtime, "Payroll", range(3, 6))
    settled(runtime)
    (group,) = memory.of(runtime).grouping.state.groups.values()  # the same words: one pattern all the same
    assert 0.85 < group.cohesion < 0.99
