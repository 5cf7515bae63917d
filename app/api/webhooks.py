"""What the OpenAPI document says beyond the routes: problems, and the events sent as webhooks.

`EVENTS` is the list of all types; `event_schema` gives the JSON Schema of one, `schemas.event` of the log
and every body that is sent keep to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.api import answers
from app.notify.formats import VERSION

EVENTS = {
    "alert.opened": "Something unusual is worth reading",
    "alert.escalated": "An open alert became more severe",
    "alert.acknowledged": "Somebody is looking at an alert",
    "alert.assigned": "An alert got an owner",
    "alert.snoozed": "An alert was hidden until a time, a number of customers, or until it gets worse",
    "alert.woken": "A snooze is over",
    "alert.judged": "A person said whether an alert was worth reading",
    "alert.muted": "A person wants to hear no more of an alert's topic",
    "alert.unmuted": "A muted topic may be heard again",
    "alert.restored": "A decision about an alert was taken back",
    "alert.dismissed": "A person closed an alert as not worth reading",
    "alert.resolved": "An alert is over, or was closed as dealt with",
    "pattern.created": "Tickets turned out to be one problem",
    "pattern.changed": "A pattern's state changed",
    "pattern.renamed": "A person named a pattern",
    "pattern.linked": "A person said which release a pattern came with, or took that back",
    "pattern.noted": "A person put a note beside a pattern",
    "pattern.merged": "A pattern lives on under another id",
    "pattern.split": "Part of a pattern became one of its own",
    "pattern.returned": "A dormant pattern has new tickets",
    "pattern.regressed": "A recovered pattern is back",
    "pattern.restored": "A merge was undone",
    "pattern.dissolved": "A young pattern did not hold together",
    "fix.verified": "A recorded fix worked",
    "fix.failed": "A recorded fix has not worked",
    "release.recorded": "A release or a fix was recorded",
    "source.failing": "A source cannot be read any more",
    "source.recovered": "A source that failed is read again",
    "subscription.disabled": "An endpoint was given up; the other subscriptions are told",
    "webhook.test": "Sent on request, to try an endpoint",
}
PROBLEM = {
    "type": "object",
    "description": "RFC 9457 problem details",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"}, "title": {"type": "string"}, "status": {"type": "integer"},
        "detail": {"type": "string"}, "instance": {"type": "string"},
        "errors": {"type": "array", "items": {"type": "object", "properties": {
            "detail": {"type": "string"}, "pointer": {"type": "string"}}}},
    },
}  # fmt: skip
_TEXT, _COUNT, _NUMBER = {"type": "string"}, {"type": "integer", "minimum": 0}, {"type": "number"}
_MAYBE = {"type": ["string", "null"]}
_SEVERITY = {"enum": ["", "low", "medium", "high"]}
_SHARED: dict[str, Any] = {
    "id": {"type": "string", "description": "id of what the event is about"},
    "sequence": {"type": "integer", "minimum": 1, "description": "counts the events of this id from 1"},
    "pattern_id": _MAYBE,
    "pattern_sequence": {
        "type": "integer", "minimum": 1, "description": "counts the events that touch this pattern from 1",
    },
    "name": {"type": "string", "description": "name of the pattern"},
    "state": {"type": "string", "description": "state of the pattern"},
    "severity": _SEVERITY, "product": _TEXT, "component": _TEXT, "tickets": _COUNT, "customers": _COUNT,
    "ticket_ids": {"type": "array", "items": _TEXT, "description": "evidence, the first fifty"},
    "links": {"type": "object", "additionalProperties": _TEXT},
    "text": {
        "type": "array", "description": "only where the subscription asks for it",
        "items": {"type": "object", "required": ["ticket", "subject", "body"],
                  "properties": {"ticket": _TEXT, "subject": _TEXT, "body": _TEXT}},
    },
}  # fmt: skip
_OWN: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "alert": (
        ("alert_id", "kind", "severity", "pattern_id"),
        {"alert_id": _TEXT, "kind": _TEXT, "sentence": _TEXT, "topic": _TEXT, "strength": _NUMBER, "reason": _TEXT},
    ),
    "pattern": (
        ("pattern_id", "pattern_sequence", "name", "state", "tickets", "customers"),
        {"was": _TEXT, "reason": _TEXT, "fix": _TEXT, "release": _TEXT,
         "text": _TEXT, "noted_at": {"type": "string", "format": "date-time"}, "split_from": _MAYBE},
    ),
    "fix": (
        ("pattern_id", "fix", "outcome", "sentence", "ratio", "low", "high"),
        {"fix": _TEXT, "was": _TEXT, "outcome": _TEXT, "sentence": _TEXT, "ratio": _NUMBER, "low": _NUMBER,
         "high": _NUMBER},
    ),
    "release": (("title", "kind"), {"title": _TEXT, "kind": {"enum": ["release", "fix"]}, "version": _TEXT}),
    "source": ((), {"reason": _TEXT}),
    "subscription": (("reason", "url"), {"reason": _TEXT, "url": _TEXT}),
    "webhook": ((), {}),
}  # fmt: skip
"""By family: what `data` always holds beyond id and sequence, and the fields of its own."""


def event_schema(type_: str) -> dict[str, Any]:
    """JSON Schema (2020-12) of the body of one event type. Fields may be added; readers ignore the unknown."""
    required, own = _OWN[type_.partition(".")[0]]
    return {
        "title": type_,
        "description": EVENTS[type_],
        "type": "object",
        "required": ["type", "version", "timestamp", "data"],
        "properties": {
            "type": {"const": type_},
            "version": {"const": VERSION},
            "timestamp": {"type": "string", "format": "date-time"},
            "data": {
                "type": "object",
                "required": ["id", "sequence", "links", *required],
                "properties": _SHARED | own,
            },
        },
    }


def schema_name(type_: str) -> str:
    """`alert.opened` is AlertOpened among the document's schemas."""
    return "".join(part.title() for part in type_.split(".")) + "Event"


