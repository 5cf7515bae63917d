"""What every operation answers: one example each, which is its schema as well.

An example in which nothing is left out says names and types; a schema beside it could only differ from it.
`Maybe` marks what can be null, `Map` an object whose keys are data, `Extra` a field that not every answer has,
`Some` a value of any kind.
Real answers are held against this in the tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.notify.formats import JSON

AT = "2026-11-20T09:12:44Z"
PAT, ALT, TKT, EVT = (f"{kind}_01m7m3m7s0mc9yvdq0tayb31wc" for kind in ("pat", "alt", "tkt", "evt"))


@dataclass(frozen=True, slots=True)
class Maybe:
    """A value of this kind, or null."""

    value: Any


@dataclass(frozen=True, slots=True)
class Extra:
    """A field that is there when it has something to say."""

    value: Any


@dataclass(frozen=True, slots=True)
class Map:
    """An object whose keys are data; without a value of any kind."""

    example: Mapping[str, Any]
    is_open: bool = False


@dataclass(frozen=True, slots=True)
class Some:
    """A value of any kind."""

    value: Any


@dataclass(frozen=True, slots=True)
class Noun:
    """A thing with a name among the document's schemas."""

    name: str


def _free(**example: Any) -> Map:
    return Map(example, is_open=True)


def _page(noun: str) -> dict[str, Any]:
    return {"data": [Noun(noun)], "next_cursor": Maybe("WyIyMDI2LTExLTIwIl0")}


_SIGNAL = {"name": "slow_burn", "from_day": 28.0, "why": "needs 28 days of history"}
_PRECISION = {"useful": 9, "noise": 2, "precision": Maybe(0.8182)}
_SPAN = {
    "since": "2026-11-01", "until": "2026-11-29", "before_since": "2026-10-04", "before_until": "2026-11-01",
}  # fmt: skip

