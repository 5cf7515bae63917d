"""The nouns: frozen records every other module speaks in. Read this file first.

All datetimes are aware UTC. Ids are prefixed and sort by time (see `sortable_id`). Vectors are
unit-length; the engine sees them as float16 values, so that a sum over any order of members is
exact in float64 and every replay gives the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"


def _base32(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, digit = divmod(number, 32)
        digits.append(_CROCKFORD[digit])
    return "".join(reversed(digits))


def sortable_id(prefix: str, at: datetime, *identity: str) -> str:
    """An id that sorts by `at` and is the same for the same identity, so a replay makes no new ids.

    Laid out like a ULID (48 bits of Unix milliseconds, 80 further bits) with the random part
    replaced by a hash of `identity`.
    """
    milliseconds = max(0, int((at - EPOCH).total_seconds() * 1000))
    digest = hashlib.sha256("\x1f".join(identity).encode()).digest()
    return f"{prefix}_{_base32(milliseconds, 10)}{_base32(int.from_bytes(digest[:10]), 16)}"


class Status(StrEnum):
    """Where a ticket stands in its ticketing tool, in one vocabulary for all tools."""

    NEW = "new"
    OPEN = "open"
    PENDING = "pending"
    SOLVED = "solved"
    CLOSED = "closed"
    DELETED = "deleted"

    @property
    def is_done(self) -> bool:
        return self in (Status.SOLVED, Status.CLOSED)


@dataclass(frozen=True, slots=True)
class Source:
    """One connected ticketing tool; `options` name the variables that hold its secrets, never the secrets."""

    name: str
    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)
    paused: bool = False


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far one stream of a source has been read; `state` is opaque to all but that source."""

    source: str
    stream: str = "tickets"
    state: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StatusChange:
    """A ticket entered a status; `told` is the source's own word for it."""

    at: datetime
    status: Status
    told: str = ""


def came_back(history: Sequence[StatusChange]) -> bool | None:
    """Whether a ticket was taken up again after it was done; None without a history, oldest change first."""
    was_undone = (a.status.is_done and not b.status.is_done for a, b in pairwise(history))
    return any(was_undone) if history else None


@dataclass(frozen=True, slots=True, kw_only=True)
class RawTicket:
    """A ticket as its source says it: personal data and boilerplate still inside. Never stored."""

    source: str
    external_id: str
    created_at: datetime
    updated_at: datetime | None = None
    subject: str = ""
    body: str = ""
    body_is_html: bool = False
    url: str = ""
    requester: str = ""  # the vendor's id, an e-mail address or a name; "" when unknown
    account: str = ""  # the vendor's id or name of the customer organisation; "" when unknown
    account_name: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)  # keys: see ATTRIBUTES
    tags: tuple[str, ...] = ()
    machine_tags: tuple[str, ...] = ()  # written by a vendor's AI triage: kept apart from people's tags
    status: Status = Status.OPEN
    resolution: str = ""
    resolved_at: datetime | None = None
    articles: tuple[str, ...] = ()  # knowledge-base articles linked in answers, as addresses or ids
    reopened: bool | None = None
    satisfaction: float | None = None  # 0 (bad) to 1 (good)
    escalated: bool | None = None
    ai_handled: bool | None = None  # an AI agent dealt with it before, or instead of, a person
    duplicate_of: str = ""  # external id of the ticket it repeats or was merged into
    problem: str = ""  # external id of the problem record it hangs on
    history: tuple[StatusChange, ...] = ()  # the statuses it went through, oldest first; () when not told


