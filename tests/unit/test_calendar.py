from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from app.detectors.calendar import BusinessClock


def _at(zone: str, *parts: int, fold: int = 0) -> float:
    return datetime(*parts, tzinfo=ZoneInfo(zone), fold=fold).timestamp()  # type: ignore[arg-type, misc]


ZONES = [
    "UTC",
    "Australia/Sydney",
    "America/Los_Angeles",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Asia/Beirut",
]


@pytest.mark.parametrize("zone", ZONES)
def test_every_instant_of_two_years_lies_in_its_local_date_and_hour(zone: str) -> None:
    rng = np.random.default_rng(5)
    at = np.sort(rng.uniform(_at(zone, 2024, 1, 1), _at(zone, 2026, 1, 1), 3000))
    local = [datetime.fromtimestamp(t, ZoneInfo(zone)) for t in at]
    wall = [24 * t.date().toordinal() + t.hour for t in local]
    wrong = np.flatnonzero(BusinessClock(zone).slots(at) != np.array(wall))
    # A half-hour shift makes one clock hour ambiguous; everywhere else the wall clock decides.
    assert len(wrong) == 0 or (zone == "Australia/Lord_Howe" and len(wrong) <= 2)


@pytest.mark.parametrize(
    ("zone", "date", "missing", "double"),
    [
        ("America/Los_Angeles", (2025, 3, 9), 2, None),
        ("America/Los_Angeles", (2025, 11, 2), None, 1),
        ("Australia/Sydney", (2025, 10, 5), 2, None),
        ("Australia/Sydney", (2025, 4, 6), None, 2),
    ],
)
def test_a_clock_change_empties_one_hour_or_doubles_one(
    zone: str, date: tuple[int, int, int], missing: int | None, double: int | None
) -> None:
    day = datetime(*date).toordinal()  # noqa: DTZ001
    hours = np.diff(BusinessClock(zone).edges(day, day)) / 3600.0
    expected = np.ones(24)
    if missing is not None:
        expected[missing] = 0.0
    if double is not None:
        expected[double] = 2.0
    assert hours.tolist() == expected.tolist()


@pytest.mark.parametrize("zone", ["America/Los_Angeles", "Australia/Sydney"])
def test_opening_hours_stay_on_the_wall_clock_across_clock_changes(zone: str) -> None:
    clock = BusinessClock(zone)
    for month, day in ((3, 7), (3, 10), (4, 4), (4, 7), (10, 3), (10, 6), (10, 31), (11, 3)):  # weekdays
        at = np.array([_at(zone, 2025, month, day, h, 30) for h in (7, 8, 17, 18)])
        assert clock.blocks(clock.slots(at)).tolist() == [0, 1, 1, 0]


def test_weekends_are_closed() -> None:
    clock = BusinessClock("UTC")
    noon = np.array([_at("UTC", 2025, 1, d, 12) for d in range(6, 13)])
    assert clock.blocks(clock.slots(noon)).tolist() == [1] * 5 + [0] * 2
