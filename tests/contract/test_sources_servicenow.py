"""ServiceNow: access rules, plateaus, ignored filters and deletions without a trace lose nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from app.domain import Checkpoint
from app.ingest.http import AuthFailed, Misconfigured
from app.ingest.servicenow import ServiceNow, ServiceNowOptions
from app.ingest.source import Outside
from tests.contract.desk import (
    CASES,
    GROUPS,
    NEVER_S,
    Desk,
    Lived,
    Reader,
    assert_reads_everything,
    at_and_status,
)
from tests.simulators.server import serving
from tests.simulators.servicenow import ServiceNowSimulator, sys_id
from tests.simulators.world import Clock, World

PAGE = 4
HOST = "https://desk.example"
SWEEPS = (timedelta(hours=25), timedelta(hours=25))


def simulator(seed: int, *, quiet: bool = False) -> ServiceNowSimulator:
    very_late_s = 0 if seed % 2 else 10 * 3600
    world = World(
        seed,
        Clock(),
        PAGE,
        late_s=300,
        very_late_s=very_late_s,
        purge=True,
        hides=True,
        spare=0 if quiet else 30,
    )
    return ServiceNowSimulator(world, faults=not quiet, limits={"main": 100})


def connect(sim: ServiceNowSimulator, desk: Desk, *, base_url: str = HOST, **options: object) -> ServiceNow:
    given = ServiceNowOptions(
        base_url=base_url,
        user="reader",
        password="SERVICENOW",
        page_size=PAGE,
        list_size=100,
        sweep_every_s=86_400 if sim.world.very_late_s else NEVER_S,
    )
    outside = Outside(
        now=sim.clock.now,
        secret={"SERVICENOW": sim.secret}.__getitem__,
        sleep=sim.clock.sleep,
        jitter=sim.random.random,
        known=desk.known,
        transport=sim.transport if base_url == HOST else None,
    )
    return ServiceNow("desk", replace(given, **options), outside)  # type: ignore[arg-type]


def truth(sim: ServiceNowSimulator) -> dict[str, tuple[str, str, str]]:
    return {sys_id(int(key)): value for key, value in sim.world.truth().items()}


def reader_of(sim: ServiceNowSimulator, *, page_size: int = PAGE, list_size: int = 100) -> Reader:
    return Reader(
        lambda desk: connect(sim, desk, page_size=page_size, list_size=list_size),
        sim.clock,
        sim.random,
        restarts=False,
    )


def lived(sim: ServiceNowSimulator, key: str) -> Lived:
    """What is told of a record's statuses: nothing until the first change."""
    entered = next(sim.world.lived(row_id) for row_id in sim.world.rows if sys_id(row_id) == key)
    return entered if len(entered) > 1 else []


@pytest.mark.parametrize("group", range(GROUPS))
def test_after_the_last_sweep_the_store_is_what_the_instance_shows(group: int) -> None:
    for seed in range(group, CASES, GROUPS):
        sim = simulator(seed)
        assert_reads_everything(
            lambda desk, sim=sim: connect(sim, desk),  # type: ignore[misc]
            sim,
            seed=seed,
            truth=lambda sim=sim: truth(sim),  # type: ignore[misc]
            lived=lambda key, sim=sim: lived(sim, key),  # type: ignore[misc]
            sweeps=SWEEPS,
            idle_calls=2,
        )


def test_over_a_real_connection_every_record_arrives() -> None:
    sim = simulator(1, quiet=True)
    sim.clock.sleep(3600)
    with serving(sim.handle) as base_url:
        source = connect(sim, Desk(), base_url=base_url)
        reader = Reader(lambda _desk: source, sim.clock, sim.random, restarts=False)
        reader.drain()
        source.close()
    assert reader.desk.view() == truth(sim)


def test_a_cancelled_transaction_is_read_again_in_smaller_pages() -> None:
    sim = simulator(2, quiet=True)
    sim.clock.sleep(11 * 3600)
    sim.too_long = 30
    reader = reader_of(sim, page_size=50)
    reader.drain()
    assert reader.desk.view() == truth(sim)


def test_however_many_records_are_hidden_in_a_row_the_readable_ones_behind_them_arrive() -> None:
    for seed in range(30):
        sim = simulator(seed, quiet=True)
        sim.clock.sleep(11 * 3600)
        reader = reader_of(sim, page_size=1, list_size=1)
        reader.drain()
        assert reader.desk.view() == truth(sim)


