"""Refit the calibration table on simulated desks where nothing happens, with the engine as it is.

Window penalties make every window raise equally often by chance; slow burns and releases have a stated share
of what the windows raise together; the scale then turns the best score into
false episodes per topic-week. Prints what `app/detectors/calibration.py` should say; --write writes it.
The desks differ in size, drift and noise, so that the table is no one desk's.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.detectors import calibration
from app.detectors.scan import WINDOWS_H, together
from tests.bench._desks import ROOT, default_path, onsets, replay, simulator

HELP = "refit the window penalties and the strength scale on null streams"
QUIET = {"spike": 0, "novel": 0, "recurrence": 0, "release": 0, "slowburn": 0}
DESKS: tuple[dict[str, Any], ...] = (
    {},
    {"drift_sd": 0.05, "noise_cv": 0.2},
    {"S": 800, "births": 80, "drift_sd": 0.03},
    {"surges": 1, "noise_cv": 0.2},
)
AIM = 3.0  # false episodes per week per 1,000 topics at which the windows are made equal
BURN_SHARE = 1 / 4  # of what the windows raise, slow burns raise besides: nothing else sees small rises
RELEASE_SHARE = 1 / 3  # and what begins at a release, a likelier beginning than any other
RATES = (30.0, 10.0, 3.0, 1.0)  # where the scale is read off, per week per 1,000 topics


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--path", type=Path, default=default_path("support_desk"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[901, 902, 903, 904])
    parser.add_argument("--write", action="store_true", help="write the table into the repository")


@dataclass
class Scores:
    """All null desks' scores [S, hours] of one kind, and how many topic-weeks they stand for."""

    desks: list[NDArray[np.float32]]

    @property
    def topic_weeks(self) -> float:
        return float(sum(len(scores) * scores.shape[1] / 168.0 for scores in self.desks))

    def rate(self, threshold: float) -> float:
        """Episodes per week per 1,000 topics above `threshold`."""
        episodes = sum(len(onsets(scores, threshold)[0]) for scores in self.desks)
        return 1000.0 * episodes / self.topic_weeks

    def threshold(self, rate: float) -> float:
        """The score above which `rate` episodes per week per 1,000 topics lie."""
        low, high = -3.0, 12.0
        for _ in range(24):
            middle = (low + high) / 2.0
            low, high = (middle, high) if self.rate(middle) > rate else (low, middle)
        return high


def run(options: argparse.Namespace) -> dict[str, Any]:
    module = simulator(options.path)
    windows: list[list[NDArray[np.float32]]] = [[] for _ in WINDOWS_H]
    burns: list[NDArray[np.float32]] = []
    since: list[NDArray[np.float32]] = []
    for i, seed in enumerate(options.seeds):
        view = module.simulate(seed, **QUIET, **DESKS[i % len(DESKS)]).view
        told = replay(view, releases=_releases(seed, view), detailed=True)
        for k in range(len(WINDOWS_H)):
            windows[k].append(told.windows[:, :, k])
        burns.append(told.burn)
        since.append(told.release)
        print(f"seed {seed}: {len(told.voids)} mass events, {told.seconds:.0f} s")
    off = {
        hours: _level(old, Scores(windows[k]), AIM, 3.0 - float(np.log10(AIM)))
        for k, (hours, old) in enumerate(calibration.WINDOW_PENALTY.items())
    }
    change = np.array(list(calibration.WINDOW_PENALTY.values())) - np.array(list(off.values()))
    scans = [_together(np.stack(desk, axis=2) + change) for desk in zip(*windows, strict=True)]
    bar = Scores(scans).threshold(AIM)
    slope, base = calibration.BURN_LINE
    slow = [(scores - base) / slope for scores in burns]
    burn = _like(Scores(slow), Scores(scans))
    release = _level(calibration.RELEASE_PENALTY, Scores(since), RELEASE_SHARE * AIM, bar)
    best = [np.maximum(scan, burn[0] * one + burn[1]) for scan, one in zip(scans, slow, strict=True)]
    scale = _line([Scores(best).threshold(rate) for rate in RATES])
    lines = [
        f"WINDOW_PENALTY = {off}",
        f"BURN_LINE = {burn}",
        f"RELEASE_PENALTY = {release}",
        f"SCALE = {scale}",
    ]
    print("\n".join(lines))
    if options.write:
        _write(lines)
    return {"window_penalty": off, "burn_line": burn, "release_penalty": release, "scale": scale}


def _together(scores: NDArray[np.float64]) -> NDArray[np.float32]:
    """[S, hours] the evidence of [S, hours, windows], topic by topic: all at once would need gigabytes."""
    return np.stack([together(topic) for topic in scores]).astype(np.float32)


def _releases(seed: int, view: Any) -> list[int]:
    """One release a week, in an hour of opening: there is always a fresh one that changed nothing."""
    rng = np.random.default_rng(seed)
    weeks = range(view.eval_from - 168, view.tickets.shape[1], 168)
    return [int(hour + 24 * rng.integers(0, 5) + rng.integers(8, 16)) for hour in weeks]


def _level(old: float, scores: Scores, rate: float, bar: float) -> float:
    """The penalty that lets `scores`, taken under the `old` one, raise `rate` episodes at `bar`."""
    return round(old + scores.threshold(rate) - bar, 2)


def _like(burns: Scores, scans: Scores) -> tuple[float, float]:
    """Slope and base that let slow burns raise BURN_SHARE of what the windows raise, at any of RATES."""
    evidence = [burns.threshold(BURN_SHARE * rate) for rate in RATES]
    slope, base = np.polyfit(evidence, [scans.threshold(rate) for rate in RATES], 1, w=np.sqrt(RATES))
    return round(float(slope), 2), round(float(base), 2)


def _line(thresholds: list[float]) -> tuple[tuple[float, float], ...]:
    """The straight line through (threshold, strength) at RATES, weighed by how many episodes each rests on.

    Tails are log-linear as far as they can be seen; a table would follow the noise of the rarest.
    """
    strengths = 3.0 - np.log10(RATES)
    slope, base = np.polyfit(strengths, thresholds, 1, w=np.sqrt(RATES))
    return tuple((round(float(base + slope * s), 2), round(float(s), 2)) for s in strengths[[0, -1]])


def _write(lines: list[str]) -> None:
    path = ROOT / "app" / "detectors" / "calibration.py"
    kept = path.read_text().splitlines()
    for line in lines:
        name = line.split(" = ")[0]
        row = next(i for i, text in enumerate(kept) if text.startswith(f"{name} = "))
        note = kept[row].partition("  # ")[2]
        kept[row] = f"{line}  # {note}" if note else line
    row = next(i for i, text in enumerate(kept) if text.startswith("VERSION = "))
    kept[row] = f'VERSION = "{int(calibration.VERSION) + 1}"'
    path.write_text("\n".join(kept) + "\n")
