"""BERTopic on the same vectors, as its users run it: one fit over all tickets, topic -1 is ungrouped."""

from __future__ import annotations

import importlib
import time
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

TOPIC_SIZES = (3, 5, 10, 15)


def best(
    texts: list[str], vectors: NDArray[np.float16], truth: list[str], metrics: ModuleType
) -> dict[str, Any]:
    """Figures of its best setting by F, and the CPU of that one fit; nulls when it is not installed."""
    try:
        peer = importlib.import_module("bertopic")
    except ImportError:
        print("bertopic is not installed; its columns are null (pip install bertopic)")
        return {"bertopic_f": None, "bertopic_cpu_s": None}
    wide = vectors.astype(np.float32)
    fit(peer, texts[:200], wide[:200], 5)  # compiles; not counted
    runs = []
    for size in TOPIC_SIZES:
        began = time.process_time()
        topics = fit(peer, texts, wide, size)
        seconds = time.process_time() - began
        figures = metrics.snapshot(truth, topics)
        print(f"bertopic min_topic_size {size}: {metrics.fmt(figures)} cpu_s={seconds:.1f}")
        runs.append((figures["F"], seconds))
    score, seconds = max(runs)
    return {"bertopic_f": float(score), "bertopic_cpu_s": seconds}


def fit(peer: Any, texts: list[str], vectors: NDArray[np.float32], size: int) -> list[int]:
    umap = importlib.import_module("umap")
    reducer = umap.UMAP(n_neighbors=15, n_components=5, min_dist=0.0, metric="cosine", random_state=1)
    model = peer.BERTopic(min_topic_size=size, umap_model=reducer, verbose=False)
    topics, _ = model.fit_transform(texts, vectors)
    return [int(topic) for topic in topics]
