"""Where one ticket belongs, the moment it arrives: signature, then pattern, then a founding set.

The last resort is the pool of ungrouped tickets, from which later tickets and the next
consolidation found patterns.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.detectors.grouping.locks import Join
from app.detectors.grouping.near import DIGITS, SLACK, Rows32, nearest
from app.detectors.grouping.state import Group, Item, State


class Match(NamedTuple):
    """A pattern and how well a ticket fits it."""

    score: float
    pattern_id: str


NO_MATCH = Match(0.0, "")


@dataclass(frozen=True, slots=True)
class Decision:
    """Where a ticket went and why; `members` are the ungrouped tickets that went there with it."""

    ticket_id: str
    pattern_id: str | None
    rule: str  # signature, group, founded, person, none
    score: float = 0.0
    runner_up: str | None = None
    runner_up_score: float = 0.0
    members: tuple[str, ...] = ()
    new: bool = False  # the pattern was founded by this ticket
    returned: bool = False  # the pattern had been dormant


def place(state: State, item: Item) -> Decision:
    """Group one ticket the engine does not hold yet."""
    decision = _decide(state, item)
    if decision.pattern_id is None:
        state.enter_pool(item)
    state.trim((item.ticket_id, *decision.members))
    return decision


def _decide(state: State, item: Item) -> Decision:
    ranked = rank(state, item)
    group, rule = _home(state, item, ranked)
    if group is None:
        return _found(state, item, ranked)
    dormant = timedelta(days=state.parameters.dormant_days)
    returned = item.at - group.last_at >= dormant
    followers = _followers(state, item)
    score = group.score(item.vector)
    for one in (item, *followers):
        state.join(one, group, rule)
    other = next((match for match in ranked if match.pattern_id != group.id), NO_MATCH)
    return Decision(
        item.ticket_id,
        group.id,
        rule,
        score,
        other.pattern_id or None,
        other.score,
        members=tuple(one.ticket_id for one in followers),
        returned=returned,
    )


def _home(state: State, item: Item, ranked: Sequence[Match]) -> tuple[Group | None, str]:
    """The pattern a ticket enters, and by which rule."""
    for mate in state.locks.linked(item.ticket_id):
        home = state.homes.get(mate)
        if home and not state.locks.forbids(Join(item.ticket_id, home)):
            return state.groups[home], "person"
    if group := by_signature(state, item):
        return group, "signature"
    if _signature_set(state, item):
        return None, "founded"
    if ranked and ranked[0].score >= state.parameters.join:
        return state.groups[ranked[0].pattern_id], "group"
    return None, "none"


def by_signature(state: State, item: Item) -> Group | None:
    """The one pattern that a specific signature of the ticket stands for, or mostly lies in."""
    for key in state.specific(item):
        seen = state.signatures.patterns.get(key, Counter())
        marked = [name for name in sorted(seen) if state.primary(state.groups[name]) == key]
        if not marked:
            share = state.parameters.signature_share * state.signatures.total(key)
            enough = max(share, state.parameters.min_size)
            marked = [name for name in sorted(seen) if seen[name] >= enough]
        if len(marked) == 1 and not state.locks.forbids(Join(item.ticket_id, marked[0])):
            return state.groups[marked[0]]
    return None


def rank(state: State, item: Item, *, without: str = "") -> list[Match]:
    """The two best patterns the ticket may enter, best first; `without` leaves one out.

    One float32 product shortlists; the candidates are scored again in float64, as many as could
    still be among the best two.
    """
    if not len(state.means):
        return []
    rough = rough_scores(state, item.vector.astype(np.float32)[None])[0]
    bonus = _bonus(state, item)
    for name, extra in bonus.items():
        rough[state.means.row(name)] += extra
    best: list[Match] = []
    for row in _descending(rough):
        if len(best) == 2 and rough[row] < best[1].score - SLACK:
            break
        name = state.means.names[row]
        group = state.groups[name]
        if name == without or state.locks.forbids(Join(item.ticket_id, name)) or state.at_odds(item, group):
            continue
        score = round(group.score(item.vector) + bonus.get(name, 0.0), DIGITS)
        best = sorted([*best, Match(score, name)], key=_best_first)[:2]
    return best


def rough_scores(state: State, vectors: Rows32) -> Rows32:
    """Float32 scores (n, patterns) of vectors (n, dim), anchors included, in the order of `state.means`."""
    rough: Rows32 = vectors @ state.means.matrix.T
    for group in state.anchored():
        column = state.means.row(group.id)
        for anchor in group.anchors:
            rough[:, column] = np.maximum(rough[:, column], vectors @ anchor.mean.astype(np.float32))
    return rough


def _best_first(match: Match) -> tuple[float, str]:
    return (-match.score, match.pattern_id)


def _descending(scores: NDArray[np.float32], few: int = 32) -> Iterator[int]:
    """Rows from best to worst; the rest is sorted only if someone asks beyond the first few."""
    if len(scores) <= few:
        yield from np.argsort(-scores, kind="stable").tolist()
        return
    parted = np.argpartition(-scores, few)
    for part in (parted[:few], parted[few:]):
        yield from part[np.argsort(-scores[part], kind="stable")].tolist()


def _bonus(state: State, item: Item) -> dict[str, float]:
    """What shared generic signatures add to a pattern's score."""
    return {
        name: state.parameters.generic_bonus
        for key in item.keys
        if state.signatures.is_generic(key, state.parameters)
        for name, count in state.signatures.patterns.get(key, {}).items()
        if count >= state.parameters.primary_share * state.groups[name].count
    }


