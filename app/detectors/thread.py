"""What a pattern's customers have in common that the rest of the desk has not.

For each attribute value: k of n customers of the pattern against K of N others in the same time window;
hypergeometric upper tail, Benjamini-Hochberg (1995) q over all values tested, ranked by the lower 95 %
bound of the log odds ratio with 0.5 added to each cell (Haldane 1955, Anscombe 1956). A value that is no more
common than chance once a stronger one is held fixed (Mantel and Haenszel 1959) says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from math import exp, log, sqrt
from typing import Any

import numpy as np
from scipy.stats import false_discovery_control, hypergeom

from app.detectors.label import phrases_of

MAX_Q = 0.05
LEAST_LIFT = 1.5
LEAST_CUSTOMERS = 3
LEAST_SHARE = 0.3
SHOWN = 8
NOT_THREADS = frozenset({"agent", "priority", "team", "severity"})  # set by the desk, not by the problem
_VERSION = re.compile(r"\d+(?:\.\d+){0,3}")


@dataclass(frozen=True, slots=True)
class Witness:
    """One ticket as the comparison sees it."""

    customer: str
    attributes: Mapping[str, str]
    tags: tuple[str, ...]
    subject: str
    body: str


@dataclass(frozen=True, slots=True)
class Thread:
    """A value that pattern's customers share: `k` of `n` here, `others` of `rest` elsewhere."""

    attribute: str
    value: str
    k: int
    n: int
    others: int
    rest: int
    lift: float
    low: float  # 95 % interval of the odds ratio
    high: float
    q: float
    note: str = ""

    @property
    def share(self) -> float:
        return self.k / self.n

    @property
    def elsewhere(self) -> float:
        return self.others / self.rest if self.rest else 0.0

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"sentence": self.sentence}

    @property
    def sentence(self) -> str:
        where = f"say “{self.value}”" if self.attribute == "words" else f"have {self.attribute} {self.value}"
        text = f"{self.k} of {self.n} customers ({self.share:.0%}) {where}; elsewhere {self.elsewhere:.0%}"
        return f"{text} ({self.note})" if self.note else text


def common_thread(members: Sequence[Witness], others: Sequence[Witness]) -> list[Thread]:
    """The values that set the pattern apart, strongest first; at most eight.

    `others` are the desk's other tickets of the same time window. Customers are counted, not tickets.
    """
    here, there = _holders(members), _holders(others)
    inside, outside = {w.customer for w in members}, {w.customer for w in others}
    n, rest = len(inside), len(outside)
    if n < LEAST_CUSTOMERS or not rest:
        return []
    tested = [(key, len(here[key]), len(there.get(key, ()))) for key in sorted(here) if len(here[key]) >= 2]
    if not tested:
        return []
    k, K = np.array([t[1] for t in tested]), np.array([t[2] for t in tested])
    p = hypergeom.sf(k - 1, n + rest, k + K, n)
    q = false_discovery_control(p, method="bh")
    threads = [
        _thread(key, kk, n, kkk, rest, float(qq)) for (key, kk, kkk), qq in zip(tested, q, strict=True)
    ]
    kept = [
        t for t in threads
        if t.q <= MAX_Q and t.lift >= LEAST_LIFT and t.k >= LEAST_CUSTOMERS and t.share >= LEAST_SHARE
    ]  # fmt: skip
    kept.sort(key=lambda t: (-t.low, t.attribute, -len(t.value.split()) * (t.attribute == "words"), t.value))
    shown = _without_echoes(kept, here)[:SHOWN]
    tables = Tables(inside, outside, here, there)
    return [_explained(thread, shown, tables) for thread in shown]


def _holders(witnesses: Iterable[Witness]) -> dict[tuple[str, str], set[str]]:
    """Customers by (attribute, value), words and tags included; versions also cumulatively."""
    holders: dict[tuple[str, str], set[str]] = {}
    versions: dict[tuple[int, ...], set[str]] = {}
    for w in witnesses:
        for name, value in w.attributes.items():
            if name not in NOT_THREADS and value:
                holders.setdefault((name, value), set()).add(w.customer)
        for tag in w.tags:
            holders.setdefault(("tag", tag), set()).add(w.customer)
        for phrase in phrases_of(w.subject, w.body):
            holders.setdefault(("words", phrase), set()).add(w.customer)
        number = version_key(w.attributes.get("version", ""))
        if number:
            versions.setdefault(number, set()).add(w.customer)
    later: set[str] = set()
    for number in sorted(versions, reverse=True):
        later = later | versions[number]
        holders["version", ".".join(map(str, number)) + " and later"] = later
    return holders


