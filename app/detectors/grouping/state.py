"""What the grouping engine holds in memory: tickets of the window, patterns as sums, one writer.

A pattern is the sum `S` of its members' unit vectors and their count `n`, from which average-linkage
similarity follows exactly (Sokal & Michener 1958, UPGMA):

    ticket x to pattern G     S·x / n
    pattern A to pattern B    Sa·Sb / (na·nb)
    cohesion of G             (|S|² − n) / (n (n − 1))

Vectors hold float16 values, whole multiples of 2⁻²⁴, so a float64 sum of fewer than 2²⁹ of them is
exact: the order in which tickets come and go leaves no trace in it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from app.detectors.grouping.locks import Locks
from app.detectors.grouping.near import DIGITS, Neighbourhood, Rows
from app.domain import Signature, sortable_id

Vector = NDArray[np.float16]
Sum = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Item:
    """A ticket as the engine sees it; `vector` is (dim,) float16 and unit-length to its precision."""

    ticket_id: str
    at: datetime
    customer: str
    vector: Vector
    signatures: tuple[Signature, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of the ticket's signatures, each once, in the extractor's order."""
        return tuple(dict.fromkeys(signature.key for signature in self.signatures))


@dataclass(frozen=True, slots=True)
class Parameters:
    """The engine's thresholds (cosine) and windows. Derived for one embedding model; see `calibrate`."""

    join: float = 0.58  # mean similarity to enter a pattern
    found_gap: float = 0.02  # a founding set must be this much tighter than `join`
    min_size: int = 3  # tickets to found a pattern
    min_size_signature: int = 2  # the same when they share a specific signature
    release_gap: float = 0.08  # a member leaves only this far below `join`: keeps ids still
    move_gap: float = 0.02  # a member moves only to a pattern this much better
    cohesion_gap: float = 0.03  # patterns looser than `join` plus this are checked for a split
    split_gap: float = 0.05  # halves part when their cross similarity is this far below `join`
    generic_bonus: float = 0.05  # what a shared generic signature adds to a score
    generic_spread: float = 0.15  # a signature whose tickets are this far below `join` is generic
    generic_patterns: int = 3  # a signature seen in so many patterns is generic
    signature_share: float = 0.8  # of a signature's tickets in one pattern: new ones go straight there
    primary_share: float = 0.3  # of a pattern's tickets with a signature: it may be the primary one
    neighbours: int = 30  # ungrouped tickets looked at when founding
    compared: int = 4096  # of the ungrouped tickets, those nearest in time, among which they are looked for
    pool_days: int = 30  # how far apart founding tickets may be
    active_days: int = 90  # tickets rescored by consolidation
    dormant_days: int = 60  # a pattern silent for so long "returns" with its next ticket

    @property
    def found(self) -> float:
        return self.join + self.found_gap

    @property
    def merge(self) -> float:
        return self.join


@dataclass(frozen=True, slots=True)
class Member:
    """A ticket of the active window in its pattern; `rule` says what put it there (see `Decision`)."""

    item: Item
    pattern_id: str
    rule: str


@dataclass(frozen=True, slots=True)
class Anchor:
    """What one side of a hand-made merge was like: the pattern goes on drawing such tickets.

    Without it a merge of unlike patterns would not hold, for neither side's tickets fit the mixture.
    """

    edit: str
    vector_sum: bytes  # little-endian float64 (dim,)
    count: int

    @property
    def mean(self) -> Sum:
        return np.frombuffer(self.vector_sum, "<f8") / self.count


@dataclass(frozen=True, slots=True, kw_only=True)
class PatternRow:
    """A pattern as it is stored: sums over all its members, those older than the window included."""

    id: str
    founded_at: datetime
    last_at: datetime
    count: int
    vector_sum: bytes  # little-endian float64 (dim,)
    signatures: Mapping[str, int] = field(default_factory=dict)  # members showing each signature
    generic: frozenset[str] = frozenset()  # those of them that the extractor calls generic
    anchors: tuple[Anchor, ...] = ()
    touched: bool = False  # a person acted on it, it was alerted on or subscribed to
    split_from: str | None = None
    merged_into: str | None = None
    dissolved: bool = False


