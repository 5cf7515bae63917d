"""The nightly look at what was decided online: recruit, split, merge, found, dissolve, until all is still.

Only tickets of the active window are rescored; older members stay in their pattern's sums. The
hysteresis between the thresholds keeps ids and memberships from swinging to and fro.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from app.detectors.grouping.linkage import BLOCK, average_linkage, similar_pairs
from app.detectors.grouping.locks import Dissolve, Leave, Merge, Part
from app.detectors.grouping.near import SLACK
from app.detectors.grouping.place import NO_MATCH, by_signature, found, rank, rough_scores
from app.detectors.grouping.state import Group, Item, Member, State, exact_sum

MOVES = 2
ROUNDS = 8
"""Passes before consolidation gives up waiting for stillness; two or three are usual."""


class RevisionKind(StrEnum):
    MOVED = "moved"  # tickets from pattern_id (or the pool: None) to other_id
    RELEASED = "released"  # tickets from pattern_id to the pool
    SPLIT = "split"  # tickets from pattern_id to the new other_id
    MERGED = "merged"  # pattern_id with all its tickets into other_id
    FOUNDED = "founded"  # tickets from the pool to the new pattern_id
    DISSOLVED = "dissolved"  # pattern_id ends, tickets to the pool
    RESTORED = "restored"  # tickets from other_id back to pattern_id, which lives again


@dataclass(frozen=True, slots=True)
class Revision:
    """One change of patterns or memberships, with its reason and the score that decided it."""

    kind: RevisionKind
    at: datetime
    pattern_id: str | None
    other_id: str | None
    ticket_ids: tuple[str, ...]
    reason: str
    score: float = 0.0


def consolidate(state: State, at: datetime) -> list[Revision]:
    """Bring the window to rest as of `at`; nothing to do when nothing changed since the last time."""
    if state.consolidated_at is not None and at <= state.consolidated_at and not state.dirty:
        return []
    state.consolidated_at = max(at, state.consolidated_at or at)
    state.trim([*state.homes, *state.pool])
    revisions: list[Revision] = []
    moved: Counter[str] = Counter()
    for _ in range(ROUNDS):
        changes = _round(state, at, moved)
        revisions += changes
        if not changes:
            break
    state.dirty = False
    return revisions


def _round(state: State, at: datetime, moved: Counter[str]) -> list[Revision]:
    return [
        *_recruit(state, at, moved),
        *_split(state, at),
        *_merge(state, at),
        *_found(state, at),
        *_dissolve(state, at),
    ]


# Recruit: rescore the window's tickets


def _recruit(state: State, at: datetime, moved: Counter[str]) -> list[Revision]:
    """Move, release or take in tickets; each at most twice in a consolidation.

    Once would leave for the next night what was released before the pattern it belongs to was founded.
    """
    revisions = []
    for item in sorted(_unsettled(state), key=lambda item: (item.at, item.ticket_id)):
        if moved[item.ticket_id] == MOVES:
            continue
        if revision := _reconsider(state, item, at):
            moved[item.ticket_id] += 1
            revisions.append(revision)
    state.trim([ticket for revision in revisions for ticket in revision.ticket_ids])
    return revisions


def _unsettled(state: State) -> list[Item]:
    """Tickets whose place might change, by float32 scores with some slack; the rest are at rest."""
    if not len(state.means):
        return []
    parameters = state.parameters
    unsettled: list[Item] = []
    for items in _blocks(state):
        scores = rough_scores(state, np.stack([item.vector for item in items]).astype(np.float32))
        own = np.full(len(items), parameters.join - parameters.move_gap, np.float32)
        grouped = np.zeros(len(items), np.bool_)
        for i, item in enumerate(items):
            if home := state.homes.get(item.ticket_id):
                column, count = state.means.row(home), state.groups[home].count
                plain = (scores[i, column] * count - 1) / (count - 1) if count > 1 else 1.0
                own[i] = -1.0 if state.groups[home].anchors else plain
                scores[i, column] = -1.0
                grouped[i] = True
        best = scores.max(axis=1) + parameters.generic_bonus
        better = best >= np.maximum(parameters.join, own + parameters.move_gap) - 10 * SLACK
        astray = grouped & (own < parameters.join - parameters.release_gap + 10 * SLACK)
        signed = np.array([bool(item.signatures) for item in items]) & ~grouped
        unsettled += [items[i] for i in np.flatnonzero(better | astray | signed)]
    return unsettled


def _blocks(state: State) -> Iterator[list[Item]]:
    items = [member.item for name in sorted(state.groups) for member in state.groups[name].members.values()]
    items += state.pool.values()
    for start in range(0, len(items), BLOCK):
        yield items[start : start + BLOCK]


def _reconsider(state: State, item: Item, at: datetime) -> Revision | None:
    home = state.homes.get(item.ticket_id)
    if home is None:
        return _recruited(state, item, at)
    group = state.groups[home]
    if state.locks.forbids(Leave(item.ticket_id, home)) or _is_bound(state, group.members[item.ticket_id]):
        return None
    own = group.score(item.vector, inside=True)
    match = next(iter(rank(state, item, without=home)), NO_MATCH)
    if match.score >= max(state.parameters.join, own + state.parameters.move_gap):
        return _move(state, item, match.pattern_id, at, f"fits better ({match.score:.3f} against {own:.3f})")
    if own >= state.parameters.join - state.parameters.release_gap:
        return None
    state.enter_pool(state.leave(item.ticket_id))
    reason = f"no longer fits ({own:.3f})"
    return Revision(RevisionKind.RELEASED, at, home, None, (item.ticket_id,), reason, own)


def _is_bound(state: State, member: Member) -> bool:
    """Held by other evidence than meaning: by the pattern's signature, a cluster of reports, a person."""
    if member.rule in ("cluster", "person"):
        return True
    if not member.item.signatures:
        return False
    group = state.groups[member.pattern_id]
    # What a signature would bring straight back is not let go: the two would take turns every night.
    return state.primary(group) in member.item.keys or by_signature(state, member.item) is group


