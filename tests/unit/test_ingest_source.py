"""What all sources share: reading times and fields, the plan of passes, and what counts as vanished."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from app.domain import Checkpoint, Source, Status, came_back
from app.errors import Invalid
from app.ingest.source import (
    Options,
    begin,
    dig,
    finish,
    instant,
    iso,
    lived,
    mapped,
    opened,
    outcomes,
    page,
    read_options,
    share_of,
    text,
    vanished,
)

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "said",
    [
        "2026-11-20T12:00:00Z",
        "2026-11-20T12:00:00.000+0000",
        "2026-11-20T17:30:00+05:30",
        "2026-11-20T04:00:00.000-0800",
        "2026-11-20 12:00:00",
    ],
)
def test_a_time_in_any_form_is_the_same_instant(said: str) -> None:
    assert instant(said) == NOON


@pytest.mark.parametrize("said", [None, "", "yesterday", 5, [], "2026-13-01"])
def test_what_is_not_a_time_is_none(said: Any) -> None:
    assert instant(said) is None


def test_a_time_without_a_zone_is_read_in_the_given_one() -> None:
    assert instant("2026-11-20 04:00:00", ZoneInfo("America/Los_Angeles")) == NOON


def test_times_in_checkpoints_sort_as_text() -> None:
    times = [NOON + timedelta(microseconds=n) for n in (0, 1, 500_000, 1_000_000)]
    assert sorted(map(iso, times)) == [iso(at) for at in times]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("custom_fields.27642", "v4"),
        ("fields.versions.name", "1, 2"),
        ("fields.product.value", "Export"),
        ("fields.absent.deeper", ""),
        ("u_site", "Zürich"),
    ],
)
def test_a_path_reaches_what_any_vendor_nests(path: str, value: str) -> None:
    record = {
        "custom_fields": [{"id": 27642, "value": "v4"}, {"id": 2, "value": None}],
        "fields": {"versions": [{"name": "1"}, {"name": "2"}], "product": {"id": "3", "value": "Export"}},
        "u_site": {"display_value": "Zürich", "value": "8f3"},
    }
    assert text(dig(record, path)) == value


def test_mapped_outcomes_are_ticket_fields_and_the_rest_attributes() -> None:
    custom = mapped(
        {"a": "Yes", "b": "4", "c": "Export", "d": None},
        {"escalated": "a", "satisfaction": "b", "product": "c", "plan": "d"},
    )
    assert custom == {"escalated": "Yes", "satisfaction": "4", "product": "Export"}
    assert outcomes(custom, Options()) == {"escalated": True, "satisfaction": 0.75}


@pytest.mark.parametrize(
    ("rating", "share"),
    [
        ("good", 1.0),
        ("bad", 0.0),
        ("offered", None),
        ("5", 1.0),
        ("1", 0.0),
        ("9", 1.0),
        ("", None),
        ("soso", None),
    ],
)
def test_every_scale_of_satisfaction_becomes_a_share(rating: str, share: float | None) -> None:
    assert share_of(rating) == share


def test_a_poll_starts_a_little_before_the_last_one_began_and_the_wide_one_far_before() -> None:
    options = Options(lookback_s=300, sweep_every_s=3600, sweep_back_s=7200)
    first = begin({}, options, NOON)
    assert first == {"since": iso(options.start_at), "wide": False}
    state = finish({}, first, begun=iso(NOON))
    soon = NOON + timedelta(minutes=10)
    assert begin(state, options, soon) == {"since": iso(NOON - timedelta(seconds=300)), "wide": False}
    later = NOON + timedelta(hours=1)
    wide = begin(state, options, later)
    assert wide == {"since": iso(later - timedelta(hours=2)), "wide": True}
    assert finish(state, wide, begun=iso(later))["sweep_at"] == iso(later)


def test_after_days_of_silence_nothing_between_is_skipped() -> None:
    options = Options(lookback_s=300, sweep_every_s=3600, sweep_back_s=7200)
    state = {"read_to": iso(NOON), "sweep_at": iso(NOON)}
    assert begin(state, options, NOON + timedelta(days=5))["since"] == iso(NOON - timedelta(seconds=300))


def test_nothing_before_the_start_is_read() -> None:
    options = Options(start_at=NOON)
    assert begin({"read_to": iso(NOON), "sweep_at": iso(NOON)}, options, NOON)["since"] == iso(NOON)


def test_an_opened_checkpoint_shares_nothing_with_the_stored_one() -> None:
    stored = Checkpoint("desk", state={"v": 1, "pass": {"id": ""}})
    opened(stored)["pass"]["id"] = "changed"
    assert stored.state == {"v": 1, "pass": {"id": ""}}


def test_the_watermark_never_goes_back() -> None:
    state = {"v": 1, "watermark": iso(NOON)}
    assert page(Checkpoint("desk"), state, more=False).checkpoint.state["watermark"] == iso(NOON)


def test_a_ticket_is_gone_when_it_was_missing_twice_running() -> None:
    assert vanished(["1", "2", "3"], frozenset({"1"}), ["2"]) == (["2"], ["3"], "")


def test_when_most_tickets_seem_gone_a_permission_was_lost() -> None:
    ids = [str(number) for number in range(100)]
    twice, once, warning = vanished(ids, frozenset(ids[:40]), ids)
    assert (twice, once) == ([], [])
    assert "permissions" in warning


@pytest.mark.parametrize(
    ("options", "pointer"),
    [
        ({"page_sise": 5}, "sources.desk.page_sise"),
        ({"page_size": "many"}, "sources.desk.page_size"),
        ({"field_map": {"product": 5}}, "sources.desk.field_map.product"),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, Any], pointer: str) -> None:
    with pytest.raises(Invalid) as raised:
        read_options(Options, Source("desk", "any", options))
    assert raised.value.pointer == pointer


def test_options_of_a_toml_file_are_read_as_their_types() -> None:
    read = read_options(Options, Source("desk", "any", {"start_at": "2026-11-20T12:00:00Z", "page_size": 5}))
    assert (read.start_at, read.page_size) == (NOON, 5)


def test_a_history_opens_with_the_status_before_and_orders_changes_of_one_moment() -> None:
    start, ten = NOON - timedelta(hours=3), NOON - timedelta(hours=2)
    told = [
        (NOON, "solved", "open"), (NOON, "pending", "solved"), (None, "x", "y"), (NOON, "open", "pending"),
        (ten, "new", "open"),
    ]  # fmt: skip
    history = lived(start, told, Status)
    assert [(c.at, c.told) for c in history] == [
        (start, "new"), (ten, "open"), (NOON, "pending"), (NOON, "solved"), (NOON, "open"),
    ]  # fmt: skip
    assert came_back(history) is True
    assert came_back(history[:4]) is False
    assert came_back(()) is None


def test_a_status_told_twice_running_is_entered_once() -> None:
    at = [datetime(2026, 11, 20, hour, tzinfo=UTC) for hour in range(3)]
    told = [(at[2], "", "closed"), (at[0], "", "open"), (at[1], "", "open")]
    history = lived(at[0], told, Status)
    assert [(c.at, c.status.value) for c in history] == [(at[0], "open"), (at[2], "closed")]
