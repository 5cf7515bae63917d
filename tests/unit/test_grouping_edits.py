"""What people decide holds, can be undone, and may not contradict itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from app.detectors.grouping import Edit, EditKind, Grouping, RevisionKind
from app.errors import Conflict, Invalid, NotFound
from tests.bench.edits import trial
from tests.unit.test_grouping import DIM, START, bits, item, play

AT = START + timedelta(days=2)


def two_patterns() -> tuple[Grouping, str, str]:
    """Five tickets a0..a4 of one topic and four b0..b3 of another."""
    engine = play(
        Grouping(DIM), [*(item(f"a{n}", 1) for n in range(5)), *(item(f"b{n}", 2) for n in range(4))]
    )
    return engine, str(engine.pattern_of("a0")), str(engine.pattern_of("b0"))


def edit(
    kind: EditKind, *patterns: str, tickets: tuple[str, ...] = (), name: str = "", undoes: str = ""
) -> Edit:
    return Edit(
        id=name or f"{kind}-1",
        kind=kind,
        at=AT,
        actor="ada",
        patterns=patterns,
        tickets=tickets,
        undoes=undoes,
    )


def undo(engine: Grouping, name: str) -> None:
    engine.edit(edit(EditKind.UNDO, name=f"undo-{name}", undoes=name))


def test_a_merge_redirects_the_loser_and_holds_through_consolidation() -> None:
    engine, a, b = two_patterns()
    _, revisions = engine.edit(edit(EditKind.MERGE, a, b))
    assert [(r.kind, r.pattern_id, r.other_id) for r in revisions] == [(RevisionKind.MERGED, b, a)]
    engine.consolidate(AT)
    assert engine.resolve(b) == a
    assert engine.pattern(b).id == a
    assert engine.pattern_of("b1") == a


def test_undoing_a_merge_brings_both_patterns_back_as_they_were() -> None:
    engine, a, b = two_patterns()
    before = bits(engine)
    engine.edit(edit(EditKind.MERGE, a, b))
    undo(engine, "merge-1")
    after = bits(engine)
    assert after[:3] == before[:3]
    assert engine.resolve(b) == b


def test_undoing_a_merge_brings_back_members_older_than_the_window() -> None:
    engine, a, b = two_patterns()
    engine.consolidate(START + timedelta(days=95))
    rows = (engine.row(a), engine.row(b))
    engine.edit(edit(EditKind.MERGE, a, b))
    undo(engine, "merge-1")
    assert (engine.row(a), engine.row(b)) == rows


def test_a_split_part_is_not_merged_back_by_the_engine() -> None:
    engine, a, _ = two_patterns()
    done, revisions = engine.edit(edit(EditKind.SPLIT, a, tickets=("a0", "a1")))
    new = done.patterns[1]
    assert revisions[0].other_id == new
    for day in range(3, 6):
        engine.consolidate(START + timedelta(days=day))
    assert {engine.pattern_of("a0"), engine.pattern_of("a1")} == {new}
    assert engine.pattern_of("a2") == a


def test_undoing_a_split_redirects_the_new_pattern_to_its_origin() -> None:
    engine, a, _ = two_patterns()
    done, _ = engine.edit(edit(EditKind.SPLIT, a, tickets=("a0", "a1")))
    undo(engine, "split-1")
    assert engine.resolve(done.patterns[1]) == a
    assert engine.pattern_of("a0") == a


def test_a_removed_ticket_does_not_come_back_even_when_edited() -> None:
    engine, a, _ = two_patterns()
    engine.edit(edit(EditKind.REMOVE, a, tickets=("a0",)))
    engine.consolidate(AT)
    engine.place(item("a0", 1, spread=0.1))
    engine.consolidate(AT + timedelta(days=1))
    assert engine.pattern_of("a0") != a


def test_undoing_a_removal_puts_the_ticket_back() -> None:
    engine, a, _ = two_patterns()
    engine.edit(edit(EditKind.REMOVE, a, tickets=("a0",)))
    undo(engine, "remove-1")
    assert engine.pattern_of("a0") == a


def test_a_block_follows_the_pattern_into_its_heir() -> None:
    engine, a, b = two_patterns()
    engine.edit(edit(EditKind.REMOVE, b, tickets=("b0",)))
    engine.edit(edit(EditKind.MERGE, a, b))
    engine.place(item("b0", 2, spread=0.1))
    assert engine.pattern_of("b0") != a


def test_a_moved_ticket_stays_where_it_was_put() -> None:
    engine, a, b = two_patterns()
    engine.edit(edit(EditKind.MOVE, b, tickets=("a0",)))
    engine.consolidate(AT)
    assert engine.pattern_of("a0") == b
    undo(engine, "move-1")
    assert engine.pattern_of("a0") == a


def test_linked_tickets_are_grouped_together() -> None:
    engine, a, _ = two_patterns()
    engine.place(item("odd", 99))
    engine.edit(edit(EditKind.LINK, tickets=("odd", "a0")))
    engine.consolidate(AT)
    assert engine.pattern_of("odd") == a


def test_linked_ungrouped_tickets_found_a_pattern_as_one_node() -> None:
    engine = Grouping(DIM)
    engine.place(item("odd", 99))
    engine.place(item("a0", 1))
    engine.edit(edit(EditKind.LINK, tickets=("odd", "a0")))
    decision = engine.place(item("a1", 1))
    assert decision.members == ("a0", "odd")


def test_a_pinned_pattern_survives_losing_its_tickets() -> None:
    engine, a, _ = two_patterns()
    engine.edit(edit(EditKind.PIN, a))
    for n in range(3):
        engine.remove(f"a{n}")
    assert engine.consolidate(AT) == []
    assert engine.pattern(a).count == 2


def test_a_pattern_that_nobody_touched_dissolves_when_it_is_too_small() -> None:
    engine, a, _ = two_patterns()
    for n in range(3):
        engine.remove(f"a{n}")
    assert [(r.kind, r.pattern_id) for r in engine.consolidate(AT)] == [(RevisionKind.DISSOLVED, a)]


def test_a_dismissed_pattern_keeps_absorbing_its_tickets() -> None:
    engine, a, _ = two_patterns()
    engine.edit(edit(EditKind.DISMISS, a))
    assert engine.place(item("a9", 1)).pattern_id == a


def test_an_edit_that_contradicts_another_is_refused_naming_both() -> None:
    engine, a, b = two_patterns()
    engine.edit(edit(EditKind.SEPARATE, a, b))
    with pytest.raises(Conflict, match=r"merge-1.*separate-1"):
        engine.edit(edit(EditKind.MERGE, a, b))
    with pytest.raises(Conflict, match=r"link-1.*separate-1"):
        engine.edit(edit(EditKind.LINK, tickets=("a0", "b0")))
    undo(engine, "separate-1")
    engine.edit(edit(EditKind.MERGE, a, b))


def test_a_ticket_put_somewhere_by_one_person_is_not_taken_away_by_another() -> None:
    engine, a, b = two_patterns()
    engine.edit(edit(EditKind.MOVE, b, tickets=("a0",)))
    with pytest.raises(Conflict, match=r"remove-1.*move-1"):
        engine.edit(edit(EditKind.REMOVE, b, tickets=("a0",)))
    with pytest.raises(Conflict, match=r"again.*move-1"):
        engine.edit(edit(EditKind.MOVE, a, tickets=("a0",), name="again"))


def test_an_edit_others_build_on_cannot_be_undone_before_them() -> None:
    engine, a, b = two_patterns()
    done, _ = engine.edit(edit(EditKind.SPLIT, a, tickets=("a0", "a1")))
    engine.edit(edit(EditKind.MERGE, b, done.patterns[1]))
    with pytest.raises(Conflict, match=r"merge-1.*split-1"):
        undo(engine, "split-1")


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (edit(EditKind.MERGE, "nope", "neither"), NotFound),
        (edit(EditKind.PIN, "a", "b"), Invalid),
        (edit(EditKind.MERGE, "a", "a"), Invalid),
        (edit(EditKind.MOVE, "a", tickets=()), Invalid),
        (edit(EditKind.LINK, tickets=("a0", "unknown")), NotFound),
        (edit(EditKind.UNDO, undoes="nothing"), NotFound),
    ],
)
def test_a_malformed_edit_changes_nothing(wrong: Edit, error: type[Exception]) -> None:
    engine, _, _ = two_patterns()
    before = bits(engine)
    with pytest.raises(error):
        engine.edit(wrong)
    assert bits(engine) == before


def test_an_old_member_can_be_recalled_to_be_removed() -> None:
    engine, a, _ = two_patterns()
    engine.consolidate(START + timedelta(days=95))
    with pytest.raises(NotFound):
        engine.edit(edit(EditKind.REMOVE, a, tickets=("a0",)))
    engine.recall(item("a0", 1), a)
    engine.edit(edit(EditKind.REMOVE, a, tickets=("a0",)))
    assert engine.pattern(a).count == 4


@pytest.mark.parametrize("seed", range(4))
def test_arbitrary_edits_hold_through_thirty_days_of_consolidation(seed: int) -> None:
    made, wrong = trial(seed, 36)
    assert made >= 20
    assert wrong == []


def test_a_restored_engine_is_bound_by_the_same_edits() -> None:
    engine, a, b = two_patterns()
    engine.edit(edit(EditKind.REMOVE, a, tickets=("a0",)))
    engine.edit(edit(EditKind.SEPARATE, a, b))
    again = Grouping.restore(engine.export(), dim=DIM)
    assert bits(again) == bits(engine)
    with pytest.raises(Conflict):
        again.edit(edit(EditKind.MERGE, a, b))
    assert again.consolidate(datetime(2026, 3, 4, tzinfo=UTC)) == engine.consolidate(
        datetime(2026, 3, 4, tzinfo=UTC)
    )


def test_a_merge_of_unlike_patterns_goes_on_drawing_the_tickets_of_both() -> None:
    engine, a, b = two_patterns()
    engine.edit(edit(EditKind.MERGE, a, b))
    assert {
        engine.place(item(f"{side}9", about, day=3)).pattern_id for side, about in (("a", 1), ("b", 2))
    } == {a}
    again = Grouping.restore(engine.export(), dim=DIM)
    assert again.place(item("b10", 2, day=3)).pattern_id == a
