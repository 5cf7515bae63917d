"""Boosted trees that may only rise with evidence: fitted by scikit-learn, kept and evaluated as arrays.

Monotone constraints are what lets a ranker trained on one desk serve another. A fitted model is plain
numbers: it is stored as JSON, never pickled, and needs nothing but numpy to answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize
from sklearn.ensemble import HistGradientBoostingClassifier

from app.detectors.lexical import Floats

Nodes = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Trees:
    """Boosted regression trees as arrays of shape (trees, nodes); a leaf points to itself."""

    feature: Nodes
    threshold: Floats
    left: Nodes
    right: Nodes
    value: Floats  # log-odds a leaf adds; 0 at inner nodes
    depth: int
    baseline: float

    def __call__(self, rows: Floats) -> Floats:
        """(n,) log-odds of (n, features) rows."""
        nodes = self.feature.shape[1]
        feature, threshold = self.feature.ravel(), self.threshold.ravel()
        left, right, value = self.left.ravel(), self.right.ravel(), self.value.ravel()
        first = (nodes * np.arange(len(self.feature), dtype=np.int64))[None, :]  # of each tree
        flat, row = rows.ravel(), (rows.shape[1] * np.arange(len(rows), dtype=np.int64))[:, None]
        at = np.broadcast_to(first, (len(rows), len(self.feature)))
        for _ in range(self.depth):
            goes_left = flat[row + feature[at]] <= threshold[at]
            at = first + np.where(goes_left, left[at], right[at])
        summed: Floats = self.baseline + value[at].sum(axis=1)
        return summed

    def to_json(self) -> dict[str, Any]:
        """The arrays as lists, real numbers to seven digits."""
        return {
            "feature": self.feature.tolist(),
            "threshold": np.round(self.threshold, 7).tolist(),
            "left": self.left.tolist(),
            "right": self.right.tolist(),
            "value": np.round(self.value, 7).tolist(),
            "depth": self.depth,
            "baseline": round(self.baseline, 7),
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Trees:
        """What `to_json` gave."""
        return cls(
            feature=np.array(stored["feature"], dtype=np.int32),
            threshold=np.array(stored["threshold"], dtype=np.float64),
            left=np.array(stored["left"], dtype=np.int32),
            right=np.array(stored["right"], dtype=np.int32),
            value=np.array(stored["value"], dtype=np.float64),
            depth=int(stored["depth"]),
            baseline=float(stored["baseline"]),
        )


def fit(
    rows: Floats,
    labels: NDArray[np.bool_],
    rises: Sequence[int],
    *,
    weights: Floats | None = None,
    iterations: int = 80,
    leaf: int = 50,
) -> Trees:
    """Trees for the log-odds of `labels` (n,); `rises` holds 1, 0 or -1 per column of `rows`."""
    model = HistGradientBoostingClassifier(
        learning_rate=0.1,
        max_iter=iterations,
        max_leaf_nodes=8,
        min_samples_leaf=leaf,
        l2_regularization=10.0,
        monotonic_cst=list(rises),
        early_stopping=False,
        random_state=0,
    )
    model.fit(rows, labels, sample_weight=weights)
    return _exported(model)


def platt(logits: Floats, right: NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and shift that make log-odds honest on judged cases (Platt, 1999, with his smoothed targets).

    The slope stays positive and is drawn towards 1, so few verdicts move little. Logits shape (n,).
    """
    hits = int(right.sum())
    target = np.where(right, (hits + 1) / (hits + 2), 1 / (len(right) - hits + 2))
    found = optimize.minimize(
        _platt_loss, np.zeros(2), args=(logits, target), method="L-BFGS-B", bounds=[(-2, 2), (-8, 8)]
    )
    return round(float(np.exp(found.x[0])), 6), round(float(found.x[1]), 6)


def _platt_loss(given: Floats, logits: Floats, target: Floats) -> float:
    """Cross-entropy of exp(given[0]) * logits + given[1], with a normal prior on the logarithm of the slope."""
    shifted = np.exp(given[0]) * logits + given[1]
    return float(np.sum(np.logaddexp(0.0, shifted) - target * shifted) + 2.0 * given[0] ** 2)


def _exported(model: Any) -> Trees:
    nodes = [predictors[0].nodes for predictors in model._predictors]
    size = max(map(len, nodes))
    shape = (len(nodes), size)
    own = np.tile(np.arange(size, dtype=np.int32), (len(nodes), 1))
    feature, left, right = np.zeros(shape, dtype=np.int32), own.copy(), own.copy()
    threshold, value = np.zeros(shape), np.zeros(shape)
    for tree, table in enumerate(nodes):
        inner = np.flatnonzero(table["is_leaf"] == 0)
        leaves = np.flatnonzero(table["is_leaf"])
        feature[tree, inner] = table["feature_idx"][inner]
        threshold[tree, inner] = table["num_threshold"][inner]
        left[tree, inner], right[tree, inner] = table["left"][inner], table["right"][inner]
        value[tree, leaves] = table["value"][leaves]
    depth = max(int(table["depth"].max()) for table in nodes)
    return Trees(feature, threshold, left, right, value, depth, float(model._baseline_prediction.ravel()[0]))