def version_key(text: str) -> tuple[int, ...]:
    """ "5.2.0" as (5, 2, 0), for comparing; () when it is no version."""
    found = _VERSION.search(text)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def _thread(key: tuple[str, str], k: int, n: int, others: int, rest: int, q: float) -> Thread:
    a, b, c, d = k + 0.5, n - k + 0.5, others + 0.5, rest - others + 0.5
    odds, spread = log(a * d / (b * c)), 1.96 * sqrt(1 / a + 1 / b + 1 / c + 1 / d)
    lift = (k / n) / max(others / rest, 0.5 / rest)
    return Thread(
        *key, k, n, others, rest, round(lift, 2), round(exp(odds - spread), 2), round(exp(odds + spread), 2),
        float(f"{q:.2g}"),
    )  # fmt: skip


def _without_echoes(threads: Sequence[Thread], here: Mapping[tuple[str, str], set[str]]) -> list[Thread]:
    """Drop a value that only says again, for the same customers, what a stronger one of its kind says."""
    kept: list[Thread] = []
    for thread in threads:
        holders = here[thread.attribute, thread.value]
        echoes = any(
            other.attribute == thread.attribute
            and len(holders & here[other.attribute, other.value]) >= 0.8 * len(holders)
            for other in kept
        )
        if not echoes:
            kept.append(thread)
    return kept


Holders = Mapping[tuple[str, str], set[str]]


class Beside(StrEnum):
    """What is left of a thread within another one, as a note."""

    STANDS = ""
    VANISHES = "no more than chance once {} is taken into account"
    UNTOLD = "too few others to tell it from {}"


@dataclass(frozen=True, slots=True)
class Tables:
    """Customers of the pattern and of the rest, and which of them hold each (attribute, value)."""

    inside: set[str]
    outside: set[str]
    here: Holders
    there: Holders

    def beside(self, thread: Thread, other: Thread) -> Beside:
        """What is left of `thread` among customers alike in `other`.

        By the Mantel-Haenszel odds ratio over the two strata, its variance by Robins, Breslow and Greenland
        (1986).
        """
        key, fixed = (thread.attribute, thread.value), (other.attribute, other.value)
        strata = [self._stratum(key, fixed, holds=holds) for holds in (True, False)]
        a, b, c, d = np.array([s for s in strata if sum(s)], dtype=float).T
        size = a + b + c + d
        agree, differ = a * d / size, b * c / size
        if not differ.sum():
            return Beside.STANDS if agree.sum() else Beside.UNTOLD
        if not agree.sum():
            return Beside.VANISHES
        p, q = (a + d) / size, (b + c) / size
        variance = (
            (p * agree).sum() / (2 * agree.sum() ** 2)
            + (p * differ + q * agree).sum() / (2 * agree.sum() * differ.sum())
            + (q * differ).sum() / (2 * differ.sum() ** 2)
        )
        odds = log(agree.sum() / differ.sum())
        if odds > 1.96 * sqrt(variance):
            return Beside.STANDS
        return Beside.VANISHES if odds < log(LEAST_LIFT) else Beside.UNTOLD

    def _stratum(self, key: tuple[str, str], fixed: tuple[str, str], *, holds: bool) -> tuple[int, ...]:
        """(in the pattern with and without `key`, elsewhere with and without) among those (not) holding `fixed`."""
        counts = []
        for everyone, holders in ((self.inside, self.here), (self.outside, self.there)):
            held = holders.get(fixed, set())
            some = held if holds else everyone - held
            counts += [len(some & holders.get(key, set())), len(some - holders.get(key, set()))]
        return tuple(counts)


def _explained(thread: Thread, shown: Sequence[Thread], tables: Tables) -> Thread:
    """The thread, noting the strongest other attribute when nothing, or nothing sure, is left within that.

    Of two that always come together the stronger one stays without a note.
    """
    others = [
        o for o in shown if o.attribute != thread.attribute and "words" not in (o.attribute, thread.attribute)
    ]
    if not others:
        return thread
    other = others[0]
    left = tables.beside(thread, other)
    is_first = shown.index(thread) < shown.index(other)
    if left is Beside.STANDS or (is_first and tables.beside(other, thread) is not Beside.STANDS):
        return thread
    return replace(thread, note=left.value.format(f"{other.attribute} {other.value}"))
