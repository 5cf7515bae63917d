"""Freshdesk as connectors meet it: pages by number over a list that moves, and separate bins."""

from __future__ import annotations

import base64
import html
import re
from collections import deque
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from typing import Any

import httpx

from tests.simulators.server import ELSEWHERE, Simulator, error, unknown
from tests.simulators.world import Row

LIST_KEYS = {"updated_since", "order_by", "order_type", "per_page", "page", "filter", "include"}
NUMBER = {"open": 2, "pending": 3, "solved": 4, "closed": 5}
TOO_FAR = "You cannot access tickets beyond the 300th page. Please provide a smaller page number."


class FreshdeskSimulator(Simulator):
    """One account; `last_page` is where page numbers end."""

    last_page = 300
    denies = 0  # this many answers are a passing access_denied
    surveys = True  # the plan has them

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.rated: list[dict[str, Any]] = []  # satisfaction ratings, newest first

    def bucket(self, request: httpx.Request) -> str:
        return "list" if request.url.path == "/api/v2/tickets" else "main"

    def limit(self, request: httpx.Request) -> httpx.Response | None:
        """Everything counts against the account; a list counts more, for each thing it includes."""
        refused = super().limit(request)
        if refused is None and self.bucket(request) == "list" and "main" in self.limits:
            sent = self.sent.setdefault("main", deque())
            while sent and self.clock.now() - sent[0] >= timedelta(seconds=60):
                sent.popleft()
            included = [part for part in request.url.params.get("include", "").split(",") if part]
            cost = 1 + 2 * len(included)
            if len(sent) + cost > self.limits["main"]:
                self.turned_away += 1
                return self.too_many()
            sent.extend([self.clock.now()] * cost)
        return refused

    def too_many(self) -> httpx.Response:
        return httpx.Response(
            429, headers={"Retry-After": "61"}, json={"message": "You have exceeded the limit"}
        )

    def answer(self, request: httpx.Request) -> httpx.Response:
        expected = "Basic " + base64.b64encode(f"{self.secret}:X".encode()).decode()
        if request.headers.get("Authorization") != expected:
            message = "You have to be logged in to perform this action."
            return error(401, {"code": "invalid_credentials", "message": message})
        if self.denies > 0:
            self.denies -= 1
            message = "You are not authorized to perform this action."
            return error(403, {"code": "access_denied", "message": message})
        path, params = request.url.path, dict(request.url.params)
        if path == "/api/v2/surveys/satisfaction_ratings":
            return self.ratings(params)
        if path == "/api/v2/search/tickets":
            return self.count(params)
        if path == "/api/v2/tickets":
            return self.tickets(params)
        if path in NAMED and not unknown(params, {"per_page", "page"}):
            return httpx.Response(200, json=numbered(NAMED[path], params))
        if path == "/api/v2/ticket_fields":
            return httpx.Response(200, json=FIELD_LIST)
        if path.startswith("/api/v2/tickets/"):
            return self.one(path.removeprefix("/api/v2/tickets/"), params)
        return error(400, {"description": "Validation failed", "errors": [{"code": "invalid_field"}]})

    def tickets(self, params: dict[str, str]) -> httpx.Response:
        number, size = int(params.get("page", 1)), int(params.get("per_page", 30))
        if unknown(params, LIST_KEYS) or size > 100:
            return error(400, {"description": "Validation failed", "errors": [{"code": "invalid_field"}]})
        if number > self.last_page:
            wrong = {"field": "page", "message": TOO_FAR, "code": "invalid_value"}
            return error(400, {"description": "Validation failed", "errors": [wrong]})
        since = self.clock.now() - timedelta(days=30)
        if "updated_since" in params:
            since = datetime.fromisoformat(params["updated_since"])
        bin_name = params.get("filter")
        rows = self.world.index(lambda row: row.stamp >= since and bin_of(row) == bin_name)
        by = params.get("order_by", "created_at")
        rows.sort(key=lambda row: (row.stamp if by == "updated_at" else row.created, row.id * 7919 % 1013))
        if params.get("order_type", "desc") == "desc":
            rows.reverse()
        chosen = rows[(number - 1) * size : number * size]
        headers = {
            "X-RateLimit-Total": "400",
            "X-RateLimit-Remaining": "390",
            "X-RateLimit-Used-CurrentRequest": "3",
        }
        if number * size < len(rows):
            headers["Link"] = f'<{ELSEWHERE}/api/v2/tickets?page={number + 1}>; rel="next"'
        if not chosen and self.random.random() < 0.5:
            return httpx.Response(204, headers=headers)
        included = params.get("include", "").split(",")
        return httpx.Response(200, json=[self.record(row, included) for row in chosen], headers=headers)

    def ratings(self, params: dict[str, str]) -> httpx.Response:
        """Ratings given since a time, thirty a page."""
        if not self.surveys:
            message = "The Surveys feature is not supported in your plan."
            return error(403, {"code": "require_feature", "message": message})
        if unknown(params, {"created_since", "page"}):
            return error(400, {"description": "Validation failed", "errors": [{"code": "invalid_field"}]})
        since = datetime.fromisoformat(params["created_since"])
        rows = [row for row in self.rated if datetime.fromisoformat(row["created_at"]) >= since]
        return httpx.Response(200, json=numbered(rows, {"per_page": "30", **params}))

    def count(self, params: dict[str, str]) -> httpx.Response:
        found = re.fullmatch(r"\"created_at:'(\d{4}-\d\d-\d\d)'\"", params.get("query", ""))
        if not found:
            return error(400, {"description": "Validation failed", "errors": [{"code": "invalid_value"}]})
        rows = [
            r for r in self.world.rows.values() if not r.deleted and r.created.date().isoformat() == found[1]
        ]
        return httpx.Response(200, json={"results": [], "total": len(rows)})

    def record(self, row: Row, included: list[str]) -> dict[str, Any]:
        zone = timezone(timedelta(hours=5, minutes=30)) if row.id % 2 else timezone(timedelta(0))
        stamp = row.stamp.astimezone(zone).isoformat().replace("+00:00", "Z")
        record: dict[str, Any] = {
            "id": row.id,
            "subject": row.subject or None,
            "status": NUMBER[row.status],
            "priority": 2,
            "source": 1,
            "type": None,
            "requester_id": row.requester,
            "responder_id": None,
            "group_id": 11,
            "company_id": 88 if row.id % 2 else None,
            "product_id": None,
            "support_email": "help@acme.freshdesk.example",
            "spam": row.spam,
            "is_escalated": False,
            "due_by": None,
            "custom_fields": {"cf_version": "4.2"},
            "tags": ["export"],
            "created_at": row.created.isoformat().replace("+00:00", "Z"),
            "updated_at": stamp,
        }
        if row.deleted and not row.spam:
            record["deleted"] = True
        if "description" in included:
            paragraphs = html.escape(row.body).replace("\n", "<br>")
            record |= {"description": f"<div>{paragraphs}</div>", "description_text": row.body}
        if "stats" in included:
            record["stats"] = {name: at and f"{at.isoformat()}" for name, at in self.stats(row).items()}
        if "requester" in included:
            record["requester"] = {"id": row.requester, "name": "Jane", "email": "jane@cust.example"}
        return record

    def stats(self, row: Row) -> dict[str, datetime | None]:
        """When the ticket last entered each status; what no longer holds is null."""
        entered = self.world.lived(row.id)
        last = {status: at for at, status in entered}
        again = [at for (_, b), (at, a) in pairwise(entered) if b in DONE and a not in DONE]
        done = row.status in DONE
        return {
            "pending_since": last["pending"] if row.status == "pending" else None,
            "reopened_at": again[-1] if again else None,
            "resolved_at": last.get("solved") if done else None,
            "closed_at": last.get("closed") if done else None,
        }

    def one(self, rest: str, params: dict[str, str]) -> httpx.Response:
        number, _, sub = rest.partition("/")
        row = self.world.rows.get(int(number))
        if row is None or (row.deleted and sub):
            return httpx.Response(404)
        allowed = {"per_page", "page"} if sub == "conversations" else {"include"}
        if unknown(params, allowed):
            return error(400, {"description": "Validation failed", "errors": [{"code": "invalid_field"}]})
        if sub == "conversations":
            return httpx.Response(200, json=numbered(self.messages.get(row.id, []), params))
        return httpx.Response(
            200, json=self.record(row, ["description", *params.get("include", "").split(",")])
        )


DONE = ("solved", "closed")
FIELD_LIST = [
    {
        "name": "status",
        "label": "Status",
        "type": "default_status",
        "default": True,
        "choices": {"2": ["Open", "Open"], "7": ["Waiting on third party", "Awaiting your reply"]},
    },
    {"name": "cf_version", "label": "Version", "type": "custom_text", "default": False},
]


NAMED: dict[str, list[dict[str, Any]]] = {
    "/api/v2/products": [],
    "/api/v2/groups": [{"id": number, "name": f"Team {number}"} for number in range(100, 210)]
    + [{"id": 11, "name": "Export"}],
    "/api/v2/companies": [{"id": 88, "name": "Acme Zürich", "domains": ["acme.example"]}],
}


def numbered(rows: list[dict[str, Any]], params: dict[str, str]) -> list[dict[str, Any]]:
    """One page of a list paged by number."""
    size = int(params.get("per_page", 30))
    start = (int(params.get("page", 1)) - 1) * size
    return rows[start : start + size]


def bin_of(row: Row) -> str | None:
    """The list a ticket is in: None for the one that is shown by default."""
    if not row.deleted:
        return None
    return "spam" if row.spam else "deleted"
