"""Settings chosen while running: which, by whom, over what, and that every process follows."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app import worker
from app.errors import Conflict, Invalid
from app.pipeline import memory
from app.pipeline.configure import apply_settings, reset_settings
from app.pipeline.digest import digest
from app.pipeline.intake import accept
from app.runtime import Runtime
from app.settings import CHOOSABLE, Settings, load
from app.store import audit, choices
from app.store.core import Store
from tests.fakes import WordEmbedder, raw


def beside(runtime: Runtime) -> Runtime:
    """Another process over the same database."""
    other = Runtime(runtime.settings, Store(runtime.settings.database_url), runtime.now)
    other.__dict__["embedder"] = WordEmbedder()
    return other


def test_a_choice_counts_in_every_process_without_a_restart(runtime: Runtime) -> None:
    other = beside(runtime)
    assert apply_settings(runtime, {"alerts_per_week": 3}, actor="mara").alerts_per_week == 3
    assert other.settings.alerts_per_week == 5
    worker.work(other)
    assert other.settings.alerts_per_week == 3
    other.close()


def test_what_a_process_was_given_is_found_again_when_the_choice_is_taken_back(runtime: Runtime) -> None:
    other = beside(runtime)
    apply_settings(runtime, {"alerts_per_week": 3, "similar_floor": 0.4}, actor="mara")
    other.refresh()
    reset_settings(runtime, ["alerts_per_week"], actor="mara")
    assert runtime.settings.alerts_per_week == 5
    assert other.refresh().alerts_per_week == 5
    assert other.settings.similar_floor == 0.4
    other.close()


def test_none_is_a_value_to_choose(runtime: Runtime) -> None:
    runtime.settings = runtime.settings.model_copy(update={"retention_days": 400})
    assert apply_settings(runtime, {"retention_days": None}, actor="mara").retention_days is None


@pytest.mark.parametrize(
    ("values", "error"),
    [({"alerts_per_week": 0}, "alerts_per_week: .*greater"), ({"granularity": "finest"}, "granularity"),
     ({"retention_days": 30}, "retention_days"), ({"time_zone": "UTC"}, "cannot be changed while running"),
     ({"secret": "x"}, "cannot be changed"), ({"similar_floor": "much"}, "similar_floor")],
)  # fmt: skip
def test_a_value_that_cannot_be_is_refused_and_nothing_changes(
    runtime: Runtime, values: dict[str, object], error: str
) -> None:
    with pytest.raises(Invalid, match=error):
        apply_settings(runtime, {"alerts_per_week": 3} | values, actor="mara")
    with runtime.store.read() as session:
        assert choices.every(session) == {}


def test_a_variable_wins_over_a_choice_made_before_and_refuses_another(
    runtime: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply_settings(runtime, {"alerts_per_week": 3, "granularity": "finer"}, actor="mara")
    monkeypatch.setenv("FORESHOCK_ALERTS_PER_WEEK", "9")
    file = tmp_path / "foreshock.toml"
    file.write_text(f'database_url = "{runtime.settings.database_url.replace("+psycopg", "")}"\n')
    fixed = Runtime(load(file), runtime.store, runtime.now)
    assert fixed.refresh().alerts_per_week == 9
    assert fixed.settings.granularity == "finer"
    with pytest.raises(Conflict, match="FORESHOCK_ALERTS_PER_WEEK"):
        apply_settings(fixed, {"alerts_per_week": 2}, actor="mara")


def test_the_audit_log_tells_what_a_setting_was_and_is(runtime: Runtime) -> None:
    apply_settings(runtime, {"granularity": "broader", "alerts_per_week": 5}, actor="mara")
    with runtime.store.read() as session:
        (act,) = audit.search(session, {"type": "settings."}).items
    assert act.actor == "mara"
    assert act.data == {"granularity": {"from": "balanced", "to": "broader"}}, (
        "what did not change is not told"
    )


def test_another_granularity_reaches_the_engine_without_losing_its_memory(runtime: Runtime) -> None:
    accept(runtime, [raw(n) for n in range(3)], source_kind="push")
    digest(runtime)
    held = memory.of(runtime)
    apply_settings(runtime, {"granularity": "finer"}, actor="mara")
    assert memory.of(runtime) is held
    assert held.grouping.state.parameters.join == memory.JOIN["finer"]


def test_settings_over_http_say_where_each_value_comes_from(runtime: Runtime, api: TestClient) -> None:
    answer = api.patch("/v1/settings", json={"similar_floor": 0.5})
    assert answer.status_code == 200
    told = answer.json()
    assert set(told) == set(CHOOSABLE)
    assert told["similar_floor"] | {"chosen_at": ""} == {
        "value": 0.5, "from": "chosen", "chosen_by": "local", "chosen_at": ""}  # fmt: skip
    assert told["alerts_per_week"]["from"] == "file"
    assert api.delete("/v1/settings/similar_floor").json()["similar_floor"]["value"] is None
    assert api.patch("/v1/settings", json={"alerts_per_week": -1}).status_code == 422
    assert api.patch("/v1/settings", json={"port": 1}).status_code == 422
    assert api.delete("/v1/settings/port").status_code == 422


def test_every_setting_that_may_change_while_running_is_a_setting() -> None:
    assert set(CHOOSABLE) <= set(Settings.model_fields)
