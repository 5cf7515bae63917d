"""Similar cases on a stream of linked duplicates: only earlier tickets are searched, with past statistics.

The model is the shipped one that was trained without the stream (see models/ranker/README.md); `own`
figures refit it on the stream's own links as they come. `--train` makes the shipped models anew.
"""

from __future__ import annotations

import argparse
import gzip
import importlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.detectors.lexical import Floats, best
from app.detectors.rank import (
    DENSE,
    FIELDS,
    KEPT,
    OWN_FROM,
    Case,
    Cases,
    Example,
    Guard,
    Ranker,
    by_words,
    refit,
    train,
)
from app.detectors.text import embedding_text
from app.domain import Matrix

HELP = "hit rate, calibration and silence of similar-case search on linked duplicates"
MODELS = Path(__file__).parents[2] / "models" / "ranker"


@dataclass(frozen=True, slots=True)
class Query:
    """One looked-up ticket: ranking by each method, and which candidates were the same issue."""

    linked: bool  # has an earlier duplicate that people marked
    example: Example
    dense: list[bool]  # of its first ten: the same issue?
    words: list[bool]
    seconds: float


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--stream", type=Path, nargs="+", required=True, help="JSON lines with a group column"
    )
    parser.add_argument("--vectors", type=Path, nargs="*", default=[], help="float16 .npy rows in file order")
    parser.add_argument(
        "--silent-sample", type=int, default=2000, help="queries without a duplicate to sample"
    )
    parser.add_argument(
        "--train", type=Path, help="write ranker models trained on the streams to this directory"
    )
    parser.add_argument("--model", type=Path, help="a ranker model instead of the shipped one")


def run(options: argparse.Namespace) -> dict[str, Any]:
    vectors = [*options.vectors, *[None] * len(options.stream)]
    played = {
        _name(path): play(path, given, options.silent_sample)
        for path, given in zip(options.stream, vectors, strict=False)
    }
    if options.train:
        return write_models(played, options.train)
    name, queries = next(iter(played.items()))
    return figures(queries, Ranker.load(options.model or model_for(name)))


def _name(path: Path) -> str:
    return path.name.split(".")[0]


def model_for(name: str) -> Path:
    """The shipped model that has not seen this stream."""
    without = MODELS / f"without-{name}.json"
    return without if without.exists() else MODELS / "ranker.json"


def write_models(played: dict[str, list[Query]], directory: Path) -> dict[str, Any]:
    """One model of all streams, and for each stream one of all the others."""
    directory.mkdir(parents=True, exist_ok=True)
    for left_out in [None, *played] if len(played) > 1 else [None]:
        names = [name for name in played if name != left_out]
        examples = [query.example for name in names for query in played[name]]
        ranker = train(examples, version="+".join(names))
        file = directory / (f"without-{left_out}.json" if left_out else "ranker.json")
        file.write_text(_stored(ranker), encoding="utf-8")
        print(f"{file}: {len(examples)} queries of {', '.join(names)}", flush=True)
        if left_out is None:
            words = train([by_words(one) for one in examples], version="words of " + "+".join(names))
            (directory / "words.json").write_text(_stored(words), encoding="utf-8")
    return {"models": len(played) + 1, "queries": sum(map(len, played.values()))}


def _stored(ranker: Ranker) -> str:
    return json.dumps(ranker.to_json(), separators=(",", ":")) + "\n"


# -- figures --------------------------------------------------------------------------------------------


def figures(queries: Sequence[Query], ranker: Ranker) -> dict[str, Any]:
    """All methods over the same queries, oldest first, so that refits and the guard see only the past."""
    linked = [query for query in queries if query.linked]
    shipped, own = _as_they_come(linked, ranker)
    fusion = [_hits(query.example, query.example.candidates.fused) for query in linked]
    methods = {
        "BM25": [query.words for query in linked],
        "dense": [query.dense for query in linked],
        "fusion of both": fusion,
        "ranker as shipped": shipped,
        "refitting on own links": own,
    }
    print(f"{len(linked)} queries with an earlier duplicate, {len(queries) - len(linked)} sampled without")
    for name, found in methods.items():
        rates = "/".join(f"{_rate(found, k):.3f}" for k in (1, 5, 10))
        print(f"  {name:24} hit@1/5/10 {rates}  mrr {_mrr(found):.3f}")
    error, silent = _calibration(queries, ranker)
    print(f"  calibration error {error:.4f}; {silent:.0%} of queries without a duplicate stay silent")
    return {
        "queries": len(linked),
        "hit1": _rate(shipped, 1),
        "hit5": _rate(shipped, 5),
        "hit10": _rate(shipped, 10),
        "mrr": _mrr(shipped),
        "bm25_hit10": _rate(methods["BM25"], 10),
        "dense_hit10": _rate(methods["dense"], 10),
        "fusion_hit10": _rate(fusion, 10),
        "own_hit1": _rate(own, 1),
        "own_hit5": _rate(own, 5),
        "own_hit10": _rate(own, 10),
        "ece": error,
        "nothing_similar_share": silent,
        "ms_per_query": round(1000 * float(np.mean([query.seconds for query in queries])), 2),
    }


def _as_they_come(linked: Sequence[Query], shipped: Ranker) -> tuple[list[list[bool]], list[list[bool]]]:
    """First ten of the shipped ranker and of the refitted one, each with its guard, query by query."""
    guard, own_guard = Guard("shipped", "fusion"), Guard("shipped", "fusion", "own")
    own, plain, refitted = shipped, [], []
    for number, query in enumerate(linked):
        if number >= OWN_FROM and (number in (OWN_FROM, 50, 100) or number % 100 == 0):
            own = refit(shipped, [one.example for one in linked[:number]])
        found = {
            "shipped": _hits(query.example, shipped.scores(query.example.candidates)),
            "fusion": _hits(query.example, query.example.candidates.fused),
            "own": _hits(query.example, own.scores(query.example.candidates)),
        }
        plain.append(found[guard.best])
        refitted.append(found[own_guard.best])
        ranks = {way: 1 + hits.index(True) if any(hits) else None for way, hits in found.items()}
        guard.note({way: ranks[way] for way in ("shipped", "fusion")})
        own_guard.note(ranks)
    return plain, refitted


