"""A connected ticketing tool over time: live first, history in pieces, hints, messages, and how it is doing."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.backtest import Clock
from app.domain import Checkpoint, Source, Ticket
from app.errors import ForeshockError, TryLater
from app.pipeline import feeds, hooks
from app.pipeline.enrich import enrich
from app.pipeline.intake import accept
from app.pipeline.pull import HISTORY, LIVE, hold, progress, pull, turn
from app.runtime import Runtime
from app.server import service
from app.settings import SourceSettings
from app.store import histories, messages, sources, tickets
from tests.conftest import ADDRESS
from tests.simulators.world import Clock as Ticking
from tests.simulators.world import World
from tests.simulators.zendesk import ZendeskSimulator

NAME, SECRET, HOOK = "desk", "FORESHOCK_TEST_ZENDESK", "FORESHOCK_TEST_HOOK"
LINK = "https://help.acme.example/hc/en-us/articles/360001"


class Desk:
    """A Zendesk simulator, and the runtime that reads it."""

    def __init__(self, runtime: Runtime, *, seed: int = 1, exports: int = 10_000) -> None:
        self.clock = Ticking()
        self.world = World(seed, self.clock, page=3, spare=0)
        self.sim = ZendeskSimulator(self.world, limits={"export": exports, "main": 10_000})
        options = {
            "base_url": "https://desk.example", "client_id": "reader", "client_secret": SECRET, "page_size": 3,
            "exports_per_minute": 100_000, "calls_per_minute": 100_000, "detail_calls_per_minute": 100_000,
        }  # fmt: skip
        setting = SourceSettings(name=NAME, kind="zendesk", hook_secret=HOOK, options=options)
        settings = runtime.settings.model_copy(update={"sources": (setting,)})
        self.run = replace(
            runtime,
            settings=settings,
            now=self.clock.now,
            sleep=self.clock.sleep,
            transport=self.sim.transport,
            connections={},
        )
        self.run.__dict__["embedder"] = runtime.embedder
        with self.run.store.write() as session:
            sources.register(session, Source(NAME, "zendesk"))

    def work(self) -> None:
        """What the worker does until there is nothing left to do now."""
        while turn(self.run, NAME):
            pass

    def stored(self) -> dict[str, tuple[str, str, str]]:
        with self.run.store.read() as session:
            found = tickets.search(session, {"source": NAME}, limit=200).items
        return {t.external_id: (t.subject, t.body, t.status.value) for t in found if t.status != "deleted"}

    def ticket(self, external_id: int) -> Ticket:
        with self.run.store.read() as session:
            known = tickets.known(session, NAME, [str(external_id)])
            return tickets.get(session, known[str(external_id)].id)


@pytest.fixture
def desk(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setenv(SECRET, ZendeskSimulator.secret)
    monkeypatch.setenv(HOOK, "hook-secret")
    return Desk(runtime)


def test_what_is_new_is_read_before_the_history_and_the_history_raises_nothing(desk: Desk) -> None:
    turn(desk.run, NAME)
    assert desk.stored() == {}
    desk.clock.sleep(400)
    desk.world.create(desk.clock.now())
    new = max(desk.world.rows)
    desk.clock.sleep(120)
    assert turn(desk.run, NAME, at_once=True)
    assert set(desk.stored()) == {str(new)}
    desk.work()
    assert set(desk.stored()) == set(desk.world.truth())
    assert not desk.ticket(new).backfill
    assert all(desk.ticket(int(id_)).backfill for id_ in desk.stored() if int(id_) != new)
    assert progress(desk.run, NAME).done


def test_a_held_history_waits_while_what_is_new_is_read_and_goes_on_where_it_stopped(desk: Desk) -> None:
    turn(desk.run, NAME)
    turn(desk.run, NAME)
    begun = len(desk.stored())
    assert 0 < begun < len(desk.world.truth())
    told = hold(desk.run, NAME, is_held=True)
    assert told.held
    assert told.share is not None
    assert 0 < told.share < 1
    desk.clock.sleep(400)
    desk.world.create(desk.clock.now())
    desk.clock.sleep(120)
    desk.work()
    assert len(desk.stored()) == begun + 1
    calls = desk.sim.calls
    hold(desk.run, NAME, is_held=False)
    desk.work()
    assert set(desk.stored()) == set(desk.world.truth())
    assert progress(desk.run, NAME).share == 1.0
    assert desk.sim.calls - calls < len(desk.world.rows)


def test_the_time_left_is_told_from_the_pace_so_far(desk: Desk) -> None:
    turn(desk.run, NAME)
    turn(desk.run, NAME)
    desk.clock.sleep(30)
    first = progress(desk.run, NAME)
    desk.clock.sleep(30)
    later = progress(desk.run, NAME)
    assert first.left_s is not None
    assert later.left_s is not None
    assert later.left_s > first.left_s > 0


def test_history_leaves_half_of_the_call_limit_to_what_is_new(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SECRET, ZendeskSimulator.secret)
    desk = Desk(runtime, exports=10)
    desk.work()
    used = desk.sim.limits["export"] - desk.sim.left("export")
    assert not progress(desk.run, NAME).done
    assert used <= 7
    for _ in range(60):
        desk.clock.sleep(30)
        desk.work()
    assert set(desk.stored()) == set(desk.world.truth())
    assert desk.sim.turned_away == 0


def test_after_a_standstill_everything_missed_is_read_as_live(desk: Desk) -> None:
    desk.work()
    desk.clock.sleep(timedelta(days=3).total_seconds())
    for _ in range(20):
        desk.world.create(desk.clock.now() - timedelta(hours=1))
    desk.clock.sleep(600)
    desk.work()
    assert set(desk.stored()) == set(desk.world.truth())
    assert not desk.ticket(max(desk.world.rows)).backfill


def test_one_process_walks_through_an_account_at_a_time(desk: Desk) -> None:
    other = replace(desk.run, process="other", connections={})
    with other.store.write() as session:
        until = other.clock() + timedelta(minutes=5)
        account = "zendesk https://desk.example"
        assert sources.take(session, account, holder="other desk", now=other.clock(), until=until)
    assert not turn(desk.run, NAME)
    assert desk.sim.calls == 0
    with pytest.raises(TryLater, match="another process"):
        pull(desk.run, NAME)
    with other.store.write() as session:
        sources.give_back(session, account, holder="other desk")
    assert pull(desk.run, NAME) > 0


def test_refused_credentials_are_not_tried_again_for_an_hour(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SECRET, "wrong")
    with pytest.raises(ForeshockError, match="no access token"):
        turn(desk.run, NAME)
    calls = desk.sim.calls
    desk.clock.sleep(1800)
    desk.work()
    assert desk.sim.calls == calls
    monkeypatch.setenv(SECRET, ZendeskSimulator.secret)
    desk.clock.sleep(1900)
    desk.work()
    assert set(desk.stored()) == set(desk.world.truth())


# --- messages ------------------------------------------------------------------------------------------


def solved(desk: Desk) -> int:
    """A solved ticket whose messages hold an answer, a personal address and a merge."""
    row_id = desk.world.alive()[0]
    desk.world.touch(row_id, status="solved", subject="Export fails", body="It fails.")
    at = (desk.world.rows[row_id].stamp - timedelta(minutes=1)).isoformat()
    said = {"public": True, "created_at": at, "via": {"channel": "web", "source": {"rel": None}}}
    desk.sim.messages[row_id] = [
        said | {"author_id": desk.world.rows[row_id].requester, "body": "It fails."},
        said | {"author_id": 99, "body": f"Reset the cache, see {LINK}, or write to jane.doe@acme.example."},
    ]
    desk.clock.sleep(400)
    return row_id


def test_the_answer_is_read_later_and_redacted(desk: Desk) -> None:
    row_id = solved(desk)
    desk.work()
    assert desk.ticket(row_id).resolution == ""
    while enrich(desk.run, NAME):
        pass
    found = desk.ticket(row_id)
    assert found.resolution.startswith("Reset the cache")
    assert "jane.doe" not in found.resolution
    assert found.articles == (LINK,)


def test_an_enriched_ticket_that_is_read_again_unchanged_writes_nothing(desk: Desk) -> None:
    row_id = solved(desk)
    desk.work()
    enrich(desk.run, NAME)
    enriched, calls = desk.ticket(row_id), desk.sim.calls
    with desk.run.store.write() as session:
        for stream in (LIVE, HISTORY):
            sources.save_checkpoint(session, Checkpoint(NAME, stream, {}))
        sources.save_note(session, f"history:{NAME}", {})
    assert pull(desk.run, NAME) == 0
    assert desk.sim.calls - calls > len(desk.world.rows) / 3
    assert desk.ticket(row_id) == enriched
    assert not enrich(desk.run, NAME)


def test_what_messages_told_outlives_a_change_of_the_ticket(desk: Desk) -> None:
    row_id = solved(desk)
    desk.work()
    enrich(desk.run, NAME)
    desk.world.touch(row_id, subject="Export still fails")
    desk.clock.sleep(400)
    assert pull(desk.run, NAME) == 1
    found = desk.ticket(row_id)
    assert (found.subject, found.articles) == ("Export still fails", (LINK,))
    assert found.resolution.startswith("Reset the cache")


def test_a_reopened_ticket_loses_the_answer_and_gets_a_new_one_with_its_next_end(desk: Desk) -> None:
    row_id = solved(desk)
    desk.work()
    enrich(desk.run, NAME)
    desk.world.touch(row_id, status="open")
    desk.clock.sleep(400)
    pull(desk.run, NAME)
    assert desk.ticket(row_id).resolution == ""
    desk.world.touch(row_id, status="solved")
    at = desk.world.rows[row_id].stamp.isoformat()
    desk.sim.messages[row_id].append(
        {"author_id": 99, "body": "Update to 4.3.", "public": True, "created_at": at, "via": {}}
    )
    desk.clock.sleep(400)
    pull(desk.run, NAME)
    enrich(desk.run, NAME)
    assert desk.ticket(row_id).resolution == "Update to 4.3."


def test_messages_that_cannot_be_read_now_wait_and_the_walk_goes_on(desk: Desk) -> None:
    row_id = solved(desk)
    desk.work()
    desk.sim.force = "429-long"
    with pytest.raises(TryLater):
        enrich(desk.run, NAME)
    desk.sim.force = None
    assert not enrich(desk.run, NAME)
    desk.clock.sleep(700)
    enrich(desk.run, NAME)
    assert desk.ticket(row_id).resolution.startswith("Reset")


def test_nothing_said_in_a_deleted_ticket_is_kept(desk: Desk) -> None:
    row_id = solved(desk)
    desk.work()
    enrich(desk.run, NAME)
    desk.world.touch(row_id, deleted=True)
    desk.clock.sleep(400)
    pull(desk.run, NAME)
    gone = desk.ticket(row_id)
    assert (gone.status, gone.subject, gone.body, gone.resolution) == ("deleted", "", "", "")
    with desk.run.store.read() as session:
        assert messages.found(session, NAME, [str(row_id)]) == {}


def test_the_statuses_a_ticket_went_through_are_shown_with_it(desk: Desk) -> None:
    row_id = solved(desk)
    desk.work()
    enrich(desk.run, NAME)
    assert lived(desk, row_id) == desk.world.lived(row_id)
    assert not desk.ticket(row_id).reopened
    for status in ("open", "pending"):  # it is not done any more, but was read before: it is read again
        desk.clock.sleep(400)
        desk.world.touch(row_id, status=status)
    desk.clock.sleep(400)
    pull(desk.run, NAME)
    enrich(desk.run, NAME)
    assert len(lived(desk, row_id)) >= 3
    assert lived(desk, row_id) == desk.world.lived(row_id)
    assert desk.ticket(row_id).reopened
    api = TestClient(service(desk.run), base_url=ADDRESS)
    shown = api.get(f"/v1/tickets/{desk.ticket(row_id).id}").json()["history"]
    assert [change["told"] for change in shown] == [status for _, status in desk.world.lived(row_id)]
    desk.world.touch(row_id, deleted=True)
    desk.clock.sleep(400)
    pull(desk.run, NAME)
    assert lived(desk, row_id) == []


def test_an_account_that_may_not_read_audits_gets_its_answers_all_the_same(desk: Desk) -> None:
    row_id = solved(desk)
    desk.sim.tells_audits = False
    desk.work()
    enrich(desk.run, NAME)
    assert desk.ticket(row_id).resolution.startswith("Reset the cache")
    assert lived(desk, row_id) == []


def lived(desk: Desk, row_id: int) -> list[tuple[datetime, str]]:
    """What is stored of the statuses a ticket went through."""
    id_ = desk.ticket(row_id).id
    with desk.run.store.read() as session:
        return [(change.at, change.status.value) for change in histories.of(session, [id_]).get(id_, ())]


def test_a_rating_that_comes_apart_from_its_ticket_outlives_its_messages_and_its_changes(desk: Desk) -> None:
    row_id = solved(desk)
    rated = {str(row_id): 0.5, "424242": 1.0}
    accept(desk.run, [], source_kind="zendesk", checkpoint=Checkpoint(NAME, "ratings", {}), rated=rated)
    desk.work()
    assert desk.ticket(row_id).satisfaction == 0.5
    enrich(desk.run, NAME)
    assert desk.ticket(row_id).resolution.startswith("Reset the cache")
    desk.world.touch(row_id, subject="Export still fails")
    desk.clock.sleep(400)
    pull(desk.run, NAME)
    enrich(desk.run, NAME)
    assert (desk.ticket(row_id).subject, desk.ticket(row_id).satisfaction) == ("Export still fails", 0.5)
    again = Checkpoint(NAME, "ratings", {})
    accept(desk.run, [], source_kind="zendesk", checkpoint=again, rated={str(row_id): 1.0})
    assert desk.ticket(row_id).satisfaction == 1.0


# --- webhooks ------------------------------------------------------------------------------------------


def hook(
    desk: Desk, row_id: int, *, secret: str = "hook-secret", at: datetime | None = None
) -> dict[str, Any]:
    """A signed Zendesk webhook about a ticket, as arguments of a client's post."""
    body = json.dumps({"type": "zen:event-type:ticket.updated", "detail": {"id": str(row_id)}})
    stamp = (at or desk.clock.now()).isoformat()
    digest = hmac.new(secret.encode(), (stamp + body).encode(), hashlib.sha256).digest()
    headers = {
        "X-Zendesk-Webhook-Signature": base64.b64encode(digest).decode(),
        "X-Zendesk-Webhook-Signature-Timestamp": stamp,
        "Content-Type": "application/json",
    }
    return {"content": body, "headers": headers}


