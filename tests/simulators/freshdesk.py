"""Freshdesk as connectors meet it: pages by number over a list that moves, and separate bins."""

from __future__ import annotations

import base64
import html
from datetime import datetime, timedelta, timezone
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

    def bucket(self, request: httpx.Request) -> str:
        return "list" if request.url.path == "/api/v2/tickets" else "main"

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
        if path == "/api/v2/tickets":
            return self.tickets(params)
        if path in ("/api/v2/products", "/api/v2/groups"):
            return httpx.Response(200, json=[{"id": 11, "name": "Export"}])
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

    def record(self, row: Row, included: list[str]) -> dict[str, Any]:
        zone = timezone(timedelta(hours=5, minutes=30)) if row.id % 2 else timezone(timedelta(0))
        stamp = row.stamp.astimezone(zone).isoformat().replace("+00:00", "Z")
        done = row.status in ("solved", "closed")
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
            record["stats"] = {"resolved_at": stamp if done else None, "closed_at": None, "reopened_at": None}
        if "requester" in included:
            record["requester"] = {"id": row.requester, "name": "Jane", "email": "jane@cust.example"}
        return record

    def one(self, rest: str, params: dict[str, str]) -> httpx.Response:
        number, _, sub = rest.partition("/")
        row = self.world.rows.get(int(number))
        if row is None or (row.deleted and sub):
            return httpx.Response(404)
        if sub == "conversations":
            start = (int(params.get("page", 1)) - 1) * 100
            return httpx.Response(200, json=self.messages.get(row.id, [])[start : start + 100])
        return httpx.Response(
            200, json=self.record(row, ["description", *params.get("include", "").split(",")])
        )


FIELD_LIST = [
    {
        "name": "status",
        "label": "Status",
        "type": "default_status",
        "default": True,
        "choices": {"2": ["Open"]},
    },
    {"name": "cf_version", "label": "Version", "type": "custom_text", "default": False},
]


def bin_of(row: Row) -> str | None:
    """The list a ticket is in: None for the one that is shown by default."""
    if not row.deleted:
        return None
    return "spam" if row.spam else "deleted"
