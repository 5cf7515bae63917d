"""HubSpot as connectors meet it: a search index that trails writes, caps its pages and hides the archive."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

import httpx

from tests.simulators.server import Simulator, body_of, error, unknown
from tests.simulators.world import NOON, Row

SEARCH_KEYS = {"filterGroups", "sorts", "properties", "limit", "after", "query"}
MILLISECOND = timedelta(milliseconds=1)
EPOCH = datetime.fromtimestamp(0, NOON.tzinfo)
STAGE = {"open": "1", "pending": "2", "solved": "3", "closed": "4"}
STAGES = [
    ("1", "Open", "OPEN"),
    ("2", "Waiting", "OPEN"),
    ("3", "Solved", "CLOSED"),
    ("4", "Closed", "CLOSED"),
]


class HubSpotSimulator(Simulator):
    """One portal. `cap` is the depth its search refuses to go beyond."""

    cap = 10_000
    legacy = False
    daily = False  # the day's calls are used up
    no_contacts = False
    shuffles = False  # now and then a later row comes too early

    def bucket(self, request: httpx.Request) -> str:
        return "search" if request.url.path.endswith("/search") else "main"

    def too_many(self) -> httpx.Response:
        return error(
            429, refusal("RATE_LIMIT", "You have reached your secondly limit.", policyName="SECONDLY")
        )

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.headers.get("Authorization") != f"Bearer {self.secret}":
            return error(
                401, refusal("EXPIRED_AUTHENTICATION", "The OAuth token used expired 0 second(s) ago.")
            )
        if self.daily:
            return error(429, refusal("RATE_LIMIT", "You have reached your daily limit.", policyName="DAILY"))
        path, params = request.url.path, dict(request.url.params)
        objects = "/crm/v3/objects" if self.legacy else "/crm/objects/2026-09"
        links = "/crm/v4/associations" if self.legacy else "/crm/associations/2026-09"
        if path == f"{objects}/tickets/search":
            return self.search(body_of(request))
        if path == f"{objects}/tickets/batch/read":
            return self.batch(body_of(request))
        if path == f"{objects}/emails/batch/read":
            return self.emails(body_of(request))
        if path == f"{objects}/companies/batch/read":
            return self.companies(body_of(request))
        if path == f"{objects}/tickets":
            return self.archive(params)
        if found := re.fullmatch(f"{links}/tickets/(contacts|companies|emails)/batch/read", path):
            return self.linked(found[1], body_of(request))
        if path == "/crm/v3/pipelines/tickets":
            stages = [{"id": i, "label": label, "metadata": {"ticketState": s}} for i, label, s in STAGES]
            return httpx.Response(200, json={"results": [{"id": "0", "stages": stages}]})
        if path == "/crm/v3/properties/tickets":
            names = ("subject", "content", "u_version")
            rows = [{"name": name, "label": name, "type": "string", "options": []} for name in names]
            return httpx.Response(200, json={"results": rows})
        return error(404, refusal("OBJECT_NOT_FOUND", "resource not found"))

    def search(self, asked: dict[str, Any]) -> httpx.Response:
        needed = {"filterGroups", "sorts", "properties", "limit", "after"}
        if unknown(asked, SEARCH_KEYS) or needed - asked.keys() or asked["limit"] > 200:
            return error(400, refusal("VALIDATION_ERROR", "Invalid input JSON"))
        offset = int(asked["after"] or 0)
        if offset + asked["limit"] > self.cap:
            return error(400, refusal("VALIDATION_ERROR", "The offset is too large"))
        filters = asked["filterGroups"][0]["filters"]
        if any(f["propertyName"] == "hs_lastmodifieddate" and int(f["value"]) <= 0 for f in filters):
            return httpx.Response(500, json={"status": "error", "message": "internal error"})
        rows = self.world.index(lambda row: not row.deleted and all(meets(row, f) for f in filters))
        order = asked["sorts"][0]["propertyName"]
        rows.sort(key=lambda row: row.id if order == "hs_object_id" else (row.stamp, row.id * 7919 % 1013))
        if self.shuffles and len(rows) > 2 and self.random.random() < 0.2:
            rows.insert(1, rows.pop(self.random.randrange(2, len(rows))))
        chosen = rows[offset : offset + asked["limit"]]

        body: dict[str, Any] = {
            "total": len(rows),
            "results": [self.record(row, asked["properties"]) for row in chosen],
        }
        if offset + asked["limit"] < len(rows):
            body["paging"] = {"next": {"after": str(offset + asked["limit"])}}
        return httpx.Response(200, json=body)

    def archive(self, params: dict[str, str]) -> httpx.Response:
        if unknown(params, {"archived", "limit", "after", "properties"}) or int(params["limit"]) > 100:
            return error(400, refusal("VALIDATION_ERROR", "Invalid query"))
        rows = sorted(row.id for row in self.world.rows.values() if row.deleted and not row.merged_into)
        rows = [row_id for row_id in rows if row_id > int(params.get("after", 0))]
        size = 2
        wanted = params.get("properties", "").split(",")
        results = [
            self.record(self.world.rows[row_id], wanted) | {"archived": True} for row_id in rows[:size]
        ]
        body: dict[str, Any] = {"results": results}
        if len(rows) > size:
            body["paging"] = {
                "next": {"after": str(rows[size - 1]), "link": "https://elsewhere.example/next"}
            }
        return httpx.Response(200, json=body)

    def batch(self, asked: dict[str, Any]) -> httpx.Response:
        ids = [int(item["id"]) for item in asked["inputs"]]
        lived = asked.get("propertiesWithHistory", [])
        if len(ids) > (50 if lived else 100):
            return error(400, refusal("VALIDATION_ERROR", "too many inputs"))
        rows = [self.world.rows[i] for i in ids if i in self.world.rows and not self.world.rows[i].deleted]
        results = [self.record(row, asked["properties"]) for row in rows]
        if lived == ["hs_pipeline_stage"]:
            for row, result in zip(rows, results, strict=True):
                entered = [
                    {"value": STAGE[status], "timestamp": told(when), "sourceType": "CRM_UI"}
                    for when, status in self.world.lived(row.id)
                ]
                result["propertiesWithHistory"] = {"hs_pipeline_stage": entered[::-1]}
        return httpx.Response(
            200 if len(rows) == len(ids) else 207, json={"status": "COMPLETE", "results": results}
        )

    def linked(self, kind: str, asked: dict[str, Any]) -> httpx.Response:
        if self.no_contacts:
            message = "This app hasn't been granted all required scopes to make this call."
            return error(403, refusal("MISSING_SCOPES", message))
        results, errors = [], []
        for item in asked["inputs"]:
            row = self.world.rows.get(int(item["id"]))
            there = row is not None and (kind != "companies" or row.id % 2)
            if not there or row is None:
                errors.append({"status": "error", "category": "OBJECT_NOT_FOUND"})
                continue
            ids = [m["id"] for m in self.messages.get(row.id, ())] if kind == "emails" else [row.requester]
            results.append(
                {"from": {"id": item["id"]}, "to": [{"toObjectId": i, "associationTypes": []} for i in ids]}
            )
        body = {"status": "COMPLETE", "results": results, "errors": errors}
        return httpx.Response(207 if errors else 200, json=body)

    def emails(self, asked: dict[str, Any]) -> httpx.Response:
        ids = {item["id"] for item in asked["inputs"]}
        rows = [m for messages in self.messages.values() for m in messages if str(m["id"]) in ids]
        return httpx.Response(200, json={"results": [{"id": str(m["id"]), "properties": m} for m in rows]})

    def companies(self, asked: dict[str, Any]) -> httpx.Response:
        if self.no_contacts:
            message = "This app hasn't been granted all required scopes to make this call."
            return error(403, refusal("MISSING_SCOPES", message))
        named = [
            {"id": item["id"], "properties": {"name": f"Company {item['id']}"}} for item in asked["inputs"]
        ]
        return httpx.Response(200, json={"status": "COMPLETE", "results": named})

    def record(self, row: Row, properties: list[str]) -> dict[str, Any]:
        """A ticket; properties nobody defined are silently absent."""
        done = row.status in ("solved", "closed")
        every = {
            "subject": row.subject or None,
            "content": row.body or None,
            "hs_pipeline": "0",
            "hs_pipeline_stage": STAGE[row.status],
            "hs_ticket_priority": "HIGH",
            "createdate": told(row.created),
            "hs_lastmodifieddate": told(row.stamp),
            "closed_date": told(row.stamp) if done else None,
            "hs_merged_object_ids": ";".join(map(str, row.absorbed)) or None,
            "u_version": "4.2",
        }
        return {
            "id": str(row.id),
            "properties": {name: every[name] for name in properties if name in every}
            | {"hs_object_id": str(row.id)},
            "createdAt": told(row.created),
            "updatedAt": told(row.stamp),
            "archived": False,
            "url": f"https://app-eu1.hubspot.com/contacts/1478/record/0-5/{row.id}",
        }


def meets(row: Row, given: dict[str, str]) -> bool:
    value = row.id if given["propertyName"] == "hs_object_id" else (row.stamp - EPOCH) // MILLISECOND
    wanted = int(given["value"])
    return {"GTE": value >= wanted, "EQ": value == wanted, "GT": value > wanted}[given["operator"]]


def told(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def refusal(category: str, message: str, **more: str) -> dict[str, Any]:
    return {"status": "error", "message": message, "correlationId": "c-1", "category": category} | more
