"""The series of every topic, kept sorted in memory so that a tick reads only what it needs."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Collection, Iterable

import numpy as np

from app.domain import Series, Topic, TopicKind

Row = tuple[float, str, int, bool]
"""(Unix seconds, ticket, customer code, live)"""


class Book:
    """Sightings by topic. Keyed by (topic, ticket): adding one twice counts it once."""

    def __init__(self) -> None:
        self._topics: dict[str, Topic] = {}
        self._rows: dict[str, list[Row]] = {}
        self._codes: dict[str, int] = {}
        self._series: dict[str, Series] = {}

    def know(self, topics: Iterable[Topic]) -> None:
        """Take in topics, or their new labels."""
        for topic in topics:
            self._topics[topic.id] = topic
            self._series.pop(topic.id, None)

    def knows(self, topic_id: str) -> bool:
        return topic_id in self._topics

    def topic(self, topic_id: str) -> Topic:
        return self._topics[topic_id]

    def topics(self) -> Iterable[Topic]:
        return self._topics.values()

    def add(self, topic_id: str, at: float, ticket: str, customer: str, *, live: bool) -> None:
        row = (at, ticket, self._codes.setdefault(customer, len(self._codes)), live)
        rows = self._rows.setdefault(topic_id, [])
        if not rows or rows[-1][:2] < row[:2]:
            rows.append(row)
        elif not self._holds(rows, row):
            insort(rows, row)
            self._series.pop(topic_id, None)

    @staticmethod
    def _holds(rows: list[Row], row: Row) -> bool:
        place = bisect_left(rows, (row[0], row[1], -1, False))
        return place < len(rows) and rows[place][:2] == row[:2]

    def drop(self, topic_id: str, tickets: Iterable[str]) -> None:
        """Forget these tickets' sightings of one topic."""
        gone = set(tickets)
        rows = self._rows.get(topic_id, [])
        self._rows[topic_id] = [row for row in rows if row[1] not in gone]
        self._series.pop(topic_id, None)

    def merge(self, loser: str, survivor: str) -> None:
        """Every sighting of one topic becomes the other's."""
        rows = self._rows.pop(loser, []) + self._rows.get(survivor, [])
        self._rows[survivor] = sorted({row[:2]: row for row in rows}.values())
        self._series.pop(loser, None)
        self._series.pop(survivor, None)

    def series(self, topic_id: str, *, since: float = -np.inf, until: float = np.inf) -> Series:
        """The topic's sightings in (since, until]."""
        whole = self._whole(topic_id)
        low, high = np.searchsorted(whole.at, [since, until], side="right").tolist()
        if (low, high) == (0, len(whole.at)):
            return whole
        return Series(
            whole.topic, whole.at[low:high], whole.customer[low:high], whole.live[low:high],
            whole.ticket_ids[low:high],
        )  # fmt: skip

    def _whole(self, topic_id: str) -> Series:
        """All of the topic's sightings; rows that came at the end are added to what was laid out before."""
        rows = self._rows.get(topic_id, [])
        whole = self._series.get(topic_id)
        if whole is None:
            whole = _series(self._topics[topic_id], rows)
        elif len(whole.at) < len(rows):
            whole = _joined(whole, _series(whole.topic, rows[len(whole.at) :]))
        self._series[topic_id] = whole
        return whole

    def active(self, since: float, kinds: Collection[TopicKind] = tuple(TopicKind)) -> int:
        """How many topics of these kinds were seen since then."""
        seen = (topic for topic, rows in self._rows.items() if rows and rows[-1][0] > since)
        return sum(self._topics[topic].kind in kinds for topic in seen)


def _series(topic: Topic, rows: list[Row]) -> Series:
    return Series(
        topic=topic,
        at=np.array([row[0] for row in rows], np.float64),
        customer=np.array([row[2] for row in rows], np.int64),
        live=np.array([row[3] for row in rows], np.bool_),
        ticket_ids=tuple(row[1] for row in rows),
    )


def _joined(before: Series, after: Series) -> Series:
    return Series(
        before.topic,
        np.concatenate([before.at, after.at]),
        np.concatenate([before.customer, after.customer]),
        np.concatenate([before.live, after.live]),
        before.ticket_ids + after.ticket_ids,
    )