NOUNS: dict[str, dict[str, Any]] = {
    "Ticket": {
        "id": TKT, "source": "helpdesk", "external_id": "48211", "url": "https://desk.example.com/48211",
        "created_at": AT, "updated_at": AT, "seen_at": Maybe(AT), "subject": "Export fails with E-4031",
        "body": "Since this morning every export ends with E-4031.", "requester": "r_5f0c", "account": "a_9d1e",
        "account_name": "Acme", "attributes": Map({"product": "Reports", "version": "4.2"}), "tags": ["export"],
        "status": "solved", "resolution": "Fixed in 4.2.1", "resolved_at": Maybe(AT),
        "articles": ["https://help.example.com/exports"], "reopened": Maybe(False), "satisfaction": Maybe(0.9),
        "escalated": Maybe(False), "ai_handled": Maybe(False), "duplicate_of": Maybe("48207"), "backfill": False,
        "pattern_id": Maybe(PAT),
        "placement": Extra({"rule": "signature", "score": 1.0, "runner_up": Maybe(PAT), "runner_up_score": 0.41,
                            "at": AT, "engine": "1"}),
        "history": Extra([{"at": AT, "status": "open", "told": "In progress"}]),
        "edit_id": Extra("edt_01m7m3m7s0mc9yvdq0tayb31wc"),
    },
    "Pattern": {
        "id": PAT, "name": "Export fails with E-4031", "named_by": "engine", "phrases": ["export fails"],
        "state": "escalating", "signature": Maybe("E-4031"), "tickets": 23, "customers": 17, "first_at": AT,
        "last_at": AT, "founded_at": AT, "merged_into": Maybe(PAT), "split_from": Maybe(PAT), "owner": "Ann",
        "came_with": Maybe("rel_01m7m3m7s0mc9yvdq0tayb31wc"),
        "version": 7, "links": {"self": f"/v1/patterns/{PAT}", "page": f"/patterns/{PAT}"},
        "edit_id": Extra("edt_01m7m3m7s0mc9yvdq0tayb31wc"),
    },
    "Thread": {
        "attribute": "version", "value": "4.2", "k": 15, "n": 17, "others": 40, "rest": 410, "lift": 9.0,
        "low": 12.4, "high": 310.5, "q": 0.0002, "note": "",
        "sentence": "15 of 17 customers (88%) have version 4.2; elsewhere 10%",
    },
    "Edit": {
        "id": "edt_01m7m3m7s0mc9yvdq0tayb31wc", "kind": "rename", "patterns": [PAT], "tickets": [TKT],
        "value": "Export fails", "actor": "Ann", "at": AT, "undoes": Maybe("edt_01m7m3m7s0mc9yvdq0tayb31wb"),
    },
    "Suggestion": {
        "id": "sug_4f1d", "kind": "merge", "pattern_id": PAT, "other_id": Maybe(PAT), "ticket_ids": [TKT],
        "sentence": "These two say the same: 9 of 10 texts are alike.", "evidence": _free(alike=0.9),
    },
    "Alert": {
        "id": ALT, "kind": "new", "rule": "scan", "tier": "alert", "severity": "high", "state": "new",
        "confidence": Maybe(0.97), "owner": "Ann", "escalated_at": Maybe(AT),
        "sentence": "New: 8 tickets from 8 customers since 04:30 (UTC); 0.1 expected in that time.",
        "topic": {"kind": "pattern", "key": PAT, "label": "Export fails with E-4031"}, "pattern_id": Maybe(PAT),
        "finding": _free(observed=8, expected=0.1, strength=6.2), "ticket_ids": [TKT], "opened_at": AT,
        "updated_at": AT, "resolved_at": Maybe(AT), "acknowledged_at": Maybe(AT), "acknowledged_by": "Ann",
        "snoozed_until": Maybe(AT), "snoozed_customers": 0, "snoozed_escalating": False, "verdict": "useful",
        "reason": "", "links": {"self": f"/v1/alerts/{ALT}"}, "incomplete": Extra(["helpdesk"]),
    },
    "Backtest": {
        "id": "bkt_01m7m3m7s0mc9yvdq0tayb31wc", "state": "done", "asked_at": AT, "asked_by": "Ann",
        "options": _free(runs=[{"alerts_per_week": 3}]), "progress": {"done": 2016, "total": 2016}, "error": "",
        "links": {"self": "/v1/backtests/bkt_01m7m3m7s0mc9yvdq0tayb31wc"},
        "result": Extra(_free(runs=[{"alerts": 12, "per_week": 3.0, "precision": 0.83}])),
    },
    "Release": {
        "id": "rel_01m7m3m7s0mc9yvdq0tayb31wc", "at": AT, "kind": "fix", "title": "Reports 4.2.1",
        "product": "Reports", "version": "4.2.1", "pattern_id": Maybe(PAT), "url": "https://example.com/4.2.1",
        "outcome": "recovered", "judged_at": Maybe(AT),
    },
    "Event": {
        "id": EVT, "type": "alert.opened", "at": AT, "subject": ALT, "sequence": 1, "pattern_id": Maybe(PAT),
        "pattern_sequence": Maybe(3), "actor": "engine",
        "data": _free(kind="new", severity="high", product="Reports", tickets=8, customers=8),
    },
    "Source": {
        "name": "desk", "kind": "zendesk", "paused": False, "last_success_at": Maybe(AT),
        "newest_ticket_at": Maybe(AT), "last_error": "", "last_error_at": Maybe(AT), "notes": ["fields: 31 read"],
        "state": Extra("ok"), "says": Extra("read two minutes ago"), "lag_s": Extra(Maybe(120.0)),
        "cursor_at": Extra(Maybe(AT)), "next_read_at": Extra(Maybe(AT)),
        "quota": Extra(Map({"exports": Map({"left": 9.0})})), "history": Extra(Maybe(Noun("Progress"))),
        "messages_waiting": Extra(0),
        "days": Extra([{"day": "2026-11-20", "stored": 212, "counted": Maybe(212), "gap": Maybe(0)}]),
    },
    "Progress": {"done": False, "paused": False, "tickets": 12000, "share": Maybe(0.4), "left_s": Maybe(5400.0)},
    "Subscription": {
        "id": "sub_01m7m3m7s0mc9yvdq0tayb31wc", "url": "https://hooks.example.com/foreshock",
        "format": "standard", "options": _free(), "event_types": ["alert.*"],
        "filter": _free(product="Reports"), "include_text": False, "active": True, "disabled_reason": "",
        "created_at": AT, "secret": Extra("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"),
    },
    "Delivery": {
        "id": "dlv_01m7m3m7s0mc9yvdq0tayb31wc", "event_id": EVT, "state": "delivered", "attempts": 2,
        "next_at": Maybe(AT), "last_status": Maybe(204), "last_error": "",
        "log": Extra([{"number": 1, "at": AT, "status": Maybe(500), "took_ms": 31, "answer": "oops"}]),
    },
    "User": {
        "id": "usr_01m7m3m7s0mc9yvdq0tayb31wc", "name": "ann@example.com", "role": "lead",
        "temporary_password": True, "identity_provider": False, "created_at": AT, "signed_in_at": Maybe(AT),
        "disabled_at": Maybe(AT), "password": Extra("sooty-otter-mends-blue-kettle"),
    },
    "Key": {
        "id": "key_01m7m3m7s0mc9yvdq0tayb31wc", "name": "helpdesk", "scopes": ["write"], "created_at": AT,
        "used_at": Maybe(AT), "revoked_at": Maybe(AT), "secret": Extra("fsk_..."),
    },
    "ReportPost": {
        "id": "rep_01m7m3m7s0mc9yvdq0tayb31wc", "recipient": "lead@example.com", "every": "weekly", "by": "plan",
        "created_at": AT, "actor": "Ann", "sent_until": "2026-11-16", "error": "",
    },
    "Act": {
        "id": "act_01m7m3m7s0mc9yvdq0tayb31wc", "at": AT, "actor": "Ann", "type": "setting.chosen",
        "subject": "alerts_per_week", "data": _free(value=3),
    },
    "Case": {
        "ticket": TKT, "external_id": "48211", "url": "https://desk.example.com/48211",
        "title": "Export fails with E-4031", "created_at": AT, "resolved_at": Maybe(AT),
        "probability_same_issue": 0.92, "why": ["same error E-4031", "means the same"],
        "resolution": Extra({"text": "Fixed in 4.2.1", "article_url": Maybe("https://help.example.com/exports")}),
        "outcome": Extra({"reopened": Maybe(False), "csat": Maybe(0.9), "hours_to_resolve": 5.5}),
    },
}  # fmt: skip

