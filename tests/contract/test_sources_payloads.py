"""Answers as the vendors document them, field for field: what becomes of each, and of null in its place.

The server knows one list of tickets and nothing else, as when a recorded answer is played back.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest

from app.domain import Checkpoint, RawTicket, Source, Status, StatusChange
from app.errors import ForeshockError
from app.ingest.source import Outside
from app.ingest.sources import connect

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOST = "https://acme.example"
MOST_PAGES = 20

ZENDESK = {
    "tickets": [{
        "url": "https://other.zendesk.com/api/v2/tickets/9001.json", "id": 9001, "external_id": None,
        "via": {"channel": "email", "source": {"from": {"address": "a@ex.org", "name": "A"}, "to": {}, "rel": None}},
        "created_at": "2026-11-20T09:12:44Z", "updated_at": "2026-11-21T10:00:02Z",
        "generated_timestamp": 1795255203, "type": "incident", "subject": "E-4031 on export",
        "raw_subject": "E-4031 on export", "description": "Export fails with E-4031", "priority": "high",
        "status": "solved", "custom_status_id": 61, "recipient": None, "requester_id": 7701,
        "submitter_id": 7701, "assignee_id": 501, "organization_id": 88, "group_id": 12,
        "collaborator_ids": [], "follower_ids": [], "email_cc_ids": [], "forum_topic_id": None,
        "problem_id": 8990, "has_incidents": False, "is_public": True, "due_at": None,
        "tags": ["export", "sentiment__negative", "vip"], "custom_fields": [{"id": 27642, "value": "v4_2"}],
        "fields": [{"id": 27642, "value": "v4_2"}], "satisfaction_rating": {"score": "good", "id": 4},
        "sharing_agreement_ids": [], "followup_ids": [], "ticket_form_id": 60, "brand_id": 5,
        "allow_channelback": False, "allow_attachments": True, "from_messaging_channel": False,
        "support_type": "ai_agent", "encoded_id": "VLZGD5-30KK4",
        "metric_set": {"id": 1, "ticket_id": 9001, "group_stations": 1, "reopens": 1, "replies": 2,
                       "solved_at": "2026-11-21T10:00:02Z", "status_updated_at": "2026-11-21T10:00:02Z"},
    }],
    "organizations": [{"id": 88, "name": "Acme Zürich", "domain_names": []}],
    "after_url": "https://other.zendesk.com/api/v2/incremental/tickets/cursor.json?cursor=MTc5",
    "before_url": None, "after_cursor": "MTc5NTI1NTIwMy4wfHw5MDAxfA==", "before_cursor": None,
    "end_of_stream": True,
}  # fmt: skip

FRESHDESK = [{
    "id": 21, "subject": "Export fails", "description": "<div>Export fails with E-4031</div>",
    "description_text": "Export fails with E-4031", "status": 4, "priority": 3, "source": 1, "type": "Incident",
    "requester_id": 670429, "responder_id": 670134, "group_id": 11, "company_id": 670012, "product_id": 9,
    "email_config_id": 1, "support_email": "help@acme.freshdesk.com", "to_emails": ["help@acme.freshdesk.com"],
    "cc_emails": [], "fwd_emails": [], "reply_cc_emails": [], "spam": False, "is_escalated": False,
    "fr_escalated": True, "nr_escalated": False, "due_by": "2026-11-22T15:59:28Z", "fr_due_by": None,
    "association_type": None, "associated_tickets_count": None, "custom_fields": {"cf_version": "4.2"},
    "tags": ["export", "vip"], "created_at": "2026-11-20T15:59:28Z", "updated_at": "2026-11-21T21:29:28+05:30",
    "requester": {"id": 670429, "name": "A", "email": "a@ex.org", "mobile": None, "phone": None},
    "stats": {"agent_responded_at": None, "requester_responded_at": None, "first_responded_at": None,
              "status_updated_at": "2026-11-21T15:59:28Z", "reopened_at": "2026-11-21T10:59:28Z",
              "resolved_at": "2026-11-21T15:59:28Z", "closed_at": None, "pending_since": None},
}]  # fmt: skip

SALESFORCE = {
    "totalSize": 1, "done": True,
    "records": [{
        "attributes": {"type": "Case", "url": "/services/data/v62.0/sobjects/Case/500000000000001AAA"},
        "Id": "500000000000001AAA", "CaseNumber": "00001001", "Subject": "Export fails",
        "Description": "Export fails with E-4031", "Status": "Closed", "Priority": "High", "Origin": "Web",
        "Type": "Problem", "Reason": "Performance", "IsClosed": True, "IsEscalated": True, "IsDeleted": False,
        "MasterRecordId": None, "ParentId": "500000000000009AAA", "ContactId": "003000000000001AAA",
        "SuppliedEmail": "a@ex.org", "AccountId": "001000000000001AAA", "OwnerId": "00G000000000001AAA",
        "CreatedDate": "2026-11-20T15:59:28.000+0000", "ClosedDate": "2026-11-21T15:59:28.000+0000",
        "SystemModstamp": "2026-11-21T15:59:29.000+0000", "Version__c": "4.2",
        "Account": {"attributes": {"type": "Account"}, "Name": "Acme Zürich"},
        "Owner": {"attributes": {"type": "Name"}, "Type": "Queue", "Name": "Tier 2"},
    }],
}  # fmt: skip

JIRA = {
    "issues": [{
        "id": "10006", "key": "SUP-5", "self": "https://other.atlassian.net/rest/api/3/issue/10006",
        "expand": "operations,versionedRepresentations", "properties": {"request.channel.type": {"value": "email"}},
        "fields": {
            "summary": "Export fails",
            "description": {"type": "doc", "version": 1, "content": [
                {"type": "paragraph", "content": [{"type": "text", "text": "Export fails with E-4031"}]}]},
            "status": {"id": "5", "name": "Resolved", "statusCategory": {"id": 3, "key": "done", "name": "Done"}},
            "priority": {"id": "2", "name": "High"}, "issuetype": {"id": "1", "name": "Incident"},
            "project": {"id": "1", "key": "SUP", "name": "Support"}, "labels": ["export", "vip"],
            "components": [{"id": "1", "name": "API"}], "versions": [{"id": "1", "name": "4.2"}],
            "fixVersions": [{"id": "2", "name": "4.3"}], "resolution": {"id": "1", "name": "Fixed"},
            "resolutiondate": "2026-11-21T17:59:28.438+0200", "statuscategorychangedate": None,
            "created": "2026-11-20T17:59:28.438+0200", "updated": "2026-11-21T17:59:29.438+0200",
            "reporter": {"accountId": "c-1", "accountType": "customer", "displayName": "A"},
            "assignee": {"accountId": "a-1", "accountType": "atlassian"},
            "issuelinks": [
                {"id": "1", "type": {"name": "Duplicate", "inward": "is duplicated by", "outward": "duplicates"},
                 "outwardIssue": {"id": "10001", "key": "SUP-1"}},
                {"id": "2", "type": {"name": "Problem/Incident", "inward": "is caused by", "outward": "causes"},
                 "inwardIssue": {"id": "10002", "key": "SUP-2"}}],
            "customfield_10010": "4.2",
        },
    }],
    "isLast": True,
}  # fmt: skip


def both(value: str, display: str | None = None) -> dict[str, str]:
    return {"display_value": value if display is None else display, "value": value}


SERVICENOW = {
    "result": [{
        "sys_id": both("1c741bd70b2322007518478d83673af3"), "number": both("INC0000060"),
        "short_description": both("No mail"), "description": both("Export fails with E-4031"),
        "state": both("6", "Resolved"), "incident_state": both("6", "Resolved"), "priority": both("2", "2 - High"),
        "impact": both("2"), "urgency": both("2"), "category": both("network", "Network"),
        "subcategory": both("dns", "DNS"), "caller_id": both("681ccaf9c0a8016400b98a06818d57c7", "Joe Employee"),
        "opened_at": both("2026-11-20 15:59:28", "11/20/2026 07:59:28"),
        "opened_by": both("681ccaf9c0a8016400b98a06818d57c7"),
        "resolved_at": both("2026-11-21 15:59:28", "11/21/2026 07:59:28"), "closed_at": both(""),
        "sys_created_on": both("2026-11-20 16:00:00"), "sys_updated_on": both("2026-11-21 15:59:29"),
        "sys_mod_count": both("7"), "close_code": both("Duplicate"),
        "close_notes": both("Mail relay restarted, see KB0010001."), "parent_incident": both("a" * 32),
        "assignment_group": both("287ebd7da9fe198100f92cc8d1d2154e", "Network"),
        "assigned_to": both("5137153cc611227c000bbd1bd8cd2007", "Don"),
        "company": both("31bea3d53790200044e0bfc8bcbe5dec", "ACME Zürich"), "business_service": both(""),
        "cmdb_ci": both("b0c4030ac0a800090152e7a4564ca36c", "MailServerUS"), "contact_type": both("phone", "Phone"),
        "problem_id": both("b" * 32, "PRB1"), "caused_by": both(""), "rfc": both(""), "escalation": both("1", "High"),
        "reopen_count": both("2"), "knowledge": both("false"), "sys_tags": both(""), "comments": both(""),
        "calendar_duration": both("1970-01-02 04:23:17", "1 Day"), "u_version": both("4.2"),
    }],
}  # fmt: skip

HUBSPOT = {
    "total": 1,
    "results": [{
        "id": "394413098217",
        "properties": {
            "subject": "Export fails", "content": "Export fails with E-4031", "hs_object_id": "394413098217",
            "hs_pipeline": "0", "hs_pipeline_stage": "4", "hs_ticket_priority": "HIGH",
            "hs_ticket_category": "PRODUCT_ISSUE", "source_type": "EMAIL",
            "createdate": "2026-11-20T15:59:28.438Z", "hs_lastmodifieddate": "2026-11-21T15:59:29.773Z",
            "closed_date": "1795276768000", "hubspot_owner_id": "501", "hubspot_team_id": "12",
            "hs_resolution": "Update to 4.3", "hs_feedback_last_survey_rating": "5",
            "hs_merged_object_ids": "11;12", "u_version": "4.2",
        },
        "createdAt": "2026-11-20T15:59:28.438Z", "updatedAt": "2026-11-21T15:59:29.773Z", "archived": False,
        "url": "https://app-eu1.hubspot.com/contacts/1478/record/0-5/394413098217",
    }],
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A documented answer, where it is served, and the paths whose null leaves no place for the ticket."""

    body: Any
    path: str
    options: dict[str, Any]
    needed: frozenset[str]
    wanted: RawTicket


