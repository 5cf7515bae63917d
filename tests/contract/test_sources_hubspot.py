"""HubSpot: a trailing index, crowded milliseconds, archives and merges lose nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from app.domain import Checkpoint
from app.ingest.http import AuthFailed, QuotaUsedUp
from app.ingest.hubspot import HubSpot, HubSpotOptions
from app.ingest.source import Outside
from tests.contract.desk import CASES, GROUPS, NEVER_S, Reader, assert_reads_everything
from tests.simulators.hubspot import HubSpotSimulator
from tests.simulators.server import serving
from tests.simulators.world import Clock, World

PAGE = 4
HOST = "https://desk.example"
SWEEPS = (timedelta(minutes=10), timedelta(minutes=70), timedelta(hours=25))


def simulator(seed: int, *, quiet: bool = False) -> HubSpotSimulator:
    very_late_s = 0 if seed % 2 else 3000
    world = World(
        seed,
        Clock(),
        PAGE,
        grain=timedelta(milliseconds=1),
        late_s=590,
        very_late_s=very_late_s,
        spare=0 if quiet else 30,
    )
    return HubSpotSimulator(world, faults=not quiet, limits={"search": 300, "main": 600})


def connect(sim: HubSpotSimulator, *, base_url: str = HOST, **options: object) -> HubSpot:
    given = HubSpotOptions(
        base_url=base_url,
        access_token="HUBSPOT",
        page_size=PAGE,
        status_map={"Waiting": "pending", "Solved": "solved"},
        sweep_every_s=3600 if sim.world.very_late_s else NEVER_S,
    )
    outside = Outside(
        now=sim.clock.now,
        secret={"HUBSPOT": sim.secret}.__getitem__,
        sleep=sim.clock.sleep,
        jitter=sim.random.random,
        transport=sim.transport if base_url == HOST else None,
    )
    return HubSpot("desk", replace(given, **options), outside)  # type: ignore[arg-type]


def reader_of(sim: HubSpotSimulator, source: HubSpot) -> Reader:
    return Reader(lambda _desk: source, sim.clock, sim.random, restarts=False)


@pytest.mark.parametrize("group", range(GROUPS))
def test_after_the_last_sweep_the_store_is_what_the_portal_shows(group: int) -> None:
    for seed in range(group, CASES, GROUPS):
        sim = simulator(seed)
        assert_reads_everything(
            lambda _desk, sim=sim: connect(sim),  # type: ignore[misc]
            sim,
            seed=seed,
            truth=sim.world.truth,
            lived=lambda key, sim=sim: sim.world.lived(int(key)),  # type: ignore[misc]
            sweeps=SWEEPS,
            idle_calls=2,
        )


def test_over_a_real_connection_every_ticket_arrives() -> None:
    sim = simulator(1, quiet=True)
    sim.clock.sleep(3600)
    with serving(sim.handle) as base_url:
        source = connect(sim, base_url=base_url)
        reader = reader_of(sim, source)
        reader.drain()
        source.close()
    assert reader.desk.view() == sim.world.truth()


def test_ten_thousand_rows_deep_is_never_asked_for() -> None:
    sim = simulator(2, quiet=True)
    sim.clock.sleep(3600)
    sim.cap = PAGE
    reader = reader_of(sim, connect(sim))
    reader.drain()
    assert reader.desk.view() == sim.world.truth()


def test_a_page_out_of_order_is_trusted_only_to_where_its_order_breaks() -> None:
    for seed in range(3, 23):
        sim = simulator(seed, quiet=True)
        sim.clock.sleep(3600)
        sim.shuffles = True
        reader = reader_of(sim, connect(sim))
        reader.drain()
        assert reader.desk.view() == sim.world.truth()


def test_both_path_versions_are_spoken() -> None:
    sim = simulator(4, quiet=True)
    sim.legacy = True
    assert connect(sim, api="legacy").pull(Checkpoint("desk")).tickets


def test_a_used_up_day_ends_the_run_at_once() -> None:
    sim = simulator(5, quiet=True)
    sim.daily = True
    with pytest.raises(QuotaUsedUp):
        connect(sim).pull(Checkpoint("desk"))
    assert sim.calls == 1


def test_an_expired_token_is_one_clear_line() -> None:
    sim = simulator(6, quiet=True)
    source = connect(sim)
    sim.secret = "renewed"
    with pytest.raises(AuthFailed, match="EXPIRED_AUTHENTICATION"):
        source.pull(Checkpoint("desk"))


def test_tickets_come_without_customers_when_contacts_may_not_be_read() -> None:
    sim = simulator(7, quiet=True)
    tickets = connect(sim).pull(Checkpoint("desk")).tickets
    assert all(ticket.requester for ticket in tickets)
    assert all(
        ticket.account_name == (f"Company {ticket.account}" if ticket.account else "") for ticket in tickets
    )
    sim.no_contacts = True
    tickets = connect(sim).pull(Checkpoint("desk")).tickets
    assert tickets
    assert not any(ticket.requester for ticket in tickets)


def test_a_merged_ticket_is_gone_as_soon_as_its_winner_is_read() -> None:
    sim = simulator(9, quiet=True)
    sim.clock.sleep(3600)
    reader = reader_of(sim, connect(sim))
    reader.drain()
    winner, loser = sim.world.alive()[:2]
    sim.world.touch(loser, deleted=True, merged_into=winner)
    sim.world.touch(winner, absorbed=(loser,))
    sim.clock.sleep(1200)
    reader.drain()
    assert reader.desk.view() == sim.world.truth()


def test_details_are_the_newest_outgoing_mail_before_closing() -> None:
    sim = simulator(11, quiet=True)
    row_id = sim.world.alive()[0]
    sim.world.touch(row_id, status="closed", body="")
    at = sim.world.rows[row_id].stamp
    sim.messages = {
        row_id: [
            email(1, "INCOMING_EMAIL", "It fails", at - timedelta(hours=3)),
            email(2, "EMAIL", "Reset it, https://acme.example/knowledge/reset", at - timedelta(hours=1)),
            email(3, "EMAIL", "Bye", at + timedelta(hours=1)),
        ]
    }
    sim.messages[row_id].append(
        email(4, "EMAIL", "undated", "") | {"hs_timestamp": None, "hs_email_text": None}
    )
    (found,) = connect(sim).details([str(row_id), "5"])
    assert (found.body, found.articles) == ("It fails", ("https://acme.example/knowledge/reset",))
    assert found.resolution.startswith("Reset it")


def test_hints_bring_tickets_and_tombstones() -> None:
    sim = simulator(12, quiet=True)
    first, second = sim.world.alive()[:2]
    sim.world.remove(first)
    page = connect(sim).fetch([str(first), str(second)])
    assert page.deleted == (str(first),)
    assert [ticket.external_id for ticket in page.tickets] == [str(second)]


def test_inspect_lists_the_properties_of_tickets() -> None:
    sim = simulator(13, quiet=True)
    assert "properties.u_version" in {column.path for column in connect(sim).inspect()}


def email(number: int, direction: str, text: str, at: object) -> dict[str, object]:
    return {"id": number, "hs_email_direction": direction, "hs_email_text": text, "hs_timestamp": str(at)}