def client(desk: Desk) -> TestClient:
    return TestClient(service(desk.run), base_url=ADDRESS, raise_server_exceptions=False)


def test_a_webhook_is_a_hint_and_its_ticket_is_fetched_once_it_has_settled(desk: Desk) -> None:
    desk.work()
    row_id = desk.world.alive()[0]
    desk.world.touch(row_id, subject="Changed just now")
    answer = client(desk).post("/v1/ingest/desk/webhook", **hook(desk, row_id))
    assert (answer.status_code, answer.json()) == (202, {"hints": 1})
    assert not hooks.follow(desk.run, NAME)
    assert desk.ticket(row_id).subject != "Changed just now"
    desk.clock.sleep(6)
    hooks.follow(desk.run, NAME)
    assert desk.ticket(row_id).subject == "Changed just now"
    calls = desk.sim.calls
    hooks.follow(desk.run, NAME)
    assert desk.sim.calls == calls


def test_a_webhook_delivered_again_changes_nothing(desk: Desk) -> None:
    desk.work()
    given = hook(desk, desk.world.alive()[0])
    assert client(desk).post("/v1/ingest/desk/webhook", **given).json() == {"hints": 1}
    assert client(desk).post("/v1/ingest/desk/webhook", **given).json() == {"hints": 0}


