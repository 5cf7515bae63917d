"""Calibration, suggestions and average linkage, each against a plain computation."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage

from app.detectors.grouping import (
    Dial,
    Edit,
    EditKind,
    Grouping,
    Item,
    Parameters,
    SuggestionKind,
    calibrate,
    join_by_labels,
    reembedded,
)
from app.detectors.grouping.calibrate import chance_similarity, wilson_lower
from app.detectors.grouping.linkage import average_linkage, similar_pairs
from tests.unit.test_grouping import CODE, DIM, OTHER_CODE, START, bits, history, item, play, topic


def shifted(items: list[Item], by: float) -> list[Item]:
    """The same tickets with much boilerplate in common."""
    vectors = [one.vector + by * topic(4242) for one in items]
    units = [(vector / np.linalg.norm(vector)).astype(np.float16) for vector in vectors]
    return [replace(one, vector=unit) for one, unit in zip(items, units, strict=True)]


def test_average_linkage_over_sparse_pairs_equals_the_dense_one() -> None:
    vectors = np.stack([one.vector for one in history(5, size=200)]).astype(np.float64)
    pairs = similar_pairs(vectors.astype(np.float32), 0.5)
    ours = average_linkage(vectors, [1] * 200, pairs, 0.5, lambda *_: True)
    distances = (1 - vectors @ vectors.T)[np.triu_indices(200, 1)]
    dense = fcluster(linkage(distances, "average"), 0.5, "distance")
    theirs = [np.flatnonzero(dense == cluster).tolist() for cluster in np.unique(dense)]
    assert len(ours) > 5
    assert ours == sorted(cluster for cluster in theirs if len(cluster) > 1)


def test_what_is_not_allowed_together_is_not_linked() -> None:
    vectors = np.stack([item(f"t{n}", 1).vector for n in range(4)]).astype(np.float64)
    pairs = similar_pairs(vectors.astype(np.float32), 0.5)
    clusters = average_linkage(vectors, [1] * 4, pairs, 0.5, lambda i, j: {i, j} != {0, 3})
    assert not any({0, 3} <= set(cluster) for cluster in clusters)


def test_chance_similarity_ignores_one_customers_own_tickets() -> None:
    items = [item(f"t{n}", n) for n in range(100)]
    mine = [replace(item(f"m{n}", 1, spread=0.1), customer="one") for n in range(100)]
    assert chance_similarity(items + mine).median < 0.2
    assert chance_similarity(mine).pairs == 0


def test_a_shifted_space_is_centred_and_a_plain_one_is_not() -> None:
    items = history(1, size=300, topics=200)
    assert calibrate(items, Parameters()).centre is None
    calibration = calibrate(shifted(items, 1.0), Parameters())
    assert calibration.centre is not None
    assert abs(calibration.null.median) < 0.1


def test_the_dial_turns_the_threshold_unless_chance_forbids() -> None:
    wide = [replace(one, vector=np.resize(one.vector, 384)) for one in history(1, size=300, topics=200)]
    generator = np.random.default_rng(0)
    for n, one in enumerate(wide):
        vector = generator.normal(size=384)
        wide[n] = replace(one, vector=(vector / np.linalg.norm(vector)).astype(np.float16))
    joins = [calibrate(wide, Parameters(), dial=dial).parameters.join for dial in Dial]
    assert joins == [0.65, 0.58, 0.55]
    narrow = calibrate(history(1, size=300, topics=200), Parameters(), dial=Dial.BROADER)
    floor = narrow.null.median + 4.5 * narrow.null.spread
    assert narrow.parameters.join == pytest.approx(min(0.72, max(0.55, floor)), abs=1e-3)


@pytest.mark.parametrize(
    ("bound", "moved"),
    [(0.60, 0.56), (0.75, 0.60), (0.70, 0.60)],
)
def test_labels_move_the_threshold_by_a_small_step_a_week(bound: float, moved: float) -> None:
    scores = np.linspace(0.3, 0.95, 400)
    assert join_by_labels(scores, scores >= bound, Parameters()).join == pytest.approx(moved)
    patient = join_by_labels(scores, scores >= bound, Parameters(), weeks=52).join
    assert wilson_lower(int((scores >= bound).sum()), int((scores >= patient).sum())) >= 0.79


def test_too_few_labels_move_nothing() -> None:
    scores = np.linspace(0.3, 0.9, 49)
    assert join_by_labels(scores, scores > 0.7, Parameters()) == Parameters()


def test_the_wilson_bound_agrees_with_a_published_value() -> None:
    assert wilson_lower(8, 10) == pytest.approx(0.4902, abs=1e-4)


def test_siblings_are_suggested_until_rejected_or_separated() -> None:
    engine = Grouping(DIM, Parameters(join=0.75))
    near = 0.5 * topic(1) + 0.86 * topic(2)
    for n in range(6):
        engine.place(item(f"a{n}", 1, spread=0.4))
        noise = np.random.default_rng(n).normal(size=DIM)
        vector = near + 0.4 * noise / np.linalg.norm(noise)
        engine.place(Item(f"b{n}", START, f"c{n}", (vector / np.linalg.norm(vector)).astype(np.float16)))
    one, other = engine.patterns()
    engine.adopt(Parameters(join=one.cross(other) + 0.04))
    (found,) = [s for s in engine.suggestions(START) if s.kind is SuggestionKind.MERGE]
    assert {found.pattern_id, found.other_id} == {one.id, other.id}
    assert engine.suggestions(START, rejected={found.key}) == []
    engine.edit(Edit(id="e1", kind=EditKind.SEPARATE, at=START, actor="ada", patterns=(one.id, other.id)))
    assert engine.suggestions(START) == []


def test_a_pattern_with_two_specific_signatures_is_suggested_for_a_split() -> None:
    engine = Grouping(DIM)
    for n in range(3):
        engine.place(item(f"t{n}", 1))
    for n, code in enumerate([CODE, CODE, OTHER_CODE, OTHER_CODE]):
        engine.place(item(f"c{n}", 50 + n, codes=(code,)))
    a, b, c = (engine.pattern_of(name) or "" for name in ("t0", "c0", "c2"))
    for n, (into, loser) in enumerate([(a, b), (a, c)]):
        engine.edit(Edit(id=f"e{n}", kind=EditKind.MERGE, at=START, actor="ada", patterns=(into, loser)))
    engine.remove("t0")
    (found,) = engine.suggestions(START)
    assert found.kind is SuggestionKind.SPLIT
    assert found.ticket_ids == ("c2", "c3")


def test_a_tight_new_knot_inside_a_pattern_is_suggested_as_a_variant() -> None:
    engine = Grouping(DIM, Parameters(join=0.4))
    for n in range(8):
        engine.place(item(f"old{n}", 1, day=n, spread=0.9))
    variant = item("seed", 1, spread=0.9)
    for n in range(4):
        noise = np.random.default_rng(900 + n).normal(size=DIM)
        vector = variant.vector.astype(np.float64) + 0.2 * noise / np.linalg.norm(noise)
        unit = (vector / np.linalg.norm(vector)).astype(np.float16)
        engine.place(Item(f"new{n}", START + timedelta(days=20 + n), f"n{n}", unit))
    found = [s for s in engine.suggestions(START + timedelta(days=24)) if s.kind is SuggestionKind.VARIANT]
    assert [s.ticket_ids for s in found] == [("new0", "new1", "new2", "new3")]


def test_a_rehearsal_changes_nothing_and_says_what_would() -> None:
    engine = play(Grouping(DIM), history(2))
    before = bits(engine)
    at = START + timedelta(days=41)
    told = engine.rehearse(Parameters(join=0.70), at)
    assert told
    assert bits(engine) == before
    engine.adopt(Parameters(join=0.70))
    assert engine.consolidate(at) == told


def test_another_model_keeps_every_id_and_membership() -> None:
    engine = play(Grouping(DIM), history(2))
    snapshot = engine.export()
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(DIM, DIM)))[0]
    tickets = [*(member.item for member in snapshot.members), *snapshot.pool]
    vectors = {one.ticket_id: (one.vector @ rotation).astype(np.float16) for one in tickets}
    moved = reembedded(snapshot, vectors, dict(engine.state.homes), DIM)
    again = Grouping.restore(moved, dim=DIM)
    assert again.state.homes == engine.state.homes
    assert [group.id for group in again.patterns()] == [group.id for group in engine.patterns()]
    for group, before in zip(again.patterns(), engine.patterns(), strict=True):
        assert group.cohesion == pytest.approx(before.cohesion, abs=5e-3)
