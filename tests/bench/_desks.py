"""The simulated support desk as the engine sees it: tickets with customers, replayed hour by hour."""

from __future__ import annotations

import importlib.util
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.detectors.baseline import Desk, Ledger, Span
from app.detectors.calendar import BusinessClock
from app.detectors.guards import mass_event
from app.detectors.scan import calibrated, look
from app.detectors.slowburn import evidence
from app.domain import Series, Topic, TopicKind

ROOT = Path(__file__).resolve().parents[2]
MONDAY = datetime(2024, 1, 1, tzinfo=UTC).timestamp()
CLOCK = BusinessClock("UTC")
KEPT_OPEN = 0.5  # a topic at this strength is looked at again without a new ticket, as one with an alert is


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


@dataclass
class Replay:
    """Strengths [S, hours scored] by the production engine, and what it cost."""

    strength: NDArray[np.float64]
    window: NDArray[np.int8]
    voids: list[Span] = field(default_factory=list)
    seconds: float = 0.0
    evaluated: int = 0


def replay(view: Any, *, burn: bool = True) -> Replay:
    """Tick by tick over the scored hours: touched topics only, plus those that are strong already."""
    topics, whole = all_series(view.tickets, view.requesters)
    count, hours = view.tickets.shape
    scored = hours - view.eval_from
    touched = view.tickets[:, view.eval_from :] > 0
    end = MONDAY + 3600.0 * hours
    desk = Desk.build(whole, CLOCK, end)
    ledger = Ledger.build(topics, desk)
    result = Replay(np.full((count, scored), -9.0), np.full((count, scored), -1, np.int8))
    last = np.full(count, -9.0)
    for i in range(scored):
        at = MONDAY + 3600.0 * (view.eval_from + i + 1)
        fresh = touched[:, i]
        began = time.process_time()
        span = mass_event(ledger, np.flatnonzero(fresh), desk, at, active_topics=count)
        if span is not None:
            result.voids.append(span)
            desk = Desk.build(whole, CLOCK, end, voids=result.voids)
            ledger = Ledger.build(topics, desk)
        rows = np.flatnonzero(fresh | (last > KEPT_OPEN))
        if len(rows):
            seen = look(ledger, rows, desk, at)
            strength = seen.strength
            if burn:
                strength = np.maximum(strength, calibrated(evidence(ledger, rows, desk, at)[2]))
            now = np.where(fresh[rows], strength, np.minimum(strength, last[rows]))
            last[rows] = now
            result.strength[rows, i] = now
            result.window[rows, i] = seen.best
        result.seconds += time.process_time() - began
        result.evaluated += len(rows)
    return result
