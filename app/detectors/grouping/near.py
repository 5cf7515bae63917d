"""Which tickets are alike: rows to compare with, nearest neighbours, and the pairs of the pool.

All of it is derived, and nothing is decided by a float32 product: it shortlists, float64 decides.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Rows32 = NDArray[np.float32]

DIGITS = 9
"""Scores are rounded to this many decimals before they are compared, so that no decision hangs on the
order in which a dot product was added up."""

SLACK = 1e-4
"""Float32 scores within this of a bound are decided in float64; their error is below 1e-5."""


class Rows:
    """Named float32 vectors in one growing matrix; removing one moves the last row into its place.

    A row's place depends on history, so nothing may be decided by it: rows only shortlist.
    """

    def __init__(self, dim: int) -> None:
        self._matrix = np.zeros((64, dim), np.float32)
        self._at = np.zeros(64)
        self.names: list[str] = []
        self._row: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, name: str) -> bool:
        return name in self._row

    @property
    def matrix(self) -> Rows32:
        """(n, dim), a view."""
        return self._matrix[: len(self.names)]

    @property
    def at(self) -> NDArray[np.float64]:
        """(n,) Unix seconds, a view."""
        return self._at[: len(self.names)]

    def row(self, name: str) -> int:
        return self._row[name]

    def put(self, name: str, vector: NDArray[np.floating], at: float = 0.0) -> None:
        """Add or replace one row."""
        row = self._row.setdefault(name, len(self.names))
        if row == len(self.names):
            self.names.append(name)
            if row == len(self._matrix):
                self._matrix = np.concatenate([self._matrix, np.zeros_like(self._matrix)])
                self._at = np.concatenate([self._at, np.zeros_like(self._at)])
        self._matrix[row] = vector
        self._at[row] = at

    def remove(self, name: str) -> None:
        row, last = self._row.pop(name), len(self.names) - 1
        moved = self.names.pop()
        if row != last:
            self.names[row] = moved
            self._row[moved] = row
            self._matrix[row] = self._matrix[last]
            self._at[row] = self._at[last]


class Neighbourhood:
    """Which ungrouped tickets are alike, kept from night to night so that only new ones are compared.

    A cache: an empty one gives the same pairs.
    """

    def __init__(self) -> None:
        self._of: dict[str, set[str]] = {}
        self._threshold = 2.0

    def forget(self, ticket_id: str) -> None:
        for other in self._of.pop(ticket_id, ()):
            self._of[other].discard(ticket_id)

    def pairs(self, rows: Rows, threshold: float) -> list[tuple[str, str]]:
        """Pairs of `rows` whose product reaches `threshold` (within float32 error), sorted."""
        if threshold < self._threshold:
            self._of.clear()
        self._threshold = threshold
        fresh = [name for name in rows.names if name not in self._of]
        self._of.update((name, set()) for name in fresh)
        wanted = rows.matrix[[rows.row(name) for name in fresh]]
        for start in range(0, len(fresh), 1024):
            near = np.nonzero(wanted[start : start + 1024] @ rows.matrix.T >= threshold - SLACK)
            for i, j in zip(near[0].tolist(), near[1].tolist(), strict=True):
                one, other = fresh[start + i], rows.names[j]
                if one != other:
                    self._of[one].add(other)
                    self._of[other].add(one)
        return sorted((one, other) for one, near in self._of.items() for other in near if one < other)


def nearest(
    rows: Rows, vector: NDArray[np.float16], at: float, *, wanted: int, window_s: float, compared: int
) -> list[str]:
    """The names of the `wanted` rows most similar to a vector (dim,) of a time, nearest first.

    Only rows inside the window are looked at, and of more than `compared` those nearest in time, so that
    a ticket costs the same however many there are.
    """
    apart, reach = np.abs(rows.at - at), window_s
    if len(rows) > compared:
        reach = min(reach, float(np.partition(apart, compared - 1)[compared - 1]))
    inside = np.flatnonzero(apart <= reach)
    matrix = rows.matrix if len(inside) == len(rows) else rows.matrix[inside]
    rough = matrix @ vector.astype(np.float32)
    if len(rough) > wanted:
        inside = inside[rough >= np.partition(rough, -wanted)[-wanted] - SLACK]
    exact = rows.matrix[inside].astype(np.float64) @ vector.astype(np.float64)
    scored = [
        (-round(score, DIGITS), rows.names[row])
        for score, row in zip(exact.tolist(), inside.tolist(), strict=True)
    ]
    return [name for _, name in sorted(scored)[:wanted]]
