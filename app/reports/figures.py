"""The figures of a period, compared with the one before it: values in, tables of values out.

Every share comes with its n and Wilson's interval (1927), every time as median and 90th percentile, so that a
small number never looks like a large one.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import sqrt
from typing import NamedTuple

import numpy as np

Z = 1.96  # 95 % intervals
UNKNOWN = "(not given)"
MOST_ROWS = 40  # of a table
COMMON = 5  # answered tickets from which on an issue is common
MOST_HANDED = 15  # patterns of handed-over cases
LOW_USE = 0.5  # an article used in fewer of its issue's answers, whole interval included, is used little
AROUND = timedelta(days=28)  # tickets this near an alert belong to its episode


class Case(NamedTuple):
    """One ticket as the figures see it; None where its source did not say. A tuple: there are many of them."""

    customer: str
    product: str
    population: str
    escalated: bool | None
    hours: float | None  # from created to resolved; None while it is open
    satisfaction: float | None  # 0 to 1
    ai_handled: bool | None
    pattern: str | None
    articles: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Raised:
    """One alert of ours; `tickets` are the times of its pattern's tickets, sorted."""

    opened_at: datetime
    acknowledged_at: datetime | None
    verdict: str  # "", useful, noise
    tickets: tuple[datetime, ...]


@dataclass(frozen=True, slots=True)
class Period:
    """Cases and alerts of some business days, `since` to `until` (exclusive)."""

    since: datetime
    until: datetime
    cases: tuple[Case, ...]
    alerts: tuple[Raised, ...]


Value = str | int | float | None
Row = tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Panel:
    """A table with what it says; `kinds` of columns: text, link, count, share, hours, change."""

    key: str
    title: str
    note: str
    head: tuple[str, ...]
    kinds: tuple[str, ...]
    rows: tuple[Row, ...]


def figure(value: float | None, kind: str) -> str:
    """A number of a report by its kind: count, share, hours or change; "–" where there is none."""
    if value is None:
        return "–"
    match kind:
        case "share":
            return (
                f"{100 * value:.0f} %" if value in (0, 1) or 0.1 <= value < 0.995 else f"{100 * value:.1f} %"
            )
        case "hours":
            return (f"{value:.1f} h" if abs(value) < 48 else f"{value / 24:.1f} d").replace("-", "−")
        case "change":
            return f"{round(100 * value):+d} %".replace("+0 ", "0 ").replace("-", "−")
        case _:
            return f"{value:,}"


