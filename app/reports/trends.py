"""What rose and what fell between two periods, with the false discoveries among many topics kept in check.

Given a topic's customers in both periods together, those of the later one are binomial with the share the whole
desk has in it (Przyborowski and Wilenski 1940): a desk that grew is no trend. The p-values of all topics
compared at once become q-values by Benjamini and Hochberg (1995).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binom, false_discovery_control

MAX_Q = 0.05
LEAST_CUSTOMERS = 3  # in both periods together: fewer can never be told from chance


@dataclass(frozen=True, slots=True)
class Count:
    """One topic in the later period and in the one before it."""

    key: str
    label: str
    tickets: int
    customers: int
    tickets_before: int
    customers_before: int


@dataclass(frozen=True, slots=True)
class Move:
    """A topic's change: `expected` customers at its earlier share of the desk, `ratio` of seen to expected."""

    count: Count
    expected: float
    ratio: float | None  # None where nothing was there before
    p: float
    q: float

    @property
    def direction(self) -> str:
        """Rising, falling, or steady where chance explains it."""
        if self.q > MAX_Q:
            return "steady"
        return "rising" if self.count.customers > self.expected else "falling"


def moves(counts: Sequence[Count], *, desk: int, desk_before: int) -> list[Move]:
    """Every topic with enough customers to be compared, the least likely change first.

    `desk` and `desk_before` are the whole desk's distinct customers in the two periods.
    """
    held = [c for c in counts if c.customers + c.customers_before >= LEAST_CUSTOMERS]
    if not held or not desk or not desk_before:
        return []
    now = np.array([c.customers for c in held])
    both = now + np.array([c.customers_before for c in held])
    part = desk / (desk + desk_before)
    tail = np.minimum(binom.cdf(now, both, part), binom.sf(now - 1, both, part))
    p = np.minimum(1.0, 2.0 * tail)
    q = false_discovery_control(p, method="bh")
    found = [
        _move(c, desk / desk_before, float(one), float(corrected))
        for c, one, corrected in zip(held, p, q, strict=True)
    ]
    return sorted(found, key=lambda m: (m.p, -m.count.customers, m.count.key))


def _move(count: Count, growth: float, p: float, q: float) -> Move:
    expected = count.customers_before * growth
    return Move(count, expected, count.customers / expected if expected else None, p, q)
