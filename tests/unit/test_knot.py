"""The neighbourhood scan on small made-up desks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray

from app.detectors.knot import Doc, Knot, Neighbourhood, Settings, strength
from app.detectors.scan import threshold

START = datetime(2026, 1, 5, tzinfo=UTC)
DIM = 256


def vector(topic: int, noise: int) -> NDArray[np.float16]:
    """A unit vector near its topic's axis; equal arguments give equal vectors."""
    mixed = np.random.default_rng([topic, noise]).normal(size=DIM) * 0.02
    mixed[topic % DIM] += 1.0
    found: NDArray[np.float16] = (mixed / np.linalg.norm(mixed)).astype(np.float16)
    return found


def background(count: int, *, days: float = 60.0) -> list[Doc]:
    """Unlike tickets of many customers, evenly spread from START."""
    draw = np.random.default_rng(7)
    docs = []
    for number in range(count):
        direction = draw.normal(size=DIM)
        words = " ".join(f"word{k}" for k in draw.integers(0, 3000, size=12))
        docs.append(
            Doc(
                ticket_id=f"b{number:04}",
                at=START + timedelta(days=days * number / count),
                customer=f"c{number % 97}",
                title=f"question about word{number % 500}",
                body=words,
                vector=(direction / np.linalg.norm(direction)).astype(np.float16),
            )
        )
    return docs


def report(number: int, *, at: datetime, customer: str = "", topic: int = 3) -> Doc:
    """One report of the problem `topic`, by a customer of its own unless one is named."""
    return Doc(
        ticket_id=f"t{topic}-{number:03}",
        at=at,
        customer=customer or f"hit{topic}-{number}",
        title=f"export to spreadsheet{topic} fails",
        body=f"ExportWriter{topic} throws when I export the ledger to a file",
        vector=vector(topic, number % 3),
        codes=(f"exp-40{topic}",),
    )


def burst(
    count: int, *, at: datetime, topic: int = 3, hours: float = 5.0, customers: int | None = None
) -> list[Doc]:
    """`count` reports of one problem, `hours` apart, by as many customers unless told."""
    return [
        report(
            number,
            at=at + timedelta(hours=hours * number),
            topic=topic,
            customer="" if customers is None else f"few{number % customers}",
        )
        for number in range(count)
    ]


def scan(docs: list[Doc], settings: Settings | None = None) -> list[Knot]:
    hood = Neighbourhood(settings)
    return [knot for doc in in_order(docs) if (knot := hood.feed(doc))]


def in_order(docs: list[Doc]) -> list[Doc]:
    return sorted(docs, key=lambda doc: (doc.at, doc.ticket_id))


LATER = START + timedelta(days=50)


def test_the_third_report_from_a_third_customer_is_called_with_its_evidence() -> None:
    knots = scan(background(400) + burst(3, at=LATER))
    assert [knot.ticket_id for knot in knots] == ["t3-002"]
    assert knots[0].ticket_ids == ("t3-000", "t3-001", "t3-002")
    assert knots[0].customers == 3
    assert knots[0].history == 0


def test_an_unremarkable_desk_is_not_called() -> None:
    assert scan(background(400)) == []


@pytest.mark.parametrize("customers", [1, 2])
def test_forty_reports_by_one_or_two_people_are_not_called(customers: int) -> None:
    assert scan(background(400) + burst(40, at=LATER, hours=0.5, customers=customers)) == []


def test_all_tickets_without_a_requester_count_as_one_person() -> None:
    anonymous = [replace(doc, customer="") for doc in burst(10, at=LATER)]
    assert scan(background(400) + anonymous) == []


def test_a_problem_the_desk_has_had_all_along_is_not_called() -> None:
    usual = [report(100 + k, at=START + timedelta(days=4 * k)) for k in range(11)]
    quiet = Settings(start=1.05, step=0.0, history=0.4)
    assert scan(background(400) + usual + burst(3, at=LATER), quiet) == []
    assert len(scan(background(400) + burst(3, at=LATER), quiet)) == 1


def test_reports_more_than_a_week_apart_are_not_one_burst() -> None:
    assert scan(background(400) + burst(3, at=START + timedelta(days=20), hours=24 * 8)) == []


