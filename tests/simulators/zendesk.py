"""Zendesk as connectors meet it: the cursor export with its withheld minute, deletions and limits."""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from tests.simulators.server import ELSEWHERE, Simulator, body_of, error, unknown
from tests.simulators.world import Row

EXPORT_KEYS = {"start_time", "cursor", "per_page", "support_type_scope", "include", "exclude_deleted"}
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
NAMED = {
    "groups": [{"id": number, "name": f"Team {number}"} for number in range(100, 220)]
    + [{"id": 12, "name": "Billing"}],
    "brands": [{"id": 5, "name": "Acme"}, {"id": 6, "name": "Acme Labs"}],
}
USERS = [{"id": 99, "role": "agent", "name": "Ann"}, {"id": 7788, "role": "end-user", "name": "Copied"}]
TOKENS_END = datetime(2027, 4, 30, tzinfo=UTC)


class ZendeskSimulator(Simulator):
    """One account. `too_big` is the page size at which its gateway times out."""

    too_big = 10_000
    empty_pages = True
    tells_audits = True

    def bucket(self, request: httpx.Request) -> str:
        return "export" if "/incremental/" in request.url.path else "main"

    def too_many(self) -> httpx.Response:
        if self.random.random() < 0.5:
            return httpx.Response(
                429, text="Number of allowed API requests per minute exceeded", headers={"Retry-After": "61"}
            )
        return httpx.Response(429, json={"error": "APIRateLimitExceeded"}, headers={"Retry-After": "61"})

    def answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if path == "/oauth/tokens" and request.method == "POST":
            return self.token(body_of(request))
        if not self.known_caller(request.headers.get("Authorization", "")):
            return error(401, {"error": "invalid_token", "error_description": "The access token is expired."})
        params = dict(request.url.params)
        if path == "/api/v2/incremental/tickets/cursor.json":
            return self.export(params)
        if path == "/api/v2/tickets/show_many.json":
            return self.many(params)
        if path == "/api/v2/users/me.json":
            return httpx.Response(
                200, json={"user": {"id": 1, "role": "admin", "email": "boss@acme.example"}}
            )
        if path in ("/api/v2/groups.json", "/api/v2/brands.json"):
            kind = path.removeprefix("/api/v2/").removesuffix(".json")
            return self.paged(kind, NAMED[kind], params, {"page[size]", "page[after]"})
        if path == "/api/v2/search/count.json" and not unknown(params, {"query"}):
            return self.count(params["query"])
        if path == "/api/v2/ticket_fields.json":
            options = [{"name": "4.2", "value": "v4_2"}]
            field = {"id": 27642, "title": "Version", "type": "tagger", "removable": True}
            return httpx.Response(200, json={"ticket_fields": [field | {"custom_field_options": options}]})
        if path.startswith("/api/v2/tickets/"):
            return self.one(path.removeprefix("/api/v2/tickets/").removesuffix(".json"), params)
        return error(404, {"error": "InvalidEndpoint", "description": "Not found"})

    def token(self, form: dict[str, str]) -> httpx.Response:
        wanted = {"grant_type": "client_credentials", "client_id": "reader", "client_secret": self.secret}
        if form != wanted | {"scope": "read"}:
            return error(401, {"error": "invalid_client"})
        self.access = f"token-{self.calls}"
        self.access_ends = self.clock.now() + timedelta(seconds=1800)
        token = {"access_token": self.access, "token_type": "bearer", "scope": "read", "expires_in": 1800}
        return httpx.Response(200, json=token)

    access = ""
    access_ends = datetime(2000, 1, 1, tzinfo=UTC)

    def known_caller(self, header: str) -> bool:
        if header.startswith("Basic "):
            pair = base64.b64decode(header[6:]).decode()
            return pair == f"agent@acme.example/token:{self.secret}" and self.clock.now() < TOKENS_END
        return header == f"Bearer {self.access}" and self.clock.now() < self.access_ends

    def export(self, params: dict[str, str]) -> httpx.Response:
        if unknown(params, EXPORT_KEYS) or ("start_time" in params) == ("cursor" in params):
            return error(400, {"error": "InvalidParameter"})
        size = int(params.get("per_page", 1000))
        if not 1 <= size <= 1000:
            return error(400, {"error": "InvalidParameter"})
        if size >= self.too_big:
            return httpx.Response(504, text="upstream request timeout")
        turns = 0
        if "start_time" in params:
            after = (int(params["start_time"]), -1)
            if after[0] > self.clock.now().timestamp() - 60:
                return error(400, {"error": "StartTimeTooRecent", "description": "Too recent start_time"})
        else:
            stamp, number, turn = re.split(r"\.0\|\||\|", base64.b64decode(params["cursor"]).decode())
            after, turns = (int(stamp), int(number)), int(turn or 0)
        body = self.page(after, size, turns, params)
        return httpx.Response(200, json=body, headers=self.export_headers())

    def page(self, after: tuple[int, int], size: int, turns: int, params: dict[str, str]) -> dict[str, Any]:
        """Rows after (stamp, id) that are at least a minute old."""
        latest = self.clock.now() - timedelta(seconds=60)
        everyone = params.get("support_type_scope") == "all"
        rows = self.world.index(
            lambda row: key(row) > after and row.stamp <= latest and (everyone or not row.ai_only)
        )
        stutters = self.empty_pages and bool(rows) and self.random.random() < 0.1
        chosen = [] if stutters else rows[:size]
        last = key(chosen[-1]) if chosen else after
        turn = turns + 1 if stutters else ""
        cursor = base64.b64encode(f"{last[0]}.0||{last[1]}|{turn}".encode()).decode()
        ended = len(chosen) == len(rows)
        return {
            "tickets": [self.ticket(row, params.get("include", "")) for row in chosen],
            "organizations": [{"id": 88, "name": "Acme Zürich"}],
            "after_url": f"{ELSEWHERE}/api/v2/incremental/tickets/cursor.json?cursor={cursor}",
            "before_url": None,
            "after_cursor": cursor if rows else None,
            "before_cursor": None,
            "end_of_stream": ended,
        }

    def export_headers(self) -> dict[str, str]:
        if "export" not in self.limits:
            return {}
        left = f"total={self.limits['export']}; remaining={self.left('export')}; resets=60"
        return {
            "zendesk-ratelimit-incremental-exports": left,
            "X-Rate-Limit": "700",
            "X-Rate-Limit-Remaining": "699",
        }

    def ticket(self, row: Row, include: str = "") -> dict[str, Any]:
        scrubbed = row.deleted and row.id % 2 == 0
        stamp = row.stamp.strftime("%Y-%m-%dT%H:%M:%SZ")
        record: dict[str, Any] = {
            "url": f"{ELSEWHERE}/api/v2/tickets/{row.id}.json",
            "id": row.id,
            "external_id": None,
            "via": {
                "channel": "email",
                "source": {"from": {"address": "jane@cust.example"}, "to": {}, "rel": None},
            },
            "created_at": row.created.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "updated_at": stamp,
            "generated_timestamp": int(row.stamp.timestamp()),
            "subject": "SCRUBBED" if scrubbed else row.subject or None,
            "raw_subject": row.subject,
            "description": "X" if scrubbed else row.body or None,
            "priority": "high" if row.id % 2 else None,
            "status": "deleted" if row.deleted else row.status,
            "requester_id": row.requester,
            "assignee_id": None,
            "organization_id": 88 if row.id % 2 else None,
            "group_id": 12,
            "problem_id": None,
            "is_public": True,
            "tags": ["export", "sentiment__negative"],
            "custom_fields": [{"id": 27642, "value": "v4_2"}],
            "fields": [{"id": 27642, "value": "v4_2"}],
            "satisfaction_rating": {"score": "unoffered"},
            "brand_id": 5,
            "support_type": "ai_agent" if row.ai_only else "agent",
        }
        if "metric_sets" in include:
            solved = stamp if row.status in ("solved", "closed") else None
            record["metric_set"] = {"ticket_id": row.id, "solved_at": solved, "reopens": 0}
        return record

    def many(self, params: dict[str, str]) -> httpx.Response:
        ids = [int(part) for part in params.get("ids", "").split(",") if part]
        if unknown(params, {"ids", "include"}) or len(ids) > 100:
            return error(
                400, {"error": "TooManyValues", "description": "more than 100 values", "max_count": 100}
            )
        rows = [self.world.rows[i] for i in ids if i in self.world.rows and not self.world.rows[i].deleted]
        return httpx.Response(
            200,
            json={
                "tickets": [self.ticket(row, params.get("include", "")) for row in rows],
                "count": len(rows),
            },
        )

    def one(self, rest: str, params: dict[str, str]) -> httpx.Response:
        number, _, sub = rest.partition("/")
        row = self.world.rows.get(int(number)) if number.isdigit() else None
        if row is None or row.deleted:
            return error(404, {"error": "RecordNotFound", "description": "Not found"})
        if sub == "comments":
            return self.paged(
                sub, self.messages.get(row.id, []), params, {"page[size]", "page[after]", "include"}
            )
        if sub == "audits" and not self.tells_audits:
            return error(403, {"error": "Forbidden", "description": "You do not have access to this page."})
        if sub == "audits":
            return self.paged(sub, self.audits(row), params, {"page[size]", "page[after]"})
        if sub or unknown(params, {"include"}):
            return error(400, {"error": "InvalidParameter"})
        return httpx.Response(200, json={"ticket": self.ticket(row, params.get("include", ""))})

    def audits(self, row: Row) -> list[dict[str, Any]]:
        """What happened to a ticket, an audit for each update; not every event is about its status."""
        entered, found = self.world.lived(row.id), list[dict[str, Any]]()
        for number, (at, status) in enumerate(entered):
            event: dict[str, Any] = {"id": 7000 + number, "field_name": "status", "value": status}
            event |= (
                {"type": "Create"}
                if not number
                else {"type": "Change", "previous_value": entered[number - 1][1]}
            )
            other = {"id": 1, "type": "Change", "field_name": "tags", "value": ["a"], "previous_value": None}
            said = {"id": 2, "type": "Comment", "body": "planted words", "author_id": 99, "public": True}
            stamp = at.strftime("%Y-%m-%dT%H:%M:%SZ")
            found.append(
                {"id": number, "ticket_id": row.id, "created_at": stamp, "events": [said, other, event]}
            )
        return found

    def paged(
        self, kind: str, rows: list[dict[str, Any]], params: dict[str, str], allowed: set[str]
    ) -> httpx.Response:
        """A list paged by cursor, with the users of comments beside it when they are asked for."""
        size = int(params.get("page[size]", 100))
        if unknown(params, allowed) or size > 100:
            return error(400, {"error": "InvalidParameter"})
        start = int(params.get("page[after]", 0))
        more = start + size < len(rows)
        meta = {"has_more": more, "after_cursor": str(start + size) if more else None}
        users = {"users": USERS} if params.get("include") == "users" else {}
        return httpx.Response(
            200, json={kind: rows[start : start + size], "meta": meta, "links": {}, **users}
        )

    def count(self, query: str) -> httpx.Response:
        found = re.fullmatch(rf"type:ticket created>=({TIME}) created<({TIME})", query)
        if not found:
            return error(422, {"error": "InvalidSearch", "description": "Invalid search"})
        start, end = map(datetime.fromisoformat, found.groups())
        rows = [r for r in self.world.rows.values() if not r.deleted and start <= r.created < end]
        return httpx.Response(200, json={"count": len(rows)})


def key(row: Row) -> tuple[int, int]:
    return int(row.stamp.timestamp()), row.id