def _recruited(state: State, item: Item, at: datetime) -> Revision | None:
    """An ungrouped ticket for which there is a pattern by now, with the tickets it must stay with."""
    if group := by_signature(state, item):
        return _move(state, item, group.id, at, "shares its signature")
    match = next(iter(rank(state, item)), NO_MATCH)
    if match.score < state.parameters.join:
        return None
    return _move(state, item, match.pattern_id, at, f"fits ({match.score:.3f})")


def _move(state: State, item: Item, to: str, at: datetime, reason: str) -> Revision:
    home = state.homes.get(item.ticket_id)
    if home:
        state.leave(item.ticket_id)
        items = [item]
    else:
        linked = state.locks.linked(item.ticket_id)
        items = [state.pool[name] for name in linked if name in state.pool]
    for one in items:
        state.join(one, state.groups[to], "consolidated")
    score = state.groups[to].score(item.vector, inside=True)
    names = tuple(one.ticket_id for one in items)
    return Revision(RevisionKind.MOVED, at, home, to, names, reason, score)


# Split: patterns too loose to be one problem


def _split(state: State, at: datetime) -> list[Revision]:
    revisions = []
    for name in sorted(state.groups):
        group = state.groups[name]
        if group.cohesion < state.parameters.merge + state.parameters.cohesion_gap and (
            halves := divide(state, group)
        ):
            revisions.append(_part(state, group, halves, at))
    return revisions


@dataclass(frozen=True, slots=True)
class Halves:
    """A pattern's two parts, as ticket ids, and their mean cross similarity."""

    kept: tuple[str, ...]
    leaving: tuple[str, ...]
    cross: float