ZENDESK_TICKET = RawTicket(
    source="desk", external_id="9001", created_at=datetime(2026, 11, 20, 9, 12, 44, tzinfo=UTC),
    updated_at=datetime(2026, 11, 21, 10, 0, 3, tzinfo=UTC), subject="E-4031 on export",
    body="Export fails with E-4031", url=f"{HOST}/agent/tickets/9001", requester="7701", account="88",
    account_name="Acme Zürich",
    attributes={"priority": "high", "channel": "email", "team": "12", "agent": "501", "product": "5",
                "brand": "5", "version": "v4_2"},
    tags=("export", "vip"), machine_tags=("sentiment__negative",), status=Status.SOLVED,
    resolved_at=datetime(2026, 11, 21, 10, 0, 2, tzinfo=UTC), reopened=True, satisfaction=1.0, escalated=True,
    ai_handled=True, problem="8990",
)  # fmt: skip
AT, SOLVED = datetime(2026, 11, 20, 15, 59, 28, tzinfo=UTC), datetime(2026, 11, 21, 15, 59, 28, tzinfo=UTC)

CASES = {
    "zendesk": Case(
        ZENDESK, "/api/v2/incremental/tickets/cursor.json",
        {"email": "a@ex.org", "api_token": "KEY", "field_map": {"version": "custom_fields.27642"},
         "escalated_tags": ["vip"]},
        frozenset({"tickets", "tickets.0", "tickets.0.id", "end_of_stream"}), ZENDESK_TICKET,
    ),
    "freshdesk": Case(
        FRESHDESK, "/api/v2/tickets", {"api_key": "KEY", "field_map": {"version": "custom_fields.cf_version"}},
        frozenset({"0", "0.id", "0.updated_at"}),
        RawTicket(
            source="desk", external_id="21", created_at=AT, updated_at=SOLVED, subject="Export fails",
            body="Export fails with E-4031", url=f"{HOST}/a/tickets/21", requester="670429", account="670012",
            attributes={"priority": "high", "channel": "email", "product": "9", "team": "11", "agent": "670134",
                        "component": "Incident", "version": "4.2"},
            tags=("export", "vip"), status=Status.SOLVED, resolved_at=SOLVED, reopened=True, escalated=True,
            history=(
                StatusChange(AT, Status.OPEN),
                StatusChange(datetime(2026, 11, 21, 10, 59, 28, tzinfo=UTC), Status.OPEN),
                StatusChange(SOLVED, Status.SOLVED),
            ),
        ),
    ),
    "salesforce": Case(
        SALESFORCE, "/services/data/v62.0/queryAll",
        {"client_id": "app", "client_secret": "KEY", "field_map": {"version": "Version__c"}},
        frozenset({"records", "records.0", "records.0.Id", "records.0.SystemModstamp"}),
        RawTicket(
            source="desk", external_id="500000000000001AAA", created_at=AT,
            updated_at=SOLVED.replace(second=29), subject="Export fails", body="Export fails with E-4031",
            url=f"{HOST}/lightning/r/Case/500000000000001AAA/view", requester="003000000000001AAA",
            account="001000000000001AAA", account_name="Acme Zürich",
            attributes={"priority": "high", "channel": "Web", "component": "Problem", "team": "Tier 2",
                        "number": "00001001", "version": "4.2"},
            status=Status.CLOSED, resolved_at=SOLVED, escalated=True, problem="500000000000009AAA",
        ),
    ),
    "jira": Case(
        JIRA, "/rest/api/3/search/jql",
        {"projects": ["SUP"], "email": "a@ex.org", "api_token": "KEY",
         "field_map": {"plan": "fields.customfield_10010"}, "escalated_tags": ["vip"]},
        frozenset({"issues", "issues.0", "issues.0.id", "issues.0.fields", "issues.0.fields.updated"}),
        RawTicket(
            source="desk", external_id="10006", created_at=AT.replace(microsecond=438000),
            updated_at=SOLVED.replace(second=29, microsecond=438000), subject="Export fails",
            body="Export fails with E-4031", url=f"{HOST}/browse/SUP-5", requester="c-1",
            attributes={"priority": "high", "channel": "email", "product": "SUP", "version": "4.2",
                        "component": "API", "agent": "a-1", "fix_version": "4.3", "plan": "4.2"},
            tags=("export", "vip"), status=Status.SOLVED, resolved_at=SOLVED.replace(microsecond=438000),
            escalated=True, duplicate_of="10001", problem="10002",
        ),
    ),
    "servicenow": Case(
        SERVICENOW, "/api/now/table/incident",
        {"user": "reader", "password": "KEY", "field_map": {"version": "u_version"}},
        frozenset({"result", "result.0", "result.0.sys_id", "result.0.sys_id.value", "result.0.sys_updated_on",
                   "result.0.sys_updated_on.value"}),
        RawTicket(
            source="desk", external_id="1c741bd70b2322007518478d83673af3", created_at=AT,
            updated_at=SOLVED.replace(second=29), subject="No mail", body="Export fails with E-4031",
            url=f"{HOST}/nav_to.do?uri=incident.do?sys_id=1c741bd70b2322007518478d83673af3",
            requester="681ccaf9c0a8016400b98a06818d57c7", account="31bea3d53790200044e0bfc8bcbe5dec",
            account_name="ACME Zürich",
            attributes={"priority": "high", "channel": "phone", "product": "MailServerUS", "component": "Network",
                        "subcategory": "DNS", "team": "Network", "agent": "5137153cc611227c000bbd1bd8cd2007",
                        "number": "INC0000060", "version": "4.2"},
            status=Status.SOLVED, resolution="Mail relay restarted, see KB0010001.", resolved_at=SOLVED,
            articles=("KB0010001",), reopened=True, escalated=True, duplicate_of="a" * 32, problem="b" * 32,
        ),
    ),
    "hubspot": Case(
        HUBSPOT, "/crm/objects/2026-09/tickets/search",
        {"access_token": "KEY", "field_map": {"version": "properties.u_version"}, "status_map": {"4": "solved"}},
        frozenset({"results", "results.0", "results.0.id"}),
        RawTicket(
            source="desk", external_id="394413098217", created_at=AT.replace(microsecond=438000),
            updated_at=SOLVED.replace(second=29, microsecond=773000), subject="Export fails",
            body="Export fails with E-4031",
            url="https://app-eu1.hubspot.com/contacts/1478/record/0-5/394413098217",
            attributes={"priority": "high", "channel": "EMAIL", "component": "PRODUCT_ISSUE", "team": "12",
                        "agent": "501", "pipeline": "0", "version": "4.2"},
            status=Status.SOLVED, resolved_at=SOLVED, resolution="Update to 4.3", satisfaction=1.0,
        ),
    ),
}  # fmt: skip


