"""The backtest over a real tracker, scored against bursts of duplicates that people linked.

A burst is detected when an alert cites two of its reports, a signature spike when an alert or a watch
cites three of its tickets within a day of the fifth. Budgets are stated as alerts per 1,000 tickets: the
weekly budget follows the traffic of the last four weeks, as someone who reads so many of 1,000 would set it.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import hashlib
import json
import os
from bisect import bisect_right
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from app.backtest import Clock, Raised, backtest, scratch
from app.detectors.embed import load_embedder
from app.domain import Matrix
from app.ingest import columns, files
from app.ingest.files import Rejected
from app.pipeline import importing
from app.ports import Embedder
from app.runtime import Runtime
from app.settings import MODELS, load
from app.store import events, tickets

HELP = "bursts of linked duplicates found by the backtest, at stated alert budgets"
LEAST_PER_WEEK = 5.0  # tickets a week the budget allows for at the least
LATELY = timedelta(days=28)
DAY = timedelta(days=1)
KNOWN_LATER = ("status", "resolution", "resolved_at", "duplicate_of", "tags")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--stream", type=Path, required=True)
    parser.add_argument("--groups", type=Path, required=True, help="the bursts, one CSV row per group")
    parser.add_argument("--spikes", type=Path, help="signature spikes, default beside the groups")
    parser.add_argument("--vectors", type=Path, help="keep embeddings in this file (.npz) from run to run")
    parser.add_argument("--k", type=int, default=3, choices=(3, 5), help="reports that make a burst")
    parser.add_argument("--per-1000", type=float, nargs="+", default=[3.0, 6.0], help="alert budgets")
    parser.add_argument("--tick-minutes", type=int, default=60)
    parser.add_argument("--limit", type=int, default=None, help="only the first tickets of the stream")
    parser.add_argument("--out", type=Path, default=None, help="write the last budget's alerts as JSON lines")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Backtest once per budget, side by side, and score."""
    for file in (options.stream, options.groups, *([options.spikes] if options.spikes else [])):
        if not file.is_file():
            raise SystemExit(f"{file}: there is no such file")
    with ProcessPoolExecutor(min(len(options.per_1000), os.cpu_count() or 1)) as pool:
        found = list(pool.map(partial(_budget, options), options.per_1000))
    _table(found)
    return {"budgets": found}


def _budget(options: argparse.Namespace, per_1000: float) -> dict[str, Any]:
    """The figures of one budget."""
    mapping = importing.plan(options.stream, {}, keep_unknown=False)
    blind = columns.Mapping({f: c for f, c in mapping.columns.items() if f not in KNOWN_LATER})
    reading = columns.Reading(source="stream", now=datetime.now(UTC))
    rows = [importing.read(row, blind, reading) for row in files.open_rows(options.stream)]
    raws = [r for r in rows if not isinstance(r, Rejected)][: options.limit]
    embedder = KeptVectors(load_embedder(MODELS / "all-minilm-l6-v2", workers=1), options.vectors)
    settings = load(alerts_per_week=per_1000 * LEAST_PER_WEEK / 1000, clusters_per_1000=per_1000)
    with scratch(settings, embedder) as (runtime, clock):
        reader = Reader(runtime, clock, sorted(r.created_at for r in raws), per_1000)
        raised = backtest(runtime, clock, raws, tick=timedelta(minutes=options.tick_minutes), progress=reader)
        spikes = _spikes(options, runtime)
    embedder.keep()
    if options.out and per_1000 == options.per_1000[-1]:
        options.out.write_text("".join(r.as_line() + "\n" for r in raised), encoding="utf-8")
    return _score(options, raised, per_1000, len(raws)) | spikes


@dataclass
class Reader:
    """Someone who reads so many alerts of 1,000 tickets: sets the weekly budget by the traffic lately."""

    runtime: Runtime
    clock: Clock
    filed: Sequence[datetime]
    per_1000: float

    def __call__(self, done: int, total: int) -> None:
        at = self.clock.at
        lately = bisect_right(self.filed, at) - bisect_right(self.filed, at - LATELY)
        per_week = max(LEAST_PER_WEEK, lately / (LATELY / timedelta(days=7)))
        budget = {"alerts_per_week": self.per_1000 * per_week / 1000}
        self.runtime.settings = self.runtime.settings.model_copy(update=budget)
        if done and done % 2000 < 3:
            print(f"  {self.per_1000:g} per 1,000: replayed {done:,} of {total:,}", flush=True)


