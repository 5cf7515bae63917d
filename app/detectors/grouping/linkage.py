"""Average linkage over a sparse set of pairs: exact, because no other pair can ever reach the bound.

If A∪B is similar to C on average then A or B was; so pairs that start below the threshold only come
into play through a pair that did not (the reducibility of UPGMA; Müllner 2011, arXiv:1109.2378).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from app.detectors.grouping.near import DIGITS, SLACK, Rows32

BLOCK = 2048


def similar_pairs(rows: Rows32, threshold: float, *, first: int | None = None) -> Iterable[tuple[int, int]]:
    """Pairs (i < j) of rows whose product reaches `threshold`, within float32 error.

    `first`: only pairs with one of so many first rows.
    """
    end = len(rows) if first is None else first
    for start in range(0, end, BLOCK):
        block = rows[start : min(start + BLOCK, end)] @ rows[start:].T
        near = np.nonzero(np.triu(block >= threshold - SLACK, 1))
        yield from zip((near[0] + start).tolist(), (near[1] + start).tolist(), strict=True)


def average_linkage(
    sums: NDArray[np.float64],
    counts: Sequence[int],
    pairs: Iterable[tuple[int, int]],
    threshold: float,
    allowed: Callable[[int, int], bool],
) -> list[list[int]]:
    """Clusters (lists of node numbers) joined while their mean cross similarity reaches `threshold`.

    `sums` (n, dim) and `counts` (n,) are the nodes; `allowed` says of two nodes whether they may ever be
    in one cluster. Only clusters of two or more nodes are returned, in the order of their first node.
    """
    forest = _Forest(sums, counts, pairs, threshold, allowed)
    while forest.heap:
        forest.step()
    return sorted(members for members in forest.members.values() if len(members) > 1)


class _Forest:
    """Clusters growing by best pair first; merged ones get a new number, so stale pairs show."""

    def __init__(
        self,
        sums: NDArray[np.float64],
        counts: Sequence[int],
        pairs: Iterable[tuple[int, int]],
        threshold: float,
        allowed: Callable[[int, int], bool],
    ) -> None:
        self.sums = dict(enumerate(sums))
        self.counts = dict(enumerate(counts))
        self.members = {node: [node] for node in self.sums}
        self.near: dict[int, set[int]] = {node: set() for node in self.sums}
        self.threshold = threshold
        self.allowed = allowed
        self.heap: list[tuple[float, int, int]] = []
        self.next = len(self.sums)
        for one, other in pairs:
            self._propose(one, other)

    def _propose(self, one: int, other: int) -> None:
        pairs = self.counts[one] * self.counts[other]
        score = round(float(self.sums[one] @ self.sums[other]) / pairs, DIGITS)
        if score >= self.threshold:
            heapq.heappush(self.heap, (-score, one, other))
        self.near[one].add(other)
        self.near[other].add(one)

    def step(self) -> None:
        _, one, other = heapq.heappop(self.heap)
        if one not in self.members or other not in self.members:
            return
        a, b = self.members[one], self.members[other]
        if not all(self.allowed(left, right) for left in a for right in b):
            return
        new, self.next = self.next, self.next + 1
        neighbours = sorted((self.near.pop(one) | self.near.pop(other)) - {one, other})
        self.sums[new] = self.sums.pop(one) + self.sums.pop(other)
        self.counts[new] = self.counts.pop(one) + self.counts.pop(other)
        self.members[new] = sorted(self.members.pop(one) + self.members.pop(other))
        self.near[new] = set()
        for neighbour in neighbours:
            self.near[neighbour] -= {one, other}
            self._propose(neighbour, new)
