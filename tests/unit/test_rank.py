"""Similar cases: candidates, ranking, probability, silence, the guard and the refit."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from app.detectors.learn import Trees, _exported, fit
from app.detectors.rank import (
    FEATURES,
    PAIR_FEATURES,
    PAIR_RISES,
    Candidates,
    Case,
    Cases,
    Example,
    Guard,
    Ranker,
    answer,
    refit,
    train,
)
from app.domain import Matrix
from app.errors import Invalid

MODELS = Path(__file__).parents[2] / "models" / "ranker"
START = datetime(2026, 1, 5, tzinfo=UTC)
PROBLEMS = (
    "invoice export stops with timeout",
    "login page shows blank screen",
    "printer driver crashes on startup",
    "calendar sync loses recurring meetings",
)


def unit(*parts: float) -> Matrix:
    found: Matrix = (np.array(parts) / np.linalg.norm(parts)).astype(np.float32)
    return found


def case(number: int, problem: int, *, extra: str = "", product: str = "desk") -> Case:
    """A ticket about one of the problems, in its direction with a little of its own."""
    direction = np.eye(8)[problem] + 0.15 * np.random.default_rng(number).normal(size=8)
    return Case(
        ticket_id=f"t{number}",
        at=START + timedelta(hours=number),
        requester=f"r{number % 7}",
        title=PROBLEMS[problem],
        body=f"{PROBLEMS[problem]} since update {extra}",
        vector=unit(*direction),
        attributes={"product": product},
    )


def desk(count: int) -> tuple[Cases, Matrix]:
    cases, vectors = Cases(), []
    for number in range(count):
        one = case(number, number % len(PROBLEMS))
        assert cases.add(one) == number
        vectors.append(one.vector)
    return cases, np.vstack(vectors)


def look_up(
    cases: Cases, vectors: Matrix, query: Case, *, among: NDArray[np.bool_] | None = None
) -> Candidates:
    cosines = vectors @ query.vector
    allowed = cosines if among is None else np.where(among, cosines, -1.0)
    nearest = np.argsort(-allowed, kind="stable")
    nearest = nearest[allowed[nearest] > -1.0]
    return cases.candidates(query, nearest, cosines.__getitem__, among=among)


@pytest.fixture(scope="module")
def shipped() -> Ranker:
    return Ranker.load(MODELS / "ranker.json")


def test_the_same_problem_comes_first_with_its_reasons(shipped: Ranker) -> None:
    cases, vectors = desk(40)
    query = case(100, 2)
    found = answer(cases, look_up(cases, vectors, query), shipped, k=5)
    assert {match.number % len(PROBLEMS) for match in found.matches} == {2}
    assert found.matches[0].same == ("product",)
    assert found.matches[0].cosine == pytest.approx(float(vectors[found.matches[0].number] @ query.vector))


def test_probabilities_never_rise_down_the_list(shipped: Ranker) -> None:
    cases, vectors = desk(60)
    for problem in range(len(PROBLEMS)):
        found = answer(cases, look_up(cases, vectors, case(200 + problem, problem)), shipped)
        chances = [match.probability for match in found.matches]
        assert chances == sorted(chances, reverse=True)
        assert all(0.0 <= chance <= 1.0 for chance in chances)


def test_an_unlike_ticket_is_answered_with_silence_and_a_copy_is_not(shipped: Ranker) -> None:
    # Varied enough that a copy stands out among the rest.
    cases, vectors = Cases(), []
    draw = np.random.default_rng(5)
    for number in range(60):
        words = " ".join(f"thing{k}" for k in draw.integers(0, 400, size=9))
        one = replace(case(number, 0, extra=""), title=words, body=words, vector=unit(*draw.normal(size=64)))
        cases.add(one)
        vectors.append(one)
    matrix = np.vstack([one.vector for one in vectors])
    strange = replace(vectors[3], title="weather", body="nice day", vector=unit(*draw.normal(size=64)))
    assert answer(cases, look_up(cases, matrix, strange), shipped).silent
    copy = answer(cases, look_up(cases, matrix, vectors[3]), shipped)
    assert not copy.silent
    assert copy.matches[0].ticket_id == "t3"


def test_an_empty_memory_says_nothing(shipped: Ranker) -> None:
    cases = Cases()
    candidates = cases.candidates(
        case(0, 0), np.zeros(0, dtype=np.int64), lambda n: np.zeros(len(n), np.float32)
    )
    assert answer(cases, candidates, shipped).matches == ()
    assert answer(cases, candidates, shipped).silent


def test_only_allowed_tickets_are_found(shipped: Ranker) -> None:
    cases, vectors = desk(40)
    among = np.arange(40) < 20
    candidates = look_up(cases, vectors, case(100, 1), among=among)
    assert candidates.numbers.max() < 20
    assert len(candidates.numbers) > 0


def test_words_alone_find_a_case_whose_meaning_was_missed() -> None:
    cases, vectors = desk(200)
    odd = replace(case(300, 0), title="error E1042 on teardown", body="E1042", vector=unit(*np.ones(8)))
    number = cases.add(odd)
    vectors = np.vstack((vectors, odd.vector))
    query = replace(case(301, 3), title="E1042 again", body="saw E1042")
    candidates = look_up(cases, vectors, query)
    assert number in candidates.numbers


def test_a_field_counts_for_against_or_not_at_all() -> None:
    cases = Cases()
    for number, product in enumerate(("desk", "phone", "")):
        cases.add(case(number, 0, product=product))
    vectors = np.vstack([case(number, 0).vector for number in range(3)])
    features = look_up(cases, vectors, case(9, 0, product="Desk")).features
    assert features[:, FEATURES.index("same_product")].tolist() == [1.0, -1.0, 0.0]


def examples(count: int, *, lone: int = 0) -> list[Example]:
    """Answered queries in which the right case has higher similarities, more or less."""
    draw = np.random.default_rng(3)
    made = []
    for number in range(count + lone):
        same = np.zeros(20, dtype=bool)
        same[0] = number < count
        features = draw.normal(size=(20, len(FEATURES)))
        features[same] += 1.0
        made.append(
            Example(
                Candidates(np.arange(20), features, features[:, 11], draw.normal(size=(20, 4)) ** 2), same
            )
        )
    return made


def test_trees_as_arrays_answer_as_scikit_learn_does() -> None:
    draw = np.random.default_rng(1)
    rows = draw.normal(size=(600, 5))
    labels = rows[:, 0] + rows[:, 1] ** 2 + draw.normal(size=600) > 0.5
    model = HistGradientBoostingClassifier(max_iter=25, max_leaf_nodes=8, random_state=0).fit(rows, labels)
    assert np.allclose(_exported(model)(rows), model.decision_function(rows))


def test_a_model_is_the_same_after_storing_it() -> None:
    made = train(examples(60, lone=60), iterations=10, leaf=5)
    stored = json.loads(json.dumps(made.to_json()))
    rows = np.random.default_rng(2).normal(size=(50, len(FEATURES)))
    assert np.allclose(Trees.from_json(stored["order"])(rows), made.order(rows), atol=1e-4)


def test_a_ranker_may_only_rise_with_similarity(shipped: Ranker) -> None:
    draw = np.random.default_rng(4)
    rows = draw.uniform(-1, 1, size=(300, len(FEATURES)))
    higher = rows + draw.uniform(0, 0.5, size=rows.shape)
    assert (shipped.order(higher) >= shipped.order(rows) - 1e-6).all()


def test_training_twice_gives_the_same_bytes() -> None:
    one, two = (train(examples(50, lone=50), iterations=10, leaf=5).to_json() for _ in range(2))
    assert json.dumps(one) == json.dumps(two)


def test_probabilities_learned_on_a_stream_hold_on_average() -> None:
    known, unknown = examples(200, lone=200), examples(400, lone=400)[100:300]
    ranker = train(known, iterations=20, leaf=10)
    chances: list[float] = []
    truths: list[bool] = []
    for one in unknown:
        first, probabilities = ranker.ranked(one.candidates, Ranker.TOP)
        chances.extend(probabilities)
        truths.extend(one.same[first])
    assert np.mean(chances) == pytest.approx(np.mean(truths), abs=0.06)


def test_own_links_change_the_order_only_from_the_thirtieth(shipped: Ranker) -> None:
    assert refit(shipped, examples(29)) is shipped
    own = refit(shipped, examples(40))
    hits = [int(own.ranked(one.candidates, 1)[0][0] == 0) for one in examples(40)]
    before = [int(shipped.ranked(one.candidates, 1)[0][0] == 0) for one in examples(40)]
    assert sum(hits) > sum(before)


def test_a_ranker_that_has_not_learned_orders_by_fusion(shipped: Ranker) -> None:
    one = examples(1)[0]
    fused, _ = replace(shipped, learned=False).ranked(one.candidates, 20)
    assert fused.tolist() == np.argsort(-one.candidates.fused, kind="stable").tolist()


def test_the_guard_changes_over_when_the_desk_shows_another_way_is_better() -> None:
    guard = Guard("shipped", "fusion", needed=10)
    assert guard.best == "shipped"
    for _ in range(9):
        guard.note({"shipped": None, "fusion": 1})
    assert guard.best == "shipped"
    guard.note({"shipped": None, "fusion": 1})
    assert guard.best == "fusion"
    for _ in range(400):
        guard.note({"shipped": 1, "fusion": 3})
    assert guard.best == "shipped"


def test_a_model_made_for_other_inputs_is_refused(tmp_path: Path) -> None:
    stored = json.loads((MODELS / "ranker.json").read_text(encoding="utf-8"))
    stored["features"] = stored["features"][1:]
    (tmp_path / "old.json").write_text(json.dumps(stored), encoding="utf-8")
    with pytest.raises(Invalid, match="train it again"):
        Ranker.load(tmp_path / "old.json")


def test_falling_evidence_lowers_a_pairs_probability() -> None:
    rows = np.random.default_rng(8).normal(size=(400, len(PAIR_FEATURES)))
    pair = fit(rows, rows[:, 0] > 0.3, PAIR_RISES, iterations=10)
    lower = rows.copy()
    lower[:, 0] -= 1.0
    assert (pair(lower) <= pair(rows) + 1e-9).all()
