"""An event as others want to read it: Standard Webhooks, CloudEvents, Slack, Teams, a Jira issue.

Words of customers are put where a receiver shows them as they are: what looks like markup, a mention or
a script stays text.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from app.domain import Event

VERSION = 1  # of the body; a change that could break a reader raises it
JSON = "application/json"
MOST_BYTES = 20_000  # what Standard Webhooks advises
SLACK_HEADER, SLACK_TEXT, SLACK_FIELD = 150, 3000, 2000  # characters Block Kit takes
TEAMS_TEXT = 4000  # a card of more than 28 kB is refused
JIRA_SUMMARY = 255
WORDS = {"low": "Low", "medium": "Medium", "high": "High"}


@dataclass(frozen=True, slots=True)
class Telling:
    """An event with all that its body is made from; `quotes` (subject, body) only where they were asked for."""

    event: Event
    base_url: str
    quotes: tuple[tuple[str, str, str], ...] | None = None  # ticket id, subject, body
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def links(self) -> dict[str, str]:
        return {name: f"{self.base_url}{path}" for name, path in self.event.data.get("links", {}).items()}

    @property
    def link(self) -> str:
        """The page for people, else whatever address there is."""
        return self.links.get("page") or next(iter(self.links.values()), self.base_url)

    @property
    def title(self) -> str:
        data = self.event.data
        subject = data.get("name") or data.get("topic") or data.get("title") or self.event.subject
        return f"{HEADLINES.get(self.event.type, self.event.type)}: {subject}"

    @property
    def facts(self) -> list[tuple[str, str]]:
        data = self.event.data
        named = (("Product", "product"), ("Component", "component"), ("State", "state"),
                 ("Tickets", "tickets"), ("Customers", "customers"))  # fmt: skip
        found = [(label, str(data[name])) for label, name in named if data.get(name) not in (None, "")]
        severity = WORDS.get(str(data.get("severity")))
        return [("Severity", severity), *found] if severity else found


@dataclass(frozen=True, slots=True)
class Message:
    """What is posted."""

    body: bytes
    headers: Mapping[str, str]


HEADLINES = {
    "alert.opened": "New alert", "alert.escalated": "Alert is worse", "alert.acknowledged": "Alert acknowledged",
    "alert.snoozed": "Alert snoozed", "alert.dismissed": "Alert dismissed", "alert.resolved": "Alert is over",
    "pattern.created": "New pattern", "pattern.changed": "Pattern changed", "pattern.renamed": "Pattern renamed",
    "pattern.linked": "Pattern linked to a release", "pattern.noted": "Note on a pattern",
    "pattern.merged": "Pattern merged", "pattern.split": "Pattern split", "pattern.returned": "Pattern is back",
    "pattern.regressed": "Regression", "pattern.restored": "Merge undone", "pattern.dissolved": "Pattern dissolved",
    "fix.verified": "Fix works", "fix.failed": "Fix does not work", "release.recorded": "Recorded",
    "source.failing": "A source cannot be read", "source.recovered": "A source is read again",
    "subscription.disabled": "A webhook was disabled", "webhook.test": "Test",
}  # fmt: skip


def _dump(content: Any) -> bytes:
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()


def payload(told: Telling) -> dict[str, Any]:
    """The content of an event: `{type, version, timestamp, data}`, thin: ids, counts and links."""
    event = told.event
    data = {"id": event.subject, "sequence": event.sequence, **event.data, "links": told.links}
    if event.pattern_sequence is not None:
        data["pattern_sequence"] = event.pattern_sequence
    if told.quotes is not None:
        data["text"] = [{"ticket": t, "subject": s, "body": b} for t, s, b in told.quotes]
    at = event.at.isoformat().replace("+00:00", "Z")
    return {"type": event.type, "version": VERSION, "timestamp": at, "data": data}


def standard(told: Telling) -> Message:
    """Standard Webhooks 1.0.0; ids of evidence are cut, never the event, to stay under its 20 kB."""
    content = payload(told)
    while len(_dump(content)) > MOST_BYTES and content["data"].get("ticket_ids"):
        content["data"]["ticket_ids"] = content["data"]["ticket_ids"][:-10]
    return Message(_dump(content), {"content-type": JSON})


def _attributes(told: Telling) -> dict[str, str]:
    """The context attributes of CloudEvents 1.0.2; `id` is the webhook-id."""
    event = told.event
    return {
        "specversion": "1.0", "id": event.id, "source": f"{told.base_url}/v1/events", "type": event.type,
        "subject": event.subject, "time": event.at.isoformat().replace("+00:00", "Z"),
        "datacontenttype": JSON, "dataschema": f"{told.base_url}/v1/events/schemas/{event.type}",
    }  # fmt: skip


def cloudevents(told: Telling) -> Message:
    """CloudEvents 1.0, structured mode; `data` is the whole Standard Webhooks body, so one schema serves both."""
    content = _attributes(told) | {"data": json.loads(standard(told).body)}
    return Message(_dump(content), {"content-type": "application/cloudevents+json"})


def cloudevents_binary(told: Telling) -> Message:
    """CloudEvents 1.0, HTTP binary mode: attributes as `ce-` headers, percent-encoded as its binding says."""
    attributes = _attributes(told)
    kind = attributes.pop("datacontenttype")
    headers = {f"ce-{name}": quote(value, safe=_PRINTABLE) for name, value in attributes.items()}
    return Message(standard(told).body, {"content-type": kind, **headers})


_PRINTABLE = "".join(chr(c) for c in range(0x21, 0x7F) if chr(c) not in '"%')


def slack(told: Telling) -> Message:
    """Block Kit for an incoming webhook; words of people only in escaped or plain text."""
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": _plain(told.title, SLACK_HEADER)},
    ]
    if told.event.data.get("sentence"):
        blocks.append({"type": "section", "text": _plain(told.event.data["sentence"], SLACK_TEXT)})
    if told.facts:
        fields = [_plain(f"{label}: {value}", SLACK_FIELD) for label, value in told.facts[:10]]
        blocks.append({"type": "section", "fields": fields})
    for _, subject, body in told.quotes or ():
        blocks.append({"type": "section", "text": _plain(f"“{subject}” {body}", SLACK_TEXT)})
    button = {"type": "button", "text": _plain("Open in Foreshock", 75), "url": told.link}
    blocks.append({"type": "actions", "elements": [button]})
    return Message(_dump({"text": _escaped(told.title), "blocks": blocks}), {"content-type": JSON})


def _plain(text: str, most: int) -> dict[str, Any]:
    return {"type": "plain_text", "text": _cut(text, most), "emoji": False}


def _escaped(text: str) -> str:
    """Slack's three control characters; without them no mention and no link can be made."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def teams(told: Telling) -> Message:
    """An Adaptive Card 1.4 for a Teams workflow; text runs know no markdown, so words stay words."""
    body: list[dict[str, Any]] = [_run(told.title, weight="bolder", size="large")]
    if told.event.data.get("sentence"):
        body.append(_run(told.event.data["sentence"]))
    body += [_run(f"{label}: {value}") for label, value in told.facts]
    body += [_run(f"“{subject}” {text}") for _, subject, text in told.quotes or ()]
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard",
        "version": "1.4", "body": body,
        "actions": [{"type": "Action.OpenUrl", "title": "Open in Foreshock", "url": told.link}],
    }  # fmt: skip
    attachment = {
        "contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card,
    }  # fmt: skip
    return Message(_dump({"type": "message", "attachments": [attachment]}), {"content-type": JSON})