def _followers(state: State, item: Item) -> list[Item]:
    """Ungrouped tickets that must stay with this one."""
    return [state.pool[mate] for mate in state.locks.linked(item.ticket_id) if mate in state.pool]


def _found(state: State, item: Item, ranked: Sequence[Match]) -> Decision:
    """Found a pattern with ungrouped tickets, or stay ungrouped."""
    best = ranked[0] if ranked else NO_MATCH
    members = _signature_set(state, item) or _founding_set(state, item)
    if not members:
        return Decision(item.ticket_id, None, "none", best.score, best.pattern_id or None, best.score)
    group = found(state, [item, *members], "founded")
    score = group.score(item.vector, inside=True)
    names = tuple(member.ticket_id for member in members)
    return Decision(
        item.ticket_id, group.id, "founded", score, best.pattern_id or None, best.score, names, new=True
    )


def found(state: State, items: Sequence[Item], rule: str, split_from: str | None = None) -> Group:
    """A new pattern of these ungrouped tickets; the latest is its founding ticket."""
    founder = max(items, key=lambda item: (item.at, item.ticket_id))
    group = state.create(founder.at, [item.ticket_id for item in items], split_from)
    for item in sorted(items, key=lambda item: item.ticket_id):
        state.join(item, group, rule)
    return group


def _signature_set(state: State, item: Item) -> list[Item]:
    """Ungrouped tickets that share a specific signature with this one, enough to found a pattern."""
    for key in state.specific(item):
        names = sorted(state.signatures.pool.get(key, ()))
        members = _with_mates(state, item, [one for one in names if _near(state, item, state.pool[one])])
        if len(members) + 1 >= state.parameters.min_size_signature:
            return members
    return []


def _founding_set(state: State, item: Item) -> list[Item]:
    """The ungrouped neighbours that are similar enough to each other and to the ticket, greedily."""
    chosen: list[Item] = []
    total = item.vector.astype(np.float64)
    for neighbour in neighbours(state, item):
        mean = round(float(total @ neighbour.vector.astype(np.float64)) / (len(chosen) + 1), DIGITS)
        if mean >= state.parameters.found:
            chosen.append(neighbour)
            total = total + neighbour.vector
    members = _with_mates(state, item, [one.ticket_id for one in chosen])
    return members if len(members) + 1 >= state.parameters.min_size else []


def _with_mates(state: State, item: Item, names: Sequence[str]) -> list[Item]:
    linked = {mate for name in (item.ticket_id, *names) for mate in state.locks.linked(name)}
    return [state.pool[name] for name in sorted(linked) if name in state.pool and name != item.ticket_id]


def _near(state: State, item: Item, other: Item) -> bool:
    return abs(item.at - other.at) <= timedelta(days=state.parameters.pool_days)


def neighbours(state: State, item: Item) -> list[Item]:
    """The nearest ungrouped tickets inside the pool window, nearest first, less those of another cause."""
    parameters = state.parameters
    names = nearest(
        state.pool_rows,
        item.vector,
        item.at.timestamp(),
        wanted=parameters.neighbours,
        window_s=parameters.pool_days * 86400.0,
        compared=parameters.compared,
    )
    return [other for name in names if not _apart(state, item, other := state.pool[name])]


def _apart(state: State, one: Item, other: Item) -> bool:
    """Both name a cause, and not the same one."""
    if not one.signatures or not other.signatures:
        return False
    mine, theirs = set(state.specific(one)), set(state.specific(other))
    return bool(mine and theirs and not mine & theirs)
