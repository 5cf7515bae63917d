"""What people decided about patterns, and the one function that says what it forbids.

Edits are append-only; undoing one appends an edit too. `Locks` is derived from the edits and the
redirects of merged patterns alone, so a restored engine is bound exactly as the one that stopped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from app.errors import Conflict


class EditKind(StrEnum):
    MERGE = "merge"  # patterns (survivor, loser); tickets: the loser's
    SPLIT = "split"  # patterns (origin, new); tickets: those that left
    MOVE = "move"  # patterns (from or "", to); one ticket
    REMOVE = "remove"  # "not this": patterns (from,); one ticket
    LINK = "link"  # "these are the same": two or more tickets
    SEPARATE = "separate"  # "these are not the same": two patterns
    PIN = "pin"  # one pattern
    DISMISS = "dismiss"  # "not a pattern": one pattern, muted
    UNDO = "undo"  # `undoes` names the edit taken back


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """One decision of a person."""

    id: str
    kind: EditKind
    at: datetime
    actor: str
    patterns: tuple[str, ...] = ()
    tickets: tuple[str, ...] = ()
    undoes: str = ""

    def __str__(self) -> str:
        what = " and ".join((*self.patterns, *self.tickets[:3]))
        return f"edit {self.id} ({self.kind} {what} by {self.actor}, {self.at:%Y-%m-%d})"


@dataclass(frozen=True, slots=True)
class Join:
    """A ticket enters a pattern."""

    ticket: str
    pattern: str


@dataclass(frozen=True, slots=True)
class Leave:
    """A ticket leaves its pattern."""

    ticket: str
    pattern: str


@dataclass(frozen=True, slots=True)
class Merge:
    """`loser` becomes part of `survivor`."""

    survivor: str
    loser: str


@dataclass(frozen=True, slots=True)
class Part:
    """`tickets` leave a pattern together and found another."""

    pattern: str
    tickets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Dissolve:
    """A pattern ends and its tickets are ungrouped."""

    pattern: str


Act = Join | Leave | Merge | Part | Dissolve


class Locks:
    """The constraints in force, indexed for asking.

    `redirects` (merged pattern -> heir) and `homes` (ticket -> its pattern) are the engine's own live
    mappings. Tickets that a lock names stay in the engine's memory whatever their age.
    """

    def __init__(self, edits: Iterable[Edit], redirects: Mapping[str, str], homes: Mapping[str, str]) -> None:
        self.edits: dict[str, Edit] = {edit.id: edit for edit in edits}
        self._redirects = redirects
        self._homes = homes
        self.refresh()

    def add(self, edit: Edit) -> None:
        self.edits[edit.id] = edit
        self.refresh()

    def resolve(self, pattern: str) -> str:
        """The living heir of a merged pattern, or the pattern itself."""
        while pattern in self._redirects:
            pattern = self._redirects[pattern]
        return pattern

    @property
    def active(self) -> list[Edit]:
        """Edits in force, in the order they were made."""
        undone = {edit.undoes for edit in self.edits.values()}
        return [
            edit for edit in self.edits.values() if edit.kind is not EditKind.UNDO and edit.id not in undone
        ]

    def refresh(self) -> None:
        """Derive the index again: after an edit, and after any merge."""
        self.fixed: dict[str, Edit] = {}  # ticket -> the edit that put it where it is
        self.blocks: dict[str, dict[str, Edit]] = {}  # pattern -> ticket that may not be in it -> edit
        self.apart: dict[str, dict[str, Edit]] = {}  # pattern -> pattern -> edit
        self.mates: dict[str, dict[str, Edit]] = {}  # ticket -> ticket it must stay with -> edit
        self.pins: dict[str, Edit] = {}
        self.mutes: dict[str, Edit] = {}
        self.touched: dict[str, Edit] = {}  # pattern -> the first edit of it
        for edit in self.active:
            self._index(edit)
        self.named = self.fixed.keys() | self.mates.keys() | {t for b in self.blocks.values() for t in b}

    def _index(self, edit: Edit) -> None:
        heirs = self._heirs(edit)
        match edit.kind:
            case EditKind.MOVE:
                self.fixed[edit.tickets[0]] = edit
                if heirs[0]:
                    self.blocks.setdefault(heirs[0], {})[edit.tickets[0]] = edit
            case EditKind.REMOVE:
                self.fixed.pop(edit.tickets[0], None)
                self.blocks.setdefault(heirs[0], {})[edit.tickets[0]] = edit
            case EditKind.SPLIT:
                self.fixed.update(dict.fromkeys(edit.tickets, edit))
            case EditKind.LINK:
                for ticket in edit.tickets:
                    mates = {mate: edit for mate in edit.tickets if mate != ticket}
                    self.mates.setdefault(ticket, {}).update(mates)
            case EditKind.PIN | EditKind.MERGE:
                self.pins[heirs[0]] = edit
            case EditKind.DISMISS:
                self.mutes[heirs[0]] = edit
        if edit.kind in (EditKind.SPLIT, EditKind.SEPARATE):
            self.apart.setdefault(heirs[0], {})[heirs[1]] = edit
            self.apart.setdefault(heirs[1], {})[heirs[0]] = edit
        for heir in filter(None, heirs):
            self.touched.setdefault(heir, edit)

    def _heirs(self, edit: Edit) -> list[str]:
        return [self.resolve(pattern) if pattern else "" for pattern in edit.patterns]

    def linked(self, ticket: str) -> tuple[str, ...]:
        """The ticket and all it must stay with, sorted: the node they are contracted to."""
        seen, queue = {ticket}, [ticket]
        while queue:
            fresh = self.mates.get(queue.pop(), {}).keys() - seen
            seen |= fresh
            queue.extend(fresh)
        return tuple(sorted(seen))

    def forbids(self, act: Act) -> Edit | None:
        """The edit that stands against an act of the engine; None when it is free to go.

        This is the only place that says what a lock means: every step asks it, for every act.
        """
        match act:
            case Join(ticket, pattern):
                blocked = self.blocks.get(pattern)
                if not blocked:
                    return None
                return next((blocked[one] for one in self.linked(ticket) if one in blocked), None)
            case Leave(ticket, _):
                return self.fixed.get(ticket) or self._link_of(ticket)
            case Merge(survivor, loser):
                if edit := self.pins.get(loser) or self.mutes.get(loser) or self.mutes.get(survivor):
                    return edit
                if loser in self.touched and survivor in self.touched:
                    return self.touched[loser]
                return self._keeps_apart(survivor, loser)
            case Part(pattern, tickets):
                leaving = (self.forbids(Leave(one, pattern)) for one in tickets)
                return self.pins.get(pattern) or next(filter(None, leaving), None)
            case Dissolve(pattern):
                return self.touched.get(pattern)

    def _keeps_apart(self, one: str, other: str) -> Edit | None:
        """A cannot-link between two patterns, or a ticket of one that is blocked from the other."""
        if edit := self.apart.get(one, {}).get(other):
            return edit
        for home, barred in ((one, other), (other, one)):
            for ticket, edit in self.blocks.get(barred, {}).items():
                if self._homes.get(ticket) == home:
                    return edit
        return None

    def _link_of(self, ticket: str) -> Edit | None:
        return next(iter(self.mates.get(ticket, {}).values()), None)

    def refuse(self, edit: Edit) -> None:
        """Raise Conflict, naming both, when a new edit contradicts one in force."""
        if other := self._contradicted(edit):
            raise Conflict(f"{edit} contradicts {other}; undo that one first.")

    def _contradicted(self, edit: Edit) -> Edit | None:
        heirs = self._heirs(edit)
        match edit.kind:
            case EditKind.MERGE:
                return self._keeps_apart(heirs[0], heirs[1])
            case EditKind.MOVE:
                ticket = edit.tickets[0]
                return self.blocks.get(heirs[1], {}).get(ticket) or self._link_of(ticket)
            case EditKind.REMOVE:
                fixed = self.fixed.get(edit.tickets[0])
                moved = fixed if fixed and fixed.kind is EditKind.MOVE else None
                return moved or self._link_of(edit.tickets[0])
            case EditKind.SPLIT:
                return self._tears(edit)
            case EditKind.LINK:
                return self._cannot_link(edit)
            case EditKind.SEPARATE if heirs[0] == heirs[1]:
                merges = (one for one in self.active if one.kind is EditKind.MERGE)
                return next((one for one in merges if heirs[0] in self._heirs(one)), None)
            case _:
                return None

    def _tears(self, edit: Edit) -> Edit | None:
        """The link that a hand-made split would cut."""
        leaving = set(edit.tickets)
        for ticket in edit.tickets:
            for mate, link in self.mates.get(ticket, {}).items():
                if mate not in leaving:
                    return link
        return None

    def _cannot_link(self, edit: Edit) -> Edit | None:
        """What keeps tickets that are said to be the same from being in one pattern."""
        tickets = [one for named in edit.tickets for one in self.linked(named)]
        homes = sorted({self._homes[one] for one in tickets if one in self._homes})
        for home in homes:
            for other in homes:
                if other != home and (apart := self._keeps_apart(home, other)):
                    return apart
            for one in tickets:
                if blocked := self.blocks.get(home, {}).get(one):
                    return blocked
        if len(homes) > 1:
            return next((self.fixed[one] for one in tickets if one in self.fixed), None)
        return None
