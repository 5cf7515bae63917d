"""The grouping engine: decides which tickets are one problem. In memory, pure, one writer.

Feed it tickets with `place`, call `consolidate` at each event-time midnight, carry out people's edits
with `edit`; persist what these return. `restore(engine.export())` continues bit for bit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from app.detectors.grouping import consolidate as nightly
from app.detectors.grouping import edits
from app.detectors.grouping.consolidate import Revision, RevisionKind
from app.detectors.grouping.locks import Edit
from app.detectors.grouping.place import Decision, found, place
from app.detectors.grouping.state import (
    Group,
    Item,
    Member,
    Parameters,
    PatternRow,
    State,
    Vector,
    exact_sum,
)
from app.detectors.grouping.suggest import suggestions
from app.domain import Suggestion
from app.errors import NotFound

ENGINE = "grouping-5"
"""The version kept with every decision; it changes when the same input may be placed differently."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All that a grouping is: what `restore` needs.

    `members` are the tickets of the active window, and those of any age that an edit in force names
    (`Grouping.keeps`); `pool` likewise the ungrouped ones of the pool window.
    """

    patterns: tuple[PatternRow, ...] = ()
    members: tuple[Member, ...] = ()
    pool: tuple[Item, ...] = ()
    edits: tuple[Edit, ...] = ()
    consolidated_at: datetime | None = None
    dirty: bool = True


class Grouping:
    """Patterns and how tickets come to them. Every method is deterministic."""

    def __init__(self, dim: int = 384, parameters: Parameters | None = None) -> None:
        self.state = State(dim, parameters or Parameters())

    # Tickets

    def place(self, item: Item) -> Decision:
        """Group one ticket; one the engine holds already is updated."""
        if self.state.item(item.ticket_id) is not None:
            return self.update(item)
        return place(self.state, item)

    def place_many(self, items: Sequence[Item]) -> list[Decision]:
        """`place` each in turn."""
        return [self.place(item) for item in items]

    def update(self, item: Item) -> Decision:
        """An edited ticket: it stays in its pattern, or is placed again when it was ungrouped."""
        home = self.state.homes.get(item.ticket_id)
        if home is None:
            self.state.leave_pool(item.ticket_id)
            return place(self.state, item)
        group = self.state.groups[home]
        rule = group.members[item.ticket_id].rule
        self.state.leave(item.ticket_id)
        self.state.join(item, group, rule)
        self.state.trim((item.ticket_id,))
        return Decision(item.ticket_id, home, rule, group.score(item.vector, inside=True))

    def remove(self, ticket_id: str) -> str | None:
        """A deleted ticket leaves all sums; returns the pattern it was in. Unknown ones are ignored."""
        home = self.state.homes.get(ticket_id)
        if home:
            self.state.leave(ticket_id)
        self.state.leave_pool(ticket_id)
        return home

    def recall(self, item: Item, pattern_id: str | None, *, rule: str = "group") -> None:
        """Hold a ticket older than the window again, so that it can be edited, moved or removed."""
        if self.state.item(item.ticket_id) is not None:
            return
        if pattern_id is None:
            self.state.enter_pool(item)
        else:
            home = edits.living(self.state, pattern_id).id
            self.state.hold(Member(item, home, rule))

    def found(self, ticket_ids: Iterable[str], at: datetime, *, rule: str = "cluster") -> Revision | None:
        """Found a pattern of tickets that other evidence calls one problem; those already grouped stay.

        None when no more than half of them are ungrouped. Such members are not released later for being
        worded differently.
        """
        named = sorted({one for ticket in ticket_ids for one in self.state.locks.linked(ticket)})
        items = [self.state.pool[ticket] for ticket in named if ticket in self.state.pool]
        if 2 * len(items) <= len(named):
            return None
        group = found(self.state, items, rule)
        names = tuple(item.ticket_id for item in items)
        self.state.trim(names)
        return Revision(RevisionKind.FOUNDED, at, group.id, None, names, rule, group.cohesion)

    # Patterns

    def consolidate(self, at: datetime) -> list[Revision]:
        """The nightly pass as of `at`; a second one in a row changes nothing."""
        return nightly.consolidate(self.state, at)

    def edit(self, edit: Edit) -> tuple[Edit, list[Revision]]:
        """Carry out a person's edit; see `edits.apply`. Store the edit that is returned."""
        return edits.apply(self.state, edit)

    def needs(self, edit: Edit) -> tuple[str, ...]:
        """Tickets not in memory that an edit, or the one it undoes, is about: `recall` them first."""
        undone = self.state.locks.edits.get(edit.undoes)
        named = {*edit.tickets, *(undone.tickets if undone else ())}
        return tuple(sorted(ticket for ticket in named if self.state.item(ticket) is None))

    def touch(self, pattern_id: str) -> None:
        """Mark a pattern that was alerted on or subscribed to: it is not dissolved."""
        edits.living(self.state, pattern_id).touched = True

    def resolve(self, pattern_id: str) -> str:
        """The living heir of a merged pattern, or the pattern itself."""
        return self.state.locks.resolve(pattern_id)

    def pattern_of(self, ticket_id: str) -> str | None:
        """The pattern of a ticket in memory."""
        return self.state.homes.get(ticket_id)

    def earlier(self, ticket_ids: Sequence[str]) -> int:
        """Customers of the active window with a ticket before all of these, in the pattern of most of them."""
        homes = Counter(home for t in ticket_ids if (home := self.pattern_of(t)) is not None)
        home, inside = max(homes.items(), key=lambda one: (one[1], one[0]), default=("", 0))
        if 2 * inside <= len(ticket_ids):
            return 0
        members = self.state.groups[home].members
        first = min(members[t].item.at for t in ticket_ids if t in members)
        since = first - timedelta(days=self.state.parameters.active_days)
        return len({m.item.customer for m in members.values() if since <= m.item.at < first})

    def pattern(self, pattern_id: str) -> Group:
        """A living pattern, or the heir of a merged one; raises NotFound."""
        return edits.living(self.state, pattern_id)

    def patterns(self) -> list[Group]:
        """The living patterns, by id and so by founding time."""
        return [self.state.groups[name] for name in sorted(self.state.groups)]

    def keeps(self, ticket_id: str) -> bool:
        """Whether an edit in force names the ticket, so that it stays in memory whatever its age."""
        return ticket_id in self.state.locks.named

    def row(self, pattern_id: str) -> PatternRow:
        """A pattern, living or buried, as it must be stored."""
        if pattern_id in self.state.graves:
            return self.state.graves[pattern_id]
        if pattern_id not in self.state.groups:
            raise NotFound(f"There is no pattern {pattern_id}.")
        return self.state.row(self.state.groups[pattern_id])

    def suggestions(self, at: datetime, rejected: Collection[str] = ()) -> list[Suggestion]:
        """Merges, splits and variants worth showing to people; `rejected` are keys that stay away."""
        return suggestions(self.state, at, rejected)

    def rehearse(self, parameters: Parameters, at: datetime) -> list[Revision]:
        """What a consolidation under other parameters would change, tried on a copy."""
        copy = Grouping.restore(replace(self.export(), dirty=True), dim=self.state.dim, parameters=parameters)
        return copy.consolidate(at)

    def adopt(self, parameters: Parameters) -> None:
        """Use other parameters from now on: for new tickets, and for all at the next consolidation."""
        self.state.parameters, self.state.dirty = parameters, True

    # State in and out

    def export(self) -> Snapshot:
        """The whole state, in a canonical order."""
        state = self.state
        living = [state.row(group) for group in state.groups.values()]
        rows = sorted([*living, *state.graves.values()], key=lambda row: row.id)
        members = [member for group in state.groups.values() for member in group.members.values()]
        return Snapshot(
            patterns=tuple(rows),
            members=tuple(sorted(members, key=lambda member: member.item.ticket_id)),
            pool=tuple(sorted(state.pool.values(), key=lambda item: item.ticket_id)),
            edits=tuple(state.locks.edits.values()),
            consolidated_at=state.consolidated_at,
            dirty=state.dirty,
        )

    @classmethod
    def restore(cls, snapshot: Snapshot, *, dim: int = 384, parameters: Parameters | None = None) -> Grouping:
        """A grouping that goes on exactly where the exported one stopped."""
        grouping = cls(dim, parameters)
        state = grouping.state
        for row in snapshot.patterns:
            if row.merged_into:
                state.redirects[row.id] = row.merged_into
            if row.merged_into or row.dissolved:
                state.graves[row.id] = row
            else:
                state.revive(row)
        for member in snapshot.members:
            state.hold(member)
        for item in snapshot.pool:
            state.enter_pool(item)
        for edit in snapshot.edits:
            state.locks.edits[edit.id] = edit
        state.locks.refresh()
        state.consolidated_at = snapshot.consolidated_at
        state.trim([*state.homes, *state.pool])
        state.dirty = snapshot.dirty
        return grouping


def reembedded(
    snapshot: Snapshot, vectors: Mapping[str, Vector], tickets: Mapping[str, str], dim: int
) -> Snapshot:
    """The same patterns and memberships under another embedding model: ids unchanged, sums rebuilt.

    `vectors` (dim,) float16 are the new vectors of every ticket in `tickets` (ticket -> pattern, all
    members of any age) and of the pool.
    """
    inside: dict[str, list[Vector]] = {}
    for ticket, pattern in tickets.items():
        inside.setdefault(pattern, []).append(vectors[ticket])
    return replace(
        snapshot,
        patterns=tuple(
            replace(row, vector_sum=exact_sum(inside.get(row.id, ()), dim).astype("<f8").tobytes())
            for row in snapshot.patterns
        ),
        members=tuple(
            replace(member, item=replace(member.item, vector=vectors[member.item.ticket_id]))
            for member in snapshot.members
        ),
        pool=tuple(replace(item, vector=vectors[item.ticket_id]) for item in snapshot.pool),
        dirty=True,
    )
