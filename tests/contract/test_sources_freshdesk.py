"""Freshdesk: pages that shift under the reader, and bins for deleted tickets and spam, lose nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from app.domain import Checkpoint
from app.ingest.freshdesk import Freshdesk, FreshdeskOptions
from app.ingest.http import AuthFailed, Forbidden
from app.ingest.source import Outside
from tests.contract.desk import CASES, GROUPS, NEVER_S, Lived, Reader, assert_reads_everything
from tests.simulators.freshdesk import FreshdeskSimulator
from tests.simulators.server import serving
from tests.simulators.world import Clock, World

PAGE = 3
HOST = "https://desk.example"


def simulator(seed: int, *, quiet: bool = False) -> FreshdeskSimulator:
    world = World(
        seed, Clock(), PAGE, late_s=100, very_late_s=0 if seed % 2 else 10 * 3600, spare=0 if quiet else 30
    )
    return FreshdeskSimulator(world, faults=not quiet, limits={"list": 20, "main": 50})


def connect(sim: FreshdeskSimulator, *, base_url: str = HOST, **options: object) -> Freshdesk:
    given = FreshdeskOptions(base_url=base_url, api_key="FRESHDESK", page_size=PAGE)
    if not sim.world.very_late_s:
        given = replace(given, sweep_every_s=NEVER_S)
    outside = Outside(
        now=sim.clock.now,
        secret={"FRESHDESK": sim.secret}.__getitem__,
        sleep=sim.clock.sleep,
        jitter=sim.random.random,
        transport=sim.transport if base_url.startswith(HOST) else None,
    )
    return Freshdesk("desk", replace(given, **options), outside)  # type: ignore[arg-type]


def lived(sim: FreshdeskSimulator, row_id: int) -> Lived:
    """What the list tells of a ticket's statuses: when it last entered each."""
    row = sim.world.rows[row_id]
    names = {
        "pending_since": "pending",
        "reopened_at": "open",
        "resolved_at": "solved",
        "closed_at": "closed",
    }
    told = [(at, names[name]) for name, at in sim.stats(row).items() if at]
    return sorted([(row.created, "open"), *told])


@pytest.mark.parametrize("group", range(GROUPS))
def test_after_the_last_sweep_the_store_is_what_the_desk_shows(group: int) -> None:
    for seed in range(group, CASES, GROUPS):
        sim = simulator(seed)
        assert_reads_everything(
            lambda _desk, sim=sim: connect(sim),  # type: ignore[misc]
            sim,
            seed=seed,
            truth=sim.world.truth,
            lived=lambda key, sim=sim: lived(sim, int(key)),  # type: ignore[misc]
            sweeps=(timedelta(hours=25),),
            idle_calls=6,
        )


def test_over_a_real_connection_every_ticket_arrives() -> None:
    sim = simulator(1, quiet=True)
    sim.clock.sleep(11 * 3600)
    with serving(sim.handle) as base_url:
        source = connect(sim, base_url=f"{base_url}/api/v2/")
        reader = Reader(lambda _desk: source, sim.clock, sim.random, restarts=False)
        reader.drain()
        source.close()
    assert reader.desk.view() == sim.world.truth()


def test_a_plateau_beyond_the_last_page_is_left_with_a_note_not_an_endless_loop() -> None:
    sim = simulator(2, quiet=True)
    sim.last_page = 2
    for row_id in sim.world.alive():
        sim.world.touch(row_id)
    sim.clock.sleep(11 * 3600)
    source = connect(sim, last_page=2)
    reader = Reader(lambda _desk: source, sim.clock, sim.random, restarts=False)
    reader.drain(most=60)
    assert any("in one second" in note for note in reader.desk.notes)


def test_a_passing_denial_is_retried_and_a_lasting_one_is_reported() -> None:
    sim = simulator(3, quiet=True)
    sim.denies = 2
    assert connect(sim).pull(Checkpoint("desk")).tickets
    sim.denies = 99
    with pytest.raises(Forbidden, match="access_denied"):
        connect(sim).pull(Checkpoint("desk"))


def test_a_wrong_key_is_one_clear_line() -> None:
    sim = simulator(4, quiet=True)
    source = connect(sim)
    sim.secret = "renewed"
    with pytest.raises(AuthFailed, match="invalid_credentials"):
        source.pull(Checkpoint("desk"))


def test_details_are_the_last_public_reply_before_the_solution() -> None:
    sim = simulator(5, quiet=True)
    row_id = sim.world.alive()[0]
    sim.world.touch(row_id, status="solved")
    at = sim.world.rows[row_id].stamp
    link = "https://acme.freshdesk.example/support/solutions/articles/12"
    sim.messages = {
        row_id: [
            said("Still broken", at - timedelta(hours=3), incoming=True),
            *[said("internal", at - timedelta(hours=2), private=True) for _ in range(110)],
            said(f"Reset it {link}", at - timedelta(hours=1)),
            said("Bye", at + timedelta(hours=1)),
            said("This ticket is merged into ticket ID 1003", at, private=True),
        ]
    }
    (found,) = connect(sim).details([str(row_id), "1"])
    assert found.resolution == f"Reset it {link}"
    assert found.articles == (link,)
    assert found.duplicate_of == "1003"