def _run(text: str, **style: str) -> dict[str, Any]:
    run = {"type": "TextRun", "text": _cut(text, TEAMS_TEXT), **style}
    return {"type": "RichTextBlock", "inlines": [run]}


def jira(told: Telling) -> Message:
    """Jira Cloud's "create issue" (REST v3): text in the Atlassian Document Format, which has no markup.

    The event's id is a label: an issue made twice after a lost answer can be told by it.
    """
    lines = [told.event.data.get("sentence", ""), *(f"{label}: {value}" for label, value in told.facts)]
    lines += [f"“{subject}” {body}" for _, subject, body in told.quotes or ()]
    content = [{"type": "paragraph", "content": [{"type": "text", "text": line}]} for line in lines if line]
    link = {"type": "text", "text": told.link, "marks": [{"type": "link", "attrs": {"href": told.link}}]}
    content.append({"type": "paragraph", "content": [link]})
    fields = {
        "project": {"key": told.options["project"]},
        "issuetype": {"name": told.options.get("issue_type", "Task")},
        "summary": _cut(" ".join(told.title.split()), JIRA_SUMMARY),
        "description": {"type": "doc", "version": 1, "content": content},
        "labels": ["foreshock", told.event.id],
    }
    return Message(_dump({"fields": fields}), {"content-type": JSON})


def basic(credentials: str) -> str:
    """An `Authorization` header of "address:token", as Jira Cloud takes it."""
    return "Basic " + base64.b64encode(credentials.encode()).decode()


FORMATS: dict[str, Callable[[Telling], Message]] = {
    "standard": standard, "cloudevents": cloudevents, "cloudevents-binary": cloudevents_binary,
    "slack": slack, "teams": teams, "jira": jira,
}  # fmt: skip