def test_forged_old_and_oversized_webhooks_are_refused_and_nothing_is_fetched(desk: Desk) -> None:
    api, row_id = client(desk), desk.world.alive()[0]
    old = desk.clock.now() - timedelta(minutes=6)
    assert api.post("/v1/ingest/desk/webhook", **hook(desk, row_id, secret="guess")).status_code == 401
    assert api.post("/v1/ingest/desk/webhook", **hook(desk, row_id, at=old)).status_code == 401
    large: dict[str, Any] = {
        "content": b" " * (1024 * 1024 + 1),
        "headers": {"Content-Type": "application/json"},
    }
    assert api.post("/v1/ingest/desk/webhook", **large).status_code == 413
    assert api.post("/v1/ingest/nowhere/webhook", **hook(desk, row_id)).status_code == 404
    desk.clock.sleep(60)
    assert not hooks.follow(desk.run, NAME)
    assert desk.sim.calls == 0


def test_a_webhook_about_a_deleted_ticket_takes_its_text_away(desk: Desk) -> None:
    desk.work()
    row_id = desk.world.alive()[0]
    desk.world.touch(row_id, deleted=True)
    client(desk).post("/v1/ingest/desk/webhook", **hook(desk, row_id))
    desk.clock.sleep(6)
    hooks.follow(desk.run, NAME)
    assert desk.ticket(row_id).status == "deleted"
    assert desk.ticket(row_id).body == ""


