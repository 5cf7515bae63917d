"""One event is one alert: findings that share their tickets are told once, with the others as members."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from app.domain import Alert, Finding, Tier, Topic, TopicKind

SAME_EVENT = 0.5  # share of tickets two findings have in common when they are one event
BROAD = (TopicKind.SEGMENT, TopicKind.DESK)
PREFERRED = {TopicKind.PATTERN: 0, TopicKind.SIGNATURE: 1, TopicKind.SEGMENT: 2, TopicKind.DESK: 3}
DESK_NOTICES = ("silent_feed", "mass_event")


@dataclass
class Group:
    """One event: who speaks for it (a finding, or an alert that stands), its tickets, the topics that joined."""

    topic: Topic
    ids: set[str]
    finding: Finding | None = None
    alert: Alert | None = None
    is_quiet: bool = False
    members: list[Topic] = field(default_factory=list)

    @property
    def is_watched(self) -> bool:
        """Whether it stands on the watchlist only."""
        return self.alert is not None and self.alert.tier is Tier.WATCH

    def told(self) -> Finding:
        """The finding that speaks, its members among the notes."""
        assert self.finding is not None
        return replace(self.finding, notes={**self.finding.notes, "members": listed(self.members)})


def groups(
    findings: Sequence[Finding],
    standing: Sequence[tuple[Alert, Collection[str]]],
    quiet: Sequence[Finding],
    *,
    bar: float = math.inf,
) -> list[Group]:
    """Every event of a tick: alerts that stand (with all tickets of their topic), what is quiet, what is new.

    The most telling topic of an event speaks: a pattern before a signature before a segment. What joins an
    event that people do not want to hear of is quiet with it. What only waits on the watchlist does not
    silence a finding as strong as an alert (`bar`).
    """
    found = [Group(alert.topic, set(ids), alert=alert) for alert, ids in standing]
    found += [Group(f.topic, set(f.ticket_ids), finding=f, is_quiet=True) for f in quiet]
    for finding in sorted(findings, key=lambda f: (PREFERRED[f.topic.kind], -f.strength, f.topic.id)):
        own = set(finding.ticket_ids)
        heard = [g for g in found if finding.strength < bar or not g.is_watched]
        home = None if finding.kind in DESK_NOTICES else _home(finding, own, heard)
        if home is None:
            found.append(Group(finding.topic, own, finding=finding))
        else:
            _join(home, finding)
    return found


def _home(finding: Finding, own: set[str], found: Sequence[Group]) -> Group | None:
    """The event a finding belongs to: a broad topic joins when others explain half of its excess."""
    if finding.topic.kind not in BROAD:
        narrow = (g for g in found if g.topic.kind not in BROAD)
        return next((g for g in narrow if are_same(own, g.ids)), None)
    explained = own.intersection(set().union(*(g.ids for g in found)))
    if len(explained) < SAME_EVENT * max(1.0, len(own) - finding.expected):
        return None
    return max(found, key=lambda g: len(own & g.ids), default=None)


def _join(group: Group, finding: Finding) -> None:
    """Make the finding a member; where it is stronger, its numbers speak."""
    group.members.append(finding.topic)
    leader = group.finding
    if leader is not None and finding.topic.kind not in BROAD and finding.strength > leader.strength:
        group.finding = replace(finding, topic=leader.topic, rule=leader.rule)
        group.ids = set(finding.ticket_ids)


def are_same(one: Collection[str], other: set[str]) -> bool:
    """Whether two sets of tickets are about one event: half of the smaller is in the other."""
    return len(other.intersection(one)) >= SAME_EVENT * max(1, min(len(one), len(other)))


def listed(members: Sequence[Topic]) -> list[dict[str, Any]]:
    """Topics as they are stored with an alert."""
    return [{"topic_id": t.id, "kind": t.kind.value, "key": t.key, "label": t.label} for t in members]