ANSWERS: dict[str, Any] = {
    "isAlive": {"status": "ok"},
    "isReady": {"status": "ready", "checks": Map({"database": "ok", "model": "ok", "index": "0 tickets behind"})},
    "getStatus": {
        "budget": {"per_week": 5.0, "used": 3, "sentence": "3 of 5 this week"}, "watching": 4,
        "feedback": {**_PRECISION, "by_confidence": [
            {"from": 0.9, "to": 1.0, "stated": Maybe(0.96), **_PRECISION}]},
        "cold_start": {"age_days": 120.5, "is_learning": False, "sentence": "Everything is active.",
                       "active": [_SIGNAL], "waiting": [_SIGNAL]},
    },
    "pushTickets": {"results": [
        {"external_id": "48211", "status": "accepted", "id": Extra(TKT), "error": Extra("created_at: too early")}]},
    "listTickets": _page("Ticket"), "getTicket": Noun("Ticket"), "linkTickets": Noun("Ticket"),
    "listPatterns": _page("Pattern"),
    "getPattern": {**NOUNS["Pattern"], "alerts": [Noun("Alert")], "common_thread": [Noun("Thread")]},
    "listPatternTickets": _page("Ticket"), "listPatternEvents": _page("Event"), "listPatternEdits": _page("Edit"),
    "renamePattern": Noun("Pattern"), "linkRelease": Noun("Pattern"), "annotatePattern": Noun("Event"),
    "mergePattern": Noun("Pattern"), "editPattern": Noun("Pattern"),
    "getPatternBrief": _free(pattern=PAT, name="Export fails with E-4031", tickets=23, customers=17),
    "getReport": {**_SPAN, "by": "plan", "time_zone": "UTC", "tables": [
        {"key": "volume", "title": "Volume", "note": "", "columns": ["plan"],
         "rows": [[Some("Team")]]}]},
    "getTrends": {**_SPAN, "kind": "product", "data": [_free(
        key="Reports", expected=21.4, ratio=1.9, p=0.0004, q=0.002, direction="up")]},
    "listSuggestions": _page("Suggestion"), "acceptSuggestion": Noun("Pattern"),
    "rehearseGrouping": _free(join=0.71, join_now=0.7, sentence="2 patterns would be merged."),
    "calibrateGrouping": _free(join=0.71, join_now=0.7, sentence="2 patterns were merged."),
    "listAlerts": _page("Alert"), "getAlert": Noun("Alert"),
    "listAlertTickets": {**_page("Ticket"), "count": 8},
    **{f"{verb}Alert": Noun("Alert") for verb in (
        "acknowledge", "assign", "snooze", "judge", "mute", "unmute", "undo", "dismiss", "resolve")},
    "listBacktests": _page("Backtest"), "startBacktest": Noun("Backtest"), "getBacktest": Noun("Backtest"),
    "stopBacktest": Noun("Backtest"), "resumeBacktest": Noun("Backtest"),
    "applyBacktest": _free(alerts_per_week=3.0, granularity="finer"),
    "listReleases": _page("Release"), "recordRelease": Noun("Release"), "getRelease": Noun("Release"),
    "listSources": _page("Source"), "getSource": Noun("Source"), "pauseSource": Noun("Source"),
    "resumeSource": Noun("Source"), "pauseHistory": Noun("Progress"), "resumeHistory": Noun("Progress"),
    "receiveWebhook": {"hints": 1},
    "listEvents": {"data": [Noun("Event")], "next_after": Maybe(EVT)},
    "listEventSchemas": {"data": [{"type": "alert.opened", "meaning": "Something unusual is worth reading",
                                   "schema": "https://foreshock.example.com/v1/events/schemas/alert.opened"}]},
    "getEventSchema": _free(title="alert.opened", type="object"),
    "createSubscription": Noun("Subscription"), "listSubscriptions": _page("Subscription"),
    "getSubscription": Noun("Subscription"), "changeSubscription": Noun("Subscription"),
    "tryFilter": {"days": 30, "would_have_sent": 14, "newest": [Noun("Event")]},
    "rotateSecret": {"secret": "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"},
    "sendTest": {"event_id": EVT}, "replayEvents": {"events": 14}, "listDeliveries": _page("Delivery"),
    "findSimilar": {
        "query_id": "qry_01m7m3m7s0mc9yvdq0tayb31wc", "model": "all-MiniLM-L6-v2-int8", "as_of": AT, "took_ms": 31,
        "degraded": False, "abstained": False, "reason": "",
        "pattern": Maybe({"id": PAT, "name": "Export fails with E-4031", "state": Maybe("escalating"),
                          "tickets": Maybe(23), "customers": Maybe(17)}),
        "items": [Noun("Case")],
        "resolutions": [{"label": "Fixed in 4.2.1", "n": 9, "known": 8, "success_rate": Maybe(0.875),
                         "interval": [0.529, 0.978], "median_hours": 6.5}],
    },
    "getSimilarQuality": _free(
        floor={"probability": 0.35, "from": "ranker"}, feedback={"right": 21, "wrong": 3, "helped": 8},
        ranker={"version": 2, "way": "own"}),
    "listUsers": _page("User"), "createUser": Noun("User"), "changeUser": Noun("User"),
    "resetPassword": {"password": "sooty-otter-mends-blue-kettle"},
    "listKeys": _page("Key"), "createKey": Noun("Key"),
    "listReportPosts": _page("ReportPost"), "addReportPost": Noun("ReportPost"),
    **dict.fromkeys(("getSettings", "changeSettings", "resetSetting"), Map({"alerts_per_week": {
        "value": Some(3.0), "from": "chosen", "chosen_by": Maybe("Ann"), "chosen_at": Maybe(AT)}})),
    "listAudit": _page("Act"), "erase": {"tickets": 3},
}  # fmt: skip
"""By operation, what a 2xx answer in JSON holds."""

