"""What every vector index promises, whatever is inside it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.detectors.index import ExactIndex, GraphSettings, UsearchIndex
from app.domain import Matrix
from app.errors import Invalid
from app.ports import VectorIndex
from app.store.core import Store
from app.store.pgvector import PgVectorIndex

DIM = 8
SMALL_FRONT = GraphSettings(fresh=4)
MAKERS: dict[str, Callable[[int], VectorIndex]] = {
    "exact": lambda dim: ExactIndex(dim, capacity=2),
    "usearch, all in its front": UsearchIndex,
    "usearch, most in its graph": lambda dim: UsearchIndex(dim, settings=SMALL_FRONT),
}


PGVECTOR = "pgvector"


@pytest.fixture(params=[*MAKERS, pytest.param(PGVECTOR, marks=pytest.mark.postgres)])
def make(request: pytest.FixtureRequest) -> Callable[[int], VectorIndex]:
    if request.param != PGVECTOR:
        return MAKERS[request.param]
    maker: Callable[[int], VectorIndex] = request.getfixturevalue("make_pgvector")
    return maker


@pytest.fixture
def make_pgvector(request: pytest.FixtureRequest) -> Iterator[Callable[[int], VectorIndex]]:
    """Each index in a table of its own, of one database."""
    new: Callable[[], str] = request.getfixturevalue("new_postgres")
    store = Store(new(), durable=False)
    numbers = itertools.count()
    yield lambda dim: PgVectorIndex(store, f"model {next(numbers)}", dim)
    store.close()


def unit_rows(count: int, *, seed: int, dim: int = DIM) -> Matrix:
    """Random unit vectors rounded to float16 values, as the store keeps them."""
    rows = np.random.default_rng(seed).normal(size=(count, dim))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float16).astype(np.float32)


POOL = unit_rows(12, seed=5)  # few, so that equal vectors and equal scores occur

upserts = st.tuples(
    st.just("upsert"), st.lists(st.tuples(st.integers(1, 40), st.integers(0, len(POOL) - 1)), max_size=12)
)
deletes = st.tuples(st.just("delete"), st.lists(st.integers(1, 45), max_size=8))
searches = st.tuples(
    st.just("search"),
    st.tuples(
        st.integers(0, len(POOL) - 1),
        st.integers(0, 50),
        st.none() | st.lists(st.integers(-2, 60), max_size=30),
    ),
)
histories = st.lists(st.one_of(upserts, deletes, searches), max_size=25)


def naive_search(
    rows: dict[int, int], query: int, k: int, among: list[int] | None
) -> tuple[list[int], list[np.float32]]:
    """Every row scored one by one; the oracle."""
    scored = sorted(
        (-np.float32(np.dot(POOL[row].astype(np.float64), POOL[query].astype(np.float64))), seq)
        for seq, row in rows.items()
        if among is None or seq in among
    )[:k]
    return [seq for _, seq in scored], [-score for score, _ in scored]


@settings(max_examples=60, deadline=None)
@given(history=histories)
@pytest.mark.parametrize("name", MAKERS)
def test_any_history_gives_what_scoring_every_row_one_by_one_gives(name: str, history: list[Any]) -> None:
    check_history(MAKERS[name](DIM), history)


def check_history(index: VectorIndex, history: list[Any]) -> None:
    rows: dict[int, int] = {}
    highest = 0
    for step, what in [*history, ("search", (0, 50, None))]:
        if step == "upsert":
            index.upsert([seq for seq, _ in what], POOL[[row for _, row in what]])
            rows.update(what)
            highest = max([highest, *(seq for seq, _ in what)])
        elif step == "delete":
            index.delete(what)
            rows = {seq: row for seq, row in rows.items() if seq not in what}
        else:
            query, k, among = what
            hits = index.search(POOL[query], k, among=None if among is None else np.array(among, np.int64))
            seqs, scores = naive_search(rows, query, k, among)
            assert hits.complete
            np.testing.assert_allclose(hits.scores, scores, atol=1e-7)
            for at, seq in enumerate(hits.seqs.tolist()):  # the oracle's dot may round ties apart
                assert seq == seqs[at] or np.isclose(scores[at], scores[seqs.index(seq)], atol=1e-7)
        assert index.watermark == highest


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=histories)
@pytest.mark.postgres
def test_pgvector_gives_what_scoring_every_row_one_by_one_gives(
    make_pgvector: Callable[[int], VectorIndex], history: list[Any]
) -> None:
    check_history(make_pgvector(DIM), history)


def test_rows_are_read_back_in_the_order_asked_for(make: Callable[[int], VectorIndex]) -> None:
    index, rows = make(DIM), unit_rows(10, seed=1)
    index.upsert(range(1, 11), rows)
    index.delete([4])
    assert np.array_equal(index.vectors(np.array([9, 2, 10])), rows[[8, 1, 9]])
    assert index.seqs.tolist() == [1, 2, 3, 5, 6, 7, 8, 9, 10]
    with pytest.raises(KeyError):
        index.vectors(np.array([4]))


def test_an_empty_index_finds_nothing(make: Callable[[int], VectorIndex]) -> None:
    hits = make(DIM).search(POOL[0], 5)
    assert hits.seqs.tolist() == []
    assert hits.scores.dtype == np.float32
    assert hits.complete


def test_equal_vectors_come_back_oldest_first(make: Callable[[int], VectorIndex]) -> None:
    index = make(DIM)
    index.upsert([5, 3, 9, 7, 1, 8, 2], np.repeat(POOL[:1], 7, axis=0))
    assert index.search(POOL[0], 4).seqs.tolist() == [1, 2, 3, 5]


def test_of_the_same_number_twice_in_one_call_the_last_counts(make: Callable[[int], VectorIndex]) -> None:
    index = make(DIM)
    index.upsert([4, 4], POOL[:2])
    assert index.search(POOL[1], 5).scores.tolist() == pytest.approx([1.0], abs=1e-3)


def test_a_replaced_vector_is_found_only_where_it_now_is(make: Callable[[int], VectorIndex]) -> None:
    index = make(DIM)
    index.upsert(range(1, 11), unit_rows(10, seed=1))
    index.upsert([2], unit_rows(1, seed=99))
    hits = index.search(unit_rows(1, seed=99)[0], 10)
    assert hits.seqs[0] == 2
    assert sorted(hits.seqs.tolist()) == list(range(1, 11))


def test_deleting_keeps_the_watermark_and_upserting_again_revives(make: Callable[[int], VectorIndex]) -> None:
    index = make(DIM)
    index.upsert(range(1, 11), unit_rows(10, seed=1))
    index.delete([10, 3, 777])
    assert index.watermark == 10
    assert 10 not in index.search(POOL[0], 20).seqs
    index.upsert([10], unit_rows(10, seed=1)[9:])
    assert 10 in index.search(POOL[0], 20).seqs


def test_the_same_rows_in_other_batches_score_the_same_to_the_bit(make: Callable[[int], VectorIndex]) -> None:
    rows = unit_rows(60, seed=3)
    one, other = make(DIM), make(DIM)
    one.upsert(range(60), rows)
    for start in range(0, 60, 7):
        other.upsert(range(start, min(start + 7, 60)), rows[start : start + 7])
    for query in rows:
        first, second = one.search(query, 9), other.search(query, 9)
        assert first.seqs.tolist() == second.seqs.tolist()
        assert first.scores.tobytes() == second.scores.tobytes()


@pytest.mark.parametrize("wrong", [np.ones((2, DIM + 1), np.float32), np.ones((3, DIM), np.float32)])
def test_vectors_of_another_shape_are_refused(make: Callable[[int], VectorIndex], wrong: Matrix) -> None:
    with pytest.raises(Invalid, match="dimensions were expected"):
        make(DIM).upsert([1, 2], wrong)


def test_a_query_of_another_shape_is_refused(make: Callable[[int], VectorIndex]) -> None:
    with pytest.raises(Invalid, match="dimensions was expected"):
        make(DIM).search(np.ones(DIM + 1, np.float32), 1)


def test_readers_see_whole_rows_while_the_writer_works(make: Callable[[int], VectorIndex]) -> None:
    """A row that is always there is always found, and every hit carries the score of its own vector."""
    index, rows = make(DIM), unit_rows(1_501, seed=7)
    index.upsert([0], rows[:1])

    def write() -> None:
        for start in range(1, 1_501, 25):
            index.upsert(range(start, start + 25), rows[start : start + 25])
            index.delete(range(start, start + 5))

    with ThreadPoolExecutor(1) as writer:
        writing = writer.submit(write)
        while not writing.done():
            hits = index.search(rows[0], 10)
            assert hits.seqs[0] == 0
            truth = rows[hits.seqs].astype(np.float64) @ rows[0].astype(np.float64)
            np.testing.assert_allclose(hits.scores, truth, atol=1e-6)
        writing.result()


@pytest.mark.parametrize("every", [1, 9])
def test_rows_closer_than_eight_bits_can_tell_are_still_ranked_exactly(every: int) -> None:
    """A burst: three thousand near copies of few texts, some with one component far above the others."""
    centres = unit_rows(5, seed=21, dim=96)
    centres[3:, 7] = 2.0
    rows = np.repeat(centres, 600, axis=0) + np.random.default_rng(22).normal(scale=2e-3, size=(3_000, 96))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16).astype(np.float32)
    index = ExactIndex(96)
    index.upsert(range(3_000), rows)
    among = np.arange(0, 3_000, every)
    for query in rows[::250]:
        truth = rows[among].astype(np.float64) @ query.astype(np.float64)
        best = among[np.lexsort((among, -truth.astype(np.float32)))[:10]]
        assert index.search(query, 10, among=among).seqs.tolist() == best.tolist()


# The rest is about the graph alone.


@pytest.fixture(scope="module")
def large() -> tuple[ExactIndex, UsearchIndex, Matrix]:
    """4,000 clustered vectors in both; a tenth deleted; almost all in the graph."""
    centres = unit_rows(40, seed=11, dim=32)
    noise = np.random.default_rng(12).normal(scale=0.15, size=(4_000, 32))
    rows = centres[np.arange(4_000) % 40] + noise
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16).astype(np.float32)
    exact, graph = ExactIndex(32), UsearchIndex(32, settings=GraphSettings(fresh=100))
    for index in (exact, graph):
        index.upsert(range(4_000), rows)
        index.delete(range(0, 4_000, 10))
    return exact, graph, rows


@pytest.mark.parametrize("every", [1, 2, 7, 100, 3_999])
def test_the_graph_finds_what_the_exact_index_finds_under_any_filter(
    large: tuple[ExactIndex, UsearchIndex, Matrix], every: int
) -> None:
    exact, graph, rows = large
    among = None if every == 1 else np.arange(1, 4_000, every)
    found = 0.0
    for query in rows[:100]:
        true, near = exact.search(query, 10, among=among), graph.search(query, 10, among=among)
        assert near.complete
        assert len(near.seqs) == len(true.seqs)
        found += len(np.intersect1d(true.seqs, near.seqs)) / len(true.seqs)
    assert found / 100 >= 0.99


def test_a_filter_far_from_the_query_is_marked_when_the_answer_is_short(
    large: tuple[ExactIndex, UsearchIndex, Matrix],
) -> None:
    _, graph, rows = large
    among = np.flatnonzero(np.arange(4_000) % 40 >= 20)  # half the clusters, none near the query
    for query in rows[:20]:
        hits = graph.search(query, 500, among=among)
        assert hits.complete == (len(hits.seqs) == 500)


def test_the_newest_rows_are_found_exactly_in_a_burst() -> None:
    index = UsearchIndex(DIM, settings=GraphSettings(fresh=50))
    index.upsert(range(500), unit_rows(500, seed=1))
    index.upsert(range(500, 540), np.repeat(POOL[:1], 40, axis=0))
    assert index.search(POOL[0], 40).seqs.tolist() == list(range(500, 540))


def test_many_deletions_rebuild_the_graph_without_losing_a_row() -> None:
    index, rows = UsearchIndex(DIM, settings=SMALL_FRONT), unit_rows(600, seed=2)
    index.upsert(range(600), rows)
    index.delete(range(400))
    assert len(index) == 200
    assert index.seqs.tolist() == list(range(400, 600))
    assert index.search(rows[450], 1).seqs.tolist() == [450]


def test_a_saved_graph_answers_as_before(
    tmp_path: Path, large: tuple[ExactIndex, UsearchIndex, Matrix]
) -> None:
    _, graph, rows = large
    path = tmp_path / "deep" / "index"
    graph.save(path)
    again = UsearchIndex.open(path, 32, settings=graph.settings)
    assert again.watermark == graph.watermark
    assert again.seqs.tolist() == graph.seqs.tolist()
    for query in rows[:50]:
        before, after = graph.search(query, 10), again.search(query, 10)
        assert before.seqs.tolist() == after.seqs.tolist()
        assert before.scores.tobytes() == after.scores.tobytes()


def saved(path: Path) -> UsearchIndex:
    index = UsearchIndex(DIM, model_id="one", settings=SMALL_FRONT)
    index.upsert(range(1, 61), unit_rows(60, seed=4))
    index.save(path)
    return index


@pytest.mark.parametrize("part", ["graph", "rows"])
@pytest.mark.parametrize("damage", ["cut", "flipped", "gone"])
def test_a_damaged_file_means_an_empty_index_to_be_filled_from_the_store(
    tmp_path: Path, part: str, damage: str
) -> None:
    saved(tmp_path / "index")
    (file,) = tmp_path.glob(f"index.{part}.*")
    content = file.read_bytes()
    if damage == "cut":
        file.write_bytes(content[:-100])
    elif damage == "flipped":
        file.write_bytes(content[:200] + bytes([content[200] ^ 1]) + content[201:])
    else:
        file.unlink()
    again = UsearchIndex.open(tmp_path / "index", DIM, model_id="one", settings=SMALL_FRONT)
    assert (len(again), again.watermark) == (0, 0)


@pytest.mark.parametrize("content", ["", "{}", '{"model_id": 1', "[1]"])
def test_an_unreadable_sidecar_means_an_empty_index(tmp_path: Path, content: str) -> None:
    saved(tmp_path / "index")
    (tmp_path / "index").write_text(content, encoding="utf-8")
    assert len(UsearchIndex.open(tmp_path / "index", DIM, model_id="one", settings=SMALL_FRONT)) == 0


def test_vectors_of_another_model_are_never_opened(tmp_path: Path) -> None:
    saved(tmp_path / "index")
    assert len(UsearchIndex.open(tmp_path / "index", DIM, model_id="two", settings=SMALL_FRONT)) == 0


def test_a_crash_while_saving_leaves_the_former_state(tmp_path: Path) -> None:
    """The new parts are there, the sidecar is not yet replaced: the old state opens, then is cleaned up."""
    path = tmp_path / "index"
    index = saved(path)
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    index.upsert([61], unit_rows(1, seed=8))
    index.save(path)
    for file, content in before.items():
        file.write_bytes(content)
    (tmp_path / "index.graph.writing").write_bytes(b"half a fi")
    again = UsearchIndex.open(path, DIM, model_id="one", settings=SMALL_FRONT)
    assert again.watermark == 60
    again.upsert([60, 61], np.concatenate([unit_rows(60, seed=4)[59:], unit_rows(1, seed=8)]))
    again.save(path)
    assert len(list(tmp_path.iterdir())) == 3
    assert len(UsearchIndex.open(path, DIM, model_id="one", settings=SMALL_FRONT)) == 61


def test_the_same_history_writes_the_same_files(tmp_path: Path) -> None:
    saved(tmp_path / "a" / "index")
    saved(tmp_path / "b" / "index")
    first, second = ({file.name for file in (tmp_path / name).iterdir()} for name in "ab")
    assert first == second  # their names hold their hashes