def test_history_turns_the_dial_and_silences_nothing_live() -> None:
    days = [START + timedelta(days=30 + 3 * number) for number in range(8)]
    history = in_order(
        [*background(300, days=57.0), *(d for n, at in enumerate(days) for d in burst(3, at=at, topic=n))]
    )
    taught, fresh = Neighbourhood(), Neighbourhood()
    for doc in history:
        taught.learn(doc)
    assert taught.threshold > fresh.settings.first
    last = max(doc.at for doc in history)
    again = burst(3, at=last + timedelta(hours=1), topic=7)
    live = [replace(doc, ticket_id=f"live{n}", customer=f"other{n}") for n, doc in enumerate(again)]
    told = [taught.feed(doc) for doc in live]
    assert any(told)


def test_one_episode_is_called_once() -> None:
    assert len(scan(background(400) + burst(9, at=LATER, hours=2))) == 1


def test_a_suppressed_call_does_not_extend_the_episode() -> None:
    # Fifteen reports, one every second day: all within reach of their neighbours. Were suppressed
    # calls to mark their tickets, the first call would silence the whole chain for ever.
    chain = burst(15, at=START + timedelta(days=5), hours=48)
    knots = scan(background(400) + chain)
    assert len(knots) >= 2
    assert set(knots[0].ticket_ids).isdisjoint(knots[1].ticket_ids)


def test_a_ticket_fed_twice_counts_once() -> None:
    docs = in_order(background(200) + burst(3, at=START + timedelta(days=40)))
    hood, twice = Neighbourhood(), Neighbourhood()
    once = [hood.feed(doc) for doc in docs]
    again = [(twice.feed(doc), twice.feed(doc))[0] for doc in docs]
    assert once == again
    assert hood.state() == twice.state()


def test_nothing_later_changes_what_was_said() -> None:
    docs = in_order(background(400) + burst(5, at=LATER) + burst(5, at=LATER, topic=9))
    hood = Neighbourhood()
    said = [hood.feed(doc) for doc in docs]
    for end in (300, 350, 380):
        part = Neighbourhood()
        assert [part.feed(doc) for doc in docs[:end]] == said[:end]


@pytest.mark.parametrize("stop", [100, 300, 500])
def test_a_restart_from_stored_counts_changes_no_answer(stop: int) -> None:
    # Long enough for the oldest documents to be forgotten, with lines that become boilerplate.
    docs = [
        replace(doc, body=f"{doc.body}\nSent from phone {k}")
        for k, doc in enumerate(background(500, days=400))
    ]
    docs = in_order(
        docs + [doc for k in range(12) for doc in burst(4, at=START + timedelta(days=33 * k), topic=k)]
    )
    whole = Neighbourhood()
    before = [whole.feed(doc) for doc in docs[:stop]]
    counts, state = whole.counts(), whole.state()
    since = docs[stop - 1].at - whole.settings.memory - whole.settings.window
    restored = Neighbourhood.restore(counts, state, [doc for doc in docs[:stop] if doc.at >= since])
    assert any(before)
    assert [whole.feed(doc) for doc in docs[stop:]] == [restored.feed(doc) for doc in docs[stop:]]
    assert whole.state() == restored.state()
    assert whole.counts() == restored.counts()


def test_counts_saved_bit_by_bit_are_the_counts_saved_at_once() -> None:
    hood = Neighbourhood()
    saved: dict[tuple[str, int], int] = {}
    for doc in background(60):
        hood.feed(doc)
        saved.update({(table, slot): count for table, slot, count in hood.counts(changed=True)})
    assert [(*key, count) for key, count in saved.items() if count] != []
    assert sorted((*key, count) for key, count in saved.items() if count) == sorted(hood.counts())


def test_lines_many_earlier_tickets_held_do_not_make_a_knot() -> None:
    form = "Please describe the environment\nMachine model and serial\nSteps that lead to the problem"
    docs = [replace(doc, body=f"{form}\n{doc.body}") for doc in background(400)]
    assert scan(docs) == []


