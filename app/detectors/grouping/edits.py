"""What people do to patterns: each edit changes memberships at once and binds every later step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from app.detectors.grouping.consolidate import Revision, RevisionKind, absorb
from app.detectors.grouping.locks import Edit, EditKind
from app.detectors.grouping.place import found
from app.detectors.grouping.state import Anchor, Group, Item, State
from app.errors import Conflict, Invalid, NotFound

SIZES = {
    EditKind.MERGE: (2, 0),
    EditKind.SPLIT: (1, 1),
    EditKind.MOVE: (1, 1),
    EditKind.REMOVE: (1, 1),
    EditKind.LINK: (0, 2),
    EditKind.SEPARATE: (2, 0),
    EditKind.PIN: (1, 0),
    EditKind.DISMISS: (1, 0),
    EditKind.UNDO: (0, 0),
}
"""Patterns and tickets an edit must name; a split and a link may name more tickets."""


def apply(state: State, edit: Edit) -> tuple[Edit, list[Revision]]:
    """Carry out a person's edit; returns it as it must be stored, with what it changed.

    Raises Conflict naming both edits when it contradicts one in force, NotFound for a pattern or ticket
    that the engine does not hold (`recall` a ticket older than the window first), Invalid for a malformed
    edit.
    """
    if edit.id in state.locks.edits:
        raise Conflict(f"An edit with the id {edit.id} exists; choose another id.")
    if edit.kind is EditKind.UNDO:
        return edit, _undo(state, edit)
    edit = _completed(state, _checked(edit))
    state.locks.refuse(edit)
    revisions = _carry_out(state, edit)
    if edit.kind is EditKind.SPLIT:
        edit = replace(edit, patterns=(edit.patterns[0], revisions[0].other_id or ""))
    state.dirty = True
    state.locks.add(edit)
    return edit, revisions


def _checked(edit: Edit) -> Edit:
    patterns, tickets = SIZES[edit.kind]
    many = edit.kind in (EditKind.SPLIT, EditKind.LINK)
    if (
        len(edit.patterns) != patterns
        or len(edit.tickets) < tickets
        or (len(edit.tickets) > tickets and not many)
    ):
        raise Invalid(
            f"A {edit.kind} names {patterns} patterns and {tickets} tickets{' or more' if many else ''}."
        )
    if len(set(edit.patterns)) < patterns or len(set(edit.tickets)) < len(edit.tickets):
        raise Invalid(f"A {edit.kind} cannot name the same thing twice.")
    return edit


def _completed(state: State, edit: Edit) -> Edit:
    """The edit with merged patterns followed to their heirs, and what it needs to be undone."""
    patterns = tuple(living(state, pattern).id for pattern in edit.patterns)
    for ticket in edit.tickets:
        if state.item(ticket) is None:
            raise NotFound(f"No ticket {ticket} is at hand; recall it first if it is an old one.")
    match edit.kind:
        case EditKind.MERGE if patterns[0] != patterns[1]:
            return replace(edit, patterns=patterns, tickets=tuple(sorted(state.groups[patterns[1]].members)))
        case EditKind.MOVE:
            return replace(edit, patterns=(state.homes.get(edit.tickets[0], ""), patterns[0]))
        case EditKind.SPLIT | EditKind.REMOVE:
            for ticket in edit.tickets:
                if state.homes.get(ticket) != patterns[0]:
                    raise Conflict(f"Ticket {ticket} is not in pattern {patterns[0]}; read it again.")
        case EditKind.LINK:
            return replace(edit, tickets=tuple(sorted(edit.tickets)))
        case _:
            pass
    return replace(edit, patterns=patterns)


def living(state: State, pattern: str) -> Group:
    """The pattern of that id, or the one it was merged into."""
    heir = state.locks.resolve(pattern)
    if heir not in state.groups:
        raise NotFound(f"There is no pattern {pattern}.")
    return state.groups[heir]


def _carry_out(state: State, edit: Edit) -> list[Revision]:
    why = f"{edit.kind} by {edit.actor}"
    match edit.kind:
        case EditKind.MERGE:
            return [_merge(state, edit, why)]
        case EditKind.SPLIT:
            return [_split(state, edit, why)]
        case EditKind.MOVE:
            if edit.patterns[0] == edit.patterns[1]:
                raise Conflict(f"Ticket {edit.tickets[0]} is in pattern {edit.patterns[1]} already.")
            return [_put(state, edit.tickets, edit.patterns[1], edit.at, why)]
        case EditKind.REMOVE:
            return [_release(state, edit.tickets, edit.at, why)]
        case EditKind.LINK:
            return _link(state, edit, why)
        case EditKind.SEPARATE if edit.patterns[0] == edit.patterns[1]:
            raise Conflict("Both are one pattern now; split it instead.")
        case _:
            return []


def _merge(state: State, edit: Edit, why: str) -> Revision:
    if edit.patterns[0] == edit.patterns[1]:
        raise Conflict(f"{edit.patterns[0]} holds both already.")
    survivor, loser = (state.groups[pattern] for pattern in edit.patterns)
    sides = tuple(
        Anchor(edit.id, side.total.astype("<f8").tobytes(), side.count) for side in (survivor, loser)
    )
    tickets = absorb(state, survivor, loser)
    survivor.anchors += sides
    return Revision(RevisionKind.MERGED, edit.at, loser.id, survivor.id, tickets, why)


def _split(state: State, edit: Edit, why: str) -> Revision:
    origin = state.groups[edit.patterns[0]]
    if len(edit.tickets) >= origin.count:
        raise Invalid("A split must leave at least one ticket behind.")
    items = [state.leave(ticket) for ticket in edit.tickets]
    new = found(state, items, "person", split_from=origin.id)
    return Revision(RevisionKind.SPLIT, edit.at, origin.id, new.id, tuple(sorted(edit.tickets)), why)


def _put(state: State, tickets: Sequence[str], to: str, at: datetime, why: str) -> Revision:
    """Tickets of one home, or of the pool, into a pattern."""
    home = state.homes.get(tickets[0])
    for ticket in tickets:
        state.join(_taken(state, ticket), state.groups[to], "person")
    return Revision(RevisionKind.MOVED, at, home, to, tuple(tickets), why)


def _taken(state: State, ticket: str) -> Item:
    if ticket in state.homes:
        return state.leave(ticket)
    item = state.pool[ticket]
    state.leave_pool(ticket)
    return item


def _release(state: State, tickets: Sequence[str], at: datetime, why: str) -> Revision:
    home = state.homes[tickets[0]]
    for ticket in tickets:
        state.enter_pool(state.leave(ticket))
    return Revision(RevisionKind.RELEASED, at, home, None, tuple(tickets), why)


def _link(state: State, edit: Edit, why: str) -> list[Revision]:
    """Bring linked tickets into the pattern that most of them are in, if any is in one."""
    tickets = sorted({one for named in edit.tickets for one in state.locks.linked(named)})
    homes = [state.homes[ticket] for ticket in tickets if ticket in state.homes]
    if not homes:
        return []
    to = min(homes, key=lambda home: (-homes.count(home), home))
    moving = [ticket for ticket in tickets if state.homes.get(ticket) != to]
    return [_put(state, (ticket,), to, edit.at, why) for ticket in moving]


# Undo


def _undo(state: State, undo: Edit) -> list[Revision]:
    edit = next((one for one in state.locks.active if one.id == undo.undoes), None)
    if edit is None:
        raise NotFound(f"No edit {undo.undoes} is in force.")
    _refuse_if_built_upon(state, edit)
    revisions = _reversed(state, edit, undo.at, f"undo of {edit.kind} by {undo.actor}")
    state.locks.add(undo)
    state.dirty = True
    return revisions


def _reversed(state: State, edit: Edit, at: datetime, why: str) -> list[Revision]:
    match edit.kind:
        case EditKind.MERGE:
            return [_unmerge(state, edit, at, why)]
        case EditKind.SPLIT:
            return _unsplit(state, edit, at, why)
        case EditKind.MOVE | EditKind.REMOVE:
            return _put_back(state, edit, at, why)
        case _:
            return []


def _refuse_if_built_upon(state: State, edit: Edit) -> None:
    """A ticket's later move or removal must be undone before an earlier one."""
    later = state.locks.active[state.locks.active.index(edit) + 1 :]
    for other in later:
        same_ticket = edit.kind in (EditKind.MOVE, EditKind.REMOVE, EditKind.SPLIT) and (
            set(edit.tickets) & set(other.tickets) and other.kind is not EditKind.MERGE
        )
        if same_ticket or (
            edit.kind in (EditKind.MERGE, EditKind.SPLIT) and edit.patterns[1] in other.patterns
        ):
            raise Conflict(f"{other} builds on {edit}; undo that one first.")