OTHERS = {
    "getMetrics": ("text/plain",),
    "getPatternBrief": ("text/html", "text/markdown", "text/plain", "application/pdf"),
    "getReport": ("text/csv", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    "getEventSchema": ("application/schema+json",),
}
"""What some operations answer beside JSON, or instead."""


def schema(shape: Any) -> dict[str, Any]:
    """JSON Schema of what such an example stands for."""
    match shape:
        case Noun():
            return {"$ref": f"#/components/schemas/{shape.name}"}
        case Extra():
            return schema(shape.value)
        case Some():
            return {}
        case Maybe():
            return {"anyOf": [schema(shape.value), {"type": "null"}]}
        case Map(is_open=True):
            return {"type": "object", "additionalProperties": True}
        case Map():
            return {"type": "object", "additionalProperties": schema(next(iter(shape.example.values())))}
        case dict():
            needed = [name for name, value in shape.items() if not isinstance(value, Extra)]
            fields = {name: schema(value) for name, value in shape.items()}
            return {"type": "object", "required": needed, "properties": fields}
        case list():
            return {"type": "array", "items": schema(shape[0])}
        case bool():
            return {"type": "boolean"}
        case int():
            return {"type": "integer"}
        case float():
            return {"type": "number"}
        case _:
            return {"type": "string", "format": "date-time"} if shape == AT else {"type": "string"}


def example(shape: Any) -> Any:
    """The example in plain JSON."""
    match shape:
        case Noun():
            whole = NOUNS[shape.name]
            return example({name: value for name, value in whole.items() if not isinstance(value, Extra)})
        case Extra() | Maybe() | Some():
            return example(shape.value)
        case Map():
            return example(dict(shape.example))
        case dict():
            return {name: example(value) for name, value in shape.items()}
        case list():
            return [example(value) for value in shape]
        case _:
            return shape


def described(operation: dict[str, Any]) -> None:
    """Say what an operation answers when it went well."""
    name = operation["operationId"]
    for status, response in operation["responses"].items():
        if status == "204" or not (status.startswith("2") or JSON in response.get("content", {})):
            continue
        content = {kind: {"schema": {"type": "string"}} for kind in OTHERS.get(name, ())}
        if name in ANSWERS:
            content[JSON] = {"schema": schema(ANSWERS[name]), "example": example(ANSWERS[name])}
        response["content"] = content
