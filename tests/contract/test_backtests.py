"""A backtest is a stored job: asked for, run, stopped anywhere, resumed to the same bytes, applied."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.backtest import Clock, history, jobs
from app.pipeline.digest import digest
from app.pipeline.intake import accept
from app.runtime import Runtime
from app.store import backtests
from tests.fakes import START, raw

DAYS = 30
SAID = ("Password mail never arrives", "Invoice shows the wrong total", "How do I add a colleague")
RUNS = {"runs": [{"alerts_per_week": 3}, {"alerts_per_week": 0.01}], "tick_minutes": 720}


@pytest.fixture
def desk(runtime: Runtime, clock: Clock) -> Runtime:
    """A month of everyday tickets, then seven customers in a day whose export fails: people linked them."""
    everyday = [raw(n, SAID[n % 3], at=START + timedelta(hours=8 * n), problem="") for n in range(3 * DAYS)]
    burst = [
        raw(1000 + n, "Export fails with E-4031", at=START + timedelta(days=DAYS - 1, hours=n), problem="P-1")
        for n in range(7)
    ]
    accept(runtime, [*everyday, *burst], source_kind="push")
    clock.at = START + timedelta(days=DAYS + 1)
    while digest(runtime):
        pass
    return runtime


def result(runtime: Runtime, id_: str) -> dict[str, Any]:
    with runtime.store.read() as session:
        found = backtests.get(session, id_)
    assert found.state == "done", found.error
    return dict(found.result)


def test_it_says_what_it_would_have_caught_and_how_long_after_the_third_report(
    desk: Runtime, api: TestClient
) -> None:
    made = api.post("/v1/backtests", json=RUNS)
    assert (made.status_code, made.json()["state"]) == (202, "waiting")
    assert jobs.work(desk)
    assert not jobs.work(desk)
    shown = api.get(f"/v1/backtests/{made.json()['id']}").json()
    assert shown["state"] == "done"
    assert shown["progress"]["done"] == shown["progress"]["total"] == 2 * (3 * DAYS + 7)
    three, _ = shown["result"]["runs"]
    assert (three["marks"], three["caught"], three["recall"]) == (1, 1, 1.0)
    assert three["missed"] == []
    assert -24 <= three["delay_h"] <= 24
    assert any("E-4031" in a["pattern"] for a in three["alerts_raised"])
    assert api.get("/v1/backtests").json()["data"][0].keys() >= {"state", "progress"}


def test_the_same_history_gives_the_same_bytes_also_when_it_was_stopped_and_resumed(desk: Runtime) -> None:
    whole = jobs.ask(desk, RUNS, actor="lead")
    jobs.work(desk)
    broken = jobs.ask(desk, RUNS | {"tags": []}, actor="lead")
    stops_after(desk, broken.id, ticks=30)
    with desk.store.read() as session:
        assert backtests.get(session, broken.id).state == "stopped"
    jobs.resume(desk, broken.id)
    jobs.work(desk)
    assert repr(result(desk, broken.id)) == repr(result(desk, whole.id))
    assert not list((desk.settings.data_dir / "backtests").iterdir())


def stops_after(runtime: Runtime, id_: str, *, ticks: int) -> None:
    """Run the job's first choice until it is stopped at a tick, as a person would stop it."""
    seen = 0

    def is_stopped() -> bool:
        nonlocal seen
        seen += 1
        return seen > ticks

    with runtime.store.write() as session:
        job = backtests.change(session, id_, state="running")
    raws = history(runtime)
    first = jobs.under(
        runtime, job.options["runs"][0], raws, [], file=jobs.file_of(runtime, job, 0),
        embedder=runtime.embedder, tick=timedelta(minutes=720), is_stopped=is_stopped,
    )  # fmt: skip
    assert first is None
    jobs.stop(runtime, id_)


def test_a_chosen_run_is_put_in_force_and_kept_in_the_audit_trail(desk: Runtime, api: TestClient) -> None:
    made = api.post("/v1/backtests", json=RUNS).json()
    apply = f"/v1/backtests/{made['id']}/apply"
    assert api.post(apply, json={"run": 1}).status_code == 409
    jobs.work(desk)
    assert api.post(apply, json={"run": 2}).status_code == 422
    assert api.post(apply, json={"run": 1}).json()["alerts_per_week"] == 0.01
    assert desk.settings.alerts_per_week == 0.01
    [told] = [act for act in api.get("/v1/audit").json()["data"] if act["type"] == "settings.changed"]
    assert told["data"]["alerts_per_week"] == {"from": 5.0, "to": 0.01}
    assert api.get("/v1/status").json()["budget"]["per_week"] == 0.01


def test_only_what_runs_can_be_stopped_and_only_what_stopped_resumed(desk: Runtime, api: TestClient) -> None:
    path = f"/v1/backtests/{api.post('/v1/backtests', json={}).json()['id']}"
    assert api.post(f"{path}/resume").status_code == 409
    assert api.post(f"{path}/stop").json()["state"] == "stopped"
    assert not jobs.work(desk)
    assert api.post(f"{path}/stop").status_code == 409
    assert api.post(f"{path}/resume").json()["state"] == "waiting"


def test_an_empty_store_has_nothing_to_replay(runtime: Runtime, api: TestClient) -> None:
    assert api.post("/v1/backtests", json={}).status_code == 422