def _unmerge(state: State, edit: Edit, at: datetime, why: str) -> Revision:
    survivor, row = living(state, edit.patterns[0]), state.graves[edit.patterns[1]]
    returning = [ticket for ticket in edit.tickets if _returns(state, ticket, survivor, row.id)]
    for ticket in returning:
        if torn := set(state.locks.linked(ticket)) - set(returning):
            raise Conflict(
                f"Ticket {ticket} is linked with {sorted(torn)[0]}, which would stay; undo that link first."
            )
    if not returning and not row.count:
        raise Conflict(f"None of the tickets of {row.id} is left to bring back.")
    members = [survivor.members[ticket] for ticket in returning]
    del state.graves[row.id], state.redirects[row.id]
    group = state.revive(row)
    state.deduct(survivor, row)
    survivor.anchors = tuple(
        anchor for anchor in survivor.anchors if anchor.edit != edit.id and anchor not in row.anchors
    )
    for member in members:
        state.leave(member.item.ticket_id)
        state.join(member.item, group, member.rule)
    state.refresh(group)
    state.refresh(survivor)
    state.locks.refresh()
    return Revision(RevisionKind.RESTORED, at, group.id, survivor.id, tuple(returning), why)


def _returns(state: State, ticket: str, survivor: Group, loser: str) -> bool:
    """Whether a ticket that came with a merge is still there, and not because someone put it there since."""
    fixed = state.locks.fixed.get(ticket)
    return state.homes.get(ticket) == survivor.id and (fixed is None or fixed.patterns[1] == loser)


def _unsplit(state: State, edit: Edit, at: datetime, why: str) -> list[Revision]:
    origin = living(state, edit.patterns[0])
    new = living(state, edit.patterns[1])
    if origin is new:
        return []
    tickets = absorb(state, origin, new)
    return [Revision(RevisionKind.MERGED, at, new.id, origin.id, tickets, why)]


def _put_back(state: State, edit: Edit, at: datetime, why: str) -> list[Revision]:
    """The ticket returns to where it was before it was moved or removed."""
    ticket, before = edit.tickets[0], state.locks.resolve(edit.patterns[0])
    if before in state.groups:
        return [] if state.homes.get(ticket) == before else [_put(state, (ticket,), before, at, why)]
    return [_release(state, (ticket,), at, why)] if ticket in state.homes else []
