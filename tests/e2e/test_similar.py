"""Similar cases as their callers meet them: in time whatever is slow, as of a time, judged, and after a restart."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from app.backtest import Clock
from app.domain import Matrix, Status
from app.pipeline import cases, learning
from app.pipeline.digest import digest
from app.pipeline.importing import accept_all
from app.pipeline.intake import accept
from app.runtime import Runtime
from app.server import service
from tests.fakes import START, WordEmbedder, raw

HOUR = timedelta(hours=1)
PROBLEMS = (
    "Export stops with E-4031 at midnight", "Login loops after the password reset", "Invoice shows the wrong currency",
    "Search finds no archived tickets", "Calendar invitations arrive twice", "Mobile app crashes on rotation",
)  # fmt: skip


class SlowEmbedder(WordEmbedder):
    """Answers only once it is let go."""

    def __init__(self) -> None:
        self.go = threading.Event()

    def embed(self, texts: Sequence[str]) -> Matrix:
        self.go.wait()
        return super().embed(texts)


class BrokenEmbedder(WordEmbedder):
    def embed(self, texts: Sequence[str]) -> Matrix:
        raise RuntimeError("the runtime died")


def tickets_of(problem: int, count: int, *, first: int = 0, **values: Any) -> list[Any]:
    subject = PROBLEMS[problem]
    return [
        raw(100 * problem + n, subject, at=START + (problem + 10 * n) * HOUR,
            body=f"{subject} for us. Seen by team {n}.", **values)
        for n in range(first, first + count)
    ]  # fmt: skip


@pytest.fixture
def desk(runtime: Runtime, clock: Clock) -> Runtime:
    """Six problems, five tickets each, a few solved; no hurry, however busy the machine is."""
    runtime.settings = runtime.settings.model_copy(update={"similar_budget_ms": 60_000})
    clock.at = START + timedelta(days=9)
    solved: dict[str, Any] = {"status": Status.SOLVED, "resolution": "Cleared the export queue", "reopened": False,
              "resolved_at": START + timedelta(days=3), "updated_at": START + timedelta(days=3)}  # fmt: skip
    raws = [one for problem in range(6) for one in tickets_of(problem, 5, **(solved if not problem else {}))]
    accept_all(runtime, raws, backfill=True)
    while digest(runtime):
        pass
    return runtime


def client_of(desk: Runtime) -> TestClient:
    return TestClient(service(desk), base_url="http://127.0.0.1:8321")


@pytest.fixture
def api(desk: Runtime) -> TestClient:
    return client_of(desk)


def ask(api: TestClient, text: str = PROBLEMS[0], **question: Any) -> dict[str, Any]:
    answer = api.post("/v1/similar", json={"text": text, "k": 10, **question})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def titles(found: dict[str, Any]) -> set[str]:
    return {item["title"] for item in found["items"]}


# --- never failing ----------------------------------------------------------------------------------


def test_a_slow_model_gives_the_cases_found_by_words_within_the_budget(desk: Runtime) -> None:
    slow = SlowEmbedder()
    desk.settings = desk.settings.model_copy(update={"similar_budget_ms": 300})
    desk.embedder = slow
    try:
        found = ask(client_of(desk))
    finally:
        slow.go.set()
    assert found["degraded"]
    assert "in time" in found["reason"]
    assert found["took_ms"] < 1000
    assert titles(found) == {PROBLEMS[0]}


def test_many_callers_of_a_model_that_hangs_all_get_their_answer(desk: Runtime) -> None:
    slow = SlowEmbedder()
    desk.settings = desk.settings.model_copy(update={"similar_budget_ms": 300})
    desk.embedder = slow
    client = client_of(desk)
    try:
        found = [ask(client, f"{PROBLEMS[n % 6]} {n}") for n in range(10)]
    finally:
        slow.go.set()
    assert all(one["degraded"] and one["took_ms"] < 1000 for one in found)


def test_a_broken_model_gives_the_cases_found_by_words(desk: Runtime) -> None:
    desk.embedder = BrokenEmbedder()
    found = ask(client_of(desk))
    assert found["degraded"]
    assert "failed" in found["reason"]
    assert titles(found) == {PROBLEMS[0]}


def test_who_asks_while_the_index_is_being_read_is_told_so_in_time(desk: Runtime) -> None:
    book = cases.ready(desk)
    desk.settings = desk.settings.model_copy(update={"similar_budget_ms": 300})
    with book.lock:
        found = ask(client_of(desk))
    assert found["degraded"]
    assert found["abstained"]
    assert found["reason"] == "the index is being read: nothing was searched"
    assert found["took_ms"] < 1000
    assert ask(client_of(desk))["items"]


def test_a_stored_ticket_needs_no_model(desk: Runtime) -> None:
    (ticket,) = [id_ for id_, n in cases.ready(desk).current.items() if n == 0]
    desk.embedder = BrokenEmbedder()
    found = client_of(desk).post("/v1/similar", json={"ticket_id": ticket}).json()
    assert not found["degraded"]
    assert ticket not in {item["ticket"] for item in found["items"]}


def test_words_alone_say_nothing_similar_when_nothing_is(desk: Runtime) -> None:
    desk.embedder = BrokenEmbedder()
    found = ask(client_of(desk), "Our goldfish refuses the blue pellets in the aquarium")
    assert found["abstained"]
    assert found["items"] == []


def test_a_writer_that_holds_the_database_does_not_hold_up_an_answer(desk: Runtime) -> None:
    client = client_of(desk)
    desk.settings = desk.settings.model_copy(update={"similar_budget_ms": 400})
    ask(client)
    with desk.store.write():
        found = ask(client)
    assert found["items"]
    assert found["took_ms"] < 2000
    path = f"/v1/similar/{found['query_id']}/feedback"
    answer = client.post(path, json={"ticket": found["items"][0]["ticket"], "verdict": "right"})
    assert answer.status_code == 204


# --- filters and freshness --------------------------------------------------------------------------


def test_a_filter_sees_a_change_of_status_at_once(desk: Runtime, api: TestClient) -> None:
    assert {i["external_id"] for i in ask(api, filters={"status": "solved"})["items"]} == {
        f"T-{n:04}" for n in range(5)}  # fmt: skip
    (one,) = tickets_of(0, 1)
    accept(
        desk,
        source_kind="push",
        raws=[replace(one, status=Status.OPEN, updated_at=START + timedelta(days=8))],
    )
    assert "T-0000" not in {i["external_id"] for i in ask(api, filters={"status": "solved"})["items"]}
    assert "T-0000" in {i["external_id"] for i in ask(api, filters={"status": "open"})["items"]}


def test_a_filter_nothing_matches_abstains_and_says_that_it_was_the_filter(api: TestClient) -> None:
    found = ask(api, filters={"product": "No such product"})
    assert found["abstained"]
    assert found["reason"] == "no earlier case passes the filters"


def test_a_repeated_question_is_answered_304(api: TestClient) -> None:
    first = api.post("/v1/similar", json={"text": PROBLEMS[0]})
    again = api.post(
        "/v1/similar", json={"text": PROBLEMS[0]}, headers={"If-None-Match": first.headers["ETag"]}
    )
    assert again.status_code == 304
    assert again.content == b""


# --- only what was known then -----------------------------------------------------------------------


def test_a_resolution_later_than_as_of_does_not_show(api: TestClient) -> None:
    before, after = START + timedelta(days=2, hours=20), START + timedelta(days=4)
    early = ask(api, as_of=before.isoformat())
    assert early["items"]
    assert all(item["resolved_at"] is None and "resolution" not in item for item in early["items"])
    assert early["resolutions"] == []
    late = ask(api, as_of=after.isoformat())
    assert late["resolutions"][0] | {"interval": 0} == {
        "label": "Cleared the export queue", "n": 5, "known": 5, "success_rate": 1.0, "interval": 0,
        "median_hours": pytest.approx(52.0, abs=0.1)}  # fmt: skip


def test_a_rating_or_reopening_recorded_after_as_of_does_not_show(desk: Runtime, api: TestClient) -> None:
    (one,) = tickets_of(
        0, 1, status=Status.SOLVED, resolution="Cleared the export queue", reopened=True, satisfaction=0.0,
        resolved_at=START + timedelta(days=3), updated_at=START + timedelta(days=6),
    )  # fmt: skip
    accept(desk, source_kind="push", raws=[one])

    def outcome(as_of: timedelta) -> dict[str, Any]:
        found = ask(api, as_of=(START + as_of).isoformat())
        (item,) = [i for i in found["items"] if i["external_id"] == "T-0000"]
        return {**item["outcome"], "known": found["resolutions"][0]["known"]}

    assert outcome(timedelta(days=5)) == {
        "reopened": None, "csat": None, "hours_to_resolve": 72.0, "known": 4}  # fmt: skip
    assert outcome(timedelta(days=7)) == {
        "reopened": True, "csat": 0.0, "hours_to_resolve": 72.0, "known": 5}  # fmt: skip


def test_a_case_filed_after_as_of_is_not_found(api: TestClient) -> None:
    found = ask(api, as_of=(START + 15 * HOUR).isoformat())
    assert {i["external_id"] for i in found["items"]} <= {"T-0000", "T-0001"}


# --- restart ----------------------------------------------------------------------------------------


def test_a_restart_reads_the_file_and_only_what_came_after_it(desk: Runtime, tmp_path: Path) -> None:
    book = cases.ready(desk)
    before = ask(client_of(desk), k=50)
    cases.save(desk, book)
    accept_all(desk, tickets_of(0, 1, first=7), backfill=True)
    digest(desk)
    desk.cases = None
    again = cases.held(desk)
    assert (again.seq, len(again.words)) == (book.seq, len(book.words))
    assert cases.behind(desk) == 1
    assert np.array_equal(np.sort(list(again.current.values())), np.sort(list(book.current.values())))
    after = ask(client_of(desk), k=50)
    assert {i["ticket"] for i in before["items"]} < {i["ticket"] for i in after["items"]}


@pytest.mark.parametrize("damage", ["cut", "other database", "empty"])
def test_a_file_that_cannot_be_used_is_left_aside(desk: Runtime, tmp_path: Path, damage: str) -> None:
    book = cases.ready(desk)
    cases.save(desk, book)
    (file,) = tmp_path.rglob("words.npz")
    if damage == "other database":
        arrays = dict(np.load(file)) | {"of": np.array("another")}
        np.savez(file, **arrays)
    else:
        file.write_bytes(file.read_bytes()[:-200] if damage == "cut" else b"")
    desk.cases = None
    again = cases.ready(desk)
    assert len(again.current) == len(book.current)
    assert ask(client_of(desk))["items"][0]["title"] == PROBLEMS[0]


def test_what_is_deleted_is_found_no_more_also_after_a_restart(desk: Runtime) -> None:
    cases.save(desk, cases.ready(desk))
    from app.store import tickets

    with desk.store.write() as session:
        tickets.delete(session, "desk", ["T-0000", "T-0001"])
    while digest(desk):
        pass
    for _ in range(2):
        found = ask(client_of(desk))
        assert {i["external_id"] for i in found["items"]} == {"T-0002", "T-0003", "T-0004"}
        desk.cases = None


def test_readiness_says_how_far_behind_the_index_is(desk: Runtime, api: TestClient) -> None:
    cases.ready(desk)
    accept_all(desk, tickets_of(1, 2, first=6), backfill=True)
    digest(desk)
    assert api.get("/readyz").json()["checks"]["index"] == "2 tickets behind"
    cases.maintain(desk)
    assert api.get("/readyz").json()["checks"]["index"] == "0 tickets behind"


# --- learning ---------------------------------------------------------------------------------------


def test_verdicts_show_in_the_quality_figures(api: TestClient) -> None:
    found = ask(api)
    for item, verdict in zip(found["items"], ("right", "wrong", "helped"), strict=False):
        path = f"/v1/similar/{found['query_id']}/feedback"
        assert api.post(path, json={"ticket": item["ticket"], "verdict": verdict}).status_code == 204
    said = api.get("/v1/similar/quality").json()
    assert {k: said["feedback"][k] for k in ("right", "wrong", "helped", "share_right")} == {
        "right": 1, "wrong": 1, "helped": 1, "share_right": 0.667}  # fmt: skip
    assert sum(row["n"] for row in said["calibration"]) == 3
    assert said["floor"]["from"] == "ranker"
    assert said["ranker"] == {"version": None, "way": "shipped"}
    assert said["queries"]["asked"] >= 1


def test_the_floor_is_the_operators_where_one_is_set(desk: Runtime, api: TestClient) -> None:
    assert ask(api)["items"]
    desk.settings = desk.settings.model_copy(update={"similar_floor": 0.9999})
    assert ask(api)["abstained"]
    assert api.get("/v1/similar/quality").json()["floor"] == {"probability": 0.9999, "from": "similar_floor"}


def test_nothing_is_learned_from_too_few_links(desk: Runtime) -> None:
    assert learning.learn(desk) is None


def linked(desk: Runtime, count: int) -> None:
    """So many duplicates, each marked as one of an earlier ticket of its problem."""
    raws = [
        replace(one, duplicate_of=f"T-{100 * (n % 6):04}")
        for n in range(count)
        for one in tickets_of(n % 6, 1, first=10 + n // 6)
    ]
    accept_all(desk, raws, backfill=True)
    while digest(desk):
        pass


def test_from_the_thirtieth_link_the_ranker_is_measured_on_links_held_out(
    desk: Runtime, api: TestClient
) -> None:
    linked(desk, 36)
    attempt = learning.learn(desk)
    assert attempt is not None
    assert attempt.links == 36
    assert set(attempt.figures["mrr"]) == {"shipped", "fusion", "own"}
    assert attempt.adopted == (attempt.figures["way"] == "own") == bool(attempt.model.get("order"))
    best = max(attempt.figures["mrr"].values())
    assert attempt.figures["mrr"][attempt.figures["way"]] == best
    said = api.get("/v1/similar/quality").json()
    assert said["ranker"]["way"] == attempt.figures["way"]
    assert said["refits"][0]["links"] == 36
    assert learning.learn(desk) is None, "nothing new"


def test_another_process_ranks_with_the_newest_attempt_too(desk: Runtime) -> None:
    linked(desk, 36)
    learning.learn(desk)
    version = cases.held(desk).rankers.version
    desk.cases = None
    api = client_of(desk)
    ask(api)
    assert cases.held(desk).rankers.version == version is not None


def test_thirty_verdicts_shift_the_probabilities(desk: Runtime, api: TestClient) -> None:
    linked(desk, 36)
    first = ask(api)["items"][0]["probability_same_issue"]
    for n in range(10):
        found = ask(api, f"{PROBLEMS[n % len(PROBLEMS)]}, again {n}")
        for item in found["items"]:
            path = f"/v1/similar/{found['query_id']}/feedback"
            api.post(path, json={"ticket": item["ticket"], "verdict": "right"})
    attempt = learning.learn(desk)
    assert attempt is not None
    assert attempt.figures["judged"] >= 30
    assert ask(api)["items"][0]["probability_same_issue"] > first
