"""Jira Cloud as connectors meet it: a lagging index, minute-grained JQL, tokens bound to their query."""

from __future__ import annotations

import base64
import json
import re
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import httpx

from tests.simulators.server import ELSEWHERE, Simulator, body_of, error, unknown
from tests.simulators.world import Row

JQL = re.compile(
    r'project in \("SUP"\)(?: AND updated >= (?:(?P<ms>\d+)|"(?P<local>\d{4}-\d\d-\d\d \d\d:\d\d)"))? '
    r"ORDER BY updated ASC"
)
GONE = (
    "The requested API has been removed. Please migrate to the /rest/api/3/search/jql API. "
    "A full migration guideline is available at https://developer.atlassian.com/changelog/#CHANGE-2046"
)
SEARCH_KEYS = {"jql", "maxResults", "fields", "nextPageToken", "reconcileIssues", "expand", "properties"}
CREATED = re.compile(r'project in \("SUP"\) AND created >= (\d+) AND created < (\d+)')
CHANNEL = "request.channel.type"
CATEGORY = {"open": "indeterminate", "pending": "indeterminate", "solved": "done", "closed": "done"}
MISSING = "Issue does not exist or you do not have permission to see it."


class JiraSimulator(Simulator):
    """One site with one project. With `scoped`, the token works only behind the gateway's path."""

    scoped = False
    zone = ZoneInfo("America/Los_Angeles")
    embedded = 3  # changes that come with the issue itself
    most = 5000  # the server's own page limit, whatever was asked for
    rates = True  # this account may read how customers rated

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.rated: dict[int, int] = {}  # ratings by ticket
        self.history: dict[int, list[dict[str, Any]]] = {}  # changelog items by ticket

    tokens_fail = True

    def answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        prefix = "/ex/jira/cloud-1" if self.scoped else ""
        if self.scoped and not path.startswith(prefix):
            return error(401, {"code": 401, "message": "Unauthorized; scope does not match"})
        path = path.removeprefix(prefix)
        signed_in = self.known_caller(request.headers.get("Authorization", ""))
        if path in ("/rest/api/3/search", "/rest/api/2/search"):
            return error(410, {"errorMessages": [GONE], "errors": {}})
        if path == "/rest/api/3/search/jql" and request.method == "POST":
            return self.search(body_of(request), signed_in=signed_in)
        if not signed_in:
            return error(401, {"errorMessages": ["Client must be authenticated to access this resource."]})
        if path == "/rest/api/3/myself":
            return httpx.Response(200, json={"accountId": "me", "timeZone": str(self.zone)})
        if path == "/rest/api/3/status":
            return httpx.Response(200, json=[status_of(status) for status in CATEGORY])
        if path == "/rest/api/3/field":
            return httpx.Response(200, json=FIELD_LIST)
        if path == "/rest/api/3/search/approximate-count" and request.method == "POST":
            return self.count(body_of(request))
        if found := re.fullmatch(r"/rest/servicedeskapi/request/SUP-(\d+)/feedback", path):
            return self.feedback(int(found[1]))
        found = re.fullmatch(r"/rest/api/3/issue/(\d+)(/comment|/changelog)?", path)
        return self.issue(found, dict(request.url.params)) if found else error(404, {"errorMessages": ["No"]})

    def known_caller(self, header: str) -> bool:
        return header == "Basic " + base64.b64encode(f"agent@acme.example:{self.secret}".encode()).decode()

    def search(self, asked: dict[str, Any], *, signed_in: bool) -> httpx.Response:
        found = JQL.fullmatch(asked.get("jql", ""))
        if unknown(asked, SEARCH_KEYS) or not found:
            return error(400, {"errorMessages": ["Error in the JQL Query."], "errors": {}})
        if not found["ms"] and not found["local"]:
            message = (
                "Unbounded JQL queries are not allowed here. Please add a search restriction to your query."
            )
            return error(400, {"errorMessages": [message], "errors": {}})
        if not signed_in:
            return httpx.Response(200, json={"issues": [], "isLast": True})
        start = self.offset(asked)
        if start is None:
            return error(400, {"errorMessages": ["The provided next page token is invalid."], "errors": {}})
        minute = self.bound(found).replace(second=0, microsecond=0)
        rows = self.world.index(lambda row: not row.purged and row.stamp >= minute)
        fields = asked.get("fields") or ["id"]
        size = min(asked.get("maxResults", 50), self.most)
        if fields != ["id"] and self.random.random() < 0.2:
            size = max(1, size - 1)  # a hint only
        chosen = rows[start : start + size]
        properties = asked.get("properties", [])
        body: dict[str, Any] = {"issues": [self.record(row, fields, properties) for row in chosen]}
        if start + size < len(rows):
            token = {
                "jql": asked["jql"],
                "at": start + size,
                "ends": self.clock.now().timestamp() + 7 * 86400,
            }
            body |= {"isLast": False, "nextPageToken": base64.b64encode(json.dumps(token).encode()).decode()}
        elif self.random.random() < 0.5:
            body["isLast"] = True
        return httpx.Response(200, json=body)

    def offset(self, asked: dict[str, Any]) -> int | None:
        """Where the page starts in the list as it is now; None for a token that does not hold any more."""
        if "nextPageToken" not in asked:
            return 0
        token = json.loads(base64.b64decode(asked["nextPageToken"]))
        broken = self.tokens_fail and self.random.random() < 0.03
        if broken or token["jql"] != asked["jql"] or token["ends"] < self.clock.now().timestamp():
            return None
        return int(token["at"])

    def bound(self, found: re.Match[str]) -> datetime:
        """Epoch milliseconds, or wall-clock minutes in the zone of the account's profile."""
        if found["ms"]:
            return datetime.fromtimestamp(int(found["ms"]) / 1000, UTC)
        return datetime.fromisoformat(found["local"]).replace(tzinfo=self.zone).astimezone(UTC)

    def issue(self, found: re.Match[str], params: dict[str, str]) -> httpx.Response:
        row = self.world.rows.get(int(found[1]))
        if row is None or row.purged:
            return error(404, {"errorMessages": [MISSING], "errors": {}})
        allowed = {
            "/comment": {"startAt", "maxResults", "orderBy"},
            "/changelog": {"startAt", "maxResults"},
        }.get(found[2], {"fields", "properties", "expand"})
        if unknown(params, allowed):
            return error(400, {"errorMessages": ["Unknown parameter."], "errors": {}})
        start, size = int(params.get("startAt", 0)), int(params.get("maxResults", 50))
        if found[2] == "/changelog":
            every = self.changelog(row)
            page = {"values": every[start : start + size], "startAt": start, "total": len(every)}
            return httpx.Response(200, json=page)
        if found[2]:
            comments = self.messages.get(row.id, [])
            chosen = comments[start : start + size]
            body = {"comments": chosen, "startAt": start, "maxResults": size, "total": len(comments)}
            return httpx.Response(200, json=body)
        issue = self.record(row, params.get("fields", "*all").split(","), [params.get("properties", "")])
        if params.get("expand") == "changelog":
            every = self.changelog(row)[::-1]
            histories = {"histories": every[: self.embedded], "maxResults": self.embedded}
            issue["changelog"] = {"startAt": 0, "total": len(every), **histories}
        return httpx.Response(200, json=issue)

    def changelog(self, row: Row) -> list[dict[str, Any]]:
        """What was changed on an issue, oldest first."""
        entered = self.world.lived(row.id)
        changes = [
            (when, {"field": "status", "fromString": before.title(), "toString": after.title()})
            for (_, before), (when, after) in pairwise(entered)
        ]
        changes += [(entered[0][0], item) for item in self.history.get(row.id, [])]
        histories = [
            {"id": "1", "created": when.isoformat(timespec="milliseconds"), "items": [item]}
            for when, item in changes
        ]
        return sorted(histories, key=lambda entry: str(entry["created"]))

    def count(self, asked: dict[str, Any]) -> httpx.Response:
        found = CREATED.fullmatch(asked.get("jql", ""))
        if unknown(asked, {"jql"}) or not found:
            return error(400, {"errorMessages": ["Error in the JQL Query."], "errors": {}})
        start, end = (datetime.fromtimestamp(int(part) / 1000, UTC) for part in found.groups())
        rows = [row for row in self.world.rows.values() if not row.purged and start <= row.created < end]
        return httpx.Response(200, json={"count": len(rows)})

    def feedback(self, number: int) -> httpx.Response:
        if not self.rates:
            return error(403, {"errorMessage": "You are not allowed to see the feedback."})
        if number not in self.rated:
            return error(404, {"errorMessage": "No feedback."})
        body = {"type": "csat", "rating": self.rated[number], "comment": {"body": "planted words"}}
        return httpx.Response(200, json=body)

    def record(self, row: Row, fields: list[str], properties: list[str]) -> dict[str, Any]:
        """An issue; times carry the offset of whoever asks."""
        issue: dict[str, Any] = {"id": str(row.id)}
        if fields == ["id"]:
            return issue
        zone = timezone(timedelta(hours=5, minutes=30)) if row.id % 2 else UTC
        stamp = row.stamp.astimezone(zone).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + row.stamp.astimezone(
            zone
        ).strftime("%z")
        done = CATEGORY[row.status] == "done"
        comments = self.messages.get(row.id, [])
        every = {
            "summary": row.subject,
            "description": document(row.body),
            "status": status_of(row.status),
            "priority": {"name": "Highest"} if row.id % 3 else None,
            "project": {"key": "SUP"},
            "labels": ["export"],
            "components": [{"name": "API"}],
            "versions": [{"name": "4.2"}],
            "fixVersions": [],
            "resolution": {"name": "Done"} if done else None,
            "resolutiondate": stamp if done and row.id % 2 else None,
            "statuscategorychangedate": stamp,
            "created": row.created.isoformat(timespec="milliseconds").replace("+00:00", "+0000"),
            "updated": stamp,
            "reporter": {"accountId": f"customer-{row.requester}"},
            "assignee": None,
            "issuelinks": [],
            "comment": {"comments": comments[:2], "total": len(comments), "maxResults": 2, "startAt": 0},
            "customfield_10010": {"requestType": {"id": "1", "name": "Get help"}, "currentStatus": {}},
            "customfield_10002": [{"id": "88", "name": "Acme Zürich"}] if row.id % 2 else [],
        }
        issue |= {"key": f"SUP-{row.id}", "self": f"{ELSEWHERE}/rest/api/3/issue/{row.id}"}
        if CHANNEL in properties:
            issue["properties"] = {CHANNEL: {"value": "portal"}} if row.id % 2 else {}
        return issue | {"fields": {name: every[name] for name in fields if name in every}}


def status_of(name: str) -> dict[str, Any]:
    return {"name": name.title(), "statusCategory": {"key": CATEGORY[name]}}


FIELD_LIST = [
    {"id": "summary", "name": "Summary", "schema": {"type": "string"}},
    {
        "id": "customfield_10010",
        "name": "Request Type",
        "schema": {"custom": "com.atlassian.servicedesk:vp-origin"},
    },
    {
        "id": "customfield_10002",
        "name": "Organizations",
        "schema": {"type": "array", "custom": "com.atlassian.servicedesk:sd-customer-organizations"},
    },
]


def document(body: str) -> dict[str, Any] | None:
    """A body as Atlassian Document Format: stack traces in code blocks, other lines as paragraphs."""
    if not body:
        return None
    if body.startswith("Traceback"):
        content = [{"type": "codeBlock", "content": [{"type": "text", "text": body}]}]
    else:
        content = [
            {"type": "paragraph", "content": [{"type": "text", "text": line}]} for line in body.split("\n")
        ]
    return {"type": "doc", "version": 1, "content": content}
