"""The wire: what requests may hold and what answers promise. A field here is a promise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Discriminator, Field, StringConstraints, Tag

from app.detectors.lifecycle import alert_state
from app.domain import (
    Alert,
    Change,
    Delivery,
    Event,
    Pattern,
    Placement,
    RawTicket,
    Release,
    Status,
    StatusChange,
    Subscription,
    Suggestion,
    Ticket,
)
from app.pipeline.feeds import Day, Feed
from app.pipeline.pull import Progress
from app.settings import CHOOSABLE, Settings
from app.store.audit import Act
from app.store.backtests import Backtest
from app.store.choices import Choice
from app.store.keys import Key
from app.store.patterns import Edit
from app.store.posts import Post
from app.store.sources import Health
from app.store.users import User
from app.store.webhooks import Attempt

Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)]


class Wire(BaseModel):
    """Unknown fields are refused, so that a misspelt one never passes silently."""

    model_config = ConfigDict(extra="forbid")


def _example(content: dict[str, Any]) -> ConfigDict:
    return ConfigDict(extra="forbid", json_schema_extra={"example": content})


class StatusChangeIn(Wire):
    """When a ticket entered a status; `told` is your own word for it."""

    at: AwareDatetime
    status: Status
    told: Text = ""


class TicketIn(Wire):
    """One ticket pushed over HTTP."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "external_id": "48211", "created_at": "2026-11-20T09:12:44Z",
                "subject": "Export fails with E-4031", "body": "Since this morning every export ends with E-4031.",
                "requester": "r-7701", "account": "a-88", "account_name": "Acme",
                "attributes": {"product": "Reports", "version": "4.2", "region": "EU"},
            }
        },
    )  # fmt: skip
    external_id: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
    created_at: AwareDatetime
    updated_at: AwareDatetime | None = None
    subject: Annotated[str, StringConstraints(max_length=1000)] = ""
    body: Annotated[str, StringConstraints(max_length=500_000)] = ""
    body_is_html: bool = False
    url: Annotated[str, StringConstraints(max_length=2000)] = ""
    requester: Text = ""
    account: Text = ""
    account_name: Text = ""
    attributes: dict[Text, Text] = Field(default_factory=dict, max_length=40)
    tags: list[Text] = Field(default_factory=list, max_length=100)
    status: Status = Status.OPEN
    resolution: Annotated[str, StringConstraints(max_length=100_000)] = ""
    resolved_at: AwareDatetime | None = None
    articles: list[Annotated[str, StringConstraints(max_length=2000)]] = Field(
        default_factory=list, max_length=50
    )
    reopened: bool | None = None
    satisfaction: float | None = Field(None, ge=0, le=1)
    escalated: bool | None = None
    ai_handled: bool | None = None
    duplicate_of: Text = ""
    problem: Text = ""
    history: list[StatusChangeIn] = Field(default_factory=list, max_length=200)

    def raw(self, source: str) -> RawTicket:
        values = self.model_dump()
        values["tags"], values["articles"] = tuple(self.tags), tuple(self.articles)
        values["history"] = tuple(StatusChange(c.at, c.status, c.told) for c in self.history)
        return RawTicket(source=source, **values)


class TicketsIn(Wire):
    """Many tickets pushed in one request; each is accepted or refused on its own."""

    model_config = _example(
        {
            "source": "desk",
            "tickets": [
                {
                    "external_id": "48211",
                    "created_at": "2026-11-20T09:12:44Z",
                    "subject": "Export fails with E-4031",
                },
            ],
        }
    )
    source: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")] = "push"
    tickets: list[dict[str, Any]] = Field(min_length=1, max_length=500)


ONE, MANY = "one ticket", "many tickets"  # which of the two a body is; no part of any pointer
Pushed = Annotated[
    Annotated[TicketIn, Tag(ONE)] | Annotated[TicketsIn, Tag(MANY)],
    Discriminator(lambda body: MANY if isinstance(body, dict) and "tickets" in body else ONE),
]


