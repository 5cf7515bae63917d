"""Salesforce: late rows, bulk stamps, locators that expire and hard deletions lose nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from app.domain import Checkpoint
from app.errors import TryLater
from app.ingest.http import AuthFailed, Misconfigured, QuotaUsedUp
from app.ingest.salesforce import Salesforce, SalesforceOptions
from app.ingest.source import Outside
from tests.contract.desk import CASES, GROUPS, NEVER_S, Lived, Reader, assert_reads_everything, details_of
from tests.simulators.salesforce import SalesforceSimulator, case_id, told
from tests.simulators.server import serving
from tests.simulators.world import Clock, World

PAGE = 4
HOST = "https://desk.example"


def simulator(seed: int, *, quiet: bool = False) -> SalesforceSimulator:
    very_late_s = 0 if seed % 2 else 10 * 3600
    world = World(seed, Clock(), PAGE, late_s=290, very_late_s=very_late_s, spare=0 if quiet else 30)
    return SalesforceSimulator(world, faults=not quiet, limits={"main": 100})


def connect(sim: SalesforceSimulator, *, base_url: str = HOST, **options: object) -> Salesforce:
    given = SalesforceOptions(
        base_url=base_url,
        client_id="app",
        client_secret="SALESFORCE",
        page_size=PAGE,
        status_map={"Pending": "pending", "Solved": "solved"},
        sweep_every_s=86_400 if sim.world.very_late_s else NEVER_S,
    )
    outside = Outside(
        now=sim.clock.now,
        secret={"SALESFORCE": sim.secret}.__getitem__,
        sleep=sim.clock.sleep,
        jitter=sim.random.random,
        transport=sim.transport if base_url == HOST else None,
    )
    return Salesforce("desk", replace(given, **options), outside)  # type: ignore[arg-type]


def truth(sim: SalesforceSimulator) -> dict[str, tuple[str, str, str]]:
    return {case_id(int(key)): value for key, value in sim.world.truth().items()}


def lived(sim: SalesforceSimulator, key: str) -> Lived:
    """What is told of a case's statuses: nothing until the first change."""
    entered = next(sim.world.lived(row_id) for row_id in sim.world.rows if case_id(row_id) == key)
    return entered if len(entered) > 1 else []


@pytest.mark.parametrize("group", range(GROUPS))
def test_after_the_last_sweep_the_store_is_what_the_organisation_shows(group: int) -> None:
    for seed in range(group, CASES, GROUPS):
        sim = simulator(seed)
        assert_reads_everything(
            lambda _desk, sim=sim: connect(sim),  # type: ignore[misc]
            sim,
            seed=seed,
            truth=lambda sim=sim: truth(sim),  # type: ignore[misc]
            lived=lambda key, sim=sim: lived(sim, key),  # type: ignore[misc]
            sweeps=(timedelta(hours=25),),
            idle_calls=2,
        )


def test_over_a_real_connection_every_case_arrives() -> None:
    sim = simulator(1, quiet=True)
    sim.clock.sleep(3600)
    with serving(sim.handle) as base_url:
        source = connect(sim, base_url=base_url)
        reader = Reader(lambda _desk: source, sim.clock, sim.random, restarts=False)
        reader.drain()
        source.close()
    assert reader.desk.view() == truth(sim)


def test_a_case_deleted_for_good_is_found_by_the_daily_sweep() -> None:
    sim = simulator(2, quiet=True)
    sim.clock.sleep(11 * 3600)
    reader = Reader(lambda _desk: connect(sim), sim.clock, sim.random, restarts=False)
    reader.drain()
    sim.world.touch(sim.world.alive()[0], deleted=True, purged=True)
    sim.clock.sleep(30 * 3600)
    reader.drain()
    assert reader.desk.view() == truth(sim)


def test_a_query_that_takes_too_long_is_cut_into_shorter_times() -> None:
    sim = simulator(3, quiet=True)
    sim.clock.sleep(3600)
    sim.slow_s = 36 * 3600
    source = connect(sim, start_at=sim.clock.now() - timedelta(days=9))
    reader = Reader(lambda _desk: source, sim.clock, sim.random, restarts=False)
    reader.drain()
    assert reader.desk.view() == truth(sim)


def test_the_organisations_calls_are_left_to_others_beyond_our_share() -> None:
    sim = simulator(4, quiet=True)
    sim.used = 7600
    source = connect(sim)
    source.inspect()

    with pytest.raises(TryLater, match="call limit"):
        source.pull(Checkpoint("desk"))
    assert sim.used == 7601