def test_a_hint_for_a_ticket_in_the_bin_is_a_tombstone() -> None:
    sim = simulator(6, quiet=True)
    first, second = sim.world.alive()[:2]
    sim.world.remove(first)
    page = connect(sim).fetch([str(first), str(second), "1"])
    assert page.deleted == (str(first), "1")
    assert [ticket.external_id for ticket in page.tickets] == [str(second)]


def test_check_and_inspect_say_what_the_account_has() -> None:
    sim = simulator(7, quiet=True)
    assert connect(sim).check().ok
    assert [column.path for column in connect(sim).inspect()] == ["status", "custom_fields.cf_version"]
    assert "7 (Waiting on third party)" in connect(sim).check().lines[-1].text
    named = connect(sim, status_map={"Waiting on third party": "pending"})
    assert not any("custom" in line.text for line in named.check().lines)


def test_a_status_of_the_accounts_own_is_mapped_by_number_or_by_name() -> None:
    sim = simulator(9, quiet=True)
    told = sim.record
    sim.record = lambda row, included: told(row, included) | {"status": 7}  # type: ignore[method-assign]
    for chosen, status in (
        ({}, "open"),
        ({"7": "pending"}, "pending"),
        ({"Waiting on third party": "solved"}, "solved"),
    ):
        assert connect(sim, status_map=chosen).pull(Checkpoint("desk")).tickets[0].status == status


def test_satisfaction_comes_days_after_the_answer_and_is_read_once_an_hour() -> None:
    sim = simulator(10, quiet=True)
    source = connect(sim)
    reader = Reader(lambda _desk: source, sim.clock, sim.random, restarts=False)
    reader.drain()
    given = (103, 100, -103, 102, -101, 999, None)
    sim.rated = [rating(number, code, sim.clock.now()) for number, code in enumerate(given)]
    sim.rated += [rating(50 + number, 103, sim.clock.now()) for number in range(60)]
    reader.drain()
    assert reader.desk.rated == {}
    sim.clock.sleep(3700)
    reader.drain()
    shares = {"0": 1.0, "1": 0.5, "2": 0.0, "3": 0.833, "4": 0.333}
    assert {key: reader.desk.rated[key] for key in shares} == shares
    assert "5" not in reader.desk.rated
    assert len(reader.desk.rated) == 65
    sim.rated.insert(0, rating(1, -103, sim.clock.now()))
    sim.clock.sleep(3700)
    reader.drain()
    assert reader.desk.rated["1"] == 0.0


def test_a_plan_without_surveys_is_read_all_the_same() -> None:
    sim = simulator(11, quiet=True)
    sim.clock.sleep(11 * 3600)
    sim.surveys = False
    source = connect(sim)
    reader = Reader(lambda _desk: source, sim.clock, sim.random, restarts=False)
    reader.drain()
    assert reader.desk.view() == sim.world.truth()


def test_the_search_counts_a_day() -> None:
    sim = simulator(12, quiet=True)
    day = sim.world.rows[sim.world.alive()[0]].created.replace(hour=0, minute=0, second=0)
    counted = connect(sim).counted(day, day + timedelta(days=1))
    assert counted == sum(sim.world.rows[i].created.date() == day.date() for i in sim.world.alive()) > 0


def test_what_a_list_includes_is_paid_for_out_of_the_accounts_calls() -> None:
    sim = simulator(13, quiet=True)
    sim.clock.sleep(11 * 3600)
    source = connect(sim)
    reader = Reader(lambda _desk: source, sim.clock, sim.random, restarts=False)
    reader.drain()
    source.details([str(row_id) for row_id in sim.world.alive()])
    assert sim.turned_away == 0


def rating(ticket: int, code: int | None, at: object) -> dict[str, object]:
    ratings = {"default_question": code}
    return {
        "id": ticket,
        "ticket_id": ticket,
        "feedback": "planted words",
        "ratings": ratings,
        "created_at": str(at),
    }


def test_groups_and_mapped_fields_are_shown_by_name() -> None:
    sim = simulator(8, quiet=True)
    source = connect(sim, field_map={"version": "custom_fields.cf_version"})
    ticket = source.pull(Checkpoint("desk")).tickets[0]
    assert (ticket.attributes["version"], ticket.attributes["team"]) == ("4.2", "Export")
    assert ticket.account_name == ("Acme Zürich" if ticket.account else "")


def said(text: str, at: object, *, incoming: bool = False, private: bool = False) -> dict[str, object]:
    return {"body": text, "body_text": text, "incoming": incoming, "private": private, "created_at": str(at)}
