"""How a source is doing, in one word."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from app.runtime import Runtime
from app.store.sources import Health


@dataclass(frozen=True, slots=True)
class Freshness:
    """One source as the pages show it; `word` says how it is doing."""

    health: Health
    word: str
    is_bad: bool


def fresh(health: Health, run: Runtime, now: datetime) -> Freshness:
    """A pulled source is late after three missed rounds; a pushed or imported one has no rounds to miss."""
    every = {s.name: timedelta(seconds=s.every_s) for s in run.settings.sources}.get(health.name)
    last = health.last_success_at
    if health.paused:
        return Freshness(health, "paused", is_bad=False)
    if health.last_error and (last is None or (health.last_error_at or now) >= last):
        return Freshness(health, "failing", is_bad=True)
    if last is None:
        return Freshness(health, "nothing yet", is_bad=False)
    if every is not None and now - last > max(3 * every, timedelta(minutes=15)):
        return Freshness(health, "behind", is_bad=True)
    return Freshness(health, "fresh" if every is not None else "received", is_bad=False)