# --- how it is doing -----------------------------------------------------------------------------------


def test_health_says_how_far_how_fresh_and_how_much_is_left(desk: Desk) -> None:
    desk.work()
    desk.clock.sleep(60)
    answer = client(desk).get("/v1/sources/desk").json()
    assert (answer["state"], answer["says"]) == ("ok", "")
    assert 0 < answer["lag_s"] < 600
    assert answer["quota"]["export"]["total"] == 10_000
    assert answer["history"] == {"done": True, "paused": False, "left_s": 0.0, "share": 1.0,
                                 "tickets": len(desk.world.truth())}  # fmt: skip
    assert answer["cursor_at"] is not None
    assert sum(day["stored"] for day in answer["days"]) > 0


def test_a_source_that_was_not_read_is_late_and_what_is_about_the_desk_says_so(
    desk: Desk, clock: Clock
) -> None:
    desk.work()
    desk.clock.sleep(3600)
    answer = client(desk).get("/v1/sources").json()["data"][0]
    assert answer["state"] == "late"
    assert "60 minutes ago" in answer["says"]
    assert {name: t.says for name, t in feeds.troubled(desk.run).items()} == {NAME: answer["says"]}
    assert client(desk).get("/v1/alerts").headers["Foreshock-Incomplete"] == NAME
    assert "60 minutes ago" in client(desk).get("/").text
    assert turn(desk.run, NAME) in (True, False)
    assert "Foreshock-Incomplete" not in client(desk).get("/v1/alerts").headers
    assert "minutes ago" not in client(desk).get("/").text.partition("<main")[2].partition("<h1")[0]


def test_the_history_is_held_and_let_go_over_http(desk: Desk) -> None:
    api = client(desk)
    assert api.post("/v1/sources/desk/history/pause").json()["paused"]
    desk.work()
    assert desk.stored() == {}
    assert not api.post("/v1/sources/desk/history/resume").json()["paused"]
    desk.work()
    assert desk.stored()