@dataclass(slots=True)
class Group:
    """A living pattern. `members` are those of the active window; sums and counts cover all."""

    id: str
    founded_at: datetime
    last_at: datetime
    total: Sum
    count: int = 0
    signatures: Counter[str] = field(default_factory=Counter)
    touched: bool = False
    split_from: str | None = None
    anchors: tuple[Anchor, ...] = ()
    members: dict[str, Member] = field(default_factory=dict)

    def score(self, vector: Vector, *, inside: bool = False) -> float:
        """Mean cosine of `vector` to the members, or to an anchor's when that is higher.

        `inside`: the vector is one of the members and is left out of their mean.
        """
        wide = vector.astype(np.float64)
        anchored = [round(float(anchor.mean @ wide), DIGITS) for anchor in self.anchors]
        return max(self._mean_cosine(wide, inside=inside), *anchored, -1.0)

    def _mean_cosine(self, wide: Sum, *, inside: bool) -> float:
        if not inside:
            return round(float(self.total @ wide) / self.count, DIGITS)
        if self.count < 2:
            return 1.0
        return round(float(self.total @ wide - wide @ wide) / (self.count - 1), DIGITS)

    def cross(self, other: Group) -> float:
        """Mean cosine over all pairs of a member here and a member there."""
        return round(float(self.total @ other.total) / (self.count * other.count), DIGITS)

    @property
    def cohesion(self) -> float:
        """Mean cosine over all pairs of members."""
        return cohesion(self.total, self.count)


def cohesion(total: Sum, count: int) -> float:
    """Mean cosine over all pairs of `count` unit vectors whose sum is `total` (dim,)."""
    if count < 2:
        return 1.0
    return round((float(total @ total) - count) / (count * (count - 1)), DIGITS)


def exact_sum(vectors: Iterable[Vector], dim: int) -> Sum:
    """The sum (dim,) of float16 vectors, the same bits for any order."""
    total = np.zeros(dim)
    for vector in vectors:
        total += vector
    return total


class Signatures:
    """Where each signature was seen: in which patterns, and in which ungrouped tickets."""

    def __init__(self) -> None:
        self.patterns: dict[str, Counter[str]] = {}  # signature -> pattern -> members showing it
        self.pool: dict[str, set[str]] = {}  # signature -> ungrouped tickets of the window
        self.flagged: set[str] = set()  # generic by the extractor's own list
        self._held: dict[str, tuple[Sum, int]] = {}  # signature -> sum, count of tickets in memory

    def total(self, key: str) -> int:
        """Tickets showing a signature, as far as they are grouped or in the pool."""
        return sum(self.patterns.get(key, {}).values()) + len(self.pool.get(key, ()))

    def hold(self, item: Item, *, by: int) -> None:
        """Count (`by` 1) or uncount (-1) a ticket held in memory towards its signatures' spread."""
        self.flagged.update(signature.key for signature in item.signatures if signature.generic)
        for key in item.keys:
            total, count = self._held.get(key, (np.zeros(len(item.vector)), 0))
            self._held[key] = (total + by * item.vector.astype(np.float64), count + by)
            if count + by == 0:
                del self._held[key]

    def is_generic(self, key: str, parameters: Parameters) -> bool:
        """Listed as generic, seen in many patterns, or on tickets too unlike to have one cause."""
        if key in self.flagged or len(self.patterns.get(key, ())) >= parameters.generic_patterns:
            return True
        total, count = self._held.get(key, (np.zeros(1), 0))
        loose = parameters.join - parameters.generic_spread
        return count >= 2 * parameters.min_size and cohesion(total, count) < loose


