"""What placing a ticket costs when there are many: ungrouped ones in the window, and patterns.

Vectors are mixtures of two real texts' vectors, so that none is alike by accident and none is far from all.
"""

from __future__ import annotations

import argparse
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.detectors.grouping import Grouping, Item, PatternRow, Snapshot
from tests.bench import _intents
from tests.bench.grouping import embed

HELP = "CPU of placing a ticket among many ungrouped ones and patterns"
END = datetime(2026, 6, 1, tzinfo=UTC)
TEXTS = 500  # real ones that are mixed
MEMBERS = 5  # of each pattern
PLACED = 200


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--intents", type=Path, required=True, help="CSV (gzip) with body")
    parser.add_argument("--pool", type=int, action="append", help="ungrouped tickets (10,000 and 300,000)")
    parser.add_argument("--patterns", type=int, action="append", help="patterns (1,000 and 20,000)")


def run(options: argparse.Namespace) -> dict[str, Any]:
    texts = sorted({row["body"] for row in _intents.rows(options.intents)})[:TEXTS]
    real = embed(texts).astype(np.float32)
    figures: dict[str, Any] = {}
    for patterns in options.patterns or [1_000, 20_000]:
        for pool in options.pool or [10_000, 300_000]:
            each = cost_ms(real, pool, patterns)
            print(f"{pool:8,} ungrouped tickets, {patterns:7,} patterns: {each:6.2f} ms of CPU a ticket")
            figures[f"ms_{pool}_{patterns}"] = round(each, 2)
    return figures


def cost_ms(real: NDArray[np.float32], pool: int, patterns: int) -> float:
    """CPU of one ticket in ms, the mean over many placed one after another."""
    random = np.random.default_rng(1)
    engine = Grouping.restore(
        Snapshot(
            patterns=tuple(pattern(n, real, random) for n in range(patterns)),
            pool=tuple(items(real, pool, random, END - timedelta(days=29), timedelta(days=29))),
        ),
        dim=real.shape[1],
    )
    fresh = items(real, PLACED, random, END, timedelta(hours=1), prefix="new")
    began = time.process_time()
    engine.place_many(fresh)
    return 1000 * (time.process_time() - began) / PLACED


def mixed(real: NDArray[np.float32], count: int, random: np.random.Generator) -> NDArray[np.float16]:
    one, other = random.integers(0, len(real), (2, count))
    rows = real[one] + random.uniform(0.3, 1.0, (count, 1)).astype(np.float32) * real[other]
    unit: NDArray[np.float16] = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)
    return unit


def items(
    real: NDArray[np.float32],
    count: int,
    random: np.random.Generator,
    begin: datetime,
    span: timedelta,
    *,
    prefix: str = "t",
) -> list[Item]:
    vectors = mixed(real, count, random)
    return [Item(f"{prefix}{n:07d}", begin + span * n / count, f"c{n}", vectors[n]) for n in range(count)]


def pattern(number: int, real: NDArray[np.float32], random: np.random.Generator) -> PatternRow:
    """A pattern of copies of one ticket, as it is stored."""
    total = MEMBERS * mixed(real, 1, random)[0].astype("<f8")
    return PatternRow(
        id=f"pat_{number:06d}", founded_at=END - timedelta(days=80), last_at=END - timedelta(days=1),
        count=MEMBERS, vector_sum=total.tobytes(),
    )  # fmt: skip
