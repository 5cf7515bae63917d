"""Jira: a lagging index, moving pages and deletions without a trace lose nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from app.domain import Checkpoint
from app.ingest.http import AuthFailed
from app.ingest.jira import Jira, JiraOptions
from app.ingest.source import Outside
from tests.contract.desk import CASES, GROUPS, NEVER_S, Desk, Reader, assert_reads_everything
from tests.simulators.jira import JiraSimulator, document
from tests.simulators.server import serving
from tests.simulators.world import Clock, Row, World

PAGE = 3
HOST = "https://desk.example"


def simulator(seed: int, *, quiet: bool = False) -> JiraSimulator:
    world = World(
        seed,
        Clock(),
        PAGE,
        grain=timedelta(milliseconds=1),
        late_s=600,
        very_late_s=0 if seed % 2 else 12 * 3600,
        purge=True,
        spare=0 if quiet else 30,
    )
    return JiraSimulator(world, faults=not quiet, limits={"main": 100})


def connect(sim: JiraSimulator, desk: Desk, *, base_url: str = HOST, **options: object) -> Jira:
    given = JiraOptions(
        base_url=base_url,
        projects=("SUP",),
        email="agent@acme.example",
        api_token="JIRA",
        page_size=PAGE,
        list_size=25,
        sweep_every_s=21_600 if sim.world.very_late_s else NEVER_S,
        status_map={"Pending": "pending", "Closed": "closed"},
    )
    outside = Outside(
        now=sim.clock.now,
        secret={"JIRA": sim.secret}.__getitem__,
        sleep=sim.clock.sleep,
        jitter=sim.random.random,
        known=desk.known,
        transport=sim.transport if base_url.startswith(HOST) else None,
    )
    return Jira("desk", replace(given, **options), outside)  # type: ignore[arg-type]


@pytest.mark.parametrize("group", range(GROUPS))
def test_after_the_last_sweep_the_store_is_what_the_site_shows(group: int) -> None:
    for seed in range(group, CASES, GROUPS):
        sim = simulator(seed)
        assert_reads_everything(
            lambda desk, sim=sim: connect(sim, desk),  # type: ignore[misc]
            sim,
            seed=seed,
            truth=sim.world.truth,
            lived=lambda key, sim=sim: sim.world.lived(int(key)),  # type: ignore[misc]
            sweeps=(*[timedelta(hours=7)] * 3, timedelta(hours=25), timedelta(hours=25)),
            idle_calls=2,
        )


def test_over_a_real_connection_every_issue_arrives() -> None:
    sim = simulator(1, quiet=True)
    sim.clock.sleep(13 * 3600)
    with serving(sim.handle) as base_url:
        source = connect(sim, Desk(), base_url=base_url)
        reader = Reader(lambda _desk: source, sim.clock, sim.random, restarts=False)
        reader.drain()
        source.close()
    assert reader.desk.view() == sim.world.truth()


def test_a_token_that_makes_us_anonymous_is_noticed_although_search_answers() -> None:
    sim = simulator(2, quiet=True)
    source = connect(sim, Desk())
    sim.secret = "renewed"
    with pytest.raises(AuthFailed):
        source.pull(Checkpoint("desk"))


def test_a_scoped_token_works_behind_the_gateway_only() -> None:
    sim = simulator(3, quiet=True)
    sim.scoped = True
    with pytest.raises(AuthFailed, match=r"api\.atlassian\.com/ex/jira/CLOUD-ID"):
        connect(sim, Desk()).pull(Checkpoint("desk"))
    assert connect(sim, Desk(), base_url=f"{HOST}/ex/jira/cloud-1").pull(Checkpoint("desk")).tickets


def test_losing_a_permission_does_not_delete_the_archive() -> None:
    sim = simulator(4, quiet=True)
    sim.clock.sleep(13 * 3600)
    reader = Reader(lambda desk: connect(sim, desk), sim.clock, sim.random, restarts=False)
    reader.drain()
    held = len(reader.desk.known())
    for row_id in sim.world.alive():
        sim.world.touch(row_id, purged=True, deleted=True)
    for _ in range(4):
        sim.clock.sleep(25 * 3600)
        reader.drain()
    assert len(reader.desk.known()) == held
    assert any("permissions" in note for note in reader.desk.notes)


def test_details_are_the_last_public_answer_before_the_solution() -> None:
    sim = simulator(5, quiet=True)
    row_id = next(row_id for row_id in sim.world.alive() if row_id % 2)
    sim.world.touch(row_id, status="solved")
    row = sim.world.rows[row_id]
    link = "https://acme.example/wiki/spaces/KB/pages/12/Reset"
    sim.messages = {
        row_id: [
            comment(f"customer-{row.requester}", "Still broken", row.stamp - timedelta(hours=3)),
            comment("agent", "Internal", row.stamp - timedelta(hours=2), public=False),
            comment("agent", f"Reset it, see {link}", row.stamp - timedelta(hours=1)),
            comment("agent", "Bye", row.stamp + timedelta(hours=1)),
        ]
    }
    (found,) = connect(sim, Desk()).details([str(row_id), "1"])
    assert found.resolution == f"Done\nReset it, see {link}"
    assert found.articles == (link,)


def test_a_hint_for_a_deleted_issue_is_a_tombstone() -> None:
    sim = simulator(6, quiet=True)
    row_id = sim.world.alive()[0]
    sim.world.remove(row_id)
    page = connect(sim, Desk()).fetch([str(row_id), str(sim.world.alive()[0])])
    assert page.deleted == (str(row_id),)
    assert len(page.tickets) == 1


def test_old_search_paths_and_unbounded_queries_are_what_the_simulator_refuses() -> None:
    sim = simulator(7, quiet=True)
    client = httpx.Client(base_url=HOST, transport=sim.transport, auth=("agent@acme.example", sim.secret))
    assert client.post("/rest/api/3/search", json={}).status_code == 410
    unbounded = {"jql": 'project in ("SUP") ORDER BY updated ASC'}
    assert "Unbounded" in client.post("/rest/api/3/search/jql", json=unbounded).text


def test_check_and_inspect_say_what_the_site_has() -> None:
    sim = simulator(8, quiet=True)
    checkup = connect(sim, Desk()).check()
    assert checkup.ok
    assert "America/Los_Angeles" in checkup.lines[0].text
    assert "fields.customfield_10002" in {column.path for column in connect(sim, Desk()).inspect()}


def test_organisations_and_request_types_are_found_by_schema() -> None:
    sim = simulator(9, quiet=True)
    ticket = next(
        t
        for t in connect(sim, Desk(), page_size=100).pull(Checkpoint("desk")).tickets
        if int(t.external_id) % 2
    )
    assert (ticket.account, ticket.account_name) == ("88", "Acme Zürich")
    assert ticket.attributes["request_type"] == "Get help"
    assert ticket.attributes["version"] == "4.2"


def test_the_channel_is_a_property_of_the_request() -> None:
    sim = simulator(10, quiet=True)
    channels = {
        int(ticket.external_id) % 2: ticket.attributes.get("channel")
        for ticket in connect(sim, Desk(), page_size=100).pull(Checkpoint("desk")).tickets
    }
    assert channels == {1: "portal", 0: None}


def test_a_resolution_taken_back_is_a_reopening_and_the_desk_knows_the_rating() -> None:
    sim = simulator(11, quiet=True)
    first, second, third = sim.world.alive()[:3]
    for row_id in (first, second, third):
        sim.world.touch(row_id, status="solved")
    fixed = {"field": "resolution", "from": None, "to": "1"}
    sim.history = {first: [fixed, {"field": "resolution", "from": "1", "to": None}, fixed], second: [fixed]}
    sim.rated = {first: 4, second: 1}
    found = connect(sim, Desk()).details([str(first), str(second), str(third)])
    assert [details.reopened for details in found] == [True, False, False]
    assert [details.satisfaction for details in found] == [0.75, 0.0, None]
    sim.rates = False
    source, calls = connect(sim, Desk()), sim.calls
    assert [details.satisfaction for details in source.details([str(first), str(second)])] == [None, None]
    # fields, statuses, two issues, the whole of the longer history, and one refusal that is not asked for again
    assert sim.calls - calls == 6


def test_an_approximate_count_is_held_against_ours() -> None:
    sim = simulator(12, quiet=True)
    day = sim.world.rows[sim.world.alive()[0]].created.replace(hour=0, minute=0, second=0)
    counted = connect(sim, Desk()).counted(day, day + timedelta(days=1))
    assert counted == sum(sim.world.rows[i].created.date() == day.date() for i in sim.world.alive()) > 0


def test_links_tell_a_duplicate_and_its_problem_from_the_other_way_round() -> None:
    sim = simulator(13, quiet=True)
    told = sim.record
    kinds = {"Duplicate": "is duplicated by", "Problem/Incident": "is caused by"}

    def ticket(side: str) -> tuple[str, str, str]:
        links = [
            {"type": {"name": name, "inward": inward}, side: {"id": "7"}} for name, inward in kinds.items()
        ]

        def linked(row: Row, fields: list[str], properties: list[str]) -> dict[str, Any]:
            issue = told(row, fields, properties)
            return issue | {"fields": issue.get("fields", {}) | {"issuelinks": links}}

        sim.record = linked  # type: ignore[method-assign]
        found = connect(sim, Desk()).pull(Checkpoint("desk")).tickets[0]
        return found.external_id, found.duplicate_of, found.problem

    assert ticket("outwardIssue")[1:] == ("7", ticket("outwardIssue")[0])
    assert ticket("inwardIssue")[1:] == ("", "7")


def comment(author: str, body: str, at: datetime, *, public: bool = True) -> dict[str, object]:
    who = {"accountId": author, "accountType": "customer" if author.startswith("customer") else "atlassian"}
    return {"author": who, "body": document(body), "created": at.isoformat(), "jsdPublic": public}
