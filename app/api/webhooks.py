"""What the OpenAPI document says beyond the routes: problems, and the events sent as webhooks."""

from __future__ import annotations

from typing import Any

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
    "pattern.merged": "A pattern lives on under another id",
    "pattern.split": "Part of a pattern became one of its own",
    "pattern.returned": "A dormant pattern has new tickets",
    "pattern.regressed": "A recovered pattern is back",
    "pattern.restored": "A merge was undone",
    "pattern.dissolved": "A young pattern did not hold together",
    "fix.verified": "A recorded fix worked",
    "fix.failed": "A recorded fix has not worked",
    "release.recorded": "A release or a fix was recorded",
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
EVENT = {
    "type": "object",
    "required": ["type", "version", "timestamp", "data"],
    "properties": {
        "type": {"type": "string"},
        "version": {"type": "integer", "const": 1},
        "timestamp": {"type": "string", "format": "date-time"},
        "data": {
            "type": "object",
            "required": ["id", "sequence"],
            "properties": {
                "id": {"type": "string", "description": "id of the alert, pattern or release"},
                "sequence": {"type": "integer", "description": "counts the events of this id from 1"},
                "sentence": {"type": "string"}, "severity": {"type": "string"},
                "tickets": {"type": "integer"}, "customers": {"type": "integer"},
                "links": {"type": "object", "additionalProperties": {"type": "string"}},
            },
        },
    },
}  # fmt: skip


def describe(document: dict[str, Any]) -> dict[str, Any]:
    """The generated document with problems, events and the key scheme added."""
    parts = document.setdefault("components", {})
    parts.setdefault("schemas", {}).update({"Problem": PROBLEM, "Event": EVENT})
    parts["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer", "bearerFormat": "fsk_..."}}
    document["security"] = [{"key": []}, {}]
    document["webhooks"] = {name: {"post": _webhook(name, text)} for name, text in EVENTS.items()}
    return document


def _webhook(name: str, text: str) -> dict[str, Any]:
    headers = ("webhook-id", "webhook-timestamp", "webhook-signature")
    return {
        "operationId": "on" + "".join(part.title() for part in name.split(".")),
        "summary": text,
        "parameters": [
            {"name": h, "in": "header", "required": True, "schema": {"type": "string"}} for h in headers
        ],
        "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Event"}}}},
        "responses": {"2XX": {"description": "Taken; anything else is tried again"}},
    }
