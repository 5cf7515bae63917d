"""The book of sightings: the same series whatever order they came in and whenever it was read."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from app.detectors.book import Book
from app.domain import Topic, TopicKind

TOPIC = Topic("t", TopicKind.PATTERN, "key", "A topic", datetime(2026, 1, 1, tzinfo=UTC))


def book(sightings: list[int], *, read_after: set[int]) -> Book:
    kept = Book()
    kept.know([TOPIC])
    for n, ticket in enumerate(sightings):
        kept.add("t", 60.0 * (ticket % 7), f"ticket {ticket}", f"customer {ticket % 3}", live=ticket % 2 == 0)
        if n in read_after:
            kept.series("t")
    return kept


@given(st.lists(st.integers(0, 20), min_size=1, max_size=30), st.sets(st.integers(0, 29)))
def test_reading_between_additions_changes_nothing(tickets: list[int], read_after: set[int]) -> None:
    read, unread = (book(tickets, read_after=when).series("t") for when in (read_after, set[int]()))
    assert read.ticket_ids == unread.ticket_ids
    assert len(read.ticket_ids) == len(set(tickets))
    for column in ("at", "customer", "live"):
        assert getattr(read, column).tolist() == getattr(unread, column).tolist()


def test_a_dropped_sighting_is_gone_and_can_come_back() -> None:
    kept = book([1, 2, 3], read_after={2})
    kept.drop("t", ["ticket 2"])
    assert kept.series("t").ticket_ids == ("ticket 1", "ticket 3")
    kept.add("t", 120.0, "ticket 2", "customer 2", live=True)
    assert kept.series("t").ticket_ids == ("ticket 1", "ticket 2", "ticket 3")
