"""A configured ticketing tool, read over real HTTP into the store."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.backtest import Clock
from app.domain import Source
from app.errors import ForeshockError, NotFound
from app.pipeline.digest import digest
from app.pipeline.pull import pull
from app.runtime import Runtime
from app.settings import SourceSettings
from app.store import sources, tickets
from tests.contract.test_sources_zendesk import simulator
from tests.simulators.server import serving

SECRET = "FORESHOCK_TEST_ZENDESK"


def configured(runtime: Runtime, clock: Clock, base_url: str) -> Runtime:
    options = {"base_url": base_url, "client_id": "reader", "client_secret": SECRET, "page_size": 3,
               "calls_per_minute": 100_000}  # fmt: skip
    desk = SourceSettings(name="desk", kind="zendesk", options=options)
    made = replace(runtime, settings=runtime.settings.model_copy(update={"sources": (desk,)}), now=clock)
    made.__dict__["embedder"] = runtime.embedder
    return made


def test_a_desk_is_read_whole_its_history_raises_nothing_and_a_second_read_changes_nothing(
    runtime: Runtime, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    sim = simulator(1)
    sim.faulty_calls = sim.world.spare = 0
    sim.limits = dict.fromkeys(sim.limits, 100000)
    monkeypatch.setenv(SECRET, sim.secret)
    with serving(sim.handle) as base_url:
        clock.at = sim.clock.now()
        run = configured(runtime, clock, base_url)
        assert pull(run, "desk") > 0
        assert pull(run, "desk") == 0
        run.disconnect()
    while digest(run):
        pass
    with run.store.read() as session:
        ids = tickets.external_ids(session, "desk")
        assert sorted(ids) == sorted(str(id_) for id_ in sim.world.truth())
        found = tickets.search(session, {"source": "desk"}, limit=200).items
        assert all(t.backfill and t.digested_at for t in found if t.status != "deleted")
        [health] = [h for h in sources.health(session) if h.name == "desk"]
        assert health.last_error == ""
        assert health.last_success_at == clock.at


def test_a_failure_is_kept_in_words_and_what_was_read_before_stays(
    runtime: Runtime, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    sim = simulator(2)
    sim.faulty_calls = 0
    monkeypatch.setenv(SECRET, "not the secret")
    with serving(sim.handle) as base_url:
        clock.at = sim.clock.now()
        run = configured(runtime, clock, base_url)
        with run.store.write() as session:
            sources.register(session, Source("desk", "zendesk"))
        with pytest.raises(ForeshockError, match=r"renew|check"):
            pull(run, "desk")
        run.disconnect()
    with run.store.read() as session:
        [health] = sources.health(session)
    assert health.last_error
    assert "not the secret" not in health.last_error


def test_an_unknown_source_is_named_with_those_that_are_known(runtime: Runtime) -> None:
    with pytest.raises(NotFound, match="'nowhere'"):
        pull(runtime, "nowhere")