ATTRIBUTES = (
    "product", "version", "component", "plan", "region", "platform", "browser", "channel",
    "language", "priority", "agent", "team", "macro", "severity",
)  # fmt: skip
"""The attribute names every source maps to; a source may add others of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketDraft:
    """A ticket cleaned and redacted, ready to be stored. Only `ingest.normalise` makes one."""

    source: str
    external_id: str
    created_at: datetime
    updated_at: datetime
    content_hash: str  # of the raw content: an unchanged ticket is recognised before any cleaning
    subject: str
    body: str
    url: str = ""
    requester: str = ""  # keyed hash; "" when unknown
    account: str = ""  # keyed hash; "" when unknown
    account_name: str = ""  # only when the operator allows display names
    attributes: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    machine_tags: tuple[str, ...] = ()
    status: Status = Status.OPEN
    resolution: str = ""
    resolved_at: datetime | None = None
    articles: tuple[str, ...] = ()
    reopened: bool | None = None
    satisfaction: float | None = None
    escalated: bool | None = None
    ai_handled: bool | None = None
    duplicate_of: str = ""
    problem: str = ""
    backfill: bool = False  # imported or backfilled history: counts in baselines, never raises


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket(TicketDraft):
    """One stored customer case, unique by (source, external id)."""

    id: str
    seen_at: datetime  # when Foreshock first received it
    digested_at: datetime | None = None
    pattern_id: str | None = None

    @property
    def customer(self) -> str:
        """Who counts as one customer: the account, else the requester; all unknown count as one."""
        return self.account or self.requester or "unknown"


@dataclass(frozen=True, slots=True)
class Signature:
    """An error fingerprint in a ticket's text.

    `key` is canonical and stable ("aadsts50011", "nullreferenceexception@monotouch.tuner"); `label`
    is what people read ("AADSTS50011", "NullReferenceException at MonoTouch.Tuner"). A generic one
    (HTTP 500, a bare NullPointerException) counts and may alert but never pulls tickets together.
    """

    key: str
    family: str
    label: str
    generic: bool = False


class TopicKind(StrEnum):
    SIGNATURE = "signature"
    PATTERN = "pattern"
    SEGMENT = "segment"
    DESK = "desk"


@dataclass(frozen=True, slots=True)
class Topic:
    """What is counted and alerted on; `key`: a signature's key, a pattern's id, "product=Billing", "desk"."""

    id: str
    kind: TopicKind
    key: str
    label: str
    first_at: datetime
    generic: bool = False


@dataclass(frozen=True, slots=True)
class Sighting:
    """One ticket showing one topic, at the ticket's time, by one customer; backfilled rows are not live."""

    ticket_id: str
    topic_id: str
    at: datetime
    customer: str
    live: bool = True


@dataclass(frozen=True, slots=True)
class Series:
    """A topic's sightings up to some instant: the only input of a rule besides the desk's own series.

    Rows are sorted by (time, ticket): `at` (n,) float64 Unix seconds, `customer` (n,) int64 codes
    that are equal exactly where the customer is, `live` (n,) bool.
    """

    topic: Topic
    at: NDArray[np.float64]
    customer: NDArray[np.int64]
    live: NDArray[np.bool_]
    ticket_ids: tuple[str, ...]


class Change(StrEnum):
    """What a dated mark says happened."""

    RELEASE = "release"
    FIX = "fix"


