"""The API and the worker apart: each holds the engine in memory, and neither writes from a stale one."""

from __future__ import annotations

import pytest
from sqlmodel import Session

from app.detectors.grouping import EditKind
from app.pipeline import memory, review
from app.pipeline.digest import digest
from app.pipeline.intake import accept
from app.runtime import Runtime
from app.store import patterns
from tests.fakes import WordEmbedder, raw

SAID = ("Export fails", "Password mail never arrives")


@pytest.fixture
def worker(runtime: Runtime) -> Runtime:
    """Digests; two patterns of four tickets each are there."""
    accept(runtime, [raw(n, SAID[n % 2]) for n in range(8)], source_kind="push")
    while digest(runtime):
        pass
    return runtime


@pytest.fixture
def api_process(worker: Runtime) -> Runtime:
    other = Runtime(worker.settings, worker.store, worker.now)
    other.__dict__["embedder"] = WordEmbedder()
    return other


def living(session: Session) -> list[str]:
    return [s.id for s in patterns.sums(session) if s.merged_into is None]


def test_an_edit_counts_the_tickets_another_process_digested_meanwhile(
    worker: Runtime, api_process: Runtime
) -> None:
    with worker.store.read() as session:
        one, other = living(session)
    review.rename(api_process, one, "Export", actor="Ann")
    accept(worker, [raw(n, SAID[n % 2]) for n in range(8, 12)], source_kind="push")
    while digest(worker):
        pass
    review.edit(api_process, EditKind.PIN, patterns_=[other], actor="Ann")
    review.edit(api_process, EditKind.MERGE, patterns_=[one, other], actor="Ann")
    with worker.store.read() as session:
        [sums] = [s for s in patterns.sums(session) if s.merged_into is None]
        assert (sums.vector_count, patterns.resolve(session, one).tickets) == (12, 12)
    accept(worker, [raw(12, SAID[1])], source_kind="push")
    assert digest(worker) == 1
    with worker.store.read() as session:
        assert patterns.resolve(session, one).tickets == 13


def test_a_decision_overtaken_by_another_process_is_not_written_but_made_again(
    worker: Runtime, api_process: Runtime
) -> None:
    with worker.store.read() as session:
        one, other = living(session)

    def decide() -> None:
        with memory.turn(worker) as held:
            review.edit(api_process, EditKind.MERGE, patterns_=[one, other], actor="Ann")
            with worker.store.write() as session:
                patterns.change(session, one, name="Never")
                memory.keep(session, held)

    with pytest.raises(memory.Behind, match="send the same again"):
        decide()
    with worker.store.read() as session:
        assert patterns.resolve(session, one).name != "Never"
    assert memory.of(worker).grouping.resolve(other) == one
