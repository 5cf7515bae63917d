"""Log templates against labelled lines, with Drain3 as shipped and with our masks in the same run.

Figures are means over the systems of the file, as in Khan et al. 2022 and Jiang et al. 2024:
group accuracy GA = share of lines whose predicted group is exactly the true group; PGA and RGA =
share of predicted and of true templates that are exactly grouped; FGA = their harmonic mean. Speed
is CPU time, the fastest of several runs, and includes our masking.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from drain3 import TemplateMiner as Drain3
from drain3.template_miner_config import TemplateMinerConfig

from app.detectors.template import TemplateMiner, mask

HELP = "log templates on loghub lines against Drain3"
Parse = Callable[[Sequence[str]], list[Any]]


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--file", type=Path, required=True, help="CSV (may be gzipped): system, content, label"
    )
    parser.add_argument("--systems", action="store_true", help="print every system")
    parser.add_argument("--repeats", type=int, default=3, help="runs of which the fastest counts")


def run(options: argparse.Namespace) -> dict[str, Any]:
    systems = read(options.file)
    figures = {}
    print(f"{'parser':<28}{'FGA':>7}{'GA':>7}{'PGA':>7}{'lines/s':>10}")
    for name, parse in (
        ("this", ours),
        ("Drain3 as shipped", drain3),
        ("Drain3 with our masks", drain3_masked),
    ):
        scores = {system: score(parse(lines), truth) for system, (lines, truth) in systems.items()}
        seconds = min(cpu_seconds(parse, systems) for _ in range(options.repeats))
        total = sum(len(lines) for lines, _ in systems.values())
        mean = {
            key: sum(score[key] for score in scores.values()) / len(scores) for key in ("fga", "ga", "pga")
        }
        figures[name] = {**mean, "lines_per_s": total / seconds}
        print(f"{name:<28}{mean['fga']:>7.3f}{mean['ga']:>7.3f}{mean['pga']:>7.3f}{total / seconds:>10.0f}")
        for system in scores if options.systems else ():
            row = scores[system]
            print(f"  {system:<26}{row['fga']:>7.3f}{row['ga']:>7.3f}{row['pga']:>7.3f}")
    this, shipped, masked = figures["this"], figures["Drain3 as shipped"], figures["Drain3 with our masks"]
    return {
        "fga": round(this["fga"], 4),
        "ga": round(this["ga"], 4),
        "pga": round(this["pga"], 4),
        "speed_vs_drain3": round(this["lines_per_s"] / shipped["lines_per_s"], 2),
        "drain3_fga": round(shipped["fga"], 4),
        "drain3_ga": round(shipped["ga"], 4),
        "drain3_masked_fga": round(masked["fga"], 4),
        "drain3_masked_ga": round(masked["ga"], 4),
    }


def read(path: Path) -> dict[str, tuple[list[str], list[str]]]:
    """Lines and true templates of every system, in file order."""
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
    systems: dict[str, tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
    for row in csv.DictReader(io.StringIO(text, newline="")):
        lines, truth = systems[row["system"]]
        lines.append(row["content"])
        truth.append(row["label"])
    return dict(systems)


def ours(lines: Sequence[str]) -> list[Any]:
    return list(TemplateMiner().add_all(lines))


def drain3(lines: Sequence[str]) -> list[Any]:
    miner = Drain3(config=TemplateMinerConfig())
    return [miner.add_log_message(line)["cluster_id"] for line in lines]


def drain3_masked(lines: Sequence[str]) -> list[Any]:
    return drain3([mask(line) for line in lines])


def cpu_seconds(parse: Parse, systems: dict[str, tuple[list[str], list[str]]]) -> float:
    began = time.process_time()
    for lines, _ in systems.values():
        parse(lines)
    return time.process_time() - began


def score(predicted: Sequence[Any], truth: Sequence[str]) -> dict[str, float]:
    """GA, PGA, RGA and FGA of one system."""
    pairs = Counter(zip(predicted, truth, strict=True))
    found, wanted = Counter(predicted), Counter(truth)
    exact = [count for (group, label), count in pairs.items() if count == found[group] == wanted[label]]
    pga, rga = len(exact) / len(found), len(exact) / len(wanted)
    fga = 2 * pga * rga / (pga + rga) if exact else 0.0
    return {"ga": sum(exact) / len(truth), "pga": pga, "rga": rga, "fga": fga}
