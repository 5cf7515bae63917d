"""Tokens, hashed counts and sparse rows."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.detectors.lexical import (
    Bm25,
    DocumentCounts,
    SparseRows,
    best,
    counted,
    masked,
    row_sums,
    shingles,
    slot,
    stem,
    term_slots,
    tokens,
)


def test_an_identifier_counts_whole_and_in_its_parts() -> None:
    assert list(tokens("NullReferenceException")) == [
        "nullreferenceexception",
        "null",
        "referenc",
        "exception",
    ]
    assert list(tokens("HTTPServer2 ok")) == ["httpserver2", "http", "server", "ok"]
    assert list(tokens("max_retry_count")) == ["max_retry_count", "max", "retry", "count"]


def test_a_script_without_spaces_counts_in_character_pairs() -> None:
    assert list(tokens("登录失败")) == ["登录", "录失", "失败"]


@pytest.mark.parametrize(
    "family",
    [
        ("crash", "crashes", "crashed", "crashing"),
        ("stop", "stops", "stopped", "stopping"),
        ("query", "queries"),
        ("close", "closes", "closed", "closing"),
        ("install", "installs", "installed"),
    ],
)
def test_the_forms_of_a_word_share_a_stem(family: tuple[str, ...]) -> None:
    assert len({stem(word) for word in family}) == 1


def test_unlike_words_keep_unlike_stems() -> None:
    assert len({stem(word) for word in ("status", "state", "class", "clash", "export", "import")}) == 6


def test_a_masked_line_is_the_same_whatever_is_filled_in() -> None:
    assert masked("Version: 4.2.1 (build 77)") == masked("version - 5.0 [build 9]")
    assert masked("*** 12:30 ***") == ""


def test_shingles_are_runs_of_four_words_and_short_lines_stay_whole() -> None:
    assert list(shingles("error: cannot open the file 12")) == [
        "error cannot open the",
        "cannot open the file",
    ]
    assert list(shingles("File not found!")) == ["file not found"]
    assert list(shingles("--- 42 ---")) == []


def test_a_slot_depends_only_on_kind_and_spelling() -> None:
    assert slot("term", "timeout") == 3996835  # stored counts depend on it
    assert slot("term", "timeout") != slot("code", "timeout")


@settings(deadline=None)
@given(st.lists(st.lists(st.sampled_from(["a1", "b2", "c3", "d4"]), min_size=1), min_size=1, max_size=20))
def test_counts_restored_from_their_rows_weigh_the_same(texts: list[list[str]]) -> None:
    counts, restored = DocumentCounts(), DocumentCounts()
    for text in texts:
        counts.add(counts.columns(counted(term_slots(" ".join(text)))[0]))
    restored.load(counts.rows(), counts.documents)
    some = counted(term_slots("a1 b2 c3 d4 e5"))[0]
    assert np.array_equal(counts.idf(counts.columns(some)), restored.idf(restored.columns(some)))
    assert counts.rows() == restored.rows()


def test_only_changed_counts_are_given_again() -> None:
    counts = DocumentCounts()
    first, second = (counted(term_slots(word))[0] for word in ("red", "green"))
    counts.add(counts.columns(first))
    assert counts.rows(changed=True) == [(int(first[0]), 1)]
    counts.add(counts.columns(second))
    assert counts.rows(changed=True) == [(int(second[0]), 1)]
    assert counts.rows(changed=True) == []


def test_a_counted_document_can_be_taken_back() -> None:
    counts = DocumentCounts()
    slots = counts.columns(counted(term_slots("the same words"))[0])
    counts.add(slots)
    counts.add(slots, times=-1)
    assert counts.rows() == []
    assert counts.documents == 0


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 50), max_size=6, unique=True), min_size=1, max_size=30), st.data())
def test_sparse_rows_give_back_what_was_put_in_after_dropping_the_oldest(
    lists: list[list[int]], data: st.DataObject
) -> None:
    rows = SparseRows()
    for one in lists:
        slots, weights = counted(one)
        rows.append(slots, weights)
    dropped = data.draw(st.integers(0, len(lists)))
    rows.drop(dropped)
    kept = lists[dropped:]
    assert len(rows) == len(kept)
    starts, slots, weights = rows.slice(0, len(kept))
    assert [slots[a:b].tolist() for a, b in itertools.pairwise(starts)] == [sorted(one) for one in kept]
    assert row_sums(weights, starts).tolist() == [float(len(one)) for one in kept]
    if kept:
        picked = [len(kept) - 1, 0]
        starts, slots, _ = rows.take(picked)
        assert [slots[a:b].tolist() for a, b in itertools.pairwise(starts)] == [
            sorted(kept[p]) for p in picked
        ]


def naive_bm25(documents: list[list[int]], query: list[int], k1: float = 1.2, b: float = 0.75) -> list[float]:
    """BM25 by its formula, one document at a time."""
    count, average = len(documents), sum(map(len, documents)) / len(documents)
    scores = []
    for document in documents:
        norm = k1 * (1 - b + b * len(document) / average)
        score = 0.0
        for term in set(query):
            df = sum(term in other for other in documents)
            tf = document.count(term)
            score += query.count(term) * np.log1p((count - df + 0.5) / (df + 0.5)) * tf / (tf + norm)
        scores.append(score)
    return scores


@given(
    st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=8), min_size=1, max_size=40),
    st.lists(st.integers(0, 12), min_size=1, max_size=5),
)
@settings(deadline=None)
def test_the_index_scores_as_the_formula_does_in_segments_and_fresh_rows_alike(
    documents: list[list[int]], query: list[int]
) -> None:
    index = Bm25(segment=4)
    assert [index.add(document) for document in documents] == list(range(len(documents)))
    assert index.scores(query) == pytest.approx(naive_bm25(documents, query), rel=1e-4, abs=1e-6)


def test_only_the_rarest_words_of_a_query_are_scored() -> None:
    index = Bm25(terms=1)
    for document in ([1, 2], [1, 3], [1, 2, 4]):
        index.add(document)
    assert index.scores([1, 2, 4]).argmax() == 2
    assert index.scores([1, 2, 4])[:2].tolist() == [0.0, 0.0]


def test_the_best_scores_come_first_and_the_older_of_equals() -> None:
    scores = np.array([0.0, 2.0, 1.0, 2.0, 1.0, 1.0], dtype=np.float32)
    assert best(scores, 4).tolist() == [1, 3, 2, 4]
    assert best(scores, 10).tolist() == [1, 3, 2, 4, 5]
