"""The generated sample: the same bytes every time, a plausible queue, the planted problems really in it."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from app.domain import ATTRIBUTES, Change, RawTicket
from app.errors import Invalid
from app.sample import Sample, generate, write

END = datetime(2026, 3, 18, 15, 20, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def sample() -> Sample:
    return generate(7, END)


@pytest.fixture(scope="module")
def by_id(sample: Sample) -> dict[str, RawTicket]:
    return {ticket.external_id: ticket for ticket in sample.tickets}


def told(sample: Sample, name: str) -> dict[str, Any]:
    (row,) = [row for row in sample.truth["stories"] + sample.truth["traps"] if row["name"] == name]
    return dict(row)


def members(sample: Sample, by_id: dict[str, RawTicket], name: str) -> list[RawTicket]:
    return [by_id[number] for number in told(sample, name)["tickets"]]


def weekly_rate(tickets: list[RawTicket], start: datetime, stop: datetime) -> float:
    return sum(start <= ticket.created_at < stop for ticket in tickets) / ((stop - start) / (7 * DAY))


def test_same_seed_and_end_write_the_same_bytes_and_another_seed_does_not(
    sample: Sample, tmp_path: Path
) -> None:
    for name, made in (("a", sample), ("b", generate(7, END)), ("c", generate(8, END))):
        write(made, tmp_path / name)
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert files == ["README.txt", "releases.jsonl", "tickets.jsonl.gz", "truth.json"]
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert (tmp_path / "a" / files[2]).read_bytes() != (tmp_path / "c" / files[2]).read_bytes()


def test_an_end_without_a_time_zone_is_refused() -> None:
    with pytest.raises(Invalid, match="time zone"):
        generate(1, END.replace(tzinfo=None))


@pytest.mark.parametrize("hour", [0, 9, 23])
def test_nothing_is_in_the_future_at_any_hour_of_the_day(hour: int) -> None:
    end = END.replace(hour=hour, minute=4)
    for ticket in generate(3, end).tickets:
        assert ticket.created_at < end
        assert ticket.updated_at is not None
        assert ticket.created_at <= ticket.updated_at <= end
        assert ticket.resolved_at is None or ticket.created_at <= ticket.resolved_at <= end


def test_the_queue_has_the_size_and_the_week_of_a_real_one(sample: Sample) -> None:
    assert 5800 <= len(sample.tickets) <= 6800
    days = Counter(ticket.created_at.weekday() for ticket in sample.tickets)
    assert days[0] > days[4] > 2 * days[6]
    per_account = Counter(ticket.account for ticket in sample.tickets)
    assert 750 <= len(per_account) <= 900
    top_tenth = [count for _, count in per_account.most_common(90)]
    assert 0.25 < sum(top_tenth) / len(sample.tickets) < 0.6


def test_no_two_customers_send_the_same_text(sample: Sample) -> None:
    bodies = Counter(ticket.body for ticket in sample.tickets)
    assert sum(count - 1 for count in bodies.values()) <= 12


def test_no_slot_or_choice_of_the_grammar_is_left_in_a_text(sample: Sample) -> None:
    left = re.compile(r"\{\w+\}|\[[^\[\]]*\|[^\[\]]*\]")
    for ticket in sample.tickets:
        assert not left.search(ticket.subject + ticket.body + ticket.resolution), ticket
        assert ticket.subject
        assert ticket.body


def test_over_a_third_of_the_tickets_are_one_offs_whose_subject_matter_and_request_never_repeat(
    sample: Sample,
) -> None:
    lone = [ticket for ticket in sample.tickets if "component" not in ticket.attributes]
    assert 0.33 < len(lone) / len(sample.tickets) < 0.43


def test_attributes_have_the_shared_names_and_every_language_and_channel_occurs(sample: Sample) -> None:
    seen = {(key, value) for ticket in sample.tickets for key, value in ticket.attributes.items()}
    assert {key for key, _ in seen} <= set(ATTRIBUTES)
    for wanted in (
        "language=de",
        "language=fr",
        "language=es",
        "channel=api",
        "channel=phone",
        "plan=enterprise",
    ):
        assert tuple(wanted.split("=")) in seen
    assert any(ticket.body_is_html for ticket in sample.tickets)


def test_ids_in_the_truth_exist_and_belong_to_the_customers_named(
    sample: Sample, by_id: dict[str, RawTicket]
) -> None:
    assert {row["story"] for row in sample.truth["stories"]} == set("ABCDFGHI")
    for row in sample.truth["stories"] + sample.truth["traps"]:
        assert {by_id[number].account for number in row["tickets"]} == set(row["customers"])


def test_the_novel_error_is_three_customers_of_the_last_hours_and_nobody_before(
    sample: Sample, by_id: dict[str, RawTicket]
) -> None:
    fresh = members(sample, by_id, "novel-error")
    assert len(fresh) == len({ticket.account for ticket in fresh}) == 3
    assert all(END - ticket.created_at < timedelta(hours=4) for ticket in fresh)
    carrying = [ticket for ticket in sample.tickets if "DOC-4417" in (ticket.subject + ticket.body).upper()]
    assert carrying == fresh


def test_the_error_after_the_release_was_rare_before_and_comes_nine_times_in_the_week_after(
    sample: Sample, by_id: dict[str, RawTicket]
) -> None:
    row = told(sample, "after-release")
    (release,) = [release for release in sample.releases if release.id == row["release"]]
    tickets = members(sample, by_id, "after-release")
    assert all("PRJ-5027" in ticket.body.upper() for ticket in tickets)
    after = [ticket for ticket in tickets if ticket.created_at > release.at]
    assert len(after) == 9
    assert len({ticket.account for ticket in after}) == 8
    assert len(tickets) - len(after) == 2
    assert {ticket.attributes["version"] for ticket in after} == {release.version} == {"5.2.0"}


@pytest.mark.parametrize(("name", "weekly"), [("slow-burn-large", 50), ("slow-burn-small", 14)])
def test_a_slow_burn_rises_by_two_to_three_fifths_for_three_weeks_without_a_spike(
    sample: Sample, by_id: dict[str, RawTicket], name: str, weekly: int
) -> None:
    tickets = members(sample, by_id, name)
    before = weekly_rate(tickets, END - 119 * DAY, END - 21 * DAY)
    after = weekly_rate(tickets, END - 21 * DAY, END)
    assert before == pytest.approx(weekly, rel=0.12)
    assert 1.25 < after / before < 1.75
    for k in range(3):
        assert weekly_rate(tickets, END - (k + 1) * 7 * DAY, END - k * 7 * DAY) < 1.45 * after


@pytest.mark.parametrize(
    ("name", "attribute", "value"),
    [("renamed-field-import", "version", "4.2.0"), ("blank-charts-safari", "browser", "Safari")],
)
def test_the_common_thread_covers_four_fifths_of_the_pattern_and_a_tenth_of_the_rest(
    sample: Sample, by_id: dict[str, RawTicket], name: str, attribute: str, value: str
) -> None:
    tickets = members(sample, by_id, name)
    inside = {ticket.account for ticket in tickets if ticket.attributes[attribute] == value}
    assert len(inside) / len({ticket.account for ticket in tickets}) >= 0.75
    product = tickets[0].attributes["product"]
    planted = {ticket.external_id for ticket in tickets}
    rest = [
        ticket
        for ticket in sample.tickets
        if ticket.external_id not in planted
        and ticket.attributes.get("product") == product
        and ticket.created_at >= tickets[0].created_at
    ]
    assert sum(ticket.attributes[attribute] == value for ticket in rest) / len(rest) < 0.18


def test_one_fix_ended_its_problem_and_the_other_held_for_a_month_and_then_did_not(
    sample: Sample, by_id: dict[str, RawTicket]
) -> None:
    fixes = {release.id: release for release in sample.releases if release.kind == Change.FIX}
    for name, later, last_days in (("calendar-duplicates-fixed", 1, 0), ("pdf-currency-regressed", 8, 8)):
        fix = fixes[told(sample, name)["release"]]
        times = [ticket.created_at for ticket in members(sample, by_id, name)]
        assert sum(at > fix.at + DAY for at in times) == later
        assert sum(END - at < 3.5 * DAY for at in times) == last_days
        assert sum(at < fix.at for at in times) > 15


def test_the_paraphrases_are_all_different_and_share_no_error_code(
    sample: Sample, by_id: dict[str, RawTicket]
) -> None:
    tickets = members(sample, by_id, "vanishing-hours")
    assert len({ticket.body for ticket in tickets}) == len({ticket.account for ticket in tickets}) == 32
    assert END - tickets[0].created_at > 40 * DAY


def test_the_past_incident_has_a_resolution_that_todays_ticket_can_be_shown(
    sample: Sample, by_id: dict[str, RawTicket]
) -> None:
    past, (today,) = (
        members(sample, by_id, "past-incident"),
        members(sample, by_id, "repeat-of-past-incident"),
    )
    assert sum("metadata" in ticket.resolution for ticket in past) >= 10
    assert END - today.created_at < timedelta(hours=1)
    assert today.created_at - past[-1].created_at > 60 * DAY


def test_a_useful_article_is_hardly_ever_linked(sample: Sample, by_id: dict[str, RawTicket]) -> None:
    tickets = members(sample, by_id, "low-use-article")
    article = told(sample, "low-use-article")["article"]
    assert sum(article in ticket.articles for ticket in tickets) < 0.1 * len(tickets)
    assert len(tickets) > 80


@pytest.mark.parametrize("name", ["tester-flood", "one-customer-flood"])
def test_a_flood_is_forty_tickets_of_one_person_in_a_day(
    sample: Sample, by_id: dict[str, RawTicket], name: str
) -> None:
    tickets = members(sample, by_id, name)
    assert len(tickets) == 40
    assert len({ticket.requester for ticket in tickets}) == 1
    assert tickets[-1].created_at - tickets[0].created_at < timedelta(hours=12)


def test_the_outage_delivers_its_tickets_late_and_keeps_their_own_time(
    sample: Sample, by_id: dict[str, RawTicket]
) -> None:
    row = told(sample, "connector-outage")
    start, over = datetime.fromisoformat(row["start"]), datetime.fromisoformat(row["end"])
    assert over - start == timedelta(hours=7)
    assert len(row["tickets"]) > 20
    assert all(sample.received[number] >= over for number in row["tickets"])
    assert not [at for at in sample.received.values() if start + timedelta(minutes=2) < at < over]


def test_import_surge_and_holiday_stand_out_from_ordinary_days(
    sample: Sample, by_id: dict[str, RawTicket]
) -> None:
    imported = members(sample, by_id, "bulk-import")
    assert len(imported) == 250
    assert imported[-1].created_at - imported[0].created_at < timedelta(hours=1)
    per_day = Counter(ticket.created_at.date() for ticket in sample.tickets)
    midweek = sorted(count for day, count in per_day.items() if day.weekday() in (1, 2, 3))
    usual = midweek[len(midweek) // 2]
    assert len(told(sample, "marketing-surge")["tickets"]) / 2 > 1.6 * usual
    assert len(told(sample, "holiday")["tickets"]) < 0.35 * usual


def test_boilerplate_is_shared_by_one_account_and_by_every_web_form(
    sample: Sample, by_id: dict[str, RawTicket]
) -> None:
    footer = members(sample, by_id, "legal-footer")
    assert len(footer) > 20
    assert {ticket.account for ticket in footer} == {"harbor-insurance"}
    web = [ticket for ticket in sample.tickets if ticket.attributes["channel"] == "web"]
    assert all("What did you expect to happen?" in ticket.body for ticket in web)


def test_planted_secrets_are_in_the_text_that_the_truth_names(
    sample: Sample, by_id: dict[str, RawTicket]
) -> None:
    assert len(sample.truth["secrets"]) == 10
    for number, values in sample.truth["secrets"].items():
        assert all(value in by_id[number].body for value in values)


def test_numbers_a_report_shows_are_plausible(sample: Sample) -> None:
    took = sorted(
        (t.resolved_at - t.created_at) / timedelta(hours=1) for t in sample.tickets if t.resolved_at
    )
    assert 4 < took[len(took) // 2] < 12
    assert 24 < took[int(len(took) * 0.9)] < 96
    rates = {}
    for plan in ("starter", "enterprise"):
        escalated = [t.escalated for t in sample.tickets if t.attributes["plan"] == plan]
        rates[plan] = sum(map(bool, escalated)) / len(escalated)
    assert rates["enterprise"] > 3 * rates["starter"] > 0
    rated = [t.satisfaction for t in sample.tickets if t.satisfaction is not None]
    assert 0.6 < sum(rated) / len(rated) < 0.85
    assert 0.1 < sum(bool(t.ai_handled) for t in sample.tickets) / len(sample.tickets) < 0.25


def test_repeats_point_at_an_earlier_ticket_of_the_same_person(
    sample: Sample, by_id: dict[str, RawTicket]
) -> None:
    repeats = [ticket for ticket in sample.tickets if ticket.duplicate_of]
    assert len(repeats) > 20
    for ticket in repeats:
        assert by_id[ticket.duplicate_of].requester == ticket.requester
        assert by_id[ticket.duplicate_of].created_at < ticket.created_at


def test_the_files_say_that_they_are_generated_and_hold_a_row_for_every_ticket_in_order_of_arrival(
    sample: Sample, tmp_path: Path
) -> None:
    write(sample, tmp_path)
    assert "generated" in (tmp_path / "README.txt").read_text()
    assert "Seed 7" in (tmp_path / "README.txt").read_text()
    with gzip.open(tmp_path / "tickets.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    assert {row["id"] for row in rows} == {ticket.external_id for ticket in sample.tickets}
    arrivals = [row["received_at"] for row in rows]
    assert arrivals == sorted(arrivals)
    assert json.loads((tmp_path / "truth.json").read_text("utf-8")) == sample.truth
    assert len((tmp_path / "releases.jsonl").read_text().splitlines()) == len(sample.releases)
