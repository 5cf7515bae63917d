"""The backtest over a real tracker, scored against bursts of duplicates that people linked.

A burst is detected when an alert cites two of its reports. Budgets are stated as alerts per 1,000
tickets; the engine spends them as alerts per week of the stream's own traffic.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

from app.backtest import Raised, backtest, scratch
from app.detectors.embed import CachingEmbedder, load_embedder
from app.ingest import columns, files
from app.ingest.files import Rejected
from app.pipeline import importing
from app.settings import MODELS, load

HELP = "bursts of linked duplicates found by the backtest, at stated alert budgets"
KNOWN_LATER = ("status", "resolution", "resolved_at", "duplicate_of", "tags")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--stream", type=Path, required=True)
    parser.add_argument("--groups", type=Path, required=True, help="the bursts, one CSV row per group")
    parser.add_argument("--k", type=int, default=3, choices=(3, 5), help="reports that make a burst")
    parser.add_argument("--per-1000", type=float, nargs="+", default=[3.0, 6.0], help="alert budgets")
    parser.add_argument("--tick-minutes", type=int, default=60)
    parser.add_argument("--limit", type=int, default=None, help="only the first tickets of the stream")
    parser.add_argument("--out", type=Path, default=None, help="write the last budget's alerts as JSON lines")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Backtest once per budget and score."""
    mapping = importing.plan(options.stream, {}, keep_unknown=False)
    blind = columns.Mapping({f: c for f, c in mapping.columns.items() if f not in KNOWN_LATER})
    reading = columns.Reading(source="stream", now=datetime.now(UTC))
    rows = [importing.read(row, blind, reading) for row in files.open_rows(options.stream)]
    raws = [r for r in rows if not isinstance(r, Rejected)][: options.limit]
    weeks = (max(r.created_at for r in raws) - min(r.created_at for r in raws)) / timedelta(days=7)
    embedder = CachingEmbedder(load_embedder(MODELS / "all-minilm-l6-v2", workers=2), capacity=100_000)
    found = []
    for per_1000 in options.per_1000:
        per_week = per_1000 * len(raws) / 1000 / weeks
        settings = load(alerts_per_week=per_week, clusters_per_1000=per_1000)
        with scratch(settings, embedder) as (runtime, clock):
            raised = backtest(runtime, clock, raws, tick=timedelta(minutes=options.tick_minutes),
                              progress=_say)  # fmt: skip
        found.append(_score(options, raised, per_1000, len(raws)))
        if options.out:
            options.out.write_text("".join(r.as_line() + "\n" for r in raised), encoding="utf-8")
    _table(found)
    return {"budgets": found}


def _say(done: int, total: int) -> None:
    if done and done % 2000 < 3:
        print(f"  replayed {done:,} of {total:,}", flush=True)


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
    print("budget/1,000  alerts/1,000  bursts  detected  within 7 d  few requesters  median delay h")
    for f in found:
        print(f"{f['per_1000']:12.1f}  {f['alerts_per_1000']:12.2f}  {f['bursts']:6}  {f['detected']:8}  "
              f"{f['detected_7d']:10}  {f['small_requester_alerts']:14}  {f['median_delay_h']}")  # fmt: skip
