"""How well the grouping engine keeps issues together, apart, early and still, on a 60-day stream."""

from __future__ import annotations

import argparse
import importlib.util
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.detectors.grouping import Decision, Grouping, Parameters, Revision, RevisionKind
from app.ports import Embedder
from tests.bench import _bertopic, _intents

HELP = "quality of patterns on a 60-day stream of labelled intents"
SHARED = Path("../shared")
PURE = 0.6  # a pattern is an issue's own when at least this share of it is that issue
EARLY = 5


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--intents", type=Path, required=True, help="CSV (gzip) with body and label")
    parser.add_argument(
        "--one-offs", type=Path, help="CSV with rows labelled oos (default: CLINC150 beside it)"
    )
    parser.add_argument("--seed", type=int, action="append", help="repeat for several (default: 1)")
    parser.add_argument(
        "--vectors", type=Path, help="folder of NAME.npy instead of embedding (rows, dim) float16"
    )
    parser.add_argument("--metrics", type=Path, default=SHARED / "bench/stream_metrics.py")
    parser.add_argument("--tickets", type=int, help="at most so many tickets")
    parser.add_argument("--no-bertopic", action="store_true", help="leave the peer out")
    parser.add_argument("--join", type=float, default=Parameters().join)


@dataclass
class Watch:
    """What is seen while the stream runs."""

    own_at: dict[str, int] = field(default_factory=dict)  # issue -> its tickets when it first had a pattern
    own: dict[str, str] = field(default_factory=dict)  # issue -> that pattern
    changed: list[float] = field(default_factory=list)  # per day
    seconds: float = 0.0


def replay(stream: _intents.Stream, engine: Grouping) -> Watch:
    """Feed the stream ticket by ticket with a consolidation at each midnight; then see what happened.

    The memberships of every moment are rebuilt from the decisions and revisions alone.
    """
    began = time.process_time()
    log = _feed(stream, engine)
    watch = Watch(seconds=time.process_time() - began)
    homes, before, members, seen = (
        dict[str, str](),
        dict[str, str](),
        defaultdict[str, set[str]](set),
        Counter[str](),
    )
    truth = {item.ticket_id: label for item, label in zip(stream.items, stream.truth, strict=True)}
    for entry in log:
        looked_for = list(stream.born)
        if isinstance(entry, Decision):
            move(homes, members, (entry.ticket_id, *entry.members), entry.pattern_id)
            issue = truth[entry.ticket_id]
            seen[issue] += 1
            looked_for = [issue] if issue in stream.born else []
        else:
            for revision in entry:
                move(homes, members, revision.ticket_ids, destination(revision))
            both = before.keys() & homes.keys()
            if both:
                watch.changed.append(sum(before[one] != homes[one] for one in both) / len(both))
            before = dict(homes)
        for issue in looked_for:
            if issue not in watch.own and (own := own_pattern(members, homes, truth, issue)):
                watch.own_at[issue], watch.own[issue] = seen[issue], own
    assert homes == engine.state.homes, "decisions and revisions must tell all"
    return watch


def _feed(stream: _intents.Stream, engine: Grouping) -> list[Decision | list[Revision]]:
    log: list[Decision | list[Revision]] = []
    midnight = _intents.START + timedelta(days=1)
    for item in stream.items:
        while item.at >= midnight:
            log.append(engine.consolidate(midnight))
            midnight += timedelta(days=1)
        log.append(engine.place(item))
    log.append(engine.consolidate(midnight))
    return log


def destination(revision: Revision) -> str | None:
    """Where a revision's tickets are afterwards."""
    match revision.kind:
        case RevisionKind.RELEASED | RevisionKind.DISSOLVED:
            return None
        case RevisionKind.FOUNDED | RevisionKind.RESTORED:
            return revision.pattern_id
        case _:
            return revision.other_id


def move(homes: dict[str, str], members: dict[str, set[str]], tickets: Sequence[str], to: str | None) -> None:
    for ticket in tickets:
        if ticket in homes:
            members[homes.pop(ticket)].discard(ticket)
        if to is not None:
            homes[ticket] = to
            members[to].add(ticket)