@dataclass(frozen=True, slots=True)
class Release:
    """A dated mark that rules compare before and after; a fix may name the pattern it is meant to end."""

    id: str
    at: datetime
    kind: Change
    title: str
    product: str = ""
    version: str = ""
    pattern_id: str | None = None
    url: str = ""
    outcome: str = ""  # of a fix: "" until judged, recovered, not_yet
    judged_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one rule says about one topic at one time; every number its sentence shows is in here.

    `strength` is -log10 of false episodes per topic-week: 3 means about one false episode in a
    thousand topic-weeks.
    """

    topic: Topic
    rule: str
    kind: str  # new, recurrence, spike, rising, after_release, sustained, cluster, desk ...
    at: datetime
    since: datetime  # start of the window
    tickets: int
    customers: int
    expected: float  # customers expected in the window
    spread: float  # standard deviation of the expectation
    strength: float
    ticket_ids: tuple[str, ...]
    release: Release | None = None
    notes: Mapping[str, Any] = field(
        default_factory=dict
    )  # traffic factor, baseline interval, version of the calibration


class PatternState(StrEnum):
    """Where a pattern stands; `detectors.lifecycle.pattern_state` says when which one holds."""

    WATCHING = "watching"
    NEW = "new"
    ESCALATING = "escalating"
    ONGOING = "ongoing"
    FIX_PENDING = "fix_pending"
    RECOVERED = "recovered"
    REGRESSED = "regressed"
    DORMANT = "dormant"
    DISMISSED = "dismissed"
    MERGED = "merged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """Tickets believed to be one underlying problem; its id outlives regrouping, merging and a new model."""

    id: str
    name: str
    name_by: str  # "engine", or who typed it
    phrases: tuple[str, ...] = ()
    description: str = ""
    state: PatternState = PatternState.WATCHING
    founded_at: datetime
    first_at: datetime
    last_at: datetime
    tickets: int = 0
    customers: int = 0
    signature: str = ""  # label of the primary signature, "" when none
    merged_into: str | None = None
    split_from: str | None = None
    pinned: bool = False
    owner: str = ""
    came_with: str | None = None  # the release people say it came with
    dismissed_at: datetime | None = None  # said to be no pattern; it goes on absorbing, silently
    version: int = 1  # grows with every change: its ETag and its per-pattern event sequence


@dataclass(frozen=True, slots=True)
class Placement:
    """Why one ticket is in a pattern, or in none: kept for every decision."""

    ticket_id: str
    pattern_id: str | None
    at: datetime
    rule: str  # signature, group, founded, consolidated, person, none
    score: float
    runner_up: str | None
    runner_up_score: float
    engine: str  # engine version and embedding fingerprint


class SuggestionKind(StrEnum):
    MERGE = "merge"  # two patterns that may be one
    SPLIT = "split"  # a pattern that looks like two
    VARIANT = "variant"  # a tight knot of new tickets inside a pattern


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Something the engine leaves to people: one edit would carry it out.

    `key` stays the same from night to night, so that a rejected one stays away; `ticket_ids` are those
    that would leave the pattern.
    """

    kind: SuggestionKind
    key: str
    pattern_id: str
    other_id: str | None
    ticket_ids: tuple[str, ...]
    sentence: str
    evidence: Mapping[str, float]


class AlertState(StrEnum):
    """Where an alert stands; `detectors.lifecycle.alert_state` says when which one holds."""

    WATCHING = "watching"
    NEW = "new"
    ESCALATING = "escalating"
    ONGOING = "ongoing"
    SNOOZED = "snoozed"
    RESOLVED = "resolved"
    DISMISSED = "dismissed"


class Tier(StrEnum):
    """Whether a finding spends the alert budget or waits on the watchlist."""

    ALERT = "alert"
    WATCH = "watch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One episode of a finding holding; at most one open per (topic, rule)."""

    id: str
    topic: Topic
    rule: str
    kind: str
    tier: Tier
    severity: str  # low, medium, high
    sentence: str
    finding: Mapping[str, Any]  # the stored numbers the sentence was made from
    ticket_ids: tuple[str, ...]
    pattern_id: str | None
    opened_at: datetime
    updated_at: datetime
    escalated_at: datetime | None = None  # when its severity last rose
    resolved_at: datetime | None = None
    acknowledged_at: datetime | None = None
    acknowledged_by: str = ""
    owner: str = ""
    snoozed_at: datetime | None = None
    snoozed_until: datetime | None = None
    snoozed_customers: int = 0  # so many further customers end the snooze; 0: no number does
    snoozed_escalating: bool = False  # a severity that rises ends the snooze
    verdict: str = ""  # "", useful, noise: what people said of it
    reason: str = ""  # why it was resolved or dismissed


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A fact, written in the transaction of the change it tells of."""

    id: str
    seq: int
    type: str
    at: datetime
    subject: str  # id of the pattern, alert, release or source it is about
    sequence: int  # counts the events of one subject from 1
    actor: str
    data: Mapping[str, Any]
    pattern_id: str | None = None  # the pattern it touches, if any, whatever its subject is
    pattern_sequence: int | None = None  # counts the events that touch one pattern from 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A team's endpoint. Secrets are write-only: shown once when made."""

    id: str
    url: str
    format: str = "standard"
    event_types: tuple[str, ...] = ()  # empty: all
    filter: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)  # of its format: a Jira project, a rhythm
    include_text: bool = False
    active: bool = True
    disabled_reason: str = ""
    created_at: datetime = EPOCH


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One event owed to one subscription."""

    id: str
    event_id: str
    subscription_id: str
    state: str  # pending, delivered, failed
    attempts: int = 0
    next_at: datetime | None = None
    last_status: int | None = None
    last_error: str = ""
