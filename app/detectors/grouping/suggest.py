"""What the engine will not do by itself but puts before people, each with its evidence."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta

import numpy as np

from app.detectors.grouping.consolidate import divide, may_merge, survivor_first
from app.detectors.grouping.linkage import average_linkage, similar_pairs
from app.detectors.grouping.near import DIGITS
from app.detectors.grouping.state import Group, Item, State, exact_sum
from app.domain import Suggestion, SuggestionKind

SIBLING_GAP = 0.08  # patterns this close below the merge threshold may be siblings
BORDERLINE = 0.03  # a member this close above `join` is a borderline one
BORDERLINE_SHARE = 0.25
VARIANT_DAYS = 7
VARIANT_GAP = 0.08  # a variant's tickets are so much nearer to each other than to older members


def suggestions(state: State, at: datetime, rejected: Collection[str] = ()) -> list[Suggestion]:
    """All that are worth showing, merges first, strongest first within a kind."""
    found = [*siblings(state), *looser(state), *variants(state, at)]
    return [suggestion for suggestion in found if suggestion.key not in rejected]


def siblings(state: State) -> list[Suggestion]:
    """Pairs of patterns almost alike enough to merge, or kept from it by edits on both sides."""
    names = sorted(name for name, group in state.groups.items() if group.members)
    if len(names) < 2:
        return []
    means = np.stack([state.means.matrix[state.means.row(name)] for name in names])
    bound = state.parameters.merge - SIBLING_GAP
    found = []
    for i, j in similar_pairs(means, bound):
        one, other = state.groups[names[i]], state.groups[names[j]]
        cross = one.cross(other)
        if cross >= bound and not _kept_apart(state, one, other):
            found.append(_sibling(state, one, other, cross))
    return sorted(found, key=lambda suggestion: (-suggestion.evidence["cross"], suggestion.key))


def _kept_apart(state: State, one: Group, other: Group) -> bool:
    muted = one.id in state.locks.mutes or other.id in state.locks.mutes
    return muted or other.id in state.locks.apart.get(one.id, {})


def _sibling(state: State, one: Group, other: Group, cross: float) -> Suggestion:
    survivor, loser = survivor_first(state, one, other)
    evidence = {
        "cross": cross,
        "cohesion": survivor.cohesion,
        "other_cohesion": loser.cohesion,
        "shared_signatures": float(len(survivor.signatures.keys() & loser.signatures.keys())),
        "held_back_by_edits": float(not may_merge(state, one, other)),
    }
    key = f"merge:{min(one.id, other.id)}:{max(one.id, other.id)}"
    sentence = f"The two are {cross:.2f} alike; tickets inside the first are {survivor.cohesion:.2f} alike."
    return Suggestion(SuggestionKind.MERGE, key, survivor.id, loser.id, (), sentence, evidence)


def looser(state: State) -> list[Suggestion]:
    """Patterns that look like two: by their signatures, or loose with two separable halves."""
    found = []
    for name in sorted(state.groups):
        group = state.groups[name]
        if suggestion := _two_causes(state, group) or _borderline(state, group):
            found.append(suggestion)
    return found


def _two_causes(state: State, group: Group) -> Suggestion | None:
    often = sorted(
        (
            key
            for key, count in group.signatures.items()
            if count >= state.parameters.primary_share * group.count
        ),
        key=lambda key: (-group.signatures[key], key),
    )
    often = [key for key in often if not state.signatures.is_generic(key, state.parameters)]
    if len(often) < 2:
        return None
    first, second = often[:2]
    leaving = tuple(
        sorted(
            ticket
            for ticket, member in group.members.items()
            if second in member.item.keys and first not in member.item.keys
        )
    )
    if len(leaving) < state.parameters.min_size_signature or 2 * len(leaving) < group.signatures[second]:
        return None
    evidence = {first: float(group.signatures[first]), second: float(group.signatures[second])}
    counts = " and ".join(f"{key} in {group.signatures[key]}" for key in (first, second))
    sentence = f"Two causes by their signatures: {counts} of {group.count} tickets."
    key = f"split:{group.id}:{second}"
    return Suggestion(SuggestionKind.SPLIT, key, group.id, None, leaving, sentence, evidence)


def _borderline(state: State, group: Group) -> Suggestion | None:
    if len(group.members) < 2 * state.parameters.min_size:
        return None
    bound = state.parameters.join + BORDERLINE
    scores = [group.score(member.item.vector, inside=True) for member in group.members.values()]
    share = sum(score < bound for score in scores) / len(scores)
    halves = divide(state, group) if share > BORDERLINE_SHARE else None
    if halves is None:
        return None
    evidence = {"borderline_share": round(share, 4), "cross": halves.cross, "cohesion": group.cohesion}
    sentence = f"{share:.0%} of its tickets barely fit; two halves are only {halves.cross:.2f} alike."
    key = f"split:{group.id}:{halves.leaving[0]}"
    return Suggestion(SuggestionKind.SPLIT, key, group.id, None, halves.leaving, sentence, evidence)


def variants(state: State, at: datetime) -> list[Suggestion]:
    """Tight knots of the last week inside a pattern whose older members are clearly further away."""
    found = []
    for name in sorted(state.groups):
        members = [member.item for member in state.groups[name].members.values()]
        fresh = sorted(
            (item for item in members if item.at > at - timedelta(days=VARIANT_DAYS)),
            key=lambda item: item.ticket_id,
        )
        old = [item for item in members if item.at <= at - timedelta(days=VARIANT_DAYS)]
        if len(fresh) >= state.parameters.min_size and len(old) >= state.parameters.min_size:
            found += list(_knots(state, name, fresh, old))
    return found


def _knots(state: State, name: str, fresh: list[Item], old: list[Item]) -> Iterator[Suggestion]:
    vectors = np.stack([item.vector for item in fresh]).astype(np.float64)
    rows = vectors.astype(np.float32)
    pairs = similar_pairs(rows, state.parameters.found)
    before = np.stack([item.vector for item in old]).astype(np.float64)
    for cluster in average_linkage(vectors, [1] * len(fresh), pairs, state.parameters.found, lambda *_: True):
        if len(cluster) < state.parameters.min_size:
            continue
        total = exact_sum((fresh[i].vector for i in cluster), state.dim)
        size = len(cluster)
        inner = round((float(total @ total) - size) / (size * (size - 1)), DIGITS)
        nearest = round(float(np.mean((vectors[cluster] @ before.T).max(axis=1))), DIGITS)
        if inner - nearest < VARIANT_GAP:
            continue
        tickets = tuple(sorted(fresh[i].ticket_id for i in cluster))
        sentence = f"{size} new tickets are {inner:.2f} alike, and at best {nearest:.2f} like older ones."
        evidence = {"alike": inner, "nearest_older": nearest}
        yield Suggestion(
            SuggestionKind.VARIANT, f"variant:{name}:{tickets[0]}", name, None, tickets, sentence, evidence
        )