def describe(document: dict[str, Any]) -> dict[str, Any]:
    """The generated document with answers, problems, events and the key scheme added."""
    parts = document.setdefault("components", {})
    told: Mapping[str, Any] = {schema_name(t): event_schema(t) for t in EVENTS}
    parts.setdefault("schemas", {}).update({"Problem": PROBLEM, **told})
    parts["schemas"].update({name: answers.schema(shape) for name, shape in answers.NOUNS.items()})
    for item in document["paths"].values():
        for operation in item.values():
            answers.described(operation)
    parts["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer", "bearerFormat": "fsk_..."}}
    document["security"] = [{"key": []}, {}]
    document["webhooks"] = {name: {"post": _webhook(name, text)} for name, text in EVENTS.items()}
    return document


def _told(type_: str) -> dict[str, Any]:
    """An example of an event's body."""
    required, own = _OWN[type_.partition(".")[0]]
    fields = _SHARED | own
    data = {name: _value(name, fields[name]) for name in ("id", "sequence", "links", *required)}
    return {"type": type_, "version": VERSION, "timestamp": answers.AT, "data": data}


def _value(name: str, field: Mapping[str, Any]) -> Any:
    known = {"alert_id": answers.ALT, "pattern_id": answers.PAT, "links": {"page": f"/patterns/{answers.PAT}"},
             "kind": "fix" if "enum" in field else "new", "severity": "high", "id": answers.PAT}  # fmt: skip
    if name in known:
        return known[name]
    kind = field["type"]
    return 1 if kind == "integer" else 0.3 if kind == "number" else f"the {name.replace('_', ' ')}"


def _webhook(name: str, text: str) -> dict[str, Any]:
    headers = ("webhook-id", "webhook-timestamp", "webhook-signature")
    schema = {"$ref": f"#/components/schemas/{schema_name(name)}"}
    return {
        "operationId": "on" + "".join(part.title() for part in name.split(".")),
        "summary": text,
        "parameters": [
            {"name": h, "in": "header", "required": True, "schema": {"type": "string"}} for h in headers
        ],
        "requestBody": {"content": {"application/json": {"schema": schema, "example": _told(name)}}},
        "responses": {"2XX": {"description": "Taken; anything else is tried again"}},
    }
