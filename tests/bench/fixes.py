"""Verdicts on simulated fixes: one that works, one that half works, one that does nothing, a silent source.

A verdict is asked for every day for eight weeks, as the product does; wrong is any day's "recovered" of a
fix that did not work, and any "not yet" of one that did. Too little data is never wrong, so how often and
how soon a right verdict comes is printed beside.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.detectors.baseline import Desk
from app.detectors.calendar import DAY_S, BusinessClock
from app.detectors.releases import Outcome, fix_verdict
from app.domain import Change, Release, Series, Topic, TopicKind
from tests.bench._desks import MONDAY

HELP = "verdicts on simulated fixes: works, half works, does nothing, source goes silent"
EFFECTS = {"works": 0.05, "half works": 0.5, "does nothing": 1.0, "source goes silent": 1.0}
AGES = ("weeks old", "days old")
CASES = [f"{effect}, {age}" for age in AGES for effect in EFFECTS]
YOUNG_DAYS, RARE = 6.0, 0.02  # a young problem's age when it is fixed, and what came of it before
FIX_DAY, DAYS_AFTER = 70, 56
OPEN_S, CLOSE_S = 8 * 3600.0, 18 * 3600.0


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--per-week", type=float, default=20.0, help="tickets of the problem before the fix")
    parser.add_argument("--desk-per-week", type=float, default=400.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(1, 41)))
    parser.add_argument("--noise", type=float, default=0.15, help="coefficient of variation of a day")


def run(options: argparse.Namespace) -> dict[str, Any]:
    wrong = recovered_silent = 0
    print(f"{'case':30} {'recovered':>10} {'not yet':>8} {'undecided':>10} {'median day':>11} {'wrong':>6}")
    for case in CASES:
        firsts = [_history(case, seed, options) for seed in options.seeds]
        ever = {o: sum(o in told for told, _ in firsts) for o in Outcome}
        bad = [_is_wrong(case, told) for told, _ in firsts]
        days = [day for _, day in firsts if day is not None]
        wrong += sum(bad)
        if case.startswith("source goes silent"):
            recovered_silent += ever[Outcome.RECOVERED]
        undecided = sum(day is None for _, day in firsts)
        print(
            f"{case:30} {ever[Outcome.RECOVERED]:10} {ever[Outcome.NOT_YET]:8} {undecided:10} "
            f"{np.median(days) if days else np.nan:11.0f} {sum(bad):6}"
        )
    return {
        "wrong_share": round(wrong / (len(CASES) * len(options.seeds)), 4),
        "recovered_on_silence": recovered_silent,
    }


def _is_wrong(case: str, told: set[Outcome]) -> bool:
    return (Outcome.NOT_YET if case.startswith("works") else Outcome.RECOVERED) in told


def _history(case: str, seed: int, options: argparse.Namespace) -> tuple[set[Outcome], int | None]:
    """Every verdict given over the eight weeks, and the day of the first that decided."""
    rng = np.random.default_rng([seed, CASES.index(case)])
    kind, _, age = case.partition(", ")
    effect, is_young = EFFECTS[kind], age == AGES[1]
    usual = _tickets(rng, FIX_DAY + DAYS_AFTER, options.desk_per_week, options.noise)
    problem = _tickets(rng, FIX_DAY + DAYS_AFTER, options.per_week, options.noise)
    fixed = MONDAY + FIX_DAY * DAY_S + 12 * 3600.0
    silent = fixed + rng.uniform(0.2, 10) * DAY_S if case.startswith("source") else np.inf
    begun = fixed - YOUNG_DAYS * DAY_S if is_young else MONDAY + rng.uniform(14, 42) * DAY_S
    early = rng.uniform(size=len(problem)) < (RARE if is_young else 0.0)
    kept = ((problem > begun) | early) & ((problem <= fixed) | (rng.uniform(size=len(problem)) < effect))
    mine = problem[kept & (problem <= silent)]
    whole = np.sort(np.concatenate([usual[usual <= silent], mine]))
    onset = datetime.fromtimestamp(begun, UTC) if is_young else None
    fix = Release("fix", datetime.fromtimestamp(fixed, UTC), Change.FIX, "the fix")
    told: set[Outcome] = set()
    first = None
    for day in range(1, DAYS_AFTER):
        at = fixed + day * DAY_S
        desk = Desk.build(_series("desk", TopicKind.DESK, whole[whole <= at]), BusinessClock(), at)
        topic = _series("p", TopicKind.PATTERN, mine[mine <= at])
        outcome = fix_verdict(topic, desk, fix, at, onset=onset).outcome
        told.add(outcome)
        if first is None and outcome is not Outcome.TOO_LITTLE_DATA:
            first = day
    return told, first


def _tickets(rng: np.random.Generator, days: int, per_week: float, noise: float) -> NDArray[np.float64]:
    """Poisson tickets in opening hours, a tenth as many on weekend days, days varying by `noise`."""
    times: list[float] = []
    for day in range(days):
        level = per_week / 5.2 * (1.0 if day % 7 < 5 else 0.1)
        size = rng.poisson(level * rng.gamma(noise**-2, noise**2))
        times += list(MONDAY + day * DAY_S + rng.uniform(OPEN_S, CLOSE_S, size))
    return np.sort(np.array(times))


def _series(key: str, kind: TopicKind, at: Sequence[float] | NDArray[np.float64]) -> Series:
    topic = Topic(key, kind, key, key, datetime.fromtimestamp(MONDAY, UTC))
    customer = np.arange(len(at), dtype=np.int64)
    return Series(
        topic, np.asarray(at, float), customer, np.ones(len(at), bool), tuple(str(i) for i in customer)
    )