def divide(state: State, group: Group) -> Halves | None:
    """Two halves of a pattern that have too little in common, when no lock keeps them together."""
    names = sorted(group.members)
    if len(names) < 2 * state.parameters.min_size:
        return None
    vectors = np.stack([group.members[name].item.vector for name in names]).astype(np.float64)
    side = _two_means(vectors)
    parts = [tuple(name for name, here in zip(names, side == half, strict=True) if here) for half in (0, 1)]
    if min(len(part) for part in parts) < state.parameters.min_size:
        return None
    sums = [vectors[side == half].sum(axis=0) for half in (0, 1)]
    cross = round(float(sums[0] @ sums[1]) / (len(parts[0]) * len(parts[1])), 9)
    if cross >= state.parameters.merge - state.parameters.split_gap:
        return None
    return _unlocked(state, group, parts, cross)


def _unlocked(state: State, group: Group, parts: Sequence[tuple[str, ...]], cross: float) -> Halves | None:
    """The larger half stays, unless a lock holds a ticket of the smaller; both held: no split."""
    smaller, larger = sorted(parts, key=lambda part: (len(part), part))
    for leaving, kept in ((smaller, larger), (larger, smaller)):
        bound = any(_is_bound(state, group.members[one]) for one in leaving)
        if not bound and not state.locks.forbids(Part(group.id, leaving)):
            return Halves(kept, leaving, cross)
    return None


def _two_means(vectors: NDArray[np.float64]) -> NDArray[np.int64]:
    """Side (n,) 0 or 1 by two-means begun along the first principal axis (Boley 1998)."""
    centred = vectors - vectors.mean(axis=0)
    axis = np.linalg.svd(centred, full_matrices=False)[2][0]
    side: NDArray[np.int64] = (np.round(centred @ axis, 9) > 0).astype(np.int64)
    for _ in range(10):
        if side.min() == side.max():
            break
        means = np.stack([vectors[side == half].mean(axis=0) for half in (0, 1)])
        means /= np.linalg.norm(means, axis=1, keepdims=True)
        new = (np.round(vectors @ (means[1] - means[0]), 9) > 0).astype(np.int64)
        if (new == side).all():
            break
        side = new
    return side


def _part(state: State, group: Group, halves: Halves, at: datetime) -> Revision:
    items = [state.leave(name) for name in halves.leaving]
    new = found(state, items, "consolidated", split_from=group.id)
    reason = f"two halves with little in common ({halves.cross:.3f})"
    return Revision(RevisionKind.SPLIT, at, group.id, new.id, halves.leaving, reason, halves.cross)


# Merge: patterns that are one problem


def _merge(state: State, at: datetime) -> list[Revision]:
    living = [group for group in state.groups.values() if group.count]
    groups = sorted(living, key=lambda group: (not group.members, group.id))
    active = sum(bool(group.members) for group in groups)
    if len(groups) < 2 or not active:
        return []
    means = state.means.matrix[[state.means.row(group.id) for group in groups]]
    pairs = similar_pairs(means, state.parameters.merge, first=active)
    clusters = average_linkage(
        np.stack([group.total for group in groups]),
        [group.count for group in groups],
        pairs,
        state.parameters.merge,
        lambda i, j: may_merge(state, groups[i], groups[j]),
    )
    return [revision for cluster in clusters for revision in _join_all(state, cluster, groups, at)]


def survivor_first(state: State, one: Group, other: Group) -> tuple[Group, Group]:
    """Who keeps its id when two patterns become one: touched by a person, then larger, then older."""
    return (one, other) if _claim(state, one) < _claim(state, other) else (other, one)


def _claim(state: State, group: Group) -> tuple[bool, int, datetime, str]:
    return (not state.is_touched(group), -group.count, group.founded_at, group.id)


def may_merge(state: State, one: Group, other: Group) -> bool:
    """No lock keeps the two apart, and no pair of specific signatures says they differ."""
    survivor, loser = survivor_first(state, one, other)
    if state.locks.forbids(Merge(survivor.id, loser.id)):
        return False
    mine, theirs = state.primary(one), state.primary(other)
    return mine is None or theirs is None or mine == theirs


