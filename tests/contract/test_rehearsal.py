"""Thresholds and models are tried before they are used, and no pattern's id depends on them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import pytest
from fastapi.testclient import TestClient

from app.backtest import Clock
from app.domain import Matrix
from app.errors import Invalid
from app.pipeline import memory, rehearse
from app.pipeline.digest import digest
from app.pipeline.intake import accept
from app.runtime import Runtime
from app.store import patterns
from tests.fakes import START, WordEmbedder, raw

SAID = ("Export fails every night", "Password mail never arrives", "Invoice shows the wrong total")


class Other(WordEmbedder):
    """The same idea with other directions: another model."""

    model_id = "words-64"
    dim = 64

    def embed(self, texts: Sequence[str]) -> Matrix:
        turned: Matrix = super().embed([text.upper() for text in texts])
        return turned

    def _direction(self, word: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        seed = int.from_bytes(hashlib.sha256(b"other " + word.encode()).digest()[:8])
        return np.random.default_rng(seed).standard_normal(self.dim)


@pytest.fixture
def desk(runtime: Runtime, clock: Clock) -> Runtime:
    accept(runtime, [raw(n, SAID[n % 3]) for n in range(18)], source_kind="push")
    clock.at = START.replace(day=4)
    while digest(runtime):
        pass
    return runtime


def members(runtime: Runtime) -> dict[str, tuple[int, int]]:
    with runtime.store.read() as session:
        return {
            s.id: (s.vector_count, patterns.resolve(session, s.id).tickets) for s in patterns.sums(session)
        }


def test_a_rehearsal_says_what_would_change_and_changes_nothing(desk: Runtime, api: TestClient) -> None:
    before = members(desk)
    said = api.get("/v1/grouping/rehearsal", params={"dial": "broader"}).json()
    assert said["counts"].keys() == {"moved", "released", "split", "merged", "founded", "dissolved"}
    assert "would merge" in said["sentence"]
    assert said["join"] >= said["null_median"]
    assert members(desk) == before
    assert memory.of(desk).grouping.state.parameters.join == said["join_now"]
    assert api.get("/v1/grouping/rehearsal", params={"dial": "x"}).status_code == 422


def test_a_calibration_holds_from_then_on_and_is_in_the_audit_trail(desk: Runtime, api: TestClient) -> None:
    done = api.post("/v1/grouping/calibration", json={"dial": "finer"}).json()
    assert done["join"] > done["join_now"]
    desk.memory = None  # as after a restart
    assert memory.of(desk).grouping.state.parameters.join == done["join"]
    [told] = [e for e in api.get("/v1/events").json()["data"] if e["type"] == "grouping.calibrated"]
    assert (told["actor"], told["data"]["sentence"]) == ("local", done["sentence"])


def test_labels_of_people_move_the_threshold_a_little_at_a_time(desk: Runtime) -> None:
    accept(
        desk,
        [raw(n, SAID[n % 3], duplicate_of=f"T-{n % 3 + 30:04}") for n in range(30, 100)],
        source_kind="push",
    )
    while digest(desk):
        pass
    made = rehearse.rehearse(desk)
    assert made.labels >= 50
    assert made.reason == f"by {made.labels} labelled pairs"
    assert abs(made.parameters.join - made.was.join) <= 0.0201


def test_another_model_keeps_every_id_and_member_and_is_refused_until_it_is_switched_to(
    desk: Runtime,
) -> None:
    before = members(desk)
    assert rehearse.rehearse(desk, model=Other()).model_id == "words-64"
    assert members(desk) == before
    rehearse.carry_out(desk, model=Other(), actor="Ann")
    with pytest.raises(Invalid, match="grouped with the model words-64"):
        memory.of(desk)
    desk.__dict__["embedder"] = Other()
    assert members(desk) == before
    accept(desk, [raw(60, SAID[0])], source_kind="push")
    assert digest(desk) == 1
    grown = members(desk)
    assert grown.keys() == before.keys()
    assert sum(n for n, _ in grown.values()) == sum(n for n, _ in before.values()) + 1
    with pytest.raises(Invalid, match="already"):
        rehearse.rehearse(desk, model=Other())
