"""Every format keeps to what its receiver takes, and words of customers stay words in all of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from jsonschema import Draft202012Validator

from app.api.webhooks import event_schema
from app.domain import Event
from app.errors import Invalid
from app.notify import formats, mail
from app.notify.formats import FORMATS, Telling

AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
HOSTILE = "<script>alert(1)</script> <!channel> [x](javascript:alert(2)) *bold* {color:red} &amp; \u202e@here"
PLAIN = {"type": "object", "required": ["type", "text"], "additionalProperties": False, "properties": {
    "type": {"const": "plain_text"}, "text": {"type": "string", "minLength": 1, "maxLength": 3000},
    "emoji": {"type": "boolean"}}}  # fmt: skip
SLACK: dict[str, Any] = {
    "$comment": "Slack's reference of incoming webhooks and Block Kit: header, section, actions, button",
    "type": "object", "required": ["text", "blocks"], "additionalProperties": False,
    "properties": {
        "text": {"type": "string", "maxLength": 40000},
        "blocks": {"type": "array", "minItems": 1, "maxItems": 50, "items": {"oneOf": [
            {"type": "object", "required": ["type", "text"], "additionalProperties": False, "properties": {
                "type": {"const": "header"},
                "text": {"allOf": [PLAIN, {"properties": {"text": {"maxLength": 150}}}]}}},
            {"type": "object", "required": ["type"], "additionalProperties": False,
             "anyOf": [{"required": ["text"]}, {"required": ["fields"]}], "properties": {
                "type": {"const": "section"}, "text": PLAIN,
                "fields": {"type": "array", "minItems": 1, "maxItems": 10,
                           "items": {"allOf": [PLAIN, {"properties": {"text": {"maxLength": 2000}}}]}}}},
            {"type": "object", "required": ["type", "elements"], "additionalProperties": False, "properties": {
                "type": {"const": "actions"},
                "elements": {"type": "array", "minItems": 1, "maxItems": 25, "items": {
                    "type": "object", "required": ["type", "text", "url"], "additionalProperties": False,
                    "properties": {"type": {"const": "button"},
                                   "text": {"allOf": [PLAIN, {"properties": {"text": {"maxLength": 75}}}]},
                                   "url": {"type": "string", "pattern": "^https?://", "maxLength": 3000}}}}}},
        ]}},
    },
}  # fmt: skip
TEAMS: dict[str, Any] = {
    "$comment": "Teams' message of a workflow webhook, and the Adaptive Card schema 1.4 of what is used",
    "type": "object", "required": ["type", "attachments"], "additionalProperties": False,
    "properties": {
        "type": {"const": "message"},
        "attachments": {"type": "array", "minItems": 1, "maxItems": 1, "items": {
            "type": "object", "required": ["contentType", "content"], "additionalProperties": False,
            "properties": {
                "contentType": {"const": "application/vnd.microsoft.card.adaptive"},
                "contentUrl": {"type": "null"},
                "content": {
                    "type": "object", "required": ["type", "version", "body"], "additionalProperties": False,
                    "properties": {
                        "$schema": {"const": "http://adaptivecards.io/schemas/adaptive-card.json"},
                        "type": {"const": "AdaptiveCard"}, "version": {"const": "1.4"},
                        "body": {"type": "array", "minItems": 1, "items": {
                            "type": "object", "required": ["type", "inlines"], "additionalProperties": False,
                            "properties": {"type": {"const": "RichTextBlock"}, "inlines": {
                                "type": "array", "minItems": 1, "items": {
                                    "type": "object", "required": ["type", "text"], "additionalProperties": False,
                                    "properties": {
                                        "type": {"const": "TextRun"}, "text": {"type": "string"},
                                        "size": {"enum": ["default", "small", "medium", "large", "extraLarge"]},
                                        "weight": {"enum": ["default", "lighter", "bolder"]}}}}}}},
                        "actions": {"type": "array", "items": {
                            "type": "object", "required": ["type", "url"], "additionalProperties": False,
                            "properties": {"type": {"const": "Action.OpenUrl"}, "title": {"type": "string"},
                                           "url": {"type": "string", "pattern": "^https?://"}}}}}},
            }}},
    },
}  # fmt: skip


def told(*, name: str = "Exports end with E-4031", quoted: bool = False, **more: Any) -> Telling:
    data = {
        "alert_id": "alt_1", "kind": "spike", "severity": "high", "pattern_id": "pat_1", "name": name,
        "sentence": f"{name}: 12 tickets from 9 customers", "product": "Reports", "tickets": 12, "customers": 9,
        "ticket_ids": ["tkt_1"], "links": {"alert": "/v1/alerts/alt_1", "page": "/patterns/pat_1"}, **more,
    }  # fmt: skip
    event = Event(
        id="evt_1", seq=1, type="alert.opened", at=AT, subject="alt_1", sequence=3, actor="engine", data=data,
        pattern_id="pat_1", pattern_sequence=7,
    )  # fmt: skip
    quotes = (("tkt_1", HOSTILE, HOSTILE),) if quoted else None
    return Telling(event, "https://foreshock.example.com", quotes, {"project": "OPS"})


def body(format_: str, telling: Telling) -> Any:
    return json.loads(FORMATS[format_](telling).body)


def leaves(value: Any) -> list[str]:
    """Every text of a JSON value."""
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [leaf for one in inner for leaf in leaves(one)]


def test_a_body_is_thin_versioned_and_keeps_to_the_schema_of_its_type() -> None:
    content = body("standard", told())
    Draft202012Validator(event_schema("alert.opened")).validate(content)
    assert (content["version"], content["data"]["sequence"], content["data"]["pattern_sequence"]) == (1, 3, 7)
    assert "text" not in content["data"]
    assert content["data"]["links"]["page"] == "https://foreshock.example.com/patterns/pat_1"


def test_text_is_in_the_body_only_where_it_was_asked_for() -> None:
    content = body("standard", told(quoted=True))
    Draft202012Validator(event_schema("alert.opened")).validate(content)
    assert content["data"]["text"] == [{"ticket": "tkt_1", "subject": HOSTILE, "body": HOSTILE}]


def test_a_body_with_much_evidence_stays_under_twenty_kilobytes() -> None:
    message = FORMATS["standard"](told(ticket_ids=[f"tkt_{n:040}" for n in range(1000)]))
    assert len(message.body) <= formats.MOST_BYTES


@pytest.mark.parametrize("format_", ["cloudevents", "cloudevents-binary"])
def test_the_cloudevents_library_reads_both_modes(format_: str) -> None:
    message = FORMATS[format_](told(name="Ünïcode “100 %”"))
    event = from_http_event(HTTPMessage(dict(message.headers), message.body))
    assert (event.get_id(), event.get_type(), event.get_subject()) == ("evt_1", "alert.opened", "alt_1")
    assert event.get_time() == AT
    assert event.get_dataschema() == "https://foreshock.example.com/v1/events/schemas/alert.opened"
    data = event.get_data()
    Draft202012Validator(event_schema("alert.opened")).validate(data)


@pytest.mark.parametrize("name", ["Exports end with E-4031", HOSTILE, "x" * 9000])
@pytest.mark.parametrize(("format_", "schema"), [("slack", SLACK), ("teams", TEAMS)])
def test_chat_bodies_keep_to_the_published_schema(format_: str, schema: dict[str, Any], name: str) -> None:
    Draft202012Validator.check_schema(schema)
    message = FORMATS[format_](told(name=name, quoted=True))
    Draft202012Validator(schema).validate(json.loads(message.body))
    assert len(message.body) < 28_000  # what Teams takes


def test_in_slack_a_script_and_a_mention_stay_text() -> None:
    content = body("slack", told(name=HOSTILE, quoted=True))
    assert "<" not in content["text"]
    assert HOSTILE in content["blocks"][0]["text"]["text"]
    kinds = {b["text"]["type"] for b in content["blocks"] if "text" in b}
    assert kinds == {"plain_text"}  # Slack reads no markup and no mention in it


def test_in_teams_and_jira_words_are_in_parts_that_know_no_markup() -> None:
    card = body("teams", told(quoted=True))["attachments"][0]["content"]
    assert any(HOSTILE in run["text"] for block in card["body"] for run in block["inlines"])
    assert {block["type"] for block in card["body"]} == {"RichTextBlock"}
    issue = body("jira", told(name=HOSTILE, quoted=True))["fields"]
    nodes = [node for part in issue["description"]["content"] for node in part["content"]]
    assert any(HOSTILE in node["text"] for node in nodes if "marks" not in node)
    assert [n["marks"][0]["attrs"]["href"] for n in nodes if "marks" in n] == [
        "https://foreshock.example.com/patterns/pat_1"
    ]


def test_a_jira_issue_names_project_and_event_and_its_summary_is_one_short_line() -> None:
    issue = body("jira", told(name="two\nlines " + "x" * 400))["fields"]
    assert issue["project"] == {"key": "OPS"}
    assert "evt_1" in issue["labels"]
    assert len(issue["summary"]) <= 255
    assert "\n" not in issue["summary"]


def test_no_format_but_the_standard_ones_shows_text_that_was_not_asked_for() -> None:
    for name, write in FORMATS.items():
        assert not any("alert(1)" in leaf for leaf in leaves(json.loads(write(told()).body))), name


# --- e-mail -----------------------------------------------------------------------------------------


def digest(*telling: Telling, identity: str = "one") -> Any:
    return mail.digest(
        telling, sender="Foreshock <foreshock@example.com>", recipient="team@example.com", identity=identity,
        at=AT, zone=ZoneInfo("Europe/Berlin"), rhythm=mail.DAILY,
    )  # fmt: skip


def test_a_digest_is_plain_text_in_the_business_time_zone_and_keeps_its_id() -> None:
    message = digest(told(), told(quoted=True))
    text = message.get_content()
    assert message.get_content_type() == "text/plain"
    assert message["Subject"] == "Foreshock: 2 things happened"
    assert "Mon 02 Mar 10:00" in text
    assert "<script>alert(1)</script>" in text
    assert (
        message["Message-ID"] == digest(told())["Message-ID"] != digest(told(), identity="two")["Message-ID"]
    )


def test_no_name_of_a_pattern_makes_a_header_of_its_own() -> None:
    message = digest(told(name="x\r\nBcc: all@example.com"))
    assert message["Bcc"] is None
    assert "Bcc" in message["Subject"]


@pytest.mark.parametrize(
    ("rhythm", "at", "closed"),
    [
        ("daily", "2026-03-02T09:00+00:00", "2026-03-02T07:00+00:00"),  # 08:00 in Berlin, winter
        ("daily", "2026-03-02T06:59+00:00", "2026-03-01T07:00+00:00"),
        ("daily", "2026-03-29T09:00+00:00", "2026-03-29T06:00+00:00"),  # the clock went forward that night
        ("weekly", "2026-03-04T12:00+00:00", "2026-03-02T07:00+00:00"),
        ("weekly", "2026-03-02T06:00+00:00", "2026-02-23T07:00+00:00"),
        ("weekly", "2026-03-30T05:59+00:00", "2026-03-23T07:00+00:00"),
    ],
)
def test_a_digest_closes_at_eight_of_the_business_day(rhythm: str, at: str, closed: str) -> None:
    found = mail.closing(rhythm, datetime.fromisoformat(at), ZoneInfo("Europe/Berlin"))
    assert found == datetime.fromisoformat(closed)


def test_at_once_is_the_very_moment() -> None:
    assert timedelta(0) < mail.closing(mail.AT_ONCE, AT, ZoneInfo("UTC")) - AT < timedelta(seconds=1)


@pytest.mark.parametrize(
    "url",
    ["team@example.com", "mailto:", "mailto:a@b@c", "mailto:a@b.c,d@e.f", "mailto:a@b.c?bcc=d@e.f",
     "mailto:a@b.c\r\nBcc: d@e.f", "mailto:Ann <a@b.c>", "https://example.com"],
)  # fmt: skip
def test_a_recipient_is_one_plain_address(url: str) -> None:
    with pytest.raises(Invalid):
        mail.checked_recipient(url)
    assert mail.checked_recipient("mailto:team@example.com") == "team@example.com"