def test_a_used_up_quota_ends_the_run_for_a_quarter_of_an_hour() -> None:
    sim = simulator(5, quiet=True)
    sim.used = sim.allowed
    with pytest.raises(QuotaUsedUp) as raised:
        connect(sim).pull(Checkpoint("desk"))
    assert raised.value.after_s >= 900


def test_a_mapped_field_that_does_not_exist_is_named() -> None:
    sim = simulator(6, quiet=True)
    with pytest.raises(Misconfigured, match="Produkt__c"):
        connect(sim, field_map={"product": "Produkt__c"}).pull(Checkpoint("desk"))


def test_a_wrong_client_secret_is_one_clear_line() -> None:
    sim = simulator(7, quiet=True)
    source = connect(sim)
    sim.secret = "renewed"
    with pytest.raises(AuthFailed, match="invalid_grant"):
        source.pull(Checkpoint("desk"))


def test_details_are_the_last_answer_before_closing_and_the_first_mail() -> None:
    sim = simulator(8, quiet=True)
    row_id = next(row_id for row_id in sim.world.alive())
    sim.world.touch(row_id, status="closed", body="")
    at = sim.world.rows[row_id].stamp
    sim.messages = {
        row_id: [
            message(
                row_id,
                "EmailMessage",
                MessageDate=told(at - timedelta(hours=3)),
                Incoming=True,
                HtmlBody="<p>Hi</p>",
            ),
            message(
                row_id,
                "EmailMessage",
                MessageDate=told(at - timedelta(hours=2)),
                Incoming=False,
                TextBody="Wait",
            ),
            message(
                row_id,
                "CaseComment",
                CreatedDate=told(at - timedelta(hours=1)),
                IsPublished=True,
                CommentBody="Reset",
            ),
            message(row_id, "CaseComment", CreatedDate=told(at), IsPublished=False, CommentBody="internal"),
            message(
                row_id,
                "EmailMessage",
                MessageDate=told(at + timedelta(hours=1)),
                Incoming=False,
                TextBody="Bye",
            ),
        ]
    }
    (found,) = details_of(connect(sim), [case_id(row_id), "'; DROP"], sim.clock).values()
    assert (found.resolution, found.body, found.body_is_html) == ("Reset", "<p>Hi</p>", True)


def test_hints_bring_cases_and_tombstones() -> None:
    sim = simulator(9, quiet=True)
    first, second = sim.world.alive()[:2]
    sim.world.remove(first)
    page = connect(sim).fetch([case_id(first), case_id(second)])
    assert page.deleted == (case_id(first),)
    assert [ticket.external_id for ticket in page.tickets] == [case_id(second)]


def test_check_names_hidden_fields_and_inspect_lists_the_readable_ones() -> None:
    sim = simulator(10, quiet=True)
    assert any("Reason" in line.text for line in connect(sim).check().lines)
    assert "Product__c" in {column.path for column in connect(sim).inspect()}


def test_an_organisation_without_mail_still_tells_its_comments() -> None:
    sim = simulator(11, quiet=True)
    row_id = sim.world.alive()[0]
    sim.world.touch(row_id, status="closed")
    said = message(row_id, "CaseComment", CreatedDate=None, IsPublished=True, CommentBody="Reset")
    sim.messages = {row_id: [said]}
    sim.unknown_tables = frozenset({"EmailMessage"})
    (found,) = details_of(connect(sim), [case_id(row_id)], sim.clock).values()
    assert found.resolution == "Reset"


def test_an_account_that_may_not_list_purged_cases_reads_all_others() -> None:
    sim = simulator(12, quiet=True)
    source = connect(sim, sweep_every_s=60)
    reader = Reader(lambda _desk: source, sim.clock, sim.random, restarts=False)
    reader.drain()
    sim.purged_denied = True
    sim.world.create(sim.clock.now())
    sim.clock.sleep(3600)
    reader.drain()
    assert reader.desk.view() == truth(sim)
    assert any("deleted for good" in note for note in reader.desk.notes)


def test_a_count_of_a_day_is_one_call() -> None:
    sim = simulator(13, quiet=True)
    day = sim.world.rows[sim.world.alive()[0]].created.replace(hour=0, minute=0, second=0)
    counted = connect(sim).counted(day, day + timedelta(days=1))
    assert counted == sum(sim.world.rows[i].created.date() == day.date() for i in sim.world.alive()) > 0
    assert sim.calls == 2  # with the token


def message(row_id: int, kind: str, **fields: object) -> dict[str, object]:
    return {"attributes": {"type": kind}, "ParentId": case_id(row_id)} | fields