def own_pattern(
    members: dict[str, set[str]], homes: dict[str, str], truth: dict[str, str], issue: str
) -> str | None:
    """A pattern of three tickets or more that is mostly this issue."""
    for name in sorted({home for ticket, home in homes.items() if truth[ticket] == issue}):
        mine = sum(truth[ticket] == issue for ticket in members[name])
        if len(members[name]) >= 3 and mine >= PURE * len(members[name]):
            return name
    return None


def score(stream: _intents.Stream, engine: Grouping, watch: Watch, metrics: ModuleType) -> dict[str, float]:
    homes = [engine.pattern_of(item.ticket_id) for item in stream.items]
    snapshot = metrics.snapshot(stream.truth, homes)
    sizes = Counter(stream.truth)
    emerging = [issue for issue in stream.born if sizes[issue] >= EARLY]
    early = sum(watch.own_at.get(issue, EARLY + 1) <= EARLY for issue in emerging)
    taken, later, nth = 0, 0, Counter[str]()
    for issue, home in zip(stream.truth, homes, strict=True):
        nth[issue] += 1
        if issue in watch.own and nth[issue] > watch.own_at[issue]:
            later += 1
            taken += home == engine.resolve(watch.own[issue])
    return {
        "bcubed_f": snapshot["F"],
        "bcubed_p": snapshot["P"],
        "bcubed_r": snapshot["R"],
        "noise_kept_out": snapshot["noise_kept_out"],
        "group_precision": snapshot["group_precision"],
        "issue_recall": snapshot["issue_recall"],
        "own_group_by_5": early / max(1, len(emerging)),
        "own_group_ever": sum(issue in watch.own for issue in emerging) / max(1, len(emerging)),
        "absorbed": taken / max(1, later),
        "id_churn_per_day": float(np.mean(watch.changed)) if watch.changed else 0.0,
        "groups": snapshot["groups"],
        "cpu_s": watch.seconds,
    }


def load_metrics(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("stream_metrics", path)
    if spec is None or spec.loader is None or not path.exists():
        raise SystemExit(f"no metrics at {path}; name the file with --metrics")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def load(path: Path, folder: Path | None) -> _intents.Labelled:
    """A file of intents with its stored vectors, if a folder of them is named."""
    stored = np.load(folder / f"{path.name.split('.')[0]}.npy") if folder else None
    return _intents.load(path, stored)


def embed(texts: list[str]) -> NDArray[np.float16]:
    """Vectors by the project's default embedder."""
    try:
        embedding: Any = importlib.import_module("app.detectors.embed")
    except ImportError as missing:
        raise SystemExit("no embedder at hand; name a folder of stored vectors with --vectors") from missing
    embedder: Embedder = embedding.load_embedder(embedding.shipped_model())
    return embedder.embed(texts).astype(np.float16)


def mean_figures(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means over the seeds; None where a peer is missing."""
    return {
        key: None if runs[0][key] is None else round(float(np.mean([run[key] for run in runs])), 5)
        for key in runs[0]
    }


def run(options: argparse.Namespace) -> dict[str, Any]:
    metrics = load_metrics(options.metrics)
    intents = load(options.intents, options.vectors)
    path = options.one_offs or options.intents.with_name("intents_clinc150.csv.gz")
    others = load(path, options.vectors) if path != options.intents else intents
    runs = []
    for seed in options.seed or [1]:
        vectors_by = None if options.vectors else embed
        stream = _intents.stream(intents, others, seed, options.tickets, embed=vectors_by)
        engine = Grouping(len(stream.items[0].vector), Parameters(join=options.join))
        watch = replay(stream, engine)
        figures: dict[str, Any] = score(stream, engine, watch, metrics)
        print(
            f"seed {seed}: {len(stream.items)} tickets  "
            + "  ".join(f"{k} {v:.4g}" for k, v in figures.items())
        )
        peer = {"bertopic_f": None, "bertopic_cpu_ratio": None}
        if not options.no_bertopic:
            vectors = np.stack([item.vector for item in stream.items])
            best = _bertopic.best(stream.texts, vectors, stream.truth, metrics)
            peer["bertopic_f"] = best["bertopic_f"]
            if best["bertopic_cpu_s"]:
                peer["bertopic_cpu_ratio"] = best["bertopic_cpu_s"] / watch.seconds
        runs.append(figures | peer)
    return mean_figures(runs)
