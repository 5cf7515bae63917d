"""The simulated support desk as the engine sees it: tickets with customers, replayed hour by hour."""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.detectors import releases as release_rule
from app.detectors import scan, slowburn
from app.detectors.baseline import Desk, Ledger, Span
from app.detectors.calendar import BusinessClock
from app.detectors.guards import mass_event
from app.detectors.scan import WINDOWS_H, calibrated, together
from app.domain import Series, Topic, TopicKind

ROOT = Path(__file__).resolve().parents[2]
MONDAY = datetime(2024, 1, 1, tzinfo=UTC).timestamp()
CLOCK = BusinessClock("UTC")
KEPT_OPEN = 1.0  # a topic of this strength is looked at again without a new ticket, as one with an alert is
NEVER = -9.0  # the score of a topic there is nothing to say of


def simulator(path: Path) -> Any:
    """Import a simulator file by path: other files of the same form can be named."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.exists():
        raise SystemExit(f"no simulator at {path}: name one with --path")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def default_path(name: str) -> Path:
    """The simulators live beside the repository, in ../shared/bench."""
    beside = [parent / "shared" / "bench" / f"{name}.py" for parent in ROOT.parents]
    return next((path for path in beside if path.exists()), beside[0])


def all_series(tickets: NDArray[np.int16], requesters: NDArray[np.int16]) -> tuple[list[Series], Series]:
    """Every topic's tickets and the desk's own, from hourly counts [S, H] of tickets and of new requesters.

    A further ticket is by the last requester before it on the same day; one without is dropped.
    """
    born = datetime.fromtimestamp(MONDAY, UTC)
    topics, at_all, who_all = [], [], []
    code = 0
    for s in range(len(requesters)):
        new = np.repeat(np.arange(requesters.shape[1]), requesters[s])
        again = np.repeat(np.arange(tickets.shape[1]), np.maximum(tickets[s] - requesters[s], 0))
        at = MONDAY + 3600.0 * new + _within(new)
        who = code + np.arange(len(at))
        code += len(at)
        late = MONDAY + 3600.0 * again + 3599.0
        by = np.searchsorted(at, late, side="right") - 1
        known = by >= 0
        known[known] = at[by[known]] // 86400 == late[known] // 86400
        at, who = np.concatenate([at, late[known]]), np.concatenate([who, who[by[known]]])
        order = np.argsort(at, kind="stable")
        at, who = at[order], who[order]
        topic = Topic(f"t{s:05d}", TopicKind.PATTERN, str(s), f"topic {s}", born)
        topics.append(Series(topic, at, who, np.ones(len(at), bool), ()))
        at_all.append(at)
        who_all.append(who)
    at, who = np.concatenate(at_all), np.concatenate(who_all)
    order = np.lexsort((who, at))
    desk = Topic("desk", TopicKind.DESK, "desk", "All tickets", born)
    return topics, Series(desk, at[order], who[order], np.ones(len(at), bool), ())


def _within(hours: NDArray[np.int64]) -> NDArray[np.float64]:
    """Seconds into the hour, spreading the tickets of one hour evenly over it."""
    if not len(hours):
        return np.empty(0)
    _, first, size = np.unique(hours, return_index=True, return_counts=True)
    place = np.arange(len(hours)) - np.repeat(first, size)
    return np.asarray(3600.0 * (place + 1) / (np.repeat(size, size) + 1))


def onsets(
    strength: NDArray[np.float32], threshold: float, *, gap_h: int = 72
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(topic, hour) of every episode raised after the first hour: above, and not so for `gap_h` hours."""
    topic, hour = np.nonzero(strength > threshold)
    new = np.ones(len(topic), bool)
    new[1:] = (topic[1:] != topic[:-1]) | (np.diff(hour) > gap_h)
    new &= hour > 0
    return topic[new], hour[new]


@dataclass
class Replay:
    """Strengths [S, hours scored] by the production engine, and what it cost in CPU seconds.

    `told` are the strengths of an engine that was told of releases, which `seconds` leaves out. Asked for
    details, `windows` [S, hours, windows], `burn` and `release` [S, hours] hold the scores before the scale.
    """

    strength: NDArray[np.float32]
    told: NDArray[np.float32]
    windows: NDArray[np.float32]
    burn: NDArray[np.float32]
    release: NDArray[np.float32]
    voids: list[Span] = field(default_factory=list)
    seconds: float = 0.0


def replay(view: Any, *, releases: Sequence[int] = (), detailed: bool = False) -> Replay:
    """Tick by tick over the scored hours: touched topics only, plus those that are strong already.

    `releases` are hours at which the engine is told of one.
    """
    topics, whole = all_series(view.tickets, view.requesters)
    count, hours = view.tickets.shape
    scored = hours - view.eval_from
    end = MONDAY + 3600.0 * hours
    desk = Desk.build(whole, CLOCK, end)
    ledger = Ledger.build(topics, desk)
    width = len(WINDOWS_H) + 2
    kept = np.full((count, scored if detailed else 0, width), NEVER, np.float32)
    strength, told = (np.full((count, scored), NEVER, np.float32) for _ in range(2))
    result = Replay(strength, told, kept[..., :-2], kept[..., -2], kept[..., -1])
    last, stood = np.full((count, width), NEVER), np.full(count, NEVER)
    for i in range(scored):
        at = MONDAY + 3600.0 * (view.eval_from + i + 1)
        fresh = view.tickets[:, view.eval_from + i] > 0
        began = time.process_time()
        span = mass_event(ledger, np.flatnonzero(fresh), desk, at, active_topics=count)
        if span is not None:
            result.voids.append(span)
            desk = Desk.build(whole, CLOCK, end, voids=result.voids)
            ledger = Ledger.build(topics, desk)
        rows = np.flatnonzero(fresh | (stood > KEPT_OPEN))
        found = scores(ledger, rows, desk, at)
        result.seconds += time.process_time() - began
        found = np.column_stack([found, after(ledger, rows, desk, at, releases)])
        now = np.where(fresh[rows, None], found, np.minimum(found, last[rows]))
        last[rows] = now
        best = np.maximum(together(now[:, :-2]), now[:, -2])
        strength[rows, i] = calibrated(best)
        told[rows, i] = stood[rows] = calibrated(np.maximum(best, now[:, -1]))
        if detailed:
            kept[rows, i] = now
    return result


def after(
    ledger: Ledger, rows: NDArray[np.int64], desk: Desk, at: float, releases: Sequence[int]
) -> NDArray[np.float64]:
    """(n,) the best score since any of the `releases`."""
    best = np.full(len(rows), NEVER)
    for hour in releases:
        since = MONDAY + 3600.0 * hour
        if len(rows) and 0.0 < at - since <= release_rule.RELEASE_DAYS * 86400.0:
            best = np.maximum(best, release_rule.evidence(ledger, rows, desk, since, at)[1])
    return best


def scores(ledger: Ledger, rows: NDArray[np.int64], desk: Desk, at: float) -> NDArray[np.float64]:
    """(n, windows + 1) score of every window, and of the slow burn last."""
    found = np.full((len(rows), len(WINDOWS_H) + 1), NEVER)
    if len(rows):
        seen = np.flatnonzero(np.isin(rows, scan.candidates(ledger, rows, desk, at)))
        found[seen, :-1] = np.maximum(scan.look(ledger, rows[seen], desk, at).score, NEVER)
        slow = np.flatnonzero(np.isin(rows, slowburn.candidates(ledger, rows, at)))
        until = desk.midnight_before(at)
        found[slow, -1] = np.maximum(slowburn.evidence(ledger, rows[slow], desk, until)[2], NEVER)
    return found
