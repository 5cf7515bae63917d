"""Learns the lines that come back in ticket after ticket: footers of one customer, labels of a form.

A line is known by a hash of its masked text within a scope: one customer, or the whole desk. What is
removed from a ticket follows only from tickets counted before it, so batches of any size give the
same result. The thresholds are those measured in the grouping design (section 2.1).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from app.ingest import evidence

DESK = ""  # the scope of all tickets
_MAX_LINES = 80  # a ticket counts its first and last lines; a long paste in between teaches nothing
_MAX_LINE_CHARS = 600
_MASKED = re.compile(r"[\W\d_]+")


@dataclass(frozen=True, slots=True)
class LineCount:
    """In how many tickets of a scope a line was seen, and the ticket time of the first."""

    scope: str
    line_hash: str
    tickets: int
    first_at: datetime


@dataclass(frozen=True, slots=True)
class ScopeCount:
    """How many tickets of a scope were counted."""

    scope: str
    tickets: int


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When a line is boilerplate."""

    footer_tickets: int = 5
    footer_share: float = 0.20
    footer_span: timedelta = timedelta(days=1)  # one bad day of one customer makes no footer
    label_share: float = 0.05
    label_desk_tickets: int = 200  # fewer tickets than this know no form
    label_span: timedelta = timedelta(days=14)  # longer than a mass incident lasts unnoticed


@dataclass(frozen=True, slots=True)
class Keys:
    """The rows a batch needs: scopes, and (scope, line hash) pairs; both sorted."""

    scopes: tuple[str, ...]
    lines: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Changes:
    """The rows that differ from those loaded, sorted by their keys."""

    scopes: tuple[ScopeCount, ...]
    lines: tuple[LineCount, ...]


@dataclass(slots=True)
class Boilerplate:
    """The counts of the scopes and lines at hand. Rows not given count as never seen."""

    thresholds: Thresholds = field(default_factory=Thresholds)
    _lines: dict[tuple[str, str], LineCount] = field(default_factory=dict)
    _scopes: dict[str, int] = field(default_factory=dict)
    _changed_lines: set[tuple[str, str]] = field(default_factory=set)
    _changed_scopes: set[str] = field(default_factory=set)

    @classmethod
    def of(
        cls, lines: Iterable[LineCount], scopes: Iterable[ScopeCount], *, thresholds: Thresholds | None = None
    ) -> Boilerplate:
        return cls(
            thresholds or Thresholds(),
            {(line.scope, line.line_hash): line for line in lines},
            {scope.scope: scope.tickets for scope in scopes},
        )

    def strip(self, body: str, scope: str, at: datetime) -> str:
        """`body` without the lines known to be boilerplate at `at`; unchanged when no words would be left."""
        hashes = line_hashes(body)
        known = {digest for digest in set(hashes.values()) if self._is_boilerplate(digest, scope, at)}
        if not known:
            return body
        kept = [line for number, line in enumerate(body.split("\n")) if hashes.get(number) not in known]
        text = re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip("\n")
        return text if any(map(str.isalnum, text)) else body

    def learn(self, body: str, scope: str, at: datetime) -> None:
        """Count one ticket. Call it once per ticket, in the order of the tickets."""
        digests = sorted(set(line_hashes(body).values()))
        for name in sorted({DESK, scope}):
            self._scopes[name] = self._scopes.get(name, 0) + 1
            self._changed_scopes.add(name)
            for digest in digests:
                self._count((name, digest), at)

    def changed(self) -> Changes:
        """What to write back."""
        return Changes(
            tuple(ScopeCount(scope, self._scopes[scope]) for scope in sorted(self._changed_scopes)),
            tuple(self._lines[key] for key in sorted(self._changed_lines)),
        )

    def _count(self, key: tuple[str, str], at: datetime) -> None:
        seen = self._lines.get(key)
        tickets, first_at = (seen.tickets, min(seen.first_at, at)) if seen else (0, at)
        self._lines[key] = LineCount(*key, tickets + 1, first_at)
        self._changed_lines.add(key)

    def _is_boilerplate(self, digest: str, scope: str, at: datetime) -> bool:
        return (scope != DESK and self._is_footer(digest, scope, at)) or self._is_label(digest, at)

    def _is_footer(self, digest: str, scope: str, at: datetime) -> bool:
        limits, seen = self.thresholds, self._lines.get((scope, digest))
        return (
            seen is not None
            and seen.tickets >= limits.footer_tickets
            and seen.tickets >= limits.footer_share * self._scopes.get(scope, 0)
            and at - seen.first_at >= limits.footer_span
        )

    def _is_label(self, digest: str, at: datetime) -> bool:
        limits, seen, tickets = self.thresholds, self._lines.get((DESK, digest)), self._scopes.get(DESK, 0)
        return (
            seen is not None
            and tickets >= limits.label_desk_tickets
            and seen.tickets > limits.label_share * tickets
            and at - seen.first_at >= limits.label_span
        )


def needed(tickets: Iterable[tuple[str, str]]) -> Keys:
    """The keys of all rows that stripping and learning these (body, scope) pairs reads or writes."""
    scopes, lines = {DESK}, set()
    for body, scope in tickets:
        scopes.add(scope)
        for digest in line_hashes(body).values():
            lines |= {(DESK, digest), (scope, digest)}
    return Keys(tuple(sorted(scopes)), tuple(sorted(lines)))


def line_hashes(body: str) -> Mapping[int, str]:
    """Hash by line number of the lines that may be boilerplate.

    Digits and punctuation are masked. Lines without a word of three letters, lines naming an error,
    source text and fenced blocks have no hash: they are never counted and never removed.
    """
    lines = body.split("\n")
    fenced = evidence.in_fences(lines)
    numbers = range(len(lines))
    if len(lines) > _MAX_LINES:
        numbers = [*numbers[: _MAX_LINES // 2], *numbers[-_MAX_LINES // 2 :]]  # type: ignore[assignment]
    return {
        number: digest for number in numbers if not fenced[number] and (digest := _line_hash(lines[number]))
    }


def _line_hash(line: str) -> str:
    if len(line) > _MAX_LINE_CHARS or evidence.is_evidence(line) or evidence.is_source(line):
        return ""
    masked = _MASKED.sub(" ", line.casefold()).strip()
    if max(map(len, masked.split()), default=0) < 3:
        return ""
    return hashlib.blake2b(masked.encode(), digest_size=10).hexdigest()
