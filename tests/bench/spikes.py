"""Recall of the scan at equal noise on simulated streams whose truth is known.

support_desk: the production engine replayed hour by hour over a simulated desk. The thresholds that give
each budget of false alerts a week per 1,000 topics are found over all seeds together; "stated to real"
is what the engine's own threshold claims over what it really raised. The figures are of an engine that
knows of no release; a second table shows what telling it does.
noufaily: the weekly form at the false-positive rate of R's farringtonFlexible on the published benchmark.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.detectors.scan import threshold
from app.detectors.weekly import weekly_score
from tests.bench._desks import default_path, replay, simulator

HELP = "spikes, new errors, recurrences, releases and slow burns found at a budget of false alerts"
KINDS = (
    "spike", "novel", "recurrence", "release", "slowburn+40%", "slowburn+60%", "slowburn+100%",
)  # fmt: skip
RELEASES = 3
STATED = (1.0, 3.0, 10.0)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--simulator", choices=("support_desk", "noufaily"), default="support_desk")
    parser.add_argument("--path", type=Path, help="the simulator's file, default ../shared/bench/NAME.py")
    parser.add_argument("--seeds", type=int, nargs="+", default=[201, 202, 203, 204])
    parser.add_argument("--budget", type=float, default=3.0, help="false alerts a week per 1,000 topics")
    parser.add_argument("--topics", type=int, help="topics of the simulated desk")
    parser.add_argument("--fpr", type=float, default=0.009, help="noufaily: false-positive rate")
    parser.add_argument("--reps", type=int, default=1, help="noufaily: series per cell and seed")


def run(options: argparse.Namespace) -> dict[str, Any]:
    module = simulator(options.path or default_path(options.simulator))
    return _weekly(module, options) if options.simulator == "noufaily" else _desks(module, options)


def _desks(module: Any, options: argparse.Namespace) -> dict[str, Any]:
    size = {} if options.topics is None else _sized(module.CFG, options.topics)
    streams, strengths, told_strengths, cost = [], [], [], []
    for seed in options.seeds:
        stream = module.simulate(seed, **size)
        told = replay(stream.view, releases=_releases(stream.issues))
        streams.append(stream)
        strengths.append(told.strength)
        told_strengths.append(told.told)
        cost.append(1e6 * told.seconds / told.strength.size)
        print(f"seed {seed}: {len(told.strength)} topics, {len(told.voids)} mass events, {cost[-1]:.1f} us")
    masks = [module._masks(stream) for stream in streams]
    cases = list(zip(streams, strengths, masks, strict=True))
    told_cases = list(zip(streams, told_strengths, masks, strict=True))
    stated = {}
    for budget in STATED:
        real = _false_rate(module, cases, threshold(1000, budget))
        stated[f"{budget:g}"] = round(budget / max(real, 1e-9), 2)
    found = {budget: _at(module, cases, budget) for budget in dict.fromkeys((options.budget, *STATED))}
    _table(found)
    print("and when each release is told at its first ticket:")
    _table({budget: _at(module, told_cases, budget) for budget in found})
    figures = found[options.budget]
    return {
        "simulator": "support_desk",
        "seeds": options.seeds,
        "budget": options.budget,
        "recall": round(figures["recall"], 3),
        "recall_by_kind": {kind: round(figures[kind], 3) for kind in KINDS},
        "delay_h_by_kind": {kind: round(figures[f"{kind}.delay_h"], 1) for kind in KINDS},
        "false_per_week_per_1000": round(figures["fa_per_wk_1k"], 2),
        "stated_to_real": stated,
        "us_per_series": round(float(np.mean(cost)), 2),
    }


def _table(found: dict[float, dict[str, float]]) -> None:
    print(f"{'budget':>8} {'recall':>7} " + " ".join(f"{kind:>13}" for kind in KINDS))
    for budget, figures in found.items():
        kinds = " ".join(f"{figures[kind]:13.2f}" for kind in KINDS)
        print(f"{budget:8g} {figures['recall']:7.3f} {kinds}")


def _releases(issues: list[dict[str, Any]]) -> list[int]:
    """The hour each release showed first: the simulator spreads its issues over RELEASES and keeps no dates."""
    starts = [issue["start"] for issue in issues if issue["kind"] == "release"]
    return [min(starts[i::RELEASES]) for i in range(min(RELEASES, len(starts)))]


def _sized(usual: dict[str, Any], topics: int) -> dict[str, int]:
    """A desk of another size, with issues and floods in proportion."""
    counts = ("births", "spike", "novel", "recurrence", "release", "slowburn", "floods")
    return {"S": topics} | {name: max(3, round(usual[name] * topics / usual["S"])) for name in counts}


Case = tuple[Any, NDArray[np.float32], NDArray[np.bool_]]


def _false_rate(module: Any, cases: list[Case], bar: float) -> float:
    """False alerts a week per 1,000 topics above `bar`, over all streams."""
    rates = [module.evaluate(s, strength, bar, mask=m)["fa_per_wk_1k"] for s, strength, m in cases]
    return float(np.mean(rates))


def _at(module: Any, cases: list[Case], budget: float) -> dict[str, float]:
    """The scorer's figures, averaged over the streams, at the lowest bar that keeps to `budget`."""
    bar = _lowest(module, cases, budget, np.arange(6.0, -0.5, -0.1))
    bar = _lowest(module, cases, budget, np.arange(bar, bar - 0.1, -0.01))
    scored = [module.evaluate(stream, strength, bar, mask=mask) for stream, strength, mask in cases]
    keys = sorted({key for figures in scored for key in figures})
    return {key: _mean([figures.get(key, np.nan) for figures in scored]) for key in keys}


def _lowest(module: Any, cases: list[Case], budget: float, falling: NDArray[np.float64]) -> float:
    """The last of the `falling` bars before the first that exceeds the budget."""
    bar = float(falling[0])
    for candidate in falling.tolist():
        if _false_rate(module, cases, candidate) > budget:
            break
        bar = candidate
    return bar


def _mean(values: list[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else -1.0


def _weekly(module: Any, options: argparse.Namespace) -> dict[str, Any]:
    found = []
    for seed in options.seeds:
        data = module.simulate(reps=options.reps, seed=seed)
        found.append(module.at_fpr(data, _detect(data.y, module), options.fpr))
        print(f"seed {seed}: " + ", ".join(f"{k} {found[-1][k]:.3f}" for k in ("FPR", "F1", "POD", "POD1w")))
    keys = {"fpr": "FPR", "f1": "F1", "pod": "POD", "pod_first_week": "POD1w"}
    return {"simulator": "noufaily", "seeds": options.seeds} | {
        name: round(_mean([float(figures[key]) for figures in found]), 4) for name, key in keys.items()
    }


def _detect(counts: NDArray[np.int64], module: Any) -> NDArray[np.float64]:
    """(n, weeks scored) the weekly form's score, each week from the weeks up to it."""
    scores = np.empty((len(counts), module.N_CUR))
    beta = None
    for week in range(module.N_CUR):
        scores[:, week], beta = weekly_score(counts[:, : module.BASE_END + week + 1], beta)
    return scores
