"""Would it have caught it? Alerts held against what people marked: caught, missed and why, lead time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Any

LEAST_SHARED = 2  # tickets an alert and a mark have in common when they are about the same
LEAST_REPORTS = 3  # fewer tickets are no recurring problem
LEAST_CUSTOMERS = 3  # fewer customers never raise an alert
YOUNG_DAYS = 3.0  # before that nothing is said
LONGEST = timedelta(days=21)  # the longest window of any rule


@dataclass(frozen=True, slots=True)
class Report:
    """One ticket of a mark: its id at its source, when, from whom, and the pattern the replay put it in."""

    id: str
    at: datetime
    customer: str
    pattern: str | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """Tickets that people said are one problem (or, when `is_noise`, are none)."""

    kind: str  # problem, duplicates, tag, useful, noise
    key: str
    reports: tuple[Report, ...]  # oldest first
    noticed_at: datetime | None = None  # when people knew, where that is known

    @property
    def is_noise(self) -> bool:
        return self.kind == "noise"

    @property
    def third_at(self) -> datetime:
        """Its third report: nothing can be called before it."""
        return self.reports[min(LEAST_REPORTS, len(self.reports)) - 1].at


@dataclass(frozen=True, slots=True)
class Told:
    """One alert, or one that waited on the watchlist."""

    at: datetime
    ids: frozenset[str]
    strength: float
    bar: float


def score(
    alerts: Sequence[Told],
    watched: Sequence[Told],
    marks: Sequence[Mark],
    *,
    began_at: datetime,
    weeks: float,
) -> dict[str, Any]:
    """Alerts a week, precision, recall, lead times, and every missed mark with its reason.

    Precision counts only alerts about something marked, as good or as noise: what nobody marked is not
    known to be false. Lead is hours from the alert to when people noticed, where that is known; delay is
    hours from the third report to the alert.
    """
    good = [m for m in marks if not m.is_noise]
    first = {n: _first(alerts, m) for n, m in enumerate(good)}
    caught = {n: at for n, at in first.items() if at is not None}
    right = sum(any(_about(a, m) for m in good) for a in alerts)
    wrong = sum(
        any(_about(a, m) for m in marks if m.is_noise) and not any(_about(a, m) for m in good) for a in alerts
    )
    leads = [_hours(m.noticed_at - at) for n, at in caught.items() if (m := good[n]).noticed_at]
    delays = [_hours(at - good[n].third_at) for n, at in caught.items()]
    return {
        "alerts": len(alerts), "per_week": round(len(alerts) / max(weeks, 1e-9), 2),
        "watched": len(watched), "marks": len(good), "caught": len(caught),
        "recall": _share(len(caught), len(good)), "precision": _share(right, right + wrong),
        "about_marked": right, "about_noise": wrong, "about_nothing_marked": len(alerts) - right - wrong,
        "lead_h": median(leads) if leads else None, "lead_known": len(leads),
        "delay_h": median(delays) if delays else None,
        "missed": [_missed(good[n], watched, began_at) for n in first if n not in caught],
    }  # fmt: skip


def _first(told: Sequence[Told], mark: Mark) -> datetime | None:
    return min((a.at for a in told if _about(a, mark)), default=None)


def _about(told: Told, mark: Mark) -> bool:
    return len(told.ids.intersection(r.id for r in mark.reports)) >= LEAST_SHARED


def _missed(mark: Mark, watched: Sequence[Told], began_at: datetime) -> dict[str, Any]:
    return {
        "kind": mark.kind, "key": mark.key, "tickets": [r.id for r in mark.reports],
        "first_at": mark.reports[0].at.isoformat(), "reason": why_missed(mark, watched, began_at=began_at),
    }  # fmt: skip


def why_missed(mark: Mark, watched: Sequence[Told], *, began_at: datetime) -> str:
    """The first reason that holds, in words."""
    customers = len({r.customer for r in mark.reports})
    if customers < LEAST_CUSTOMERS:
        return f"too few customers: {customers}, and an alert needs {LEAST_CUSTOMERS}"
    waiting = [w for w in watched if _about(w, mark)]
    if waiting:
        best = max(waiting, key=lambda w: w.strength)
        return f"it waited on the watchlist: strength {best.strength:.1f}, and an alert needed {best.bar:.1f}"
    age = (mark.third_at - began_at) / timedelta(days=1)
    if age < YOUNG_DAYS:
        return f"too early: the history was {age:.1f} days old, and nothing is said before {YOUNG_DAYS:.0f}"
    homes = [r.pattern for r in mark.reports]
    together = max((homes.count(h) for h in set(homes) if h is not None), default=0)
    if together < LEAST_REPORTS:
        return f"worded too differently: at most {together} of its {len(homes)} tickets were in one pattern"
    if mark.third_at - mark.reports[0].at > LONGEST:
        return f"too slow: its third report came {(mark.third_at - mark.reports[0].at).days} days after the first"
    return "not more than chance does: its patterns bring as many customers in other weeks"


def marks_of(rows: Sequence[Mapping[str, Any]], *, tags: Sequence[str] = ()) -> list[Mark]:
    """Marks from tickets' own links: problem records, chains of duplicates, and some tags.

    A row has `id`, `at`, `customer`, `pattern`, `problem`, `duplicate_of` and `tags`. A problem is noticed
    when its own record, a ticket, was filed.
    """
    by_id = {row["id"]: row for row in rows}
    groups: dict[tuple[str, str], list[Report]] = {}
    for row in rows:
        report = Report(row["id"], row["at"], row["customer"], row["pattern"])
        for name in _keys(row, by_id, tags):
            groups.setdefault(name, []).append(report)
    found = []
    for (kind, key), reports in sorted(groups.items()):
        if len(reports) >= LEAST_REPORTS:
            noticed = by_id[key]["at"] if kind == "problem" and key in by_id else None
            found.append(Mark(kind, key, tuple(sorted(reports, key=lambda r: (r.at, r.id))), noticed))
    return found


def _keys(
    row: Mapping[str, Any], by_id: Mapping[str, Mapping[str, Any]], tags: Sequence[str]
) -> list[tuple[str, str]]:
    root, seen = row, {row["id"]}
    while (parent := by_id.get(root["duplicate_of"])) is not None and parent["id"] not in seen:
        root = parent
        seen.add(root["id"])
    keys = [("duplicates", root["id"]), *(("tag", tag) for tag in tags if tag in row["tags"])]
    return [*keys, ("problem", row["problem"])] if row["problem"] else keys


def _hours(length: timedelta) -> float:
    return round(length.total_seconds() / 3600.0, 1)


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None