def wilson(hits: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of the share `hits` of `n`; all of 0 to 1 when there is nothing to go by."""
    if n == 0:
        return 0.0, 1.0
    share, spread = hits / n, Z * Z / n
    middle = (share + spread / 2) / (1 + spread)
    half = Z * sqrt(share * (1 - share) / n + spread / (4 * n)) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)


def share(flags: Iterable[bool]) -> Row:
    """(n, share, low, high); the share is None of nothing."""
    held = list(flags)
    low, high = wilson(sum(held), len(held))
    return (len(held), sum(held) / len(held), low, high) if held else (0, None, None, None)


def spread(values: Sequence[float]) -> Row:
    """(n, median, 90th percentile)."""
    if not values:
        return 0, None, None
    p50, p90 = np.percentile(values, (50, 90)).tolist()
    return len(values), p50, p90


def change(now: int, before: int) -> float | None:
    """Relative change; None from nothing."""
    return now / before - 1.0 if before else None


def panels(now: Period, before: Period, *, by: str, names: Mapping[str, str]) -> tuple[Panel, ...]:
    """Everything a period's report shows; `by` names the population, `names` gives the patterns' names."""
    by_product = _groups(now.cases, _product), _groups(before.cases, _product)
    return (
        _volume(*by_product),
        _escalation(now, before, by),
        _resolution(*by_product),
        _satisfaction(*by_product),
        _articles(now, names),
        _handed_over(now, names),
        _quality(now, before),
    )


def _groups(cases: Sequence[Case], key: Callable[[Case], str]) -> Groups:
    """Cases by value, the most frequent first, "all" before them."""
    held: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        held[key(case) or UNKNOWN].append(case)
    first = sorted(held, key=lambda value: (-len(held[value]), value))[:MOST_ROWS]
    return {"All": list(cases)} | {value: held[value] for value in first}


Groups = Mapping[str, Sequence[Case]]
"""Cases by product or population, those of all of them first."""


def _product(case: Case) -> str:
    return case.product


def _population(case: Case) -> str:
    return case.population


def _volume(now: Groups, then: Groups) -> Panel:
    rows = []
    for value, cases in now.items():
        old = then.get(value, [])
        who, whom = len({c.customer for c in cases}), len({c.customer for c in old})
        rows.append((value, len(cases), who, len(old), whom, change(len(cases), len(old)), change(who, whom)))
    return Panel(
        "volume", "Volume by product", "Tickets created in the period, and the distinct customers behind them.",
        ("Product", "Tickets", "Customers", "Tickets before", "Customers before", "Tickets change",
         "Customers change"),
        ("text", "count", "count", "count", "count", "change", "change"), tuple(rows),
    )  # fmt: skip


def _escalation(now: Period, before: Period, by: str) -> Panel:
    then = _groups(before.cases, _population)
    rows = []
    for value, cases in _groups(now.cases, _population).items():
        old = share(c.escalated for c in then.get(value, []) if c.escalated is not None)
        rows.append((value, *share(c.escalated for c in cases if c.escalated is not None), *old[:2]))
    return Panel(
        "escalation", f"Escalation rate by {by}",
        "Of the tickets whose source says whether they were escalated. Low and high bound Wilson's 95 % "
        "interval: where two intervals overlap widely, the difference may be chance.",
        (by.capitalize(), "n", "Escalated", "Low", "High", "n before", "Escalated before"),
        ("text", "count", "share", "share", "share", "count", "share"), tuple(rows),
    )  # fmt: skip


def _resolution(now: Groups, then: Groups) -> Panel:
    rows = []
    for value, cases in now.items():
        hours = [c.hours for c in cases if c.hours is not None]
        old = [c.hours for c in then.get(value, []) if c.hours is not None]
        rows.append((value, *spread(hours), len(cases) - len(hours), *spread(old)))
    return Panel(
        "resolution", "Time to resolution",
        "Of the tickets created in the period that are resolved by now. Those still open are counted beside "
        "them: while many are, both times will still grow.",
        ("Product", "Resolved", "Median", "90 %", "Still open", "Resolved before", "Median before", "90 % before"),
        ("text", "count", "hours", "hours", "count", "count", "hours", "hours"), tuple(rows),
    )  # fmt: skip


def _mean(cases: Sequence[Case]) -> Row:
    """(n, mean satisfaction, low, high) by the normal approximation."""
    values = [c.satisfaction for c in cases if c.satisfaction is not None]
    if len(values) < 2:
        return len(values), values[0] if values else None, None, None
    mean, half = float(np.mean(values)), Z * float(np.std(values, ddof=1)) / sqrt(len(values))
    return len(values), mean, max(0.0, mean - half), min(1.0, mean + half)


def _satisfaction(now: Groups, then: Groups) -> Panel:
    rows = [(value, *_mean(cases), *_mean(then.get(value, []))[:2]) for value, cases in now.items()]
    return Panel(
        "satisfaction", "Satisfaction",
        "Mean rating from 0 % (bad) to 100 % (good) of the tickets that customers rated, with its 95 % interval.",
        ("Product", "Rated", "Mean", "Low", "High", "Rated before", "Mean before"),
        ("text", "count", "share", "share", "share", "count", "share"), tuple(rows),
    )  # fmt: skip


def _articles(now: Period, names: Mapping[str, str]) -> Panel:
    """Common issues with an article that their answers seldom point to."""
    held: dict[str, list[Case]] = defaultdict(list)
    for case in now.cases:
        if case.pattern and case.hours is not None:
            held[case.pattern].append(case)
    rows = []
    for pattern, cases in held.items():
        used = Counter(article for c in cases for article in set(c.articles))
        if len(cases) < COMMON or not used:
            continue
        article, n = min(used.items(), key=lambda row: (-row[1], row[0]))
        low, high = wilson(n, len(cases))
        if high < LOW_USE:
            rows.append(
                (pattern, names.get(pattern, pattern), article, len(cases), n, n / len(cases), low, high)
            )
    rows.sort(key=lambda row: (-row[3], row[0]))
    return Panel(
        "articles", "Articles with low use despite a common issue",
        f"Patterns with at least {COMMON} answered tickets whose most used article stands in fewer than half of "
        "the answers, the whole interval below a half.",
        ("Pattern", "Name", "Article", "Answered", "With the article", "Share", "Low", "High"),
        ("link", "text", "text", "count", "count", "share", "share", "share"), tuple(rows[:MOST_ROWS]),
    )  # fmt: skip


def _handed_over(now: Period, names: Mapping[str, str]) -> Panel:
    every = Counter(c.pattern for c in now.cases if c.pattern)
    handed: dict[str, list[Case]] = defaultdict(list)
    for case in now.cases:
        if case.ai_handled and case.pattern:
            handed[case.pattern].append(case)
    rows = [
        (p, names.get(p, p), len(cs), len({c.customer for c in cs}), every[p], *share(bool(c.escalated) for c in cs)[1:])
        for p, cs in handed.items()
    ]  # fmt: skip
    rows.sort(key=lambda row: (-len(handed[str(row[0])]), str(row[0])))
    total = sum(1 for c in now.cases if c.ai_handled)
    return Panel(
        "handed-over", "Patterns among the cases an AI agent handed over",
        f"{total:,} tickets of the period were dealt with by an AI agent before a person; these are the problems "
        "they had, and how many of those were escalated.",
        ("Pattern", "Name", "Handed over", "Customers", "All its tickets", "Escalated", "Low", "High"),
        ("link", "text", "count", "count", "count", "share", "share", "share"), tuple(rows[:MOST_HANDED]),
    )  # fmt: skip


def lead_hours(alert: Raised) -> float | None:
    """How long before half of its episode's tickets had come the alert opened; negative: after that.

    An episode is the pattern's tickets within AROUND of the alert.
    """
    near = [at for at in alert.tickets if abs(at - alert.opened_at) <= AROUND]
    if not near:
        return None
    return (near[(len(near) - 1) // 2] - alert.opened_at).total_seconds() / 3600


def _quality(now: Period, before: Period) -> Panel:
    rows = (("This period", *_judged(now)), ("The one before", *_judged(before)))
    return Panel(
        "quality", "Our own alerts",
        "Precision: of the alerts people judged, those they did not call noise. Lead: how long before half of the "
        f"tickets of its episode ({AROUND.days} days either side) had come an alert opened; below zero when after.",
        ("Period", "Alerts", "Judged", "Precision", "Low", "High", "Taken up", "Until then, median",
         "Until then, 90 %", "Lead, median", "Lead, 90 %"),
        ("text", "count", "count", "share", "share", "share", "count", "hours", "hours", "hours", "hours"), rows,
    )  # fmt: skip


def _judged(period: Period) -> Row:
    verdicts = share(a.verdict == "useful" for a in period.alerts if a.verdict)
    taken = [
        (a.acknowledged_at - a.opened_at).total_seconds() / 3600 for a in period.alerts if a.acknowledged_at
    ]
    lead = [h for a in period.alerts if (h := lead_hours(a)) is not None]
    return (len(period.alerts), *verdicts, *spread(taken), *spread(lead)[1:])