def _join_all(state: State, cluster: Sequence[int], groups: Sequence[Group], at: datetime) -> list[Revision]:
    survivor, *losers = sorted((groups[i] for i in cluster), key=lambda group: _claim(state, group))
    revisions = []
    for loser in losers:
        score = survivor.cross(loser)
        tickets = absorb(state, survivor, loser)
        reason = f"the same problem ({score:.3f})"
        revisions.append(Revision(RevisionKind.MERGED, at, loser.id, survivor.id, tickets, reason, score))
    return revisions


def absorb(state: State, survivor: Group, loser: Group) -> tuple[str, ...]:
    """Merge `loser` into `survivor`; returns the tickets in memory that came with it.

    What is buried keeps the sums of the loser's older members, so that the merge can be undone.
    """
    tickets = tuple(sorted(loser.members))
    members = [loser.members[ticket] for ticket in tickets]
    for member in members:
        state.leave(member.item.ticket_id)
    for key, count in loser.signatures.items():
        survivor.signatures[key] += count
        seen = state.signatures.patterns[key]
        seen[survivor.id] += seen.pop(loser.id)
    survivor.total = survivor.total + loser.total
    survivor.count += loser.count
    survivor.last_at = max(survivor.last_at, loser.last_at)
    survivor.touched |= loser.touched
    survivor.anchors += loser.anchors
    state.bury(loser, survivor.id)
    state.refresh(survivor)
    for member in members:
        state.join(member.item, survivor, member.rule)
    return tickets


# Found: what has gathered in the pool


def _found(state: State, at: datetime) -> list[Revision]:
    nodes = _nodes(state)
    if len(nodes) < 2:
        return []
    sums = np.stack([exact_sum((item.vector for item in node), state.dim) for node in nodes])
    clusters = average_linkage(
        sums,
        [len(node) for node in nodes],
        _node_pairs(state, nodes),
        state.parameters.found,
        lambda i, j: _compatible(state, nodes[i], nodes[j]),
    )
    revisions = []
    for cluster in clusters:
        items = [item for node in cluster for item in nodes[node]]
        if len(items) >= state.parameters.min_size:
            group = found(state, items, "consolidated")
            names = tuple(sorted(item.ticket_id for item in items))
            reason = f"alike among themselves ({group.cohesion:.3f})"
            revisions.append(
                Revision(RevisionKind.FOUNDED, at, group.id, None, names, reason, group.cohesion)
            )
    return revisions


def _nodes(state: State) -> list[list[Item]]:
    """The pool's tickets, those a person linked contracted to one node, in order of ticket id."""
    nodes = []
    for name in sorted(state.pool):
        linked = [one for one in state.locks.linked(name) if one in state.pool]
        if linked[0] == name:
            nodes.append([state.pool[one] for one in linked])
    return nodes


def _node_pairs(state: State, nodes: Sequence[Sequence[Item]]) -> list[tuple[int, int]]:
    """Pairs of nodes that hold a pair of like tickets: nothing else can reach the bound on average."""
    number = {item.ticket_id: n for n, node in enumerate(nodes) for item in node}
    pairs = state.near.pairs(state.pool_rows, state.parameters.found)
    between = {(number[one], number[other]) for one, other in pairs}
    return sorted({(min(pair), max(pair)) for pair in between if pair[0] != pair[1]})


def _compatible(state: State, one: Sequence[Item], other: Sequence[Item]) -> bool:
    """The two nodes do not name different causes."""
    mine = {key for item in one for key in state.specific(item)}
    theirs = {key for item in other for key in state.specific(item)}
    return not mine or not theirs or bool(mine & theirs)


# Dissolve: patterns that lost their tickets


def _dissolve(state: State, at: datetime) -> list[Revision]:
    revisions = []
    for name in sorted(state.groups):
        group = state.groups[name]
        if group.touched or group.count >= state.smallest(group) or state.locks.forbids(Dissolve(name)):
            continue
        tickets = tuple(sorted(group.members))
        for ticket in tickets:
            state.enter_pool(state.leave(ticket))
        state.bury(group)
        revisions.append(
            Revision(RevisionKind.DISSOLVED, at, name, None, tickets, "too few tickets left", 0.0)
        )
    state.trim([ticket for revision in revisions for ticket in revision.ticket_ids])
    return revisions