class ReleaseIn(Wire):
    """A release or a fix; a fix may name the pattern it is meant to end."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {"at": "2026-11-18T08:00:00Z", "kind": "release", "title": "Reports 4.2",
                        "product": "Reports", "version": "4.2"}
        },
    )  # fmt: skip
    at: AwareDatetime
    kind: Change = Change.RELEASE
    title: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
    product: Text = ""
    version: Text = ""
    pattern_id: Text | None = None
    url: Annotated[str, StringConstraints(max_length=2000)] = ""


class ReportPostIn(Wire):
    """The report by e-mail: to whom, how often, and by which attribute escalation is told."""

    model_config = _example({"recipient": "lead@example.com", "every": "weekly", "by": "plan"})
    recipient: Annotated[str, StringConstraints(strip_whitespace=True, min_length=3, max_length=200)]
    every: Literal["daily", "weekly", "monthly"] = "weekly"
    by: Text = "plan"


class Reason(Wire):
    """Why an alert is closed by hand."""

    model_config = _example({"reason": "fixed in 4.2.1"})
    reason: Text = ""


class DismissIn(Wire):
    """`noise` tells the quality figures that the alert was not worth reading."""

    model_config = _example({"reason": "a planned migration", "noise": True})
    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
    noise: bool = True


class SnoozeIn(Wire):
    """Until a time, until so many further customers, or until it gets worse: what comes first."""

    model_config = _example({"until": "2026-11-27T08:00:00Z", "customers": 5})
    until: AwareDatetime | None = None
    customers: int = Field(
        0, ge=0, le=100_000, description="further customers that end it; 0: no number does"
    )
    escalating: bool = Field(False, description="whether a severity that rises ends it")


class AssignIn(Wire):
    """Who deals with it; "" for nobody."""

    model_config = _example({"owner": "dana"})
    owner: Text


class JudgeIn(Wire):
    """Whether an alert was worth reading."""

    model_config = _example({"useful": True})
    useful: bool


class RenameIn(Wire):
    model_config = _example({"name": "Exports end with E-4031 since 4.2"})
    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120)]


class ReleaseLinkIn(Wire):
    """The release a pattern came with; null takes that back."""

    model_config = _example({"release_id": "rel_01m7m3m7s0mc9yvdq0tayb31wc"})
    release_id: Text | None


class NoteIn(Wire):
    """A note beside a pattern; `at` is when what it says happened, now when it is not given."""

    model_config = _example(
        {"text": "Support was told to answer with macro 12", "at": "2026-11-20T09:00:00Z"}
    )
    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
    at: AwareDatetime | None = None


class MergeIn(Wire):
    """The pattern named here is merged into the one in the address."""

    model_config = _example({"pattern_id": "pat_01kae1mzw0t3v9q4c8xj2h6ndr"})
    pattern_id: Text


class EditIn(Wire):
    """A decision about a pattern that holds for ever, for tickets that arrive later too."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"kind": "split", "tickets": ["tkt_01m7sb910rb9fanawbxh8xc4g7"]}},
    )
    kind: Literal["split", "move", "remove", "separate", "pin", "dismiss", "undo"]
    tickets: list[Text] = Field(default_factory=list, max_length=500)
    pattern_id: Text = Field("", description="with separate: the pattern this one is not the same as")
    undoes: Text = Field("", description="with undo: the id of the edit to take back")


class CalibrateIn(Wire):
    """The dial to calibrate at; without one, as the setting says."""

    model_config = _example({"dial": "finer"})
    dial: Literal["finer", "balanced", "broader"] | None = None


class LinkIn(Wire):
    """The tickets that are the same problem as the one in the address."""

    model_config = _example({"tickets": ["tkt_01m7sb910rb9fanawbxh8xc4g7"]})
    tickets: list[Text] = Field(min_length=1, max_length=100)


class SimilarFilters(Wire):
    """Only cases that match every one given are returned."""

    product: Text = ""
    version: Text = ""
    language: Text = ""
    status: Text = ""
    source: Text = ""
    since: AwareDatetime | None = None


