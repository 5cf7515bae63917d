"""ServiceNow as connectors meet it: encoded queries that ignore what they do not know, access rules last."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import httpx

from tests.simulators.server import ELSEWHERE, Simulator, error, unknown
from tests.simulators.world import Row

KEYS = {
    "sysparm_query", "sysparm_fields", "sysparm_display_value", "sysparm_exclude_reference_link",
    "sysparm_limit", "sysparm_offset",
}  # fmt: skip
TERM = re.compile(r"(?P<name>[a-z_]+)(?P<op>>=|<=|>|<|=|IN)(?P<value>.*)")
STATE = {"open": "2", "pending": "3", "solved": "6", "closed": "7"}
TIMES = {"sys_updated_on", "sys_created_on", "opened_at", "resolved_at"}
OPERATORS: dict[str, Callable[[str, str], bool]] = {
    ">=": lambda a, b: a >= b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    "<": lambda a, b: a < b,
    "=": lambda a, b: a == b,
    "IN": lambda a, b: a in b.split(","),
}


class ServiceNowSimulator(Simulator):
    """One instance with one table. `too_long` is the limit at which a transaction is cancelled half-way."""

    zone = ZoneInfo("America/Los_Angeles")
    too_long = 100_000
    unknown_columns: frozenset[str] = frozenset()
    local_times = False  # times in queries are taken as the user's
    journal_denied = False
    audit_denied = False

    def answer(self, request: httpx.Request) -> httpx.Response:
        expected = "Basic " + base64.b64encode(f"reader:{self.secret}".encode()).decode()
        if request.headers.get("Authorization") != expected:
            detail = {
                "message": "User is not authenticated",
                "detail": "Required to provide Auth information",
            }
            headers = {"WWW-Authenticate": 'Basic realm="Service-now"'}
            return httpx.Response(401, headers=headers, json={"error": detail, "status": "failure"})
        table = request.url.path.removeprefix("/api/now/table/")
        params = dict(request.url.params)
        if unknown(params, KEYS):
            return error(400, failure("Invalid parameter"))
        if table == "sys_journal_field":
            return self.journal(params)
        if table == "sys_audit":
            return self.audit(params)
        if table != "incident":
            return error(400, failure(f"Invalid table {table}"))
        return self.table(params)

    def table(self, params: dict[str, str]) -> httpx.Response:
        limit, offset = int(params.get("sysparm_limit", 10_000)), int(params.get("sysparm_offset", 0))
        rows = self.select(params.get("sysparm_query", ""))
        chosen = [row for row in rows[offset : offset + limit] if not row.hidden]  # access rules come last
        mode = params.get("sysparm_display_value", "false")
        fields = params.get("sysparm_fields", "").split(",") if params.get("sysparm_fields") else None
        records = [self.record(row, fields, mode) for row in chosen]
        if limit > self.too_long:
            wrong = failure("Transaction cancelled: maximum execution time exceeded")
            return httpx.Response(200, json={"result": records[:1], **wrong})
        headers = {"X-Total-Count": str(len(rows))}
        if offset + limit < len(rows):
            headers["Link"] = (
                f'<{ELSEWHERE}/api/now/table/incident?sysparm_offset={offset + limit}>;rel="next"'
            )
        if not records and self.random.random() < 0.3 and not rows:
            return httpx.Response(404, headers=headers, json=failure("No Record found"))
        return httpx.Response(200, headers=headers, json={"result": records})

    def select(self, query: str) -> list[Row]:
        """Rows of an encoded query, in its order; conditions on unknown columns do not count."""
        rows = self.world.index(lambda row: not row.purged)
        orders: list[tuple[str, bool]] = []
        sets: list[list[list[tuple[str, str, str]]]] = [[]]
        for term in filter(None, query.split("^")):
            if term.startswith("ORDERBYDESC"):
                orders.append((term.removeprefix("ORDERBYDESC"), True))
            elif term.startswith("ORDERBY"):
                orders.append((term.removeprefix("ORDERBY"), False))
            elif term.startswith("NQ"):
                sets.append([[self.condition(term.removeprefix("NQ"))]])
            elif term.startswith("OR"):
                sets[-1][-1].append(self.condition(term.removeprefix("OR")))
            else:
                sets[-1].append([self.condition(term)])
        found = [row for row in rows if any(all(self.meets(row, any_of) for any_of in one) for one in sets)]
        self.random.shuffle(found)
        for name, down in reversed(orders):
            found.sort(key=lambda row: self.values(row).get(name, ""), reverse=down)
        return found

    def condition(self, term: str) -> tuple[str, str, str]:
        found = TERM.fullmatch(term)
        assert found, f"not an encoded query: {term}"
        given = found["value"]
        if found["name"] in TIMES and self.local_times:
            local = datetime.fromisoformat(given).replace(tzinfo=self.zone)
            given = told(local.astimezone(UTC))
        return found["name"], found["op"], given

    def meets(self, row: Row, any_of: list[tuple[str, str, str]]) -> bool:
        values = self.values(row)
        known = [term for term in any_of if term[0] in values and term[0] not in self.unknown_columns]
        return not known or any(OPERATORS[op](values[name], given) for name, op, given in known)

    def values(self, row: Row) -> dict[str, str]:
        done = row.status in ("solved", "closed")
        return {
            "sys_id": sys_id(row.id),
            "number": f"INC{row.id:07d}",
            "short_description": row.subject,
            "description": row.body,
            "state": STATE[row.status],
            "priority": "3",
            "opened_at": told(row.created),
            "sys_created_on": told(row.created),
            "sys_updated_on": told(row.stamp),
            "resolved_at": told(row.stamp) if done else "",
            "sys_mod_count": str(row.version),
            "caller_id": sys_id(row.requester),
            "caller_id.user_name": f"customer.{row.requester}",
            "company": sys_id(88) if row.id % 2 else "",
            "assignment_group": sys_id(12),
            "close_notes": "Relay restarted." if done else "",
            "comments": "",
            "u_version": "4.2",
        }

    def record(self, row: Row, fields: list[str] | None, mode: str) -> dict[str, Any]:
        shown = {
            "assignment_group": "Network",
            "company": "Acme Zürich" if row.id % 2 else "",
            "state": "Whatever",
        }
        record: dict[str, Any] = {}
        for name, plain in self.values(row).items():
            if fields is not None and name not in fields:
                continue
            display = shown.get(name, plain)
            if name in TIMES and plain:
                utc = datetime.fromisoformat(plain).replace(tzinfo=UTC)
                display = utc.astimezone(self.zone).strftime("%m/%d/%Y %H:%M:%S")
            both = {"display_value": display, "value": plain}
            record[name] = both if mode == "all" else display if mode == "true" else plain
        return record

    def journal(self, params: dict[str, str]) -> httpx.Response:
        if self.journal_denied:
            return error(403, failure("Operation Failed"))
        found = re.match(
            r"element_idIN([\w,]+)\^element=comments\^ORDERBYsys_created_on", params["sysparm_query"]
        )
        assert found
        ids = found[1].split(",")
        rows = [
            row
            for messages in self.messages.values()
            for row in messages
            if row["element_id"] in ids and row.get("element") == "comments"
        ]
        rows.sort(key=lambda row: str(row.get("sys_created_on", "")))
        start, size = int(params.get("sysparm_offset", 0)), int(params["sysparm_limit"])
        headers = {"X-Total-Count": str(len(rows))}
        return httpx.Response(200, headers=headers, json={"result": rows[start : start + size]})

    def audit(self, params: dict[str, str]) -> httpx.Response:
        """Changes of states, which are told by number."""
        if self.audit_denied:
            return error(403, failure("Operation Failed"))
        found = re.fullmatch(
            r"documentkeyIN([\w,]+)\^tablename=incident\^fieldname=state\^ORDERBYsys_created_on",
            params["sysparm_query"],
        )
        assert found
        ids = found[1].split(",")
        rows = [
            {
                "documentkey": sys_id(row.id), "tablename": "incident", "fieldname": "state",
                "oldvalue": STATE[before], "newvalue": STATE[after], "sys_created_on": told(when),
            }
            for row in self.world.rows.values()
            if sys_id(row.id) in ids
            for (_, before), (when, after) in pairwise(self.world.lived(row.id))
        ]  # fmt: skip
        rows.sort(key=lambda row: row["sys_created_on"])
        start, size = int(params.get("sysparm_offset", 0)), int(params["sysparm_limit"])
        headers = {"X-Total-Count": str(len(rows))}
        return httpx.Response(200, headers=headers, json={"result": rows[start : start + size]})


@cache
def sys_id(number: int) -> str:
    return hashlib.md5(str(number).encode()).hexdigest()


@cache
def told(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S")


def failure(message: str) -> dict[str, Any]:
    return {"error": {"message": message, "detail": None}, "status": "failure"}