class State:
    """Everything the engine knows, with the few changes that keep its parts agreeing."""

    def __init__(self, dim: int, parameters: Parameters) -> None:
        self.dim = dim
        self.parameters = parameters
        self.groups: dict[str, Group] = {}
        self.homes: dict[str, str] = {}  # ticket in memory -> its pattern
        self.pool: dict[str, Item] = {}  # ungrouped tickets of the pool window
        self.graves: dict[str, PatternRow] = {}  # merged and dissolved patterns
        self.redirects: dict[str, str] = {}  # merged pattern -> heir
        self.locks = Locks((), self.redirects, self.homes)
        self.signatures = Signatures()
        self.means = Rows(dim)
        self.pool_rows = Rows(dim)
        self.near = Neighbourhood()
        self.consolidated_at: datetime | None = None
        self.dirty = True  # something changed since the last consolidation

    def item(self, ticket_id: str) -> Item | None:
        """A ticket in memory, grouped or not."""
        if home := self.homes.get(ticket_id):
            return self.groups[home].members[ticket_id].item
        return self.pool.get(ticket_id)

    # Patterns

    def create(self, at: datetime, tickets: Iterable[str], split_from: str | None = None) -> Group:
        """A new empty pattern, named by the time of its founding ticket and its founding set."""
        identity = sorted(tickets)
        name = sortable_id("pat", at, *identity)
        while name in self.groups or name in self.graves:
            identity.append("again")
            name = sortable_id("pat", at, *identity)
        group = Group(name, at, at, np.zeros(self.dim), split_from=split_from)
        self.groups[name] = group
        return group

    def bury(self, group: Group, heir: str | None = None) -> None:
        """End an emptied pattern: merged into `heir`, or dissolved."""
        row = self.row(group)
        self.graves[group.id] = replace(row, merged_into=heir, dissolved=heir is None)
        if heir:
            self.redirects[group.id] = heir
        for key in group.signatures:
            self.signatures.patterns[key].pop(group.id, None)
        del self.groups[group.id]
        if group.id in self.means:
            self.means.remove(group.id)
        self.locks.refresh()

    def revive(self, row: PatternRow) -> Group:
        """A stored pattern as a living one, without its members of the window."""
        group = Group(
            row.id,
            row.founded_at,
            row.last_at,
            row_sum(row),
            row.count,
            Counter(row.signatures),
            row.touched,
            row.split_from,
            row.anchors,
        )
        self.groups[row.id] = group
        for key, count in row.signatures.items():
            self.signatures.patterns.setdefault(key, Counter())[row.id] += count
        self.signatures.flagged |= row.generic
        self.refresh(group)
        return group

    def deduct(self, group: Group, row: PatternRow) -> None:
        """Take a buried pattern's older members out of the one that took them over."""
        group.total = group.total - row_sum(row)
        group.count -= row.count
        for key, count in row.signatures.items():
            _decrement(group.signatures, key, count)
            _decrement(self.signatures.patterns[key], group.id, count)
        self.refresh(group)

    def anchored(self) -> list[Group]:
        """Patterns with tickets that people merged from others."""
        merged = (self.groups.get(name) for name in self.locks.pins)
        return [group for group in merged if group and group.anchors and group.count]

    def is_touched(self, group: Group) -> bool:
        return group.touched or group.id in self.locks.touched

    def specific(self, item: Item) -> list[str]:
        """The ticket's signatures that point to one cause, in the extractor's order."""
        return [key for key in item.keys if not self.signatures.is_generic(key, self.parameters)]

    def primary(self, group: Group) -> str | None:
        """The specific signature that marks a pattern: highest lift among those its members often show."""
        often = self.parameters.primary_share * group.count
        lifts = [
            (count / self.signatures.total(key), key)
            for key, count in group.signatures.items()
            if count >= often and not self.signatures.is_generic(key, self.parameters)
        ]
        return min(lifts, key=lambda lift: (-lift[0], lift[1]))[1] if lifts else None

    def at_odds(self, item: Item, group: Group) -> bool:
        """The ticket's specific signatures and the pattern's primary one name different causes."""
        if not item.signatures or not group.signatures:
            return False
        specific = self.specific(item)
        if not specific or any(key in group.signatures for key in specific):
            return False
        return self.primary(group) is not None

    def smallest(self, group: Group) -> int:
        """How few tickets a pattern may have."""
        primary = self.primary(group)
        return self.parameters.min_size_signature if primary else self.parameters.min_size

    def row(self, group: Group) -> PatternRow:
        return PatternRow(
            id=group.id,
            founded_at=group.founded_at,
            last_at=group.last_at,
            count=group.count,
            vector_sum=group.total.astype("<f8").tobytes(),
            signatures=dict(sorted(group.signatures.items())),
            generic=frozenset(group.signatures.keys() & self.signatures.flagged),
            touched=group.touched,
            split_from=group.split_from,
            anchors=group.anchors,
        )

    # Tickets

    def join(self, item: Item, group: Group, rule: str) -> None:
        """Put an ungrouped ticket into a pattern."""
        self.dirty = True
        self.leave_pool(item.ticket_id)
        group.total = group.total + item.vector
        group.count += 1
        group.last_at = max(group.last_at, item.at)
        for key in item.keys:
            group.signatures[key] += 1
            self.signatures.patterns.setdefault(key, Counter())[group.id] += 1
        self.hold(Member(item, group.id, rule))
        self.refresh(group)

    def leave(self, ticket_id: str) -> Item:
        """Take a ticket in memory out of its pattern; an emptied pattern stays until buried."""
        self.dirty = True
        group = self.groups[self.homes.pop(ticket_id)]
        item = group.members.pop(ticket_id).item
        self.signatures.hold(item, by=-1)
        group.total = group.total - item.vector
        group.count -= 1
        for key in item.keys:
            _decrement(group.signatures, key)
            _decrement(self.signatures.patterns[key], group.id)
        self.refresh(group)
        return item

    def hold(self, member: Member) -> None:
        """Remember a member as a ticket of the window, without counting it again."""
        self.groups[member.pattern_id].members[member.item.ticket_id] = member
        self.homes[member.item.ticket_id] = member.pattern_id
        self.signatures.hold(member.item, by=1)

    def forget(self, ticket_id: str) -> None:
        """Let go of a member older than the window; its pattern's sums keep it."""
        member = self.groups[self.homes.pop(ticket_id)].members.pop(ticket_id)
        self.signatures.hold(member.item, by=-1)

    def refresh(self, group: Group) -> None:
        if group.count:
            self.means.put(group.id, (group.total / group.count).astype(np.float32))
        elif group.id in self.means:
            self.means.remove(group.id)

    def enter_pool(self, item: Item) -> None:
        self.dirty = True
        self.pool[item.ticket_id] = item
        self.near.forget(item.ticket_id)
        self.pool_rows.put(item.ticket_id, item.vector, item.at.timestamp())
        self.signatures.hold(item, by=1)
        for key in item.keys:
            self.signatures.pool.setdefault(key, set()).add(item.ticket_id)

    def leave_pool(self, ticket_id: str) -> None:
        item = self.pool.pop(ticket_id, None)
        if item is None:
            return
        self.pool_rows.remove(ticket_id)
        self.near.forget(ticket_id)
        self.signatures.hold(item, by=-1)
        for key in item.keys:
            self.signatures.pool[key].discard(ticket_id)

    # The window

    def is_current(self, item: Item, window: int) -> bool:
        """Inside a window of so many days before the last consolidation."""
        return self.consolidated_at is None or item.at >= self.consolidated_at - timedelta(days=window)

    def trim(self, tickets: Iterable[str]) -> None:
        """Forget those of `tickets` that are past their window and not named by a lock."""
        for ticket in tickets:
            if ticket in self.locks.named:
                continue
            if ticket in self.homes:
                item = self.groups[self.homes[ticket]].members[ticket].item
                if not self.is_current(item, self.parameters.active_days):
                    self.forget(ticket)
            elif ticket in self.pool and not self.is_current(self.pool[ticket], self.parameters.pool_days):
                self.leave_pool(ticket)


def row_sum(row: PatternRow) -> Sum:
    return np.frombuffer(row.vector_sum, "<f8").astype(np.float64)


def _decrement(counter: Counter[str], key: str, by: int = 1) -> None:
    counter[key] -= by
    if not counter[key]:
        del counter[key]