class SimilarIn(Wire):
    """A text, or the id of a stored ticket."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {"text": "The nightly export stops with E-4031 since the update", "k": 5,
                        "filters": {"product": "Reports"}}
        },
    )  # fmt: skip
    text: Annotated[str, StringConstraints(max_length=100_000)] = ""
    ticket_id: Text = ""
    filters: SimilarFilters = SimilarFilters()
    k: int = Field(5, ge=1, le=50)
    include: list[Literal["resolution", "pattern"]] = ["resolution", "pattern"]
    as_of: AwareDatetime | None = None


class FeedbackIn(Wire):
    model_config = _example({"ticket": "tkt_01kae1mzw0t3v9q4c8xj2h6ndr", "verdict": "helped"})
    ticket: Text
    verdict: Literal["right", "wrong", "helped"]


class UserIn(Wire):
    """Somebody who may sign in to the pages; the answer holds a temporary password, this once."""

    model_config = _example({"name": "mara@example.com", "role": "lead"})
    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
    role: Literal["viewer", "lead", "admin"] = "viewer"


class UserChange(Wire):
    model_config = _example({"role": "admin"})
    role: Literal["viewer", "lead", "admin"] | None = None
    disabled: bool | None = None


class KeyIn(Wire):
    """An API key; the answer holds its secret, this once."""

    model_config = _example({"name": "helpdesk sidebar", "scopes": ["read"]})
    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
    scopes: list[Literal["read", "write", "admin"]] = Field(["read"], min_length=1)


class SettingsChange(Wire):
    """What may change while running; what is not named stays."""

    model_config = _example({"alerts_per_week": 3, "granularity": "finer"})
    alerts_per_week: float = 5.0
    granularity: Literal["finer", "balanced", "broader"] = "balanced"
    similar_floor: float | None = None
    keep_account_names: bool = True
    retention_days: int | None = None


class ErasureIn(Wire):
    """Whose tickets, or which ticket, to erase."""

    model_config = _example({"requester": "r-7701"})
    requester: Annotated[str, StringConstraints(strip_whitespace=True, max_length=320)] = ""
    ticket: Text = ""


class FilterIn(Wire):
    """A saved query: an event must match everything given."""

    product: Text = ""
    component: Text = ""
    kind: Text = ""
    state: Text = ""
    severity: Literal["", "low", "medium", "high"] = ""
    min_customers: int = Field(0, ge=0, le=1_000_000)
    text: Text = ""


class FormatOptions(Wire):
    """What some formats need to know: `project`, `issue_type`, `credentials` of jira; `every` of email."""

    project: Annotated[str, StringConstraints(pattern=r"^([A-Z][A-Z0-9_]{0,19})?$")] = ""
    issue_type: Text = ""
    credentials: Annotated[str, StringConstraints(pattern=r"^([A-Z][A-Z0-9_]{0,99})?$")] = Field(
        "", description="name of the variable (or, with _FILE, file) that holds address:token"
    )
    every: Literal["", "at_once", "daily", "weekly"] = ""


EventType = Annotated[
    str, StringConstraints(pattern=r"^([a-z]+\.)?(\*|[a-z]+)$", max_length=50, strip_whitespace=True)
]
Format = Literal["standard", "cloudevents", "cloudevents-binary", "slack", "teams", "jira", "email"]


class SubscriptionIn(Wire):
    """Where events go and how they are written. Without a secret one is made; it is shown once, in the answer."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {"url": "https://hooks.example.com/foreshock", "event_types": ["alert.*"],
                        "filter": {"product": "Reports", "min_customers": 3}}
        },
    )  # fmt: skip
    url: Annotated[str, StringConstraints(max_length=2000)]
    format: Format = "standard"
    options: FormatOptions = FormatOptions()
    event_types: list[EventType] = Field(default_factory=list, max_length=50)
    filter: FilterIn = FilterIn()
    include_text: bool = False
    secret: Annotated[str, StringConstraints(max_length=200)] = ""


class SubscriptionChange(Wire):
    """What is left out stays; a saved query is replaced as a whole."""

    model_config = _example({"active": True, "event_types": ["alert.*", "fix.*"]})
    url: Annotated[str, StringConstraints(max_length=2000)] | None = None
    format: Format | None = None
    options: FormatOptions | None = None
    active: bool | None = None
    event_types: list[EventType] | None = Field(None, max_length=50)
    filter: FilterIn | None = None
    include_text: bool | None = None


class DryRunIn(Wire):
    """A subscription that is only thought of."""

    model_config = _example({"event_types": ["alert.*"], "filter": {"product": "Reports"}, "days": 30})
    event_types: list[EventType] = Field(default_factory=list, max_length=50)
    filter: FilterIn = FilterIn()
    days: int = Field(30, ge=1, le=366)


class ReplayIn(Wire):
    """Send again: named events, or everything from a time on (up to `until`, if given)."""

    model_config = _example({"since": "2026-11-20T00:00:00Z"})
    event_ids: list[Text] = Field(default_factory=list, max_length=1000)
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None


class RunIn(Wire):
    """One choice to try; what is left out is as it is in force."""

    alerts_per_week: float | None = Field(None, ge=0.01, le=1000)
    granularity: Literal["finer", "balanced", "broader"] | None = None


class BacktestIn(Wire):
    """What to replay, under which choices."""

    model_config = _example({"runs": [{"alerts_per_week": 3}, {"alerts_per_week": 6}], "tags": ["incident"]})
    runs: list[RunIn] = Field(default_factory=list, max_length=6)
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    tick_minutes: int = Field(60, ge=1, le=1440, description="how often the rules look")
    tags: list[Text] = Field(default_factory=list, max_length=20, description="tags that mark a problem")