def _hits(example: Example, scores: NDArray[np.float64]) -> list[bool]:
    found: list[bool] = example.same[np.argsort(-scores, kind="stable")[:10]].tolist()
    return found


def _rate(found: Sequence[Sequence[bool]], k: int) -> float:
    return round(sum(any(one[:k]) for one in found) / max(1, len(found)), 4)


def _mrr(found: Sequence[Sequence[bool]]) -> float:
    ranks = [1 / (1 + list(one).index(True)) if any(one) else 0.0 for one in found]
    return round(sum(ranks) / max(1, len(ranks)), 4)


def _calibration(queries: Sequence[Query], ranker: Ranker) -> tuple[float, float]:
    """Expected calibration error of the first five, and the share of lone queries that stay silent.

    Queries are weighted so that they stand for the whole stream. Silence is measured at the level
    that keeps nine in ten of the correct first hits.
    """
    chances: list[float] = []
    truths: list[bool] = []
    weights: list[float] = []
    heads = []
    for query in queries:
        order, probabilities = ranker.ranked(query.example.candidates, Ranker.TOP)
        chances.extend(probabilities)
        truths.extend(query.example.same[order])
        weights.extend([query.example.weight] * len(order))
        first = len(order) > 0
        heads.append((probabilities[0] if first else 0.0, first and query.example.same[order[0]], query))
    level = np.quantile([chance for chance, right, _ in heads if right], 1 - KEPT)
    lone = [chance < level for chance, _, query in heads if not query.linked]
    return _expected_error(np.array(chances), np.array(truths), np.array(weights)), round(
        float(np.mean(lone)), 4
    )


def _expected_error(chances: Floats, truths: NDArray[np.bool_], weights: Floats, bins: int = 15) -> float:
    """Weighted mean over equal-width bins of |mean probability - share of truths| (Naeini et al., 2015)."""
    place = np.minimum((chances * bins).astype(int), bins - 1)
    gaps = np.abs(np.bincount(place, weights * (chances - truths), bins))
    return round(float(gaps.sum() / weights.sum()), 4)


# -- playing a stream -----------------------------------------------------------------------------------


def play(path: Path, vectors: Path | None, silent: int) -> list[Query]:
    """Every linked ticket with an earlier duplicate, and a sample of those without, looked up in turn."""
    tickets = list(_read(path))
    matrix = (np.load(vectors) if vectors else _embed(tickets)).astype(np.float32)
    matrix /= np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-9)
    groups = [ticket.get("group") or "" for ticket in tickets]
    asked, weight = _asked(groups, silent)
    cases, queries = Cases(), []
    for number, ticket in enumerate(tickets):
        case = _case(ticket, matrix[number])
        if number in asked:
            queries.append(_look_up(cases, case, matrix[:number], groups[: number + 1], weight))
        cases.add(case)
    return queries


def _asked(groups: Sequence[str], silent: int) -> tuple[set[int], float]:
    """Numbers of the queries, and how many tickets each query without a duplicate stands for."""
    seen: set[str] = set()
    linked: list[int] = []
    alone: list[int] = []
    for number, group in enumerate(groups):
        (linked if group and group in seen else alone).append(number)
        seen.add(group)
    sample = np.random.default_rng(0).permutation(np.array(alone[1:]))[:silent].tolist()
    return set(linked) | set(sample), len(alone) / max(1, len(sample))


def _look_up(cases: Cases, case: Case, earlier: Matrix, groups: Sequence[str], weight: float) -> Query:
    """`groups` are those of all earlier tickets and, last, the query's own."""
    group = groups[-1] or None
    cosines = earlier @ case.vector
    began = time.perf_counter()
    nearest = best(cosines, DENSE)
    candidates = cases.candidates(case, nearest, cosines.__getitem__)
    seconds = time.perf_counter() - began
    linked = group in groups[:-1]
    by_words = candidates.numbers[np.argsort(-candidates.features[:, 1], kind="stable")]
    return Query(
        linked,
        Example(candidates, _same(candidates.numbers, groups, group), 1.0 if linked else weight),
        _same(nearest[:10], groups, group).tolist(),
        _same(by_words[:10], groups, group).tolist(),
        seconds,
    )


def _same(numbers: NDArray[np.int64], groups: Sequence[str], group: str | None) -> NDArray[np.bool_]:
    return np.array([groups[number] == group for number in numbers], dtype=bool)


def _embed(tickets: Sequence[dict[str, Any]]) -> Matrix:
    """Vectors of the shipped model, for a stream that comes without."""
    engine: Any = importlib.import_module("app.detectors.embed")
    embedder = engine.load_embedder(engine.shipped_model(), workers=os.cpu_count() or 1)
    found: Matrix = embedder.embed([embedding_text(ticket["subject"], ticket["body"]) for ticket in tickets])
    return found


def _read(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def _case(ticket: dict[str, Any], vector: Matrix) -> Case:
    return Case(
        ticket_id=ticket["id"],
        at=datetime.fromisoformat(ticket["created_at"]),
        requester=ticket.get("requester") or "",
        title=ticket.get("subject") or "",
        body=ticket.get("body") or "",
        vector=vector,
        attributes={name: ticket.get(name) or "" for name in FIELDS},
    )