def test_an_ignored_filter_stops_the_walk_instead_of_reading_the_table_for_ever() -> None:
    sim = simulator(3, quiet=True)
    sim.clock.sleep(3600)
    reader = reader_of(sim)
    reader.drain()
    sim.unknown_columns = frozenset({"sys_updated_on"})
    with pytest.raises(Misconfigured, match="ignores the filter"):
        reader.drain()


def test_a_user_whose_times_are_local_is_found_out_at_once() -> None:
    sim = simulator(4, quiet=True)
    sim.clock.sleep(11 * 3600)
    sim.local_times = True
    with pytest.raises(Misconfigured, match="time zone"):
        connect(sim, Desk()).pull(Checkpoint("desk"))


def test_an_update_that_keeps_its_timestamp_is_found_by_the_weekly_reading() -> None:
    sim = simulator(5, quiet=True)
    sim.clock.sleep(3600)
    reader = reader_of(sim)
    reader.drain()
    row_id = next(row_id for row_id in sim.world.alive() if not sim.world.rows[row_id].hidden)
    sim.world.put(replace(sim.world.rows[row_id], subject="Changed silently", version=99))
    sim.clock.sleep(3600)
    reader.drain()
    assert reader.desk.view() != truth(sim)
    sim.clock.sleep(8 * 86_400)
    reader.drain()
    assert reader.desk.view() == truth(sim)


def test_a_wrong_password_is_one_clear_line() -> None:
    sim = simulator(6, quiet=True)
    source = connect(sim, Desk())
    sim.secret = "renewed"
    with pytest.raises(AuthFailed, match="User is not authenticated"):
        source.pull(Checkpoint("desk"))


def test_stored_values_are_read_not_displayed_ones() -> None:
    sim = simulator(7, quiet=True)
    sim.clock.sleep(3600)
    source = connect(sim, Desk(), page_size=500, field_map={"version": "u_version"})
    ticket = next(t for t in source.pull(Checkpoint("desk")).tickets if t.account)
    row = next(row for row in sim.world.rows.values() if sys_id(row.id) == ticket.external_id)
    assert (ticket.created_at, ticket.updated_at) == (row.created, row.stamp)
    assert ticket.account_name == "Acme Zürich"
    assert (ticket.attributes["team"], ticket.attributes["version"]) == ("Network", "4.2")


def test_the_journal_answers_for_fifty_tickets_at_once_or_not_at_all() -> None:
    sim = simulator(8, quiet=True)
    row_id = sim.world.alive()[0]
    sim.world.touch(row_id, status="solved")
    row = sim.world.rows[row_id]
    sim.messages = {
        row_id: [
            entry(row_id, "desk", "Internal", at=row.stamp, element="work_notes"),
            *[
                entry(row_id, "desk", f"Note {number}", at=row.stamp - timedelta(hours=9))
                for number in range(1100)
            ],
            entry(row_id, "desk", "See KB0010001", at=row.stamp - timedelta(hours=1)),
            entry(row_id, f"customer.{row.requester}", "Thanks", at=row.stamp),
            entry(row_id, "desk", "Bye", at=row.stamp + timedelta(hours=1)),
        ]
    }
    (found,) = connect(sim, Desk()).details([sys_id(row_id), "^DROP"])
    assert (found.resolution, found.articles) == ("See KB0010001", ("KB0010001",))
    sim.journal_denied = True
    (found,) = connect(sim, Desk()).details([sys_id(row_id)])
    assert (found.resolution, at_and_status(found.history)) == ("", sim.world.lived(row_id))
    sim.audit_denied = True
    assert connect(sim, Desk()).details([sys_id(row_id)]) == ()


def test_hints_bring_records_and_tombstones() -> None:
    sim = simulator(9, quiet=True)
    sim.clock.sleep(11 * 3600)
    there = next(row_id for row_id in sim.world.alive() if not sim.world.rows[row_id].hidden)
    page = connect(sim, Desk()).fetch([sys_id(there), sys_id(999_999)])
    assert [ticket.external_id for ticket in page.tickets] == [sys_id(there)]
    assert page.deleted == (sys_id(999_999),)


def test_check_and_inspect_say_what_the_instance_has() -> None:
    sim = simulator(10, quiet=True)
    sim.clock.sleep(11 * 3600)
    assert connect(sim, Desk()).check().ok
    assert "u_version" in {column.path for column in connect(sim, Desk()).inspect()}


def entry(
    row_id: int, author: str, value: str, *, at: datetime, element: str = "comments"
) -> dict[str, object]:
    when = at.strftime("%Y-%m-%d %H:%M:%S")
    named: dict[str, object] = {"element_id": sys_id(row_id), "element": element, "sys_created_by": author}
    return named | {"value": value, "sys_created_on": when}