class ApplyIn(Wire):
    """Which run to put in force, counted from 0."""

    model_config = _example({"run": 0})
    run: int = Field(ge=0)


def time(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat().replace("+00:00", "Z")


def ticket(
    t: Ticket, *, placement: Placement | None = None, history: Sequence[StatusChange] = ()
) -> dict[str, Any]:
    """A ticket as the API shows it: cleaned, redacted, requester and account as keyed hashes."""
    return {
        "id": t.id, "source": t.source, "external_id": t.external_id, "url": t.url,
        "created_at": time(t.created_at), "updated_at": time(t.updated_at), "seen_at": None if t.backfill else time(t.seen_at),
        "subject": t.subject, "body": t.body, "requester": t.requester, "account": t.account,
        "account_name": t.account_name, "attributes": dict(t.attributes), "tags": list(t.tags),
        "status": t.status.value, "resolution": t.resolution, "resolved_at": time(t.resolved_at),
        "articles": list(t.articles), "reopened": t.reopened, "satisfaction": t.satisfaction,
        "escalated": t.escalated, "ai_handled": t.ai_handled, "duplicate_of": t.duplicate_of,
        "backfill": t.backfill, "pattern_id": t.pattern_id,
        **({"placement": placed(placement)} if placement else {}),
        **({"history": [lived(change) for change in history]} if history else {}),
    }  # fmt: skip


def lived(c: StatusChange) -> dict[str, Any]:
    return {"at": time(c.at), "status": c.status.value, "told": c.told}


def placed(p: Placement) -> dict[str, Any]:
    return {
        "rule": p.rule, "score": round(p.score, 4), "runner_up": p.runner_up,
        "runner_up_score": round(p.runner_up_score, 4), "at": time(p.at), "engine": p.engine,
    }  # fmt: skip


def pattern(p: Pattern) -> dict[str, Any]:
    return {
        "id": p.id, "name": p.name, "named_by": p.name_by, "phrases": list(p.phrases),
        "state": p.state.value, "signature": p.signature, "tickets": p.tickets, "customers": p.customers,
        "first_at": time(p.first_at), "last_at": time(p.last_at), "founded_at": time(p.founded_at),
        "merged_into": p.merged_into, "split_from": p.split_from, "owner": p.owner,
        "came_with": p.came_with, "version": p.version,
        "links": {"self": f"/v1/patterns/{p.id}", "page": f"/patterns/{p.id}"},
    }  # fmt: skip


def edit(e: Edit) -> dict[str, Any]:
    return {
        "id": e.id, "kind": e.kind, "patterns": list(e.patterns), "tickets": list(e.tickets),
        "value": e.value, "actor": e.actor, "at": time(e.at), "undoes": e.undoes or None,
    }  # fmt: skip


def suggestion(s: Suggestion, id_: str) -> dict[str, Any]:
    return {
        "id": id_, "kind": s.kind.value, "pattern_id": s.pattern_id, "other_id": s.other_id,
        "ticket_ids": list(s.ticket_ids), "sentence": s.sentence, "evidence": dict(s.evidence),
    }  # fmt: skip


def alert(a: Alert, *, at: datetime, confidence: float | None = None) -> dict[str, Any]:
    """An alert as it stands at `at`; `confidence`: the share of alerts this strong that are not chance."""
    return {
        "id": a.id, "kind": a.kind, "rule": a.rule, "tier": a.tier.value, "severity": a.severity,
        "state": alert_state(a, at).value, "confidence": confidence, "owner": a.owner, "escalated_at": time(a.escalated_at),
        "sentence": a.sentence,
        "topic": {"kind": a.topic.kind.value, "key": a.topic.key, "label": a.topic.label},
        "pattern_id": a.pattern_id, "finding": dict(a.finding), "ticket_ids": list(a.ticket_ids),
        "opened_at": time(a.opened_at), "updated_at": time(a.updated_at),
        "resolved_at": time(a.resolved_at), "acknowledged_at": time(a.acknowledged_at),
        "acknowledged_by": a.acknowledged_by, "snoozed_until": time(a.snoozed_until),
        "snoozed_customers": a.snoozed_customers, "snoozed_escalating": a.snoozed_escalating,
        "verdict": a.verdict, "reason": a.reason, "links": {"self": f"/v1/alerts/{a.id}"},
    }  # fmt: skip


def backtest(b: Backtest, *, whole: bool = True) -> dict[str, Any]:
    """A replay; `whole` with everything it found."""
    return {
        "id": b.id, "state": b.state, "asked_at": time(b.asked_at), "asked_by": b.asked_by,
        "options": dict(b.options), "progress": {"done": b.done, "total": b.total}, "error": b.error,
        "links": {"self": f"/v1/backtests/{b.id}"}, **({"result": dict(b.result)} if whole else {}),
    }  # fmt: skip


def report_post(p: Post) -> dict[str, Any]:
    return {
        "id": p.id, "recipient": p.recipient, "every": p.every, "by": p.by, "created_at": time(p.at),
        "actor": p.actor, "sent_until": p.sent_until, "error": p.error,
    }  # fmt: skip


def release(r: Release) -> dict[str, Any]:
    return {
        "id": r.id, "at": time(r.at), "kind": r.kind.value, "title": r.title, "product": r.product,
        "version": r.version, "pattern_id": r.pattern_id, "url": r.url,
        "outcome": r.outcome, "judged_at": time(r.judged_at),
    }  # fmt: skip


def event(e: Event) -> dict[str, Any]:
    return {
        "id": e.id, "type": e.type, "at": time(e.at), "subject": e.subject, "sequence": e.sequence,
        "pattern_id": e.pattern_id, "pattern_sequence": e.pattern_sequence, "actor": e.actor, "data": dict(e.data),
    }  # fmt: skip


def source(h: Health) -> dict[str, Any]:
    return {
        "name": h.name, "kind": h.kind, "paused": h.paused, "last_success_at": time(h.last_success_at),
        "newest_ticket_at": time(h.newest_at), "last_error": h.last_error,
        "last_error_at": time(h.last_error_at), "notes": list(h.notes),
    }  # fmt: skip


def feed(f: Feed, days: Sequence[Day] | None = None) -> dict[str, Any]:
    h = f.health
    return source(h) | {
        "state": f.state, "says": f.says, "lag_s": f.lag_s, "cursor_at": time(h.read_to),
        "next_read_at": time(h.next_at), "quota": {lane: dict(q) for lane, q in h.quota.items()},
        "history": None if f.history is None else progress(f.history),
        "messages_waiting": f.messages_waiting,
        **({} if days is None else {"days": [
            {"day": d.day.isoformat(), "stored": d.stored, "counted": d.counted, "gap": d.gap}
            for d in days
        ]}),
    }  # fmt: skip


def progress(p: Progress) -> dict[str, Any]:
    """How far the history of a source has been read."""
    return {"done": p.done, "paused": p.held, "tickets": p.tickets, "share": p.share, "left_s": p.left_s}


def subscription(s: Subscription) -> dict[str, Any]:
    return {
        "id": s.id, "url": s.url, "format": s.format, "options": dict(s.options),
        "event_types": list(s.event_types), "filter": dict(s.filter),
        "include_text": s.include_text, "active": s.active, "disabled_reason": s.disabled_reason,
        "created_at": time(s.created_at),
    }  # fmt: skip


def delivery(d: Delivery, attempts: list[Attempt] | None = None) -> dict[str, Any]:
    return {
        "id": d.id, "event_id": d.event_id, "state": d.state, "attempts": d.attempts,
        "next_at": time(d.next_at), "last_status": d.last_status, "last_error": d.last_error,
        **({} if attempts is None else {"log": [
            {"number": a.number, "at": time(a.at), "status": a.status, "took_ms": a.took_ms, "answer": a.answer}
            for a in attempts
        ]}),
    }  # fmt: skip


def user(u: User) -> dict[str, Any]:
    return {
        "id": u.id, "name": u.name, "role": u.role, "temporary_password": u.is_temporary,
        "identity_provider": u.outside is not None, "created_at": time(u.created_at),
        "signed_in_at": time(u.signed_in_at), "disabled_at": time(u.disabled_at),
    }  # fmt: skip


def key(k: Key) -> dict[str, Any]:
    return {
        "id": k.id, "name": k.name, "scopes": list(k.scopes), "created_at": time(k.created_at),
        "used_at": time(k.used_at), "revoked_at": time(k.revoked_at),
    }  # fmt: skip


def act(a: Act) -> dict[str, Any]:
    return {
        "id": a.id, "at": time(a.at), "actor": a.actor, "type": a.type, "subject": a.subject,
        "data": dict(a.data),
    }  # fmt: skip


def settings(now: Settings, chosen: Mapping[str, Choice]) -> dict[str, Any]:
    """What may change while running, and where each value comes from: file, fixed or chosen."""
    return {
        name: {
            "value": getattr(now, name),
            "from": "fixed" if now.is_fixed(name) else "chosen" if name in chosen else "file",
            "chosen_by": chosen[name].actor if name in chosen else None,
            "chosen_at": time(chosen[name].at) if name in chosen else None,
        }
        for name in CHOOSABLE
    }
