"""The grouping engine's promises: identity, exactness, restart, idempotence."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.detectors.grouping import Grouping, Item, Parameters, RevisionKind, Snapshot
from app.detectors.grouping.near import Rows, nearest
from app.domain import Signature

DIM = 32
START = datetime(2026, 3, 1, tzinfo=UTC)
CODE = Signature("aadsts50011", "aadsts", "AADSTS50011")
OTHER_CODE = Signature("ora-01555", "oracle", "ORA-01555")
GENERIC = Signature("http 500", "http", "HTTP 500", generic=True)


def topic(number: int) -> np.ndarray:
    direction = np.random.default_rng(number).normal(size=DIM)
    return direction / np.linalg.norm(direction)


def item(
    name: str, about: int, *, day: float = 0, spread: float = 0.5, codes: tuple[Signature, ...] = ()
) -> Item:
    """A ticket near a topic; two of one topic have a cosine of about 1 / (1 + spread²)."""
    noise = np.random.default_rng(abs(hash_of(name))).normal(size=DIM)
    vector = topic(about) + spread * noise / np.linalg.norm(noise)
    unit = (vector / np.linalg.norm(vector)).astype(np.float16)
    return Item(name, START + timedelta(days=day), f"customer {name}", unit, codes)


def hash_of(name: str) -> int:
    return int.from_bytes(name.encode()[-8:], "big")


def history(seed: int, size: int = 120, topics: int = 12, span: float = 40) -> list[Item]:
    """Tickets of recurring topics, one-offs and codes, in time order."""
    chance = random.Random(seed)
    items = []
    for number in range(size):
        about = chance.randrange(topics) if chance.random() < 0.7 else 1000 + number
        codes = tuple(code for code in (CODE, OTHER_CODE, GENERIC) if chance.random() < 0.05)
        day = span * number / size
        items.append(
            item(f"t{seed}-{number:04d}", about, day=day, spread=chance.uniform(0.5, 1.1), codes=codes)
        )
    return items


def play(engine: Grouping, items: list[Item], last: datetime | None = None) -> Grouping:
    """Feed tickets with a consolidation at every midnight between them."""
    for one in items:
        if last is not None and one.at.date() > last.date():
            engine.consolidate(one.at.replace(hour=0, minute=0, second=0, microsecond=0))
        engine.place(one)
        last = one.at
    return engine


def bits(engine: Grouping) -> list[object]:
    """The whole state in a form that compares bit for bit."""
    state = engine.export()
    return [
        state.patterns,
        [(m.item.ticket_id, m.pattern_id, m.rule, m.item.vector.tobytes()) for m in state.members],
        [(i.ticket_id, i.vector.tobytes()) for i in state.pool],
        state.edits,
        state.consolidated_at,
        state.dirty,
    ]


def test_three_alike_tickets_found_a_pattern_and_a_fourth_joins_it() -> None:
    engine = Grouping(DIM)
    decisions = [engine.place(item(f"t{n}", 1, day=n)) for n in range(4)]
    assert [d.rule for d in decisions] == ["none", "none", "founded", "group"]
    assert decisions[2].members == ("t0", "t1")
    assert decisions[2].new
    assert decisions[3].pattern_id == decisions[2].pattern_id
    assert engine.pattern_of("t0") == decisions[2].pattern_id


def test_of_many_tickets_only_those_nearest_in_time_are_compared() -> None:
    rows = Rows(DIM)
    for n in range(6):
        rows.put(f"t{n}", item(f"t{n}", 1).vector, 100.0 * n)
    vector = item("new", 1).vector
    all_inside = nearest(rows, vector, 600.0, wanted=9, window_s=450.0, compared=9)
    assert sorted(all_inside) == ["t2", "t3", "t4", "t5"]
    assert sorted(nearest(rows, vector, 600.0, wanted=9, window_s=450.0, compared=2)) == ["t4", "t5"]
    assert nearest(rows, vector, 600.0, wanted=2, window_s=450.0, compared=9) == all_inside[:2]


def test_an_old_twin_is_found_at_night_when_newer_tickets_took_its_place_in_the_comparison() -> None:
    engine = Grouping(DIM, Parameters(compared=2))
    for n in range(2):
        engine.place(item(f"twin{n}", 1, day=n / 100))
    for n in range(3):
        engine.place(item(f"other{n}", 50 + n, day=0.1 + n / 100))
    assert engine.place(item("twin2", 1, day=0.2)).pattern_id is None
    (revision,) = engine.consolidate(START + timedelta(days=1))
    assert (revision.kind, revision.ticket_ids) == (RevisionKind.FOUNDED, ("twin0", "twin1", "twin2"))


def test_unlike_tickets_stay_ungrouped() -> None:
    engine = Grouping(DIM)
    assert [engine.place(item(f"t{n}", n)).pattern_id for n in range(20)] == [None] * 20


def test_tickets_too_far_apart_in_time_do_not_found_a_pattern() -> None:
    engine = Grouping(DIM)
    assert [engine.place(item(f"t{n}", 1, day=31 * n)).pattern_id for n in range(4)] == [None] * 4


def test_two_tickets_with_one_specific_signature_found_a_pattern_however_worded() -> None:
    engine = Grouping(DIM)
    engine.place(item("a", 1, codes=(CODE,)))
    decision = engine.place(item("b", 2, codes=(CODE,)))
    third = engine.place(item("c", 3, codes=(CODE,)))
    assert decision.rule == "founded"
    assert third.rule == "signature"
    assert third.pattern_id == decision.pattern_id
    assert engine.consolidate(START + timedelta(days=1)) == []


def test_a_generic_signature_alone_brings_nothing_together() -> None:
    engine = Grouping(DIM)
    assert [engine.place(item(f"t{n}", n, codes=(GENERIC,))).pattern_id for n in range(5)] == [None] * 5


def test_different_specific_signatures_keep_like_worded_tickets_apart() -> None:
    engine = Grouping(DIM)
    for n in range(3):
        engine.place(item(f"a{n}", 1, codes=(CODE,)))
        engine.place(item(f"b{n}", 1, codes=(OTHER_CODE,)))
    engine.consolidate(START + timedelta(days=1))
    homes = [{engine.pattern_of(f"{side}{n}") for n in range(3)} for side in "ab"]
    assert [len(home) for home in homes] == [1, 1]
    assert homes[0] != homes[1]


def test_a_pattern_silent_for_long_returns_under_its_own_id() -> None:
    engine = Grouping(DIM)
    first = [engine.place(item(f"t{n}", 1)) for n in range(3)][-1]
    later = engine.place(item("late", 1, day=70))
    assert later.returned
    assert later.pattern_id == first.pattern_id


def test_an_edited_ticket_stays_in_its_pattern_until_consolidation() -> None:
    engine = play(Grouping(DIM), [item(f"t{n}", 1) for n in range(5)])
    home = engine.pattern_of("t1")
    assert engine.update(item("t1", 77)).pattern_id == home
    revisions = engine.consolidate(START + timedelta(days=1))
    assert [(r.kind, r.ticket_ids) for r in revisions] == [(RevisionKind.RELEASED, ("t1",))]


def test_a_deleted_ticket_leaves_no_trace_in_the_sums() -> None:
    plain, bereft = Grouping(DIM), Grouping(DIM)
    tickets = [item(f"t{n}", 1) for n in range(4)]
    play(plain, tickets)
    play(bereft, [*tickets, item("gone", 1)])
    bereft.remove("gone")
    assert bits(plain) == bits(bereft)


def test_sums_are_the_same_bits_for_any_order_of_coming_and_going() -> None:
    engine = play(Grouping(DIM), [item(f"t{n}", 1) for n in range(30)])
    group = engine.patterns()[0]
    shuffled = sorted(group.members.values(), key=lambda member: hash_of(member.item.ticket_id[::-1]))
    again = np.zeros(DIM)
    for member in shuffled:
        again += member.item.vector
    assert group.total.tobytes() == again.tobytes()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), cut=st.integers(0, 120))
def test_a_restored_engine_goes_on_bit_for_bit(seed: int, cut: int) -> None:
    items = history(seed)
    whole = play(Grouping(DIM), items)
    first = play(Grouping(DIM), items[:cut])
    resumed = Grouping.restore(first.export(), dim=DIM)
    assert bits(resumed) == bits(first)
    play(resumed, items[cut:], items[cut - 1].at if cut else None)
    assert bits(resumed) == bits(whole)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_consolidating_twice_changes_nothing_the_second_time(seed: int) -> None:
    engine = play(Grouping(DIM), history(seed))
    at = START + timedelta(days=41)
    engine.consolidate(at)
    before = bits(engine)
    engine.state.dirty = True
    assert engine.consolidate(at) == []
    assert bits(engine) == before


def test_old_members_leave_memory_but_not_the_pattern() -> None:
    engine = play(Grouping(DIM), [item(f"t{n}", 1) for n in range(5)])
    before = engine.patterns()[0].total.tobytes()
    engine.consolidate(START + timedelta(days=91))
    group = engine.patterns()[0]
    assert (group.count, len(group.members), group.total.tobytes()) == (5, 0, before)
    assert engine.place(item("back", 1, day=92)).pattern_id == group.id


def test_a_cluster_founds_a_pattern_whose_members_stay_though_worded_differently() -> None:
    engine = Grouping(DIM)
    for n in range(3):
        engine.place(item(f"t{n}", n))
    revision = engine.found(["t0", "t1", "t2"], START)
    assert revision is not None
    assert engine.consolidate(START + timedelta(days=1)) == []
    assert engine.pattern_of("t2") == revision.pattern_id


def test_a_cluster_with_one_foot_in_a_pattern_founds_one_of_its_own() -> None:
    engine = play(Grouping(DIM), [item(f"t{n}", 1) for n in range(4)])
    engine.place(item("new", 2))
    engine.place(item("newer", 3))
    revision = engine.found(["t0", "new", "newer"], START)
    assert revision is not None
    assert engine.pattern_of("new") == engine.pattern_of("newer") == revision.pattern_id
    assert engine.pattern_of("t0") not in (None, revision.pattern_id)
    assert engine.found(["t0", "t1", "alone"], START) is None


def test_earlier_customers_are_those_of_the_pattern_that_holds_most_tickets() -> None:
    engine = Grouping(DIM)
    for n, day in enumerate((0, 1, 1, 20, 21)):
        engine.place(item(f"t{n}", 1, day=day))
    engine.place(replace(item("more", 1, day=2), customer=item("t0", 1).customer))
    engine.place(item("alone", 2, day=20))
    assert engine.earlier(["t3", "alone"]) == 0, "no pattern holds most"
    assert engine.earlier(["alone", "unknown"]) == 0
    assert engine.earlier(["t0", "t1", "t3"]) == 0, "nobody was before the first of them"
    assert engine.earlier(["t3", "t4", "alone"]) == 3, "a customer with two tickets is one"


def test_a_cluster_of_too_few_ungrouped_tickets_founds_nothing() -> None:
    engine = Grouping(DIM)
    engine.place(item("t0", 0))
    assert engine.found(["t0", "unknown"], START) is None


def test_an_empty_snapshot_restores_to_an_empty_engine() -> None:
    assert Grouping.restore(Snapshot(), dim=DIM).patterns() == []


@pytest.mark.parametrize("join", [0.5, 0.58, 0.65])
def test_looser_joining_never_groups_fewer_tickets(join: float) -> None:
    items = history(3)
    looser = play(Grouping(DIM, Parameters(join=join)), items)
    stricter = play(Grouping(DIM, Parameters(join=join + 0.15)), items)
    assert len(looser.state.homes) >= len(stricter.state.homes)
