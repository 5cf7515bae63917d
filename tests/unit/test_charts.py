"""Charts say what they show, stay inside their frame, and keep other people's text from becoming markup."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.web.charts import Mark, chart, scale, spark
from app.web.shown import Words
from app.web.traffic import Day

START = date(2026, 3, 2)  # a Monday


def days(counts: Sequence[int], *, expected: float | None = 1.0, high: float = 3.0) -> list[Day]:
    return [
        Day(START + timedelta(n), 2 * c, c, expected, 0.0, high, partial=n == len(counts) - 1)
        for n, c in enumerate(counts)
    ]


def shapes(drawn: str, tag: str, name: str = "") -> list[ET.Element]:
    found = ET.fromstring(drawn).iter(tag)
    return [e for e in found if not name or name in (e.get("class") or "").split()]


def test_a_spark_has_one_bar_for_each_day_with_customers() -> None:
    assert len(shapes(spark(days([0, 2, 0, 1])), "rect")) == 2


def test_a_chart_draws_customers_inside_the_tickets_bar_of_the_same_day() -> None:
    drawn = chart(days([0, 4, 0]), width=600)
    tickets, customers = (float(e.get("height") or 0) for e in shapes(drawn, "rect"))
    assert tickets == pytest.approx(2 * customers, rel=0.02)


def test_only_days_above_the_band_are_marked_as_above() -> None:
    drawn = chart(days([1, 3, 4, 2]), width=600)
    assert len(shapes(drawn, "rect", "above")) == 2  # the tickets and the customers of the third day


def test_nothing_is_expected_of_days_before_the_desk_is_known() -> None:
    unknown = days([1, 2], expected=None)
    drawn = chart([*unknown, *days([0, 0, 5])], width=600)
    (line,) = shapes(drawn, "polyline", "expected")
    assert len((line.get("points") or "").split()) == 6
    assert not shapes(chart(unknown, width=600), "polygon")


def test_a_label_of_markup_stays_text() -> None:
    mark = Mark(START, "release", "</text><script>alert(1)</script>")
    for drawn in (chart(days([1, 2]), [mark], width=600), spark(days([1, 2]), [mark])):
        assert "<script" not in drawn
        assert "alert(1)" in (ET.fromstring(drawn).get("aria-label") or "")


def test_the_label_names_the_busiest_day_and_every_mark_on_the_chart() -> None:
    marks = [Mark(START + timedelta(1), "release", "5.2"), Mark(START - timedelta(1), "release", "4.9")]
    label = ET.fromstring(spark(days([1, 7, 2]), marks)).get("aria-label") or ""
    assert "most on 3 Mar: 7" in label
    assert "release 5.2 on 3 Mar" in label
    assert "4.9" not in label


def test_flags_near_the_right_edge_are_written_to_the_left() -> None:
    mark = Mark(START + timedelta(29), "fix", "A fix with a long name")
    (flag,) = shapes(chart(days([1] * 30), [mark], width=600), "text", "flag")
    assert "before" in (flag.get("class") or "")


def test_no_days_draw_nothing() -> None:
    assert spark([]) == chart([], width=600) == ""


@given(st.floats(0.1, 1e6))
def test_a_scale_has_few_whole_steps_and_reaches_the_highest_value(highest: float) -> None:
    ticks = scale(highest)
    assert 2 <= len(ticks) <= 7
    assert ticks[-1] >= highest
    assert all(tick == int(tick) for tick in ticks)


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=90))
def test_every_bar_lies_inside_the_drawing(counts: list[int]) -> None:
    for bar in shapes(chart(days(counts), width=328, height=210), "rect"):
        x, y, w, h = (float(bar.get(n) or 0) for n in ("x", "y", "width", "height"))
        assert 0 <= x <= x + w <= 328
        assert 0 <= y <= y + h <= 210


def test_two_times_say_the_day_once_where_they_share_it_and_each_names_its_zone() -> None:
    words = Words(ZoneInfo("Europe/Berlin"))
    now = datetime(2026, 11, 27, 23, tzinfo=UTC)

    def said(first: datetime, last: datetime | None) -> str:
        return words.between(first, last, now=now).striptags()

    evening = datetime(2026, 11, 27, 19, 38, tzinfo=UTC)
    assert said(evening, evening + timedelta(hours=3)) == "27 Nov, 20:38 CET to 23:38 CET"
    assert said(evening, evening + timedelta(hours=4)) == "27 Nov, 20:38 CET to 28 Nov, 00:38 CET"
    assert said(datetime(2026, 10, 8, 16, tzinfo=UTC), evening) == "8 Oct to 27 Nov, 20:38 CET"
    assert said(datetime(2025, 12, 30, tzinfo=UTC), evening) == "30 Dec 2025 to 27 Nov, 20:38 CET"
    night = datetime(2026, 10, 24, 23, tzinfo=UTC)
    assert said(night, night + timedelta(hours=26)) == "25 Oct, 01:00 CEST to 26 Oct, 02:00 CET"
    assert said(evening, None) == said(evening, evening) == "27 Nov, 20:38 CET"