class Playback:
    """A server that knows one list, its own clock and how to let somebody in; and the source that reads it."""

    def __init__(self, kind: str, **options: Any) -> None:
        self.case, self.body, self.at = CASES[kind], CASES[kind].body, NOW
        self.served = self.handle
        outside = Outside(
            now=lambda: self.at,
            secret=lambda _: "k",
            sleep=self.sleep,
            transport=httpx.MockTransport(lambda request: self.served(request)),
        )
        self.source = connect(Source("desk", kind, {"base_url": HOST} | self.case.options | options), outside)

    def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)

    def handle(self, request: httpx.Request) -> httpx.Response:
        known = {
            self.case.path: [] if "filter" in request.url.params else self.body,
            "/rest/api/3/myself": {"accountId": "me", "timeZone": "Europe/Zurich"},
            "/services/oauth2/token": {"access_token": "00D!AR", "instance_url": "https://other.example"},
        }
        found = known.get(request.url.path)
        status = 404 if request.url.path not in known else 200
        return httpx.Response(status, headers={"Date": format_datetime(self.at, usegmt=True)}, json=found)

    def read(self, body: Any) -> tuple[RawTicket, ...]:
        """All tickets of a whole walk over this answer."""
        self.body = body
        found: list[RawTicket] = []
        checkpoint = Checkpoint("desk")
        for _ in range(MOST_PAGES):
            page = self.source.pull(checkpoint)
            checkpoint = page.checkpoint
            found += page.tickets
            if not page.more:
                return tuple(found)
        raise AssertionError("the walk does not end")


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every field, at every depth."""
    if at:
        yield at
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*at, key))


def with_at(value: Any, place: tuple[Any, ...], item: Any) -> Any:
    copy = deepcopy(value)
    inner = copy
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = item
    return copy


@pytest.mark.parametrize("kind", sorted(CASES))
def test_every_documented_field_lands_where_the_contract_says(kind: str) -> None:
    (ticket,) = Playback(kind).read(CASES[kind].body)
    assert ticket == CASES[kind].wanted


@pytest.mark.parametrize("kind", sorted(CASES))
def test_null_in_any_field_that_places_no_ticket_is_survived(kind: str) -> None:
    case, playback = CASES[kind], Playback(kind)
    for place in places(case.body):
        body = with_at(case.body, place, None)
        if ".".join(map(str, place)) in case.needed:
            with pytest.raises(ForeshockError):
                playback.read(body)
        else:
            assert len(playback.read(body)) == 1, place


@pytest.mark.parametrize("kind", sorted(CASES))
def test_a_value_of_another_form_is_survived_or_told_in_one_line(kind: str) -> None:
    forms: list[Any] = ["", 0, [], {}, "text", [None], {"next": "year"}, ["text"], True]
    playback, lines = Playback(kind), list[str]()
    for number, place in enumerate(places(CASES[kind].body)):
        for form in forms[number % 3 :: 3]:
            try:
                playback.read(with_at(CASES[kind].body, place, form))
            except ForeshockError as error:
                lines.append(str(error))
    assert all(10 < len(line) < 300 and "\n" not in line for line in lines)


ROWS: dict[str, tuple[Any, ...]] = {"freshdesk": (), "jira": ("issues",), "hubspot": ("results",)}
CHANGED: dict[str, tuple[Any, ...]] = {
    "freshdesk": ("updated_at",), "jira": ("fields", "updated"), "hubspot": ("properties", "hs_lastmodifieddate"),
}  # fmt: skip
NEXT: dict[str, Any] = {
    "freshdesk": {},
    "jira": {"isLast": False, "nextPageToken": "2"},
    "hubspot": {"paging": {"next": {"after": "2"}}},
}


def listing(kind: str, days: list[int], more: dict[str, Any]) -> Any:
    """The documented answer with a ticket for each of these days of November, numbered by it."""
    body = deepcopy(CASES[kind].body)
    rows = body[ROWS[kind][0]] if ROWS[kind] else body
    changed = [
        with_at(with_at(rows[0], CHANGED[kind], f"2026-11-{day}T10:00:00.000Z"), ("id",), str(day))
        for day in days
    ]
    return with_at(body, ROWS[kind], changed) | more if ROWS[kind] else changed


def asked_for(kind: str, request: httpx.Request) -> str:
    """Which page of a list this asks for; "" is the first."""
    if kind == "freshdesk":
        return str(request.url.params["page"]).replace("1", "")
    return str(json.loads(request.content).get({"jira": "nextPageToken", "hubspot": "after"}[kind]) or "")


@pytest.mark.parametrize("kind", sorted(NEXT))
def test_a_list_that_ignores_its_bound_is_read_by_its_own_pages(kind: str) -> None:
    playback = Playback(kind, page_size=2)
    pages = {"": listing(kind, [10, 11], NEXT[kind]), "2": listing(kind, [12], {})}

    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path == CASES[kind].path and "filter" not in request.url.params:
            playback.body = pages[asked_for(kind, request)]
        return playback.handle(request)

    playback.served = handle
    assert {ticket.external_id for ticket in playback.read(playback.body)} == {"10", "11", "12"}


@pytest.mark.parametrize("kind", sorted(CASES))
def test_a_field_of_next_year_at_any_depth_is_ignored(kind: str) -> None:
    def grown(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: grown(item) for name, item in value.items()} | {"of_next_year": {"x": [1]}}
        return [grown(item) for item in value] if isinstance(value, list) else value

    (ticket,) = Playback(kind).read(grown(CASES[kind].body))
    assert ticket == CASES[kind].wanted
