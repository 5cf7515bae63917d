"""How the sources are doing: late, silent or failing, what their own counts say, and what that touches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from statistics import median

from app.ingest.sources import SOURCES
from app.pipeline import pull
from app.pipeline.pull import Progress
from app.runtime import Runtime
from app.store import messages, sources, tickets
from app.store.sources import Health

LATE = 3  # intervals without a success
LATEST = timedelta(minutes=15)  # no source is late sooner
DAYS = 14  # shown and counted
LOOKED_AT = timedelta(days=28)  # from which a source's usual silences are learned
SILENCE = 2.0  # times the longest silence of the last weeks
QUIETEST_S = 4 * 3600.0  # no feed is silent sooner
BUSY = 5  # tickets: a weekday that usually has fewer may well have none
USUAL = 4  # the same weekdays that a day without tickets is held against


@dataclass(frozen=True, slots=True)
class Day:
    """One day of a source: what is stored, what the source itself counts (None: it does not say)."""

    day: date
    stored: int
    counted: int | None
    gap: str  # in words; "" when all is well


@dataclass(frozen=True, slots=True)
class Feed:
    """One source as an operator sees it; `state` is ok, paused, failing, late or silent."""

    health: Health
    state: str
    says: str  # one sentence; "" when all is well
    lag_s: float | None  # since it was last read
    history: Progress | None  # None for what is pushed or imported
    messages_waiting: int


def feeds(runtime: Runtime) -> list[Feed]:
    """Every source with its state and how far its history has been read."""
    with runtime.store.read() as session:
        healths = sources.health(session)
    return [_feed(runtime, health) for health in healths]


def feed(runtime: Runtime, name: str) -> tuple[Feed, tuple[Day, ...]]:
    """One source with its last days."""
    today = runtime.now().date()
    since = today - timedelta(days=DAYS + 7 * USUAL)
    with runtime.store.read() as session:
        health = sources.one(session, name)
        created = tickets.times(session, name, datetime.combine(since, time(), UTC))
        counted = sources.counts(session, name, since)
    stored = Counter(at.astimezone(UTC).date() for at in created)
    return _feed(runtime, health), days(stored, counted, today=today)


def _feed(runtime: Runtime, health: Health) -> Feed:
    now = runtime.now()
    state, says = _state(runtime, health, now)
    with runtime.store.read() as session:
        waiting = messages.waiting(session, health.name)
    lag_s = (now - health.last_success_at).total_seconds() if health.last_success_at else None
    history = pull.progress(runtime, health.name) if health.kind in SOURCES else None
    return Feed(health, state, says, lag_s, history, waiting)


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why tickets of a source may be missing: one word that holds for a while, and a sentence about now."""

    state: str
    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """Which tickets an answer is about: those at hand, by their sources; some ids; patterns; a stretch of time."""

    sources: Collection[str] = ()
    tickets: Sequence[str] = ()
    patterns: Sequence[str] = ()
    created: tuple[datetime, datetime] | None = None
    is_desk: bool = False  # all there are or should be


DESK = About(is_desk=True)


def troubled(runtime: Runtime) -> dict[str, Trouble]:
    """Sources whose tickets may be missing from numbers shown now, and why."""
    now = runtime.now()
    with runtime.store.read() as session:
        healths = sources.health(session)
    states = {h.name: Trouble(*_state(runtime, h, now)) for h in healths}
    return {name: found for name, found in states.items() if found.state not in ("ok", "paused")}


def touching(runtime: Runtime, about: About) -> dict[str, Trouble]:
    """Of the sources in trouble those whose tickets an answer is about."""
    found = troubled(runtime)
    if not found or about.is_desk:
        return found
    with runtime.store.read() as session:
        told = tickets.sources_among(
            session, sorted(found), ids=about.tickets, patterns=about.patterns, created=about.created
        )
    return {name: trouble for name, trouble in found.items() if name in told or name in about.sources}


def touched(runtime: Runtime, groups: Mapping[str, Sequence[str]]) -> dict[str, dict[str, Trouble]]:
    """The same for many groups of tickets at once, by the groups' names: those that are touched."""
    found = troubled(runtime)
    if not found:
        return {}
    with runtime.store.read() as session:
        told = tickets.of_sources(
            session, sorted(found), sorted({id_ for ids in groups.values() for id_ in ids})
        )
    names = {group: {told[id_] for id_ in ids if id_ in told} for group, ids in groups.items()}
    return {group: {name: found[name] for name in sorted(some)} for group, some in names.items() if some}


def measure(runtime: Runtime, name: str) -> bool:
    """Learn how long a source is usually silent, and ask it to count its last days; nothing is left to do."""
    chosen = pull.setting(runtime, name)
    now = runtime.now()
    with runtime.store.read() as session:
        if sources.one(session, name).paused:
            return False
        known = sources.counts(session, name, now.date() - timedelta(days=DAYS))
        times = tickets.times(session, name, now - LOOKED_AT)
    silence_s = max(QUIETEST_S, SILENCE * _longest_gap_s(times)) if len(times) > BUSY * USUAL else 0.0
    with runtime.store.write() as session:
        sources.change(session, name, silence_s=silence_s)
    wanted = [day for day in _days_before(now.date(), DAYS) if day not in known]
    for day in wanted:
        start = datetime.combine(day, time(), UTC)
        counted = pull.connection(runtime, chosen).counted(start, start + timedelta(days=1))
        if counted is None:
            break
        with runtime.store.write() as session:
            sources.save_count(session, name, day, counted, at=now)
    return False


def days(stored: Mapping[date, int], counted: Mapping[date, int], *, today: date) -> tuple[Day, ...]:
    """The last complete days, newest first, each held against the source's count or its usual weekdays."""
    return tuple(
        Day(day, stored.get(day, 0), counted.get(day), _gap(stored, counted, day))
        for day in _days_before(today, DAYS)
    )


def _gap(stored: Mapping[date, int], counted: Mapping[date, int], day: date) -> str:
    have, theirs = stored.get(day, 0), counted.get(day)
    if theirs is not None:
        return f"{theirs - have} of {theirs} tickets are not stored" if theirs > have else ""
    usual = median(stored.get(day - timedelta(weeks=week), 0) for week in range(1, USUAL + 1))
    return f"no ticket; {usual:.0f} are usual" if have == 0 and usual >= BUSY else ""


def _days_before(today: date, count: int) -> list[date]:
    return [today - timedelta(days=back) for back in range(1, count + 1)]


def _longest_gap_s(times: Sequence[datetime]) -> float:
    return max((b - a).total_seconds() for a, b in pairwise(times))


def _state(runtime: Runtime, health: Health, now: datetime) -> tuple[str, str]:
    """The state of a source and a sentence about it; what is pushed or imported has no rhythm to be late for."""
    setting = next((s for s in runtime.settings.sources if s.name == health.name), None)
    if health.paused:
        return "paused", f"{health.name} is paused: nothing is read from it"
    if setting is None:
        return "ok", ""
    if health.last_error:
        return "failing", health.last_error.rstrip(".")
    patience = max(LATEST, LATE * timedelta(seconds=setting.every_s))
    if health.last_success_at is None:
        return "late", f"{health.name} has not been read yet"
    behind = now - health.last_success_at
    if behind > patience:
        return "late", f"{health.name} was last read {behind.total_seconds() / 60:.0f} minutes ago"
    if health.newest_at and 0 < health.silence_s < (now - health.newest_at).total_seconds():
        quiet_h = (now - health.newest_at).total_seconds() / 3600
        return "silent", f"{health.name} has brought no new ticket for {quiet_h:.0f} hours"
    return "ok", ""
