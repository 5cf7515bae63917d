"""Would it have caught it: asked for on a page, run by the worker, compared, and put in force."""

from __future__ import annotations

from datetime import timedelta

import pytest
from fastapi.testclient import TestClient

from app.backtest import Clock, jobs
from app.pipeline.digest import digest
from app.pipeline.intake import accept
from app.runtime import Runtime
from app.server import service
from tests.conftest import ADDRESS
from tests.e2e.test_pages import text_of, token_of
from tests.fakes import START, raw

SAID = ("Export fails every night", "Password mail never arrives", "Invoice shows the wrong total")


@pytest.fixture
def desk(runtime: Runtime, clock: Clock) -> Runtime:
    """Five weeks of three everyday questions, then twelve customers in one afternoon about one problem."""
    usual = [raw(n, SAID[n % 3], at=START + timedelta(hours=7 * n)) for n in range(120)]
    burst = [raw(500 + n, "Board is blank since the update", problem="PRB-1", at=START + timedelta(days=34, minutes=20 * n))
             for n in range(12)]  # fmt: skip
    clock.at = START + timedelta(days=36)
    accept(runtime, [*usual, *burst], source_kind="push", backfill=True)
    while digest(runtime):
        pass
    return runtime


@pytest.fixture
def client(desk: Runtime) -> TestClient:
    return TestClient(service(desk), base_url=ADDRESS, follow_redirects=False)


def test_a_replay_is_asked_for_watched_compared_and_applied(desk: Runtime, client: TestClient) -> None:
    page = client.get("/backtests")
    assert "Replay 132 tickets" in text_of(page)
    form = {"token": token_of(page), "granularity": "balanced", "tick_minutes": "1440"}
    asked = client.post("/backtests", data=form | {"budgets": "2, 20"})
    assert asked.status_code == 303, text_of(asked)
    path = asked.headers["location"]
    assert "Waiting for the worker" in text_of(client.get(path))
    assert jobs.work(desk)
    text = text_of(client.get(path))
    assert "Done" in text
    assert "At 2 a week" in text
    assert "1 of 1" in text
    applied = client.post(f"{path}/apply", data=form | {"number": 1})
    assert applied.status_code == 303, text_of(applied)
    assert desk.refresh().alerts_per_week == 20
    assert "in force" in text_of(client.get(path))


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ({"budgets": "many"}, "numbers of alerts a week"), ({"budgets": "1 2 3 4"}, "one to 3 budgets"),
        ({"budgets": "0"}, "between 0.01"), ({"budgets": "3", "since": "soon"}, "not a day"),
        ({"budgets": "3", "since": "2019-01-01", "until": "2019-01-02"}, ""),
    ],
)  # fmt: skip
def test_what_cannot_be_replayed_is_said_beside_the_form(
    desk: Runtime, client: TestClient, typed: dict[str, str], says: str
) -> None:
    form = {"token": token_of(client.get("/backtests")), "granularity": "balanced", "tick_minutes": "1440"}
    answer = client.post("/backtests", data=form | typed)
    if says:
        assert answer.status_code == 422
        assert says in text_of(answer)
    else:
        jobs.work(desk)
        assert "no tickets between" in text_of(client.get(answer.headers["location"])).lower()


def test_one_that_was_stopped_goes_on_from_the_page(desk: Runtime, client: TestClient) -> None:
    form = {
        "token": token_of(client.get("/backtests")),
        "granularity": "finer",
        "tick_minutes": "1440",
        "budgets": "5",
    }
    path = client.post("/backtests", data=form).headers["location"]
    assert client.post(f"{path}/stop", data=form).status_code == 303
    assert "Stopped" in text_of(client.get(path))
    assert client.post(f"{path}/resume", data=form).status_code == 303
    assert jobs.work(desk)
    assert "Done" in text_of(client.get(path))