class KeptVectors:
    """An embedder that remembers all it was asked, in a file when there is one: the second run is quicker."""

    def __init__(self, inner: Embedder, path: Path | None) -> None:
        self.inner, self.path = inner, path
        self.model_id, self.dim = inner.model_id, inner.dim
        self.rows: dict[str, Matrix] = {}
        if path is not None and path.exists():
            with np.load(path) as kept:
                self.rows = dict(zip(kept["keys"].tolist(), kept["rows"], strict=True))

    def embed(self, texts: Sequence[str]) -> Matrix:
        keys = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
        new = {key: text for key, text in zip(keys, texts, strict=True) if key not in self.rows}
        if new:
            self.rows |= zip(new, self.inner.embed(list(new.values())), strict=True)
        return np.array([self.rows[key] for key in keys], np.float32).reshape(len(texts), self.dim)

    def keep(self) -> None:
        if self.path is not None:
            part = self.path.with_suffix(f".{os.getpid()}.npz")
            np.savez(part, keys=np.array(list(self.rows)), rows=np.array(list(self.rows.values())))
            part.replace(self.path)


def _spikes(options: argparse.Namespace, runtime: Runtime) -> dict[str, float]:
    """The share of signature spikes that were watched or alerted, and alerted, in time."""
    path = options.spikes or Path(str(options.groups).replace(".groups.", ".signature_spikes."))
    if not path.exists() or path == options.groups:
        return {}
    with path.open(encoding="utf-8") as file:
        spikes = list(csv.DictReader(file))
    with runtime.store.read() as session:
        told = [
            e for e in events.after(session, 0, limit=10**9) if e.type in ("alert.opened", "alert.watching")
        ]
        names = {
            t: n.external_id for e in told for t, n in tickets.by_ids(session, e.data["ticket_ids"]).items()
        }
    found = alerted = 0
    for spike in spikes:
        mine, start, end = set(spike["ids"].split()), _time(spike["start"]), _time(spike["fifth_at"]) + DAY
        hits = [
            e.type for e in told
            if start <= e.at <= end and len(mine.intersection(names.get(t) for t in e.data["ticket_ids"])) >= 3
        ]  # fmt: skip
        found += bool(hits)
        alerted += "alert.opened" in hits
    count = max(1, len(spikes))
    return {
        "signature_spikes": round(found / count, 3),
        "signature_spikes_alerted": round(alerted / count, 3),
    }


def _score(options: argparse.Namespace, raised: list[Raised], per_1000: float, total: int) -> dict[str, Any]:
    """Recall of bursts; an alert counts for a burst from the burst's start on."""
    group_of, person_of = {}, {}
    opener = gzip.open if options.stream.suffix == ".gz" else open
    with opener(options.stream, "rt", encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            group_of[row["id"]], person_of[row["id"]] = row.get("group", ""), row.get("requester", "")
    bursts = {}
    with options.groups.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            start = row[f"b{options.k}_7d_start"]
            if start and int(row[f"b{options.k}_7d_requesters"]) >= min(options.k, 3):
                bursts[row["group"]] = (_time(start), _time(row[f"b{options.k}_7d_kth_at"]))
    first: dict[str, datetime] = {}
    small = 0
    for alert in sorted(raised, key=lambda a: a.at):
        counts: dict[str, int] = {}
        for id_ in alert.ids:
            if group_of.get(id_):
                counts[group_of[id_]] = counts.get(group_of[id_], 0) + 1
        small += len({person_of.get(i) or "unknown" for i in alert.ids}) < 3
        for group, count in counts.items():
            if count >= 2 and group in bursts and alert.at >= bursts[group][0]:
                first.setdefault(group, alert.at)
    delays = [(at - bursts[g][1]).total_seconds() / 3600 for g, at in first.items()]
    return {
        "per_1000": per_1000, "alerts_per_1000": round(1000 * len(raised) / total, 2), "bursts": len(bursts),
        "detected": len(first), "detected_7d": sum(d <= 168 for d in delays),
        "small_requester_alerts": small, "median_delay_h": round(median(delays), 1) if delays else None,
    }  # fmt: skip


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def _table(found: list[dict[str, Any]]) -> None:
    print(
        "budget/1,000  alerts/1,000  bursts  detected  within 7 d  few requesters  median delay h  spikes found"
    )
    for f in found:
        print(f"{f['per_1000']:12.1f}  {f['alerts_per_1000']:12.2f}  {f['bursts']:6}  {f['detected']:8}  "
              f"{f['detected_7d']:10}  {f['small_requester_alerts']:14}  {f['median_delay_h']!s:>14}  "
              f"{f.get('signature_spikes', '-')}")  # fmt: skip
