"""The rows. They never leave `app/store`: column names equal the field names of the records in `app.domain`.

Every table that grows is keyed so that doing a thing twice writes it once.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Column, Index, LargeBinary, UniqueConstraint, text
from sqlmodel import Field, SQLModel

BYTES = LargeBinary


def _json() -> Any:
    return Field(sa_column=Column(JSON, nullable=False))


class SourceRow(SQLModel, table=True):
    __tablename__ = "source"
    name: str = Field(primary_key=True)
    kind: str
    options: dict[str, Any] = _json()
    paused: bool = False
    last_success_at: datetime | None = None
    last_error: str = ""
    last_error_at: datetime | None = None
    newest_at: datetime | None = None  # newest ticket time received
    notes: list[str] = _json()
    next_at: datetime | None = None  # not read again before
    read_to: datetime | None = None  # the newest change that was read
    quota: dict[str, Any] = _json()  # by lane: calls remaining, of how many
    silence_s: float = 0.0  # a quieter feed than this was never seen; 0: too little is known


class CheckpointRow(SQLModel, table=True):
    __tablename__ = "checkpoint"
    source: str = Field(primary_key=True)
    stream: str = Field(primary_key=True)
    state: dict[str, Any] = _json()


class SourceDayRow(SQLModel, table=True):
    """How many tickets a source itself counts for a day, to be held against what is stored."""

    __tablename__ = "source_day"
    source: str = Field(primary_key=True)
    day: str = Field(primary_key=True)  # ISO date, UTC
    counted: int
    at: datetime


class HintRow(SQLModel, table=True):
    """A ticket that a webhook says has changed: to be fetched, then forgotten."""

    __tablename__ = "hint"
    source: str = Field(primary_key=True)
    external_id: str = Field(primary_key=True)
    due_at: datetime
    told: int = 1  # how often, so that one told again while it is fetched is not forgotten


class MessagesRow(SQLModel, table=True):
    """What the messages of a ticket added to it, and whether they are to be read."""

    __tablename__ = "messages"
    __table_args__ = (
        Index("messages_due", "source", "created_at", sqlite_where=text("due_at IS NOT NULL"),
              postgresql_where=text("due_at IS NOT NULL")),
    )  # fmt: skip
    source: str = Field(primary_key=True)
    external_id: str = Field(primary_key=True)
    created_at: datetime  # of the ticket: the newest go first
    due_at: datetime | None = None
    read_at: datetime | None = None
    found: dict[str, Any] = _json()  # cleaned and redacted


class HistoryRow(SQLModel, table=True):
    """The statuses a ticket went through: (ISO time, status, the source's word), oldest first."""

    __tablename__ = "history"
    ticket_id: str = Field(primary_key=True)
    changes: list[list[str]] = _json()


class TicketRow(SQLModel, table=True):
    __tablename__ = "ticket"
    __table_args__ = (
        UniqueConstraint("source", "external_id"),
        Index("ticket_by_time", "created_at", "id"),
        Index("ticket_undigested", "created_at", "id", sqlite_where=text("digested_at IS NULL"),
              postgresql_where=text("digested_at IS NULL")),
        Index("ticket_by_pattern", "pattern_id", "created_at"),
        Index("ticket_by_customer", "customer"),
        Index("ticket_by_revision", "revision", "id"),
    )  # fmt: skip
    id: str = Field(primary_key=True)
    revision: int = 0  # grows with every write of tickets: what a cache has yet to take in
    source: str
    external_id: str
    created_at: datetime
    updated_at: datetime
    seen_at: datetime
    digested_at: datetime | None = None
    content_hash: str
    subject: str
    body: str
    url: str = ""
    requester: str = ""
    account: str = ""
    account_name: str = ""
    customer: str = ""
    attributes: dict[str, str] = _json()
    tags: list[str] = _json()
    machine_tags: list[str] = _json()
    status: str = "open"
    resolution: str = ""
    resolved_at: datetime | None = None
    articles: list[str] = _json()
    reopened: bool | None = None
    satisfaction: float | None = None
    escalated: bool | None = None
    ai_handled: bool | None = None
    duplicate_of: str = ""
    problem: str = ""
    backfill: bool = False
    pattern_id: str | None = None


class VectorRow(SQLModel, table=True):
    """Embeddings as float16 bytes, appended only; a row without bytes retires the ticket's older rows."""

    __tablename__ = "vector"
    __table_args__ = (
        Index("vector_by_model", "model_id", "seq"),  # the log as a cache follows it
        Index("vector_by_text", "model_id", "text_hash"),
        Index("vector_by_ticket", "ticket_id"),
    )
    seq: int | None = Field(default=None, primary_key=True)
    ticket_id: str
    model_id: str
    text_hash: str
    vector: bytes | None = Field(default=None, sa_column=Column(BYTES))
    filed_under: str = Field(default="", sa_column_kwargs={"server_default": ""})  # as it was grouped


class BoilerplateRow(SQLModel, table=True):
    __tablename__ = "boilerplate"
    scope: str = Field(primary_key=True)
    line_hash: str = Field(primary_key=True)  # "" counts the scope's tickets
    tickets: int
    first_at: datetime


class TermRow(SQLModel, table=True):
    """In how many documents a term was seen: the neighbourhood scan's statistics of the past."""

    __tablename__ = "term"
    table: str = Field(primary_key=True)
    slot: int = Field(primary_key=True)
    documents: int


class TopicRow(SQLModel, table=True):
    __tablename__ = "topic"
    __table_args__ = (UniqueConstraint("kind", "key"),)
    id: str = Field(primary_key=True)
    kind: str
    key: str
    label: str
    first_at: datetime
    generic: bool = False
    muted: bool = False  # a person wants to hear no more of it


class SightingRow(SQLModel, table=True):
    __tablename__ = "sighting"
    __table_args__ = (
        UniqueConstraint("ticket_id", "topic_id"),
        Index("sighting_by_topic", "topic_id", "at"),
        Index("sighting_by_time", "at"),
    )
    seq: int | None = Field(default=None, primary_key=True)
    topic_id: str
    ticket_id: str
    at: datetime
    customer: str
    live: bool = True


class PatternRow(SQLModel, table=True):
    __tablename__ = "pattern"
    __table_args__ = (Index("pattern_by_last", "last_at", "id"), Index("pattern_by_heir", "merged_into"))
    id: str = Field(primary_key=True)
    name: str
    name_by: str = "engine"
    phrases: list[str] = _json()
    description: str = ""
    state: str = "watching"
    founded_at: datetime
    first_at: datetime
    last_at: datetime
    tickets: int = 0
    customers: int = 0
    signature: str = ""
    merged_into: str | None = None
    split_from: str | None = None
    pinned: bool = False
    touched: bool = False  # a person acted on it, it was alerted on or subscribed to: never dissolved
    dissolved: bool = False
    vector_count: int = 0  # the engine's sums over all members
    vector_sum: bytes = Field(default=b"", sa_column=Column(BYTES, nullable=False))
    signature_counts: dict[str, int] = _json()
    generic_keys: list[str] = _json()
    anchors: list[dict[str, Any]] = _json()  # what the sides of hand-made merges were like
    named_tickets: int = 0  # members when the engine last named it
    owner: str = ""
    came_with: str | None = None
    dismissed_at: datetime | None = None
    version: int = 1


class PlacementRow(SQLModel, table=True):
    __tablename__ = "placement"
    __table_args__ = (
        Index("placement_by_ticket", "ticket_id", "seq"),
        Index("placement_by_pattern", "pattern_id", "seq"),
    )
    seq: int | None = Field(default=None, primary_key=True)
    ticket_id: str
    pattern_id: str | None = None
    at: datetime
    rule: str
    score: float
    runner_up: str | None = None
    runner_up_score: float = 0.0
    engine: str = ""


class EditRow(SQLModel, table=True):
    """What a person decided about patterns: append-only; an undo names the edit it takes back."""

    __tablename__ = "edit"
    seq: int | None = Field(default=None, primary_key=True)
    id: str = Field(unique=True)
    kind: str
    patterns: list[str] = _json()
    tickets: list[str] = _json()
    value: str = ""
    actor: str
    at: datetime
    undoes: str = ""


class SuggestionRow(SQLModel, table=True):
    """What the engine leaves to people; a decided one is kept so that it does not come back."""

    __tablename__ = "suggestion"
    __table_args__ = (Index("suggestion_by_pattern", "pattern_id"),)
    id: str = Field(primary_key=True)
    key: str
    kind: str
    pattern_id: str
    other_id: str | None = None
    ticket_ids: list[str] = _json()
    sentence: str
    evidence: dict[str, float] = _json()
    at: datetime
    verdict: str | None = None
    actor: str = ""


class ReleaseRow(SQLModel, table=True):
    __tablename__ = "release"
    __table_args__ = (Index("release_by_time", "at", "id"),)
    id: str = Field(primary_key=True)
    at: datetime
    kind: str
    title: str
    product: str = ""
    version: str = ""
    pattern_id: str | None = None
    url: str = ""
    outcome: str = ""
    judged_at: datetime | None = None


class AlertRow(SQLModel, table=True):
    __tablename__ = "alert"
    __table_args__ = (
        Index("alert_open", "topic_id", "rule", unique=True, sqlite_where=text("resolved_at IS NULL"),
              postgresql_where=text("resolved_at IS NULL")),
        Index("alert_by_time", "opened_at", "id"),
        Index("alert_by_pattern", "pattern_id"),
    )  # fmt: skip
    id: str = Field(primary_key=True)
    topic_id: str
    rule: str
    kind: str
    tier: str
    severity: str
    sentence: str
    finding: dict[str, Any] = _json()
    ticket_ids: list[str] = _json()
    pattern_id: str | None = None
    opened_at: datetime
    updated_at: datetime
    escalated_at: datetime | None = None
    resolved_at: datetime | None = None
    acknowledged_at: datetime | None = None
    acknowledged_by: str = ""
    owner: str = ""
    snoozed_at: datetime | None = None
    snoozed_until: datetime | None = None
    snoozed_customers: int = 0
    snoozed_escalating: bool = False
    verdict: str = ""
    reason: str = ""


class EventRow(SQLModel, table=True):
    __tablename__ = "event"
    __table_args__ = (
        UniqueConstraint("subject", "sequence"),
        UniqueConstraint("pattern_id", "pattern_sequence"),
        Index("event_by_time", "at"),
    )
    seq: int | None = Field(default=None, primary_key=True)
    id: str = Field(unique=True)
    type: str
    at: datetime
    subject: str
    sequence: int
    pattern_id: str | None = None
    pattern_sequence: int | None = None
    owed: bool = True  # told to subscribers; what is not is for the log
    actor: str = "engine"
    data: dict[str, Any] = _json()


class SubscriptionRow(SQLModel, table=True):
    __tablename__ = "subscription"
    __table_args__ = (Index("subscription_by_product", "product"),)
    id: str = Field(primary_key=True)
    url: str
    secret: str
    old_secret: str = ""
    old_secret_until: datetime | None = None
    format: str = "standard"
    event_types: list[str] = _json()
    filter: dict[str, Any] = _json()
    product: str = ""  # of the filter, lower-case: an event is held against few subscriptions, not thousands
    options: dict[str, Any] = _json()
    include_text: bool = False
    active: bool = True
    disabled_reason: str = ""
    failing_since: datetime | None = None
    failures: int = 0  # of the endpoint in a row
    quiet_until: datetime | None = None  # nothing new is sent to a failing endpoint before
    created_at: datetime


class DeliveryRow(SQLModel, table=True):
    __tablename__ = "delivery"
    __table_args__ = (
        UniqueConstraint("event_id", "subscription_id"),
        Index("delivery_due", "subscription_id", "next_at", "id", sqlite_where=text("state = 'pending'"),
              postgresql_where=text("state = 'pending'")),
        Index("delivery_by_subscription", "subscription_id", "created_at"),
    )  # fmt: skip
    id: str = Field(primary_key=True)
    event_id: str
    subscription_id: str
    state: str = "pending"
    attempts: int = 0
    created_at: datetime
    next_at: datetime | None = None
    last_status: int | None = None
    last_error: str = ""


class AttemptRow(SQLModel, table=True):
    __tablename__ = "attempt"
    seq: int | None = Field(default=None, primary_key=True)
    delivery_id: str = Field(index=True)
    number: int
    at: datetime
    status: int | None = None
    took_ms: int = 0
    answer: str = ""


class KeyRow(SQLModel, table=True):
    __tablename__ = "api_key"
    id: str = Field(primary_key=True)
    name: str
    hash: str = Field(unique=True)
    scopes: list[str] = _json()
    created_at: datetime
    revoked_at: datetime | None = None
    used_at: datetime | None = None


class UserRow(SQLModel, table=True):
    __tablename__ = "person"  # "user" is a word of SQL's own
    id: str = Field(primary_key=True)
    name: str = Field(unique=True)
    role: str
    password_hash: str = ""  # "": signs in by the identity provider only
    is_temporary: bool = False  # the password was made by somebody else
    outside: str | None = Field(default=None, unique=True)  # issuer and subject at the identity provider
    created_at: datetime
    disabled_at: datetime | None = None
    signed_in_at: datetime | None = None


class GuessRow(SQLModel, table=True):
    """Attempts to sign in since the last one that went well, by keyed hash of who or where from."""

    __tablename__ = "guess"
    who: str = Field(primary_key=True)
    attempts: int
    at: datetime
    shut_until: datetime | None = None


class AuditRow(SQLModel, table=True):
    """What a person did to the installation itself; what they did to alerts and patterns is an event."""

    __tablename__ = "audit"
    __table_args__ = (Index("audit_by_time", "at", "id"),)
    seq: int | None = Field(default=None, primary_key=True)
    id: str = Field(unique=True)
    at: datetime
    actor: str
    type: str
    subject: str
    data: dict[str, Any] = _json()


class ChoiceRow(SQLModel, table=True):
    """A setting chosen while running: it overlays the file's."""

    __tablename__ = "choice"
    name: str = Field(primary_key=True)
    value: Any = Field(default=None, sa_column=Column(JSON))
    at: datetime
    actor: str


class WebSessionRow(SQLModel, table=True):
    """A signed-in browser: opened with a key or by a user."""

    __tablename__ = "web_session"
    hash: str = Field(primary_key=True)
    key_id: str | None = None
    user_id: str | None = None
    csrf: str
    created_at: datetime
    expires_at: datetime


class IdempotencyRow(SQLModel, table=True):
    __tablename__ = "idempotency"
    key: str = Field(primary_key=True)
    request_hash: str
    created_at: datetime
    status: int | None = None  # None: the first request is still in flight
    answer: str = ""


class QueryRow(SQLModel, table=True):
    """One similar-case query: what was answered, never the text that was asked."""

    __tablename__ = "query"
    __table_args__ = (Index("query_by_time", "at"),)
    id: str = Field(primary_key=True)
    at: datetime
    ticket_id: str | None = None
    answer: list[dict[str, Any]] = _json()
    degraded: bool = False
    ranker: int | None = None  # version of the installation's own ranker; none: the shipped one


class RankerRow(SQLModel, table=True):
    """One attempt to fit the ranker to the installation's own links, adopted or not."""

    __tablename__ = "ranker"
    version: int | None = Field(default=None, primary_key=True)
    at: datetime
    links: int
    adopted: bool
    figures: dict[str, Any] = _json()  # hit rates of each way on the links held out
    model: dict[str, Any] = _json()  # empty when it was not adopted


class FeedbackRow(SQLModel, table=True):
    __tablename__ = "feedback"
    query_id: str = Field(primary_key=True)
    ticket_id: str = Field(primary_key=True)
    verdict: str
    at: datetime
    actor: str = ""


class BacktestRow(SQLModel, table=True):
    """A replay of the history that was asked for, how far it has come, and what it found."""

    __tablename__ = "backtest"
    __table_args__ = (Index("backtest_by_time", "asked_at", "id"),)
    id: str = Field(primary_key=True)
    asked_at: datetime
    asked_by: str
    options: dict[str, Any] = _json()
    state: str = "waiting"
    done: int = 0
    total: int = 0
    result: dict[str, Any] = _json()
    error: str = ""


class ViewRow(SQLModel, table=True):
    """A saved view of the inbox: a name for its tab and filters, shared by all who work there."""

    __tablename__ = "view"
    name: str = Field(primary_key=True)
    query: str
    actor: str
    at: datetime


class NoteRow(SQLModel, table=True):
    """Small facts the steps leave for their next run: watermarks, the writer's lease, statistics."""

    __tablename__ = "note"
    name: str = Field(primary_key=True)
    value: dict[str, Any] = _json()


class ReportPostRow(SQLModel, table=True):
    """Somebody who gets the report by e-mail, and up to which day they have it."""

    __tablename__ = "report_post"
    id: str = Field(primary_key=True)
    recipient: str
    every: str
    by: str
    at: datetime
    actor: str
    sent_until: (
        str  # ISO date: the last day of the newest report that was sent, or of the one before the first
    )
    claimed_until: datetime | None = None  # a process is sending, or waits before the next try
    error: str = ""
