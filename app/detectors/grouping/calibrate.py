"""Thresholds from the desk's own tickets: what chance similarity looks like, and what labels say.

All functions are pure; a change applies to new decisions and the next consolidation, after a
rehearsal on a copy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from app.detectors.grouping.state import Item, Parameters, Sum, Vector

PAIRS = 200_000
SHIFTED = 0.15  # median chance similarity above which boilerplate or one narrow domain dominates
SHIFTED_JOIN = 0.55
FLOOR_SPREADS = 4.5
HIGHEST_JOIN = 0.72
LOWEST_JOIN = 0.50
ENOUGH_LABELS = 50
PRECISION = 0.80
WEEKLY_STEP = 0.02
Z95 = 1.959964


class Dial(StrEnum):
    """The one thing people turn."""

    FINER = "finer"
    BALANCED = "balanced"
    BROADER = "broader"


TURN = {Dial.FINER: 0.07, Dial.BALANCED: 0.0, Dial.BROADER: -0.03}


@dataclass(frozen=True, slots=True)
class Null:
    """Cosine of two tickets that have nothing to do with each other.

    `spread` is the distance from the median to the 15.87 % quantile, one standard deviation of a
    normal; only the left side is used, so that true repeats do not count.
    """

    median: float
    spread: float
    pairs: int

    @property
    def is_shifted(self) -> bool:
        return self.median > SHIFTED


@dataclass(frozen=True, slots=True)
class Calibration:
    """The parameters a desk should run with and how they came about.

    `centre` (dim,) is to be subtracted from every vector before use (`centred`); None when it is not.
    """

    parameters: Parameters
    null: Null
    centre: Sum | None
    reason: str


def chance_similarity(items: Sequence[Item], *, seed: int = 0, pairs: int = PAIRS) -> Null:
    """The null of random pairs with different customers and no signature in common."""
    if len(items) < 2:
        return Null(0.0, 0.0, 0)
    random = np.random.default_rng(seed)
    one, other = random.integers(0, len(items), (2, pairs))
    customers = np.unique([item.customer for item in items], return_inverse=True)[1]
    signed = [frozenset(item.keys) for item in items]
    strange = customers[one] != customers[other]
    strange &= np.array([not (signed[i] & signed[j]) for i, j in zip(one, other, strict=True)], np.bool_)
    one, other = one[strange], other[strange]
    if not len(one):
        return Null(0.0, 0.0, 0)
    vectors = np.stack([item.vector for item in items]).astype(np.float32)
    cosines = np.einsum("ij,ij->i", vectors[one], vectors[other])
    median, low = (float(value) for value in np.quantile(cosines, [0.5, 0.1587]))
    return Null(round(median, 6), round(median - low, 6), len(one))


def calibrate(
    items: Sequence[Item],
    base: Parameters,
    *,
    dial: Dial = Dial.BALANCED,
    seed: int = 0,
    centring: bool = True,
) -> Calibration:
    """Parameters for a desk from a sample of its tickets: centre a shifted space, then raise to the floor."""
    null, centre, join = chance_similarity(items, seed=seed), None, base.join
    if null.is_shifted and centring:
        centre = mean_vector(items)
        null = chance_similarity(
            [replace(item, vector=centred(item.vector, centre)) for item in items], seed=seed
        )
        join = SHIFTED_JOIN
    floor = null.median + FLOOR_SPREADS * null.spread
    turned = join + TURN[dial]
    chosen = round(min(HIGHEST_JOIN, max(turned, floor)), 4)
    space = "centred space" if centre is not None else "plain space"
    reason = f"{space}: {turned:.2f} by the dial, at least {floor:.2f} by chance similarity"
    return Calibration(replace(base, join=chosen), null, centre, reason)


def mean_vector(items: Sequence[Item]) -> Sum:
    """The mean (dim,) of the items' vectors: what all tickets of a desk have in common."""
    total: Sum = np.zeros(len(items[0].vector))
    for item in items:
        total += item.vector
    return total / len(items)


def centred(vector: Vector, centre: Sum) -> Vector:
    """The vector without what all tickets share, unit-length again."""
    shifted = vector.astype(np.float64) - centre
    return (shifted / max(float(np.linalg.norm(shifted)), 1e-12)).astype(np.float16)


def wilson_lower(hits: int, trials: int) -> float:
    """Lower end of the 95 % interval of a share (Wilson 1927)."""
    if not trials:
        return 0.0
    share, z2 = hits / trials, Z95 * Z95
    middle = share + z2 / (2 * trials)
    margin = Z95 * math.sqrt(share * (1 - share) / trials + z2 / (4 * trials * trials))
    return (middle - margin) / (1 + z2 / trials)


def join_by_labels(
    scores: NDArray[np.float64], same: NDArray[np.bool_], parameters: Parameters, *, weeks: float = 1.0
) -> Parameters:
    """The lowest join at which pairs are the same problem at least 80 % of the time, by people's labels.

    `scores` (n,) are cosines of labelled pairs, `same` (n,) what people said. It moves at most 0.02 a
    week; with fewer than 50 labels, or when no threshold is pure enough, the parameters stay.
    """
    if len(scores) < ENOUGH_LABELS:
        return parameters
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(same[order])
    pure = [
        float(scores[order[i]])
        for i in range(len(order))
        if wilson_lower(int(hits[i]), i + 1) >= PRECISION and scores[order[i]] >= LOWEST_JOIN
    ]
    if not pure:
        return parameters
    step = WEEKLY_STEP * weeks
    wanted = min(max(min(pure), parameters.join - step), parameters.join + step, HIGHEST_JOIN)
    return replace(parameters, join=round(wanted, 4))
