"""A 60-day stream of support tickets made from a file of labelled intents.

Columns needed: `body`, `label`. In-scope tickets are a random sample of the file's rows, so that issues
are as large, relative to each other, as the file has them. 30 % of the intents are born between day 10
and day 45 and arrive evenly from then on; the others do so from day 0. One-offs are out-of-scope
queries, requests that belong to none of the file's intents: each counts as an issue of its own. They
come from the file itself where it has rows labelled `oos`, and from the `--one-offs` file otherwise,
and make up 40 % of the stream.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.detectors.grouping import Item

Embed = Callable[[list[str]], NDArray[np.float16]]
DAYS = 60
ONE_OFFS = 0.4
BORN = 0.3
START = datetime(2026, 1, 1, tzinfo=UTC)
OUT_OF_SCOPE = "oos"


@dataclass(frozen=True)
class Labelled:
    """Texts with their intents, in file order, and vectors (n, dim) float16 where they are stored."""

    texts: list[str]
    labels: list[str]
    vectors: NDArray[np.float16] | None

    def rows(self, *, one_off: bool) -> NDArray[np.int64]:
        return np.array([i for i, label in enumerate(self.labels) if (label == OUT_OF_SCOPE) == one_off])


@dataclass(frozen=True)
class Stream:
    """Tickets in time order; `truth` is the issue of each, unique for a one-off; `born` maps the
    issues that begin mid-stream to their first day."""

    items: list[Item]
    texts: list[str]
    truth: list[str]
    born: dict[str, float]


def rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file, gzipped or not."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def load(path: Path, vectors: NDArray[np.float16] | None) -> Labelled:
    read = rows(path)
    if vectors is not None and len(read) != len(vectors):
        raise SystemExit(f"{path} has {len(read)} rows, its vectors {len(vectors)}")
    return Labelled([row["body"] for row in read], [row["label"] for row in read], vectors)


def stream(
    intents: Labelled, others: Labelled, seed: int, tickets: int | None = None, *, embed: Embed | None = None
) -> Stream:
    """The stream of one seed; `tickets` (default: as many as the one-offs allow) bounds its length.

    `embed` makes the vectors of the chosen texts where none are stored.
    """
    random = np.random.default_rng(seed)
    one_offs = random.permutation(others.rows(one_off=True))
    in_scope = intents.rows(one_off=False)
    size = min(len(in_scope), int(len(one_offs) * (1 - ONE_OFFS) / ONE_OFFS))
    if tickets:
        size = min(size, int(tickets * (1 - ONE_OFFS)))
    one_offs = one_offs[: int(size * ONE_OFFS / (1 - ONE_OFFS))]
    chosen, born = _sample(intents, in_scope, size, random)
    arrivals = [(DAYS * random.random(), others, int(row), f"one-off {row}") for row in one_offs]
    for row in chosen:
        label = intents.labels[row]
        first = born.get(label, 0.0)
        arrivals.append((first + (DAYS - first) * random.random(), intents, int(row), label))
    arrivals.sort(key=lambda arrival: arrival[0])
    texts = [source.texts[row] for _, source, row, _ in arrivals]
    vectors = embed(texts) if embed else np.stack([_stored(by, row) for _, by, row, _ in arrivals])
    items = [
        Item(f"t{i:06d}", START + timedelta(days=day), f"c{i}", vectors[i])
        for i, (day, *_) in enumerate(arrivals)
    ]
    return Stream(items, texts, [label for *_, label in arrivals], born)


def _stored(source: Labelled, row: int) -> NDArray[np.float16]:
    if source.vectors is None:
        raise SystemExit("no vectors at hand and no way to make them")
    vector: NDArray[np.float16] = source.vectors[row]
    return vector


def _sample(
    intents: Labelled, in_scope: NDArray[np.int64], size: int, random: np.random.Generator
) -> tuple[list[int], dict[str, float]]:
    labels = sorted({intents.labels[row] for row in in_scope})
    emerging = random.permutation(labels)[: round(BORN * len(labels))]
    born = {str(label): float(random.uniform(10, 45)) for label in emerging}
    return random.choice(in_scope, size, replace=False).tolist(), born
