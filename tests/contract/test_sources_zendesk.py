"""Zendesk: nothing lost, nothing stale, nothing twice, whatever the network and the desk do."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from app.domain import Checkpoint, Status
from app.errors import TryLater
from app.ingest.http import AuthFailed
from app.ingest.source import Outside
from app.ingest.zendesk import Zendesk, ZendeskOptions
from tests.contract.desk import CASES, GROUPS, Reader, assert_reads_everything
from tests.simulators.server import serving
from tests.simulators.world import Clock, World
from tests.simulators.zendesk import ZendeskSimulator

PAGE = 3


def simulator(seed: int, **options: object) -> ZendeskSimulator:
    world = World(seed, Clock(), PAGE, late_s=50)
    return ZendeskSimulator(world, faults=True, limits={"export": 10, "main": 200})


def connect(sim: ZendeskSimulator, *, base_url: str = "https://desk.example", **options: object) -> Zendesk:
    given = ZendeskOptions(base_url=base_url, client_id="reader", client_secret="ZENDESK", page_size=PAGE)
    outside = Outside(
        now=sim.clock.now,
        secret={"ZENDESK": sim.secret}.__getitem__,
        sleep=sim.clock.sleep,
        jitter=sim.random.random,
        transport=sim.transport if base_url == "https://desk.example" else None,
    )
    return Zendesk("desk", replace(given, **options), outside)  # type: ignore[arg-type]


@pytest.mark.parametrize("group", range(GROUPS))
def test_after_the_last_poll_the_store_is_what_the_desk_shows(group: int) -> None:
    for seed in range(group, CASES, GROUPS):
        sim = simulator(seed)
        assert_reads_everything(
            lambda _desk, sim=sim: connect(sim),  # type: ignore[misc]
            sim,
            seed=seed,
            truth=sim.world.truth,
            lived=lambda key, sim=sim: sim.world.lived(int(key)),  # type: ignore[misc]
            sweeps=(timedelta(minutes=5),),
            idle_calls=2,
        )


def test_over_a_real_connection_the_export_arrives_whole() -> None:
    sim = simulator(1)
    sim.faulty_calls = sim.world.spare = 0
    with serving(sim.handle) as base_url:
        source = connect(sim, base_url=base_url)
        reader = Reader(lambda _desk: source, sim.clock, sim.random, restarts=False)
        reader.drain()
        source.close()
    assert reader.desk.view() == sim.world.truth()


def test_a_deleted_ticket_is_reported_and_its_text_never_leaves_the_connector() -> None:
    sim = simulator(2)
    sim.faulty_calls = sim.world.spare = 0
    for row_id in sim.world.alive():
        sim.world.touch(row_id, deleted=True)
    sim.clock.sleep(120)
    reader = Reader(lambda _desk: connect(sim), sim.clock, sim.random, restarts=False)
    reader.drain()
    assert not reader.desk.tickets
    assert len(reader.desk.gone) == len(sim.world.rows)


def test_a_page_too_big_for_the_gateway_is_asked_for_again_in_smaller_pieces() -> None:
    sim = simulator(3)
    sim.faulty_calls = sim.world.spare = 0
    sim.too_big = 3
    reader = Reader(lambda _desk: connect(sim, page_size=16), sim.clock, sim.random, restarts=False)
    reader.drain()
    assert reader.desk.view() == sim.world.truth()


def test_a_start_in_the_future_becomes_the_latest_the_export_allows() -> None:
    sim = simulator(4)
    sim.faulty_calls = 0
    source = connect(sim, start_at=sim.clock.now() + timedelta(days=9))
    page = source.pull(Checkpoint("desk"))
    assert all(ticket.updated_at and ticket.updated_at > sim.clock.now() for ticket in page.tickets)


def test_api_tokens_end_with_april_2027() -> None:
    sim = simulator(5)
    sim.faulty_calls = 0
    source = connect(sim, client_id="", email="agent@acme.example", api_token="ZENDESK")
    assert source.pull(Checkpoint("desk")).checkpoint.state
    sim.clock.at = datetime(2027, 5, 1, tzinfo=UTC)
    with pytest.raises(AuthFailed, match="renew the secret"):
        source.pull(Checkpoint("desk"))


def test_the_same_page_twice_stops_the_walk() -> None:
    sim = simulator(6)
    sim.faulty_calls = sim.world.spare = 0
    source = connect(sim)
    state = source.pull(Checkpoint("desk")).checkpoint
    stuck = {"tickets": [], "after_cursor": state.state["cursor"], "end_of_stream": False}
    sim.answer = lambda request: httpx.Response(200, json=stuck)  # type: ignore[method-assign]
    with pytest.raises(TryLater, match="repeats one page"):
        source.pull(state)


def test_messages_bring_the_answer_before_the_solution_the_articles_and_the_merge() -> None:
    sim = simulator(7)
    sim.faulty_calls = sim.world.spare = 0
    row = sim.world.rows[sim.world.alive()[0]]
    sim.world.touch(row.id, status="solved")
    row = sim.world.rows[row.id]
    before = (row.stamp - timedelta(minutes=5)).isoformat()
    after = (row.stamp + timedelta(minutes=5)).isoformat()
    link = "https://help.acme.example/hc/en-us/articles/360001-Reset"
    sim.messages = {
        row.id: [
            comment(row.requester, "It fails, see #4711", before),
            *(comment(99, f"note {number}", before, public=False) for number in range(120)),
            comment(99, f"Reset it: {link}", before),
            comment(7788, "I have it as well", before),
            comment(99, "You are welcome", after),
            comment(99, "Request was merged into request #1003", after, public=False, rel="merge"),
        ]
    }
    calls = sim.calls
    (found,) = connect(sim).details([str(row.id), "1"])
    assert sim.calls - calls == 5  # token, tickets, two pages of comments, and the audits
    assert [(c.at, c.told) for c in found.history] == sim.world.lived(row.id)
    assert found.resolution == f"Reset it: {link}"
    assert found.articles == (link.removesuffix("-Reset"),)
    assert found.duplicate_of == "1003"


def test_a_hint_fetches_the_ticket_as_it_is_now() -> None:
    sim = simulator(8)
    sim.faulty_calls = sim.world.spare = 0
    ids = [str(row_id) for row_id in sim.world.alive()[:3]]
    assert {t.external_id for t in connect(sim).fetch(ids).tickets} == set(ids)


def test_mapped_fields_tags_and_parties_are_told_apart() -> None:
    sim = simulator(9)
    sim.faulty_calls = sim.world.spare = 0
    source = connect(sim, field_map={"version": "custom_fields.27642"}, page_size=100)
    ticket = next(t for t in source.pull(Checkpoint("desk")).tickets if int(t.external_id) % 2)
    assert ticket.attributes["version"] == "v4_2"
    assert (ticket.tags, ticket.machine_tags) == (("export",), ("sentiment__negative",))
    assert (ticket.account, ticket.account_name) == ("88", "Acme Zürich")
    assert (ticket.attributes["team"], ticket.attributes["product"]) == ("Billing", "Acme")
    assert ticket.status in Status


def test_check_and_inspect_say_what_the_instance_has() -> None:
    sim = simulator(10)
    sim.faulty_calls = sim.world.spare = 0
    assert connect(sim).check().ok
    assert connect(sim).inspect()[0].path == "custom_fields.27642"


def test_a_problem_ticket_hangs_on_itself_and_tags_tell_what_no_field_does() -> None:
    sim = simulator(11)
    sim.faulty_calls = sim.world.spare = 0
    told = sim.ticket
    sim.ticket = lambda row, include="": told(row, include) | {"type": "problem", "has_incidents": True}  # type: ignore[method-assign]
    source = connect(sim, escalated_tags=("export",), ai_tags=("bot",))
    ticket = next(t for _ in range(9) for t in source.pull(Checkpoint("desk")).tickets)
    assert ticket.problem == ticket.external_id
    assert (ticket.escalated, ticket.ai_handled) == (True, None)


def test_the_search_counts_a_day() -> None:
    sim = simulator(12)
    sim.faulty_calls = sim.world.spare = 0
    day = sim.world.rows[sim.world.alive()[0]].created.replace(hour=0, minute=0, second=0)
    counted = connect(sim).counted(day, day + timedelta(days=1))
    created = [sim.world.rows[i].created for i in sim.world.alive()]
    assert counted == sum(day <= at < day + timedelta(days=1) for at in created) > 0


def comment(
    author: int, body: str, at: str, *, public: bool = True, rel: str | None = None
) -> dict[str, object]:
    via = {"channel": "web", "source": {"rel": rel}}
    place = {"system": {"ip_address": "192.0.2.7"}}
    return {
        "author_id": author,
        "body": body,
        "public": public,
        "created_at": at,
        "via": via,
        "metadata": place,
    }
