"""Salesforce as connectors meet it: a small strict SOQL, batches behind locators, rows visible late."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qs

import httpx

from tests.simulators.server import ELSEWHERE, Simulator, error, unknown
from tests.simulators.world import Row

ROOT = "/services/data/v62.0"
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
SOQL = re.compile(
    r"SELECT (?P<columns>[\w., ]+) FROM (?P<table>Case|EmailMessage|CaseComment|CaseHistory|CaseStatus)(?: WHERE (?P<where>.+?))?"
    r"(?: ORDER BY (?P<order>SystemModstamp ASC, Id ASC|ParentId, MessageDate))?(?: LIMIT (?P<limit>\d+))?"
)
FIRST = re.compile(rf"SystemModstamp <= (?P<upper>{TIME}) AND SystemModstamp >= (?P<since>{TIME})")
LATER = re.compile(
    rf"SystemModstamp <= (?P<upper>{TIME}) AND \(SystemModstamp > (?P<since>{TIME}) "
    rf"OR \(SystemModstamp = (?P<same>{TIME}) AND Id > '(?P<id>\w{{18}})'\)\)"
)
COUNT = re.compile(rf"SELECT COUNT\(\) FROM Case WHERE CreatedDate >= ({TIME}) AND CreatedDate < ({TIME})")
AMONG = re.compile(r"(?:Id|ParentId) IN \((?P<ids>'\w+'(?:, '\w+')*)\)")
TRACKED = re.compile(r"CaseId IN \((?P<ids>'\w+'(?:, '\w+')*)\) AND Field = 'Status'")
COLUMNS = (
    "Id", "CaseNumber", "Subject", "Description", "Status", "Priority", "Origin", "Type", "IsClosed",
    "IsEscalated", "IsDeleted", "MasterRecordId", "ParentId", "ContactId", "SuppliedEmail", "AccountId",
    "OwnerId", "CreatedDate", "ClosedDate", "SystemModstamp", "Product__c",
)  # fmt: skip
RELATED = {"Account.Name", "Owner.Type", "Owner.Name"}


class SalesforceSimulator(Simulator):
    """One organisation. `batch` rows come at once, the rest behind a locator."""

    batch = 2
    used = 895
    allowed = 15_000
    slow_s = 1e12  # a query over more seconds than this times out
    token = ""
    unknown_tables: frozenset[str] = frozenset()
    purged_denied = False
    lasting = timedelta(hours=2)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.locators: dict[str, list[dict[str, Any]]] = {}

    def answer(self, request: httpx.Request) -> httpx.Response:
        path, params = request.url.path, dict(request.url.params)
        if path == "/services/oauth2/token":
            return self.give_token(request)
        fresh = self.token and self.clock.now() < self.token_ends
        if not fresh or request.headers.get("Authorization") != f"Bearer {self.token}":
            return error(401, [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}])
        if self.used >= self.allowed:
            return error(
                403, [{"message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}]
            )
        self.used += 1
        response = self.route(path, params)
        response.headers["Sforce-Limit-Info"] = f"api-usage={self.used}/{self.allowed}"
        return response

    def give_token(self, request: httpx.Request) -> httpx.Response:
        form = {key: value[0] for key, value in parse_qs(request.content.decode()).items()}
        if form != {"grant_type": "client_credentials", "client_id": "app", "client_secret": self.secret}:
            return error(400, {"error": "invalid_grant", "error_description": "authentication failure"})
        self.token = f"00D!{self.calls}"
        self.token_ends = self.clock.now() + self.lasting
        token = {
            "access_token": self.token,
            "instance_url": ELSEWHERE,
            "token_type": "Bearer",
            "issued_at": "1",
        }
        return httpx.Response(200, json=token)

    def route(self, path: str, params: dict[str, str]) -> httpx.Response:
        if path == f"{ROOT}/sobjects/Case/describe":
            fields = [
                {"name": name, "label": name, "type": "string", "picklistValues": []} for name in COLUMNS
            ]
            return httpx.Response(200, json={"fields": fields})
        if path == f"{ROOT}/queryAll" and not unknown(params, {"q"}):
            return self.query(params["q"])
        if path == f"{ROOT}/query" and (counting := COUNT.fullmatch(params.get("q", ""))):
            start, end = at(counting[1]), at(counting[2])
            count = sum(not row.deleted and start <= row.created < end for row in self.world.rows.values())
            return httpx.Response(200, json={"totalSize": count, "done": True, "records": []})
        if path == f"{ROOT}/sobjects/Case/deleted/" and not unknown(params, {"start", "end"}):
            return self.deleted(params)
        if path.startswith(f"{ROOT}/query/"):
            rows = self.locators.pop(path.rsplit("/", 1)[1], None)
            if rows is None or self.random.random() < 0.02:
                return error(
                    400, [{"message": "invalid query locator", "errorCode": "INVALID_QUERY_LOCATOR"}]
                )
            return self.batched(rows, len(rows))
        return error(404, [{"message": "The requested resource does not exist", "errorCode": "NOT_FOUND"}])

    def query(self, soql: str) -> httpx.Response:
        found = SOQL.fullmatch(soql)
        if not found:
            return error(400, [{"message": "unexpected token", "errorCode": "MALFORMED_QUERY"}])
        columns = found["columns"].split(", ")
        if found["table"] in self.unknown_tables:
            wrong = f"sObject type '{found['table']}' is not supported."
            return error(400, [{"message": wrong, "errorCode": "INVALID_TYPE"}])
        if found["table"] == "CaseStatus" and found["where"] == "IsClosed = true":
            return self.batched([{"ApiName": "Closed", "MasterLabel": "Closed"}], 0)
        if found["table"] == "CaseHistory":
            return self.batched(self.changes_of(found), 0)
        if found["table"] != "Case":
            return self.batched(self.messages_of(found), 0)
        hidden = [name for name in columns if name not in (*COLUMNS, *RELATED)]
        if hidden:
            wrong = f"No such column '{hidden[0]}' on entity 'Case'."
            return error(400, [{"message": wrong, "errorCode": "INVALID_FIELD"}])
        rows = self.chosen(found["where"] or "")
        if rows is None:
            return error(400, [{"message": "unexpected token", "errorCode": "MALFORMED_QUERY"}])
        if not found["order"]:
            self.random.shuffle(rows)
        records = [self.record(row, columns) for row in rows[: int(found["limit"] or 2000)]]
        too_slow = (m := FIRST.match(found["where"] or "") or LATER.match(found["where"] or "")) and (
            at(m["upper"]) - at(m["since"])
        ).total_seconds() > self.slow_s
        if too_slow:
            return error(
                400,
                [{"message": "Your query request was running for too long.", "errorCode": "QUERY_TIMEOUT"}],
            )
        return self.batched(records, len(records))

    def chosen(self, where: str) -> list[Row] | None:
        """Rows of a condition, in keyset order; None when it is not one of those spoken here."""
        if found := FIRST.fullmatch(where):
            since, upper = at(found["since"]), at(found["upper"])
            return self.rows(lambda row: since <= row.stamp <= upper)
        if found := LATER.fullmatch(where):
            since, upper, last = at(found["since"]), at(found["upper"]), found["id"]
            if found["since"] != found["same"]:
                return None
            return self.rows(
                lambda row: (
                    row.stamp <= upper
                    and (row.stamp > since or (row.stamp == since and case_id(row.id) > last))
                )
            )
        if found := AMONG.fullmatch(where):
            ids = set(re.findall(r"\w+", found["ids"]))
            return [row for row in self.world.rows.values() if case_id(row.id) in ids and not row.purged]
        return self.rows(lambda _: True) if not where else None

    def rows(self, keep: Any) -> list[Row]:
        return self.world.index(lambda row: not row.purged and keep(row))

    def batched(self, records: list[dict[str, Any]], total: int) -> httpx.Response:
        body: dict[str, Any] = {"totalSize": total, "done": True, "records": records[: self.batch]}
        if len(records) > self.batch:
            locator = f"01g{self.calls}-500"
            self.locators[locator] = records[self.batch :]
            body |= {"done": False, "nextRecordsUrl": f"{ROOT}/query/{locator}"}
        return httpx.Response(200, json=body)

    def changes_of(self, found: re.Match[str]) -> list[dict[str, Any]]:
        """The history of a field: a row for each change, none for the value a case began with."""
        asked = TRACKED.fullmatch(found["where"] or "")
        assert asked, found["where"]
        ids = set(re.findall(r"\w+", asked["ids"]))
        rows = [row for row in self.world.rows.values() if case_id(row.id) in ids]
        return [
            {
                "attributes": {"type": "CaseHistory"},
                "CaseId": case_id(row.id),
                "OldValue": before.title(),
                "NewValue": after.title(),
                "CreatedDate": told(when),
            }
            for row in rows
            for (_, before), (when, after) in pairwise(self.world.lived(row.id))
        ]

    def messages_of(self, found: re.Match[str]) -> list[dict[str, Any]]:
        among = AMONG.fullmatch(found["where"] or "")
        ids = set(re.findall(r"\w+", among["ids"])) if among else set()
        kind = "EmailMessage" if found["table"] == "EmailMessage" else "CaseComment"
        rows = [row for messages in self.messages.values() for row in messages]
        return [row for row in rows if row["ParentId"] in ids and row["attributes"]["type"] == kind]

    def deleted(self, params: dict[str, str]) -> httpx.Response:
        if self.purged_denied:
            wrong = "insufficient access rights on cross-reference id"
            return error(403, [{"message": wrong, "errorCode": "INSUFFICIENT_ACCESS"}])
        start, end = at(params["start"]), at(params["end"])
        if start < self.clock.now() - timedelta(days=30) or end <= start:
            return error(
                400, [{"message": "startDate before earliest date", "errorCode": "INVALID_REPLICATION_DATE"}]
            )
        gone = [
            {"id": case_id(row.id), "deletedDate": told(row.stamp)}
            for row in self.world.rows.values()
            if row.deleted and start <= row.stamp <= end
        ]
        return httpx.Response(
            200, json={"deletedRecords": gone, "latestDateCovered": told(end - timedelta(minutes=1))}
        )

    def record(self, row: Row, columns: list[str]) -> dict[str, Any]:
        closed = row.status == "closed"
        every: dict[str, Any] = {
            "Id": case_id(row.id),
            "CaseNumber": f"{row.id:08d}",
            "Subject": row.subject or None,
            "Description": row.body or None,
            "Status": row.status.title(),
            "Priority": "Medium",
            "Origin": "Web",
            "IsClosed": closed,
            "IsEscalated": False,
            "IsDeleted": row.deleted,
            "MasterRecordId": case_id(row.merged_into) if row.merged_into else None,
            "ContactId": f"003{row.requester:015d}",
            "AccountId": "001" if row.id % 2 else None,
            "OwnerId": "005",
            "CreatedDate": told(row.created),
            "ClosedDate": told(row.stamp) if closed else None,
            "SystemModstamp": told(row.stamp),
            "Product__c": "Export",
        }
        record: dict[str, Any] = {
            "attributes": {"type": "Case", "url": f"{ROOT}/sobjects/Case/{case_id(row.id)}"}
        }
        for name in columns:
            if name in RELATED:
                parent, _, field = name.partition(".")
                there = parent == "Owner" or row.id % 2
                record[parent] = (record.get(parent) or {}) | {field: f"{parent} {field}"} if there else None
            else:
                record[name] = every.get(name)
        return record


def case_id(number: int) -> str:
    return f"500{number:015d}"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def told(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%S.000+0000")