def test_the_dial_spends_the_budget_and_no_more() -> None:
    docs = in_order(
        [doc for k in range(50) for doc in burst(3, at=START + timedelta(hours=20 * k), topic=k)]
        + background(300)
    )
    few, many = (
        len(scan(docs, Settings(per_1000=budget, step=0.05, slope=0.0, up=2.0))) for budget in (3, 30)
    )
    assert few < many


def test_a_knot_is_stronger_when_it_is_rarer_and_the_desk_watches_more_topics() -> None:
    knot = scan(background(400) + burst(3, at=LATER))[0]
    rarer = replace(knot, score=knot.score + 0.2)
    assert rarer.false_per_1000 < knot.false_per_1000
    among = partial(strength, tickets_per_week=300.0)
    assert among(rarer, topics=1000) > among(knot, topics=1000)
    assert among(knot, topics=1000) == pytest.approx(among(knot, topics=100) + 1)


def test_a_knot_is_weaker_the_more_customers_said_so_before() -> None:
    told = []
    for customers in (0, 1, 3, 5):
        before = [report(50 + 3 * k, at=LATER - timedelta(days=8 * (k + 1))) for k in range(customers)]
        knots = scan(background(400) + before + burst(3, at=LATER), Settings(start=0.5, step=0.0))
        (knot,) = [k for k in knots if k.ticket_id == "t3-002"]
        assert knot.history == customers
        told.append(strength(knot, tickets_per_week=60.0, topics=1000))
    assert told == sorted(set(told), reverse=True)


def test_what_the_dial_just_lets_pass_is_worth_its_own_budget_on_any_desk() -> None:
    knot = scan(background(400) + burst(3, at=LATER))[0]
    for height in (0.6, 1.3):  # a desk of essays, a desk of set phrases
        just = replace(knot, score=height, threshold=height)
        budget = 300.0 * just.per_1000 / 1000
        assert threshold(1000, budget) < strength(just, tickets_per_week=300.0, topics=1000)
        assert strength(just, tickets_per_week=300.0, topics=1000) < threshold(1000, budget) + 1


def test_a_triple_in_an_established_pattern_is_not_called() -> None:
    docs = in_order(background(400) + burst(3, at=LATER))
    asked: list[tuple[str, ...]] = []

    def among(customers: int) -> list[Knot]:
        def earlier(ticket_ids: Sequence[str]) -> int:
            asked.append(tuple(ticket_ids))
            return customers

        hood = Neighbourhood()
        return [knot for doc in docs if (knot := hood.feed(doc, earlier))]

    young, old = among(Settings().established - 1), among(Settings().established)
    assert [k.earlier for k in young] == [Settings().established - 1]
    assert old == []
    assert set(asked) == {young[0].triple}


def test_the_dial_follows_a_desk_whose_everyday_questions_are_worded_alike() -> None:
    phrases = [doc for k in range(300) for doc in burst(3, at=START + timedelta(hours=20 * k), topic=k)]
    called = scan(in_order(phrases + background(300, days=250)))
    assert len([k for k in called if k.at > START + timedelta(days=120)]) <= 12


def test_two_copies_and_a_stranger_are_no_knot() -> None:
    stranger = replace(report(7, at=LATER + timedelta(hours=3)), title="other matter", body="", codes=())
    stranger = replace(stranger, vector=vector(9, 1))
    assert scan(background(400) + burst(2, at=LATER) + [stranger]) == []


def test_a_customer_has_one_voice_in_the_evidence() -> None:
    twice = replace(report(8, at=LATER + timedelta(hours=1)), customer="hit3-0")
    knots = scan(background(400) + burst(3, at=LATER) + [twice])
    assert len(knots) == 1
    assert len(knots[0].ticket_ids) == knots[0].customers == 3
    assert len(knots[0].related) == 1


def test_what_the_whole_desk_shares_makes_nobody_alike() -> None:
    common = vector(1, 0).astype(np.float64) * 2
    docs = []
    for doc in background(300):
        shifted = doc.vector.astype(np.float64) + common
        docs.append(replace(doc, vector=(shifted / np.linalg.norm(shifted)).astype(np.float16)))
    assert scan(docs) == []
