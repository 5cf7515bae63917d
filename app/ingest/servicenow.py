"""ServiceNow incidents or cases: a two-phase keyset over the Table API, trailing the server's clock.

Phase `rest` reads what is left of the second of the last row, by sys_id; phase `next` reads the seconds
after it. One query cannot do both, because `^OR` binds only to the condition before it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from app.domain import Checkpoint, RawTicket, Status, StatusChange
from app.errors import Invalid
from app.ingest.columns import status_of
from app.ingest.http import Answer, Api, CursorStuck, Forbidden, Lane, Misconfigured, Refused, Verdict
from app.ingest.oauth import ClientCredentials, OAuth
from app.ingest.source import (
    Checkup,
    Column,
    Details,
    Line,
    Options,
    Outside,
    Quota,
    Record,
    State,
    attributes,
    begin,
    chunks,
    finish,
    ident,
    instant,
    iso,
    lived,
    mapped,
    opened,
    outcomes,
    page,
    required,
    text,
    vanished,
)
from app.ports import Page

TABLES = ("incident", "sn_customerservice_case")
FIELDS = (
    "sys_id", "number", "state", "priority", "category", "subcategory", "short_description", "description",
    "opened_at", "resolved_at", "closed_at", "sys_created_on", "sys_updated_on", "sys_mod_count", "caller_id",
    "contact", "consumer", "company", "account", "assignment_group", "assigned_to", "contact_type",
    "close_code", "close_notes", "resolution_code", "cause", "parent_incident", "parent", "problem_id",
    "problem", "product", "business_service", "cmdb_ci", "escalation", "active_escalation", "reopen_count",
    "sys_tags",
)  # fmt: skip
STATUSES = {
    "incident": {"1": "new", "2": "open", "3": "pending", "6": "solved", "7": "closed", "8": "closed"},
    "sn_customerservice_case": {
        "1": "new", "10": "open", "18": "pending", "6": "solved", "3": "closed", "7": "closed",
    },
}  # fmt: skip
PRODUCTS = ("product", "business_service", "cmdb_ci")  # the first that says something
PRIORITIES = {"1": "urgent", "2": "high", "3": "normal", "4": "low", "5": "low"}
ARTICLE = re.compile(r"\bKB\d{7,}\b|https?://[^\s\"'<>]*kb_view\.do\?[^\s\"'<>]+")
SYS_ID = re.compile(r"[0-9a-fA-F]{32}")
CANCELLED = "Transaction cancelled"
PARTIES = "sys_id,opened_at,sys_created_on,resolved_at,closed_at,caller_id.user_name,contact.user_name,consumer.user_name"
JOURNAL_SIZE = 1000


@dataclass(frozen=True, slots=True)
class Log:
    """A table of what happened to records, which `key` names; `only` narrows it."""

    table: str
    key: str
    fields: str
    only: str = ""


JOURNAL = Log("sys_journal_field", "element_id", "element,value,sys_created_by", "^element=comments")
AUDIT = Log("sys_audit", "documentkey", "tablename,fieldname,oldvalue,newvalue")


@dataclass(frozen=True, kw_only=True)
class ServiceNowOptions(Options):
    """Basic authorisation (`user`, `password`) or OAuth (`client_id`, `client_secret`); secrets by name."""

    table: str = "incident"
    user: str = ""
    password: str = ""
    client_id: str = ""
    client_secret: str = ""
    page_size: int = 500
    trail_s: float = 60  # rows younger than this wait for the next poll
    list_every_s: float = 86_400  # how often all ids are listed, to find deleted records
    list_size: int = 10_000
    full_every_s: float = 604_800  # how often everything is read again: some updates keep their timestamp


class ServiceNow:
    """One table of one instance."""

    def __init__(self, name: str, options: ServiceNowOptions, outside: Outside) -> None:
        if options.table not in TABLES:
            raise Invalid(f"source {name}: option table must be one of {', '.join(TABLES)}", pointer="table")
        self.name, self.options = name, options
        self._known = outside.known
        self._path = f"/api/now/table/{options.table}"
        self._limit = options.page_size
        self._checked = False
        named = [path.split(".")[0] for path in options.field_map.values()]
        self._fields = ",".join(dict.fromkeys([*FIELDS, *named]))
        self.api = Api(
            name,
            base_url=options.base_url,
            auth=_auth(name, options, outside),
            outside=outside,
            timeout_s=options.timeout_s,
            lanes={"main": Lane(options.calls_per_minute), "details": Lane(options.detail_calls_per_minute)},
            judge=_judge,
        )

    def pull(self, after: Checkpoint) -> Page:
        state = opened(after)
        if state.get("listing"):
            return self._list(after, state)
        if not self._checked:
            self._check_zone()
            self._checked = True  # and the server has told its clock, before anything is bound to it
        position = state.get("pass") or self._begin(state)
        while True:
            limit = position.get("limit") or self._limit
            try:
                answer = self._read(_query(position), limit=limit, offset=position["offset"])
            except Refused as error:
                if not error.code.startswith(CANCELLED) or limit == 1:
                    raise
                position |= {"limit": None}
                self._limit = max(1, min(limit, self._limit) // 2)
            else:
                self._limit = min(self.options.page_size, self._limit + max(1, self.options.page_size // 20))
                return self._taken(after, state, position, answer, limit)

    def fetch(self, ids: Sequence[str]) -> Page:
        rows: list[Record] = []
        asked = [sys_id for sys_id in ids if SYS_ID.fullmatch(sys_id)]
        for batch in chunks(asked, 50):
            rows += _rows(self._read(f"sys_idIN{','.join(batch)}", limit=len(batch)))
        found = {value(row, "sys_id") for row in rows}
        gone = [sys_id for sys_id in asked if sys_id not in found]
        tickets = [self._ticket(row) for row in rows]
        return page(Checkpoint(self.name), {}, more=False, tickets=tickets, deleted=gone)

    def details(self, ids: Sequence[str]) -> tuple[Details, ...]:
        """Answers from the journal and states from the audit, three calls for fifty records.

        Nothing of what may not be read, and of records of which neither says anything.
        """
        found: list[Details] = []
        for batch in chunks([sys_id for sys_id in ids if SYS_ID.fullmatch(sys_id)], 50):
            said = self._entries(JOURNAL, batch)
            changed = self._entries(AUDIT, batch, f"^tablename={self.options.table}^fieldname=state")
            if not (said or changed):
                continue
            answer = self._read(
                f"sys_idIN{','.join(batch)}", limit=len(batch), fields=PARTIES, lane="details"
            )
            for row in _rows(answer):
                sys_id = value(row, "sys_id")
                details = _details(row, said.get(sys_id, ()))
                found.append(replace(details, history=self._history(row, changed.get(sys_id, ()))))
        return tuple(found)

    def _entries(self, log: Log, ids: Sequence[str], only: str = "") -> dict[str, list[Record]]:
        """What a log says about records, oldest first; nothing when this user may not read it."""
        found: dict[str, list[Record]] = {}
        offset = 0
        while True:
            try:
                answer = self.api.get(
                    f"/api/now/table/{log.table}",
                    "details",
                    sysparm_query=f"{log.key}IN{','.join(ids)}{log.only}{only}^ORDERBYsys_created_on",
                    sysparm_fields=f"{log.key},{log.fields},sys_created_on",
                    sysparm_limit=JOURNAL_SIZE,
                    sysparm_offset=offset or None,
                )
            except (Forbidden, Refused) as error:
                if log is JOURNAL and not isinstance(error, Forbidden):
                    raise  # answers are worth another try; an audit too long to be read stays so
                return {}
            for row in _rows(answer):
                found.setdefault(value(row, log.key), []).append(row)
            offset += JOURNAL_SIZE
            if offset >= _total(answer, offset - JOURNAL_SIZE, JOURNAL_SIZE):
                return found

    def _history(self, record: Record, entries: Sequence[Record]) -> tuple[StatusChange, ...]:
        """The states of a record, which the audit tells by number."""
        created_at = instant(value(record, "opened_at")) or instant(value(record, "sys_created_on"))
        changes = [
            (instant(value(e, "sys_created_on")), value(e, "oldvalue"), value(e, "newvalue"))
            for e in entries
            if value(e, "fieldname") == "state"
        ]
        return lived(created_at, changes, self._past_status)

    def _past_status(self, told: str) -> Status:
        known = STATUSES[self.options.table].get(told, status_of(told))
        return Status(self.options.status_map.get(told, known))

    def check(self) -> Checkup:
        self._check_zone()
        answer = self._read("ORDERBYsys_updated_on^ORDERBYsys_id", limit=5)
        rows = _rows(answer)
        lines = [
            Line(True, f"signed in; the table {self.options.table} counts {_total(answer, 0, 5)} records")
        ]
        lines.append(Line(True, "times are read as UTC"))
        if not rows:
            lines.append(
                Line(False, f"no record is readable: grant this user read access to {self.options.table}")
            )
        return Checkup((*lines, *self.api.clock_lines()), tuple(self._ticket(row) for row in rows))

    def inspect(self) -> tuple[Column, ...]:
        """The columns of a record, as far as this account may see them."""
        answer = self.api.get(self._path, sysparm_limit=1, sysparm_display_value="all")
        row: Record = (_rows(answer) or [{}])[0]
        return tuple(Column(name, name.replace("_", " ")) for name in sorted(row))

    def counted(self, start: datetime, end: datetime) -> int | None:
        """The header of a list of one counts them all, those hidden from this account included."""
        query = f"opened_at>={_literal(start)}^opened_at<{_literal(end)}"
        answer = self._read(query, limit=1, fields="sys_id")
        total = answer.headers.get("X-Total-Count", "")
        return int(total) if total.isdigit() else None

    def quotas(self) -> Mapping[str, Quota]:
        return self.api.quotas

    def close(self) -> None:
        self.api.close()

    def _begin(self, state: State) -> State:
        now = self.api.clock
        position = begin(state, self.options, now)
        read_all = instant(state.get("full_at"))
        full = read_all is not None and (now - read_all).total_seconds() >= self.options.full_every_s
        since = self.options.start_at if full else required(position["since"], "since")
        upper = iso(now - timedelta(seconds=self.options.trail_s))
        return {
            "upper": upper, "wide": position["wide"] or full, "full": full or read_all is None,
            "since": iso(since), "id": "", "phase": "next", "offset": 0, "total": None,
        }  # fmt: skip

    def _read(
        self, query: str, *, limit: int, offset: int = 0, fields: str = "", lane: str = "main"
    ) -> Answer:
        return self.api.get(
            self._path,
            lane,
            sysparm_query=query,
            sysparm_fields=fields or self._fields,
            sysparm_display_value="all",
            sysparm_exclude_reference_link="true",
            sysparm_limit=limit,
            sysparm_offset=offset or None,
        )

    def _taken(self, after: Checkpoint, state: State, position: State, answer: Answer, limit: int) -> Page:
        """The page, and where the keyset goes next."""
        rows = _rows(answer)
        for row in rows:
            self._must_match(row, position)
        tickets = [self._ticket(row) for row in rows]
        total = _total(answer, position["offset"], limit)
        whole = position["offset"] + limit >= total
        if rows:
            reached = required(value(rows[-1], "sys_updated_on"), "sys_updated_on")
            position |= {"since": iso(reached), "id": value(rows[-1], "sys_id"), "offset": 0, "total": None}
            position |= {"limit": None}
        elif not whole and 2 * limit <= self.options.list_size:  # hidden by access rules: look further ahead
            position |= {"limit": 2 * limit}
        elif not whole:  # still nothing: go on behind it; rows that left meanwhile moved the others up
            left = max(0, (position["total"] or total) - total)
            position |= {"offset": max(0, position["offset"] + limit - left), "total": total}
        if whole and position["phase"] == "next":
            return self._finished(after, state, position, tickets)
        if whole:
            position |= {"phase": "next", "id": "", "offset": 0, "total": None, "limit": None}
        elif rows:
            position |= {"phase": "rest"}
        return page(after, state | {"pass": position}, more=True, tickets=tickets)

    def _finished(
        self, after: Checkpoint, state: State, position: State, tickets: Sequence[RawTicket]
    ) -> Page:
        upper = position["upper"]
        done = {"listed_at": upper, "suspects": [], "full_at": upper} | _kept(state)
        done |= finish(state, position, begun=upper)
        if position["full"]:
            done["full_at"] = upper
        age = required(upper, "upper") - required(done["listed_at"], "listed_at")
        due = age.total_seconds() >= self.options.list_every_s
        return page(after, done | ({"listing": upper} if due else {}), more=due, tickets=tickets)

    def _must_match(self, row: Record, position: State) -> None:
        """An unknown column in a query is ignored, and the whole table comes back."""
        at = required(value(row, "sys_updated_on"), "sys_updated_on")
        since, upper = required(position["since"], "since"), required(position["upper"], "upper")
        rest = position["phase"] == "rest"
        if at != since if rest else not since < at <= upper:
            raise Misconfigured(
                f"{self.name}: {self.api.host} ignores the filter on sys_updated_on: grant this user "
                f"read access to that field of {self.options.table}",
                pointer="table",
            )

    def _list(self, after: Checkpoint, state: State) -> Page:
        """List all ids; a record missing twice running and not found by itself is deleted."""
        twice, once, warning = vanished(self._known(), self._all_ids(), state["suspects"])
        gone = [sys_id for batch in chunks(twice, 50) for sys_id in self._absent(batch)]
        kept = {key: item for key, item in state.items() if key != "listing"}
        state = kept | {"listed_at": state["listing"], "suspects": once}
        return page(after, state, more=False, deleted=gone, notes=[warning] if warning else [])

    def _all_ids(self) -> frozenset[str]:
        listed: set[str] = set()
        last, offset, size = "", 0, self.options.list_size
        while True:
            query = f"sys_id>{last}^ORDERBYsys_id" if last else "ORDERBYsys_id"
            answer = self._read(query, limit=size, offset=offset, fields="sys_id")
            ids = [value(row, "sys_id") for row in _rows(answer)]
            listed.update(ids)
            if offset + size >= _total(answer, offset, size):
                return frozenset(listed)
            if ids and ids[-1] == last:
                raise CursorStuck(f"{self.name}: the list of ids repeats one page", after_s=900)
            last, offset = (ids[-1], 0) if ids else (last, offset + size)

    def _absent(self, ids: Sequence[str]) -> list[str]:
        there = _rows(self._read(f"sys_idIN{','.join(ids)}", limit=len(ids), fields="sys_id"))
        found = {value(row, "sys_id") for row in there}
        return [sys_id for sys_id in ids if sys_id not in found]

    def _check_zone(self) -> None:
        """A time must find the record it was read from; it does not when it is taken as local time."""
        for _ in range(3):  # the record may change in between
            rows = _rows(self._read("ORDERBYsys_updated_on", limit=20))
            if not rows:
                return
            sys_id, at = value(rows[0], "sys_id"), value(rows[0], "sys_updated_on")
            if _rows(self._read(f"sys_id={sys_id}^sys_updated_on={at}", limit=1)):
                return
        raise Misconfigured(
            f"{self.name}: times in queries are not read as UTC: set the time zone of this user to GMT",
            pointer="user",
        )

    def _ticket(self, row: Record) -> RawTicket:
        custom = mapped(row, self.options.field_map)
        sys_id, state = ident({"sys_id": value(row, "sys_id")}, "sys_id"), value(row, "state")
        known = STATUSES[self.options.table]
        named = self.options.status_map.get(text(row.get("state")), self.options.status_map.get(state))
        account = "account" if value(row, "account") else "company"
        duplicate = "duplicate" in (text(row.get("close_code")) or text(row.get("resolution_code"))).lower()
        tags = tuple(filter(None, (tag.strip() for tag in text(row.get("sys_tags")).split(","))))
        notes = "\n".join(filter(None, (value(row, "close_notes"), value(row, "cause"))))
        extra: dict[str, Any] = {
            "escalated": value(row, "escalation") not in ("", "0") or bool(value(row, "active_escalation")),
            "duplicate_of": (value(row, "parent_incident") or value(row, "parent")) if duplicate else "",
            "problem": value(row, "problem_id") or value(row, "problem"),
            "resolution": notes,
            "articles": tuple(dict.fromkeys(ARTICLE.findall(notes))),
        } | outcomes(custom, self.options, tags)
        return RawTicket(
            source=self.name,
            external_id=sys_id,
            created_at=required(
                value(row, "opened_at"),
                "opened_at",
                value(row, "sys_created_on"),
                value(row, "sys_updated_on"),
            ),
            updated_at=required(value(row, "sys_updated_on"), "sys_updated_on"),
            subject=value(row, "short_description"),
            body=value(row, "description"),
            url=f"{self.options.base_url.rstrip('/')}/nav_to.do?uri={self.options.table}.do?sys_id={sys_id}",
            requester=value(row, "caller_id") or value(row, "contact") or value(row, "consumer"),
            account=value(row, account),
            account_name=text(row.get(account)),
            attributes=attributes(
                custom,
                priority=PRIORITIES.get(value(row, "priority")),
                channel=value(row, "contact_type"),
                product=next(filter(None, (text(row.get(name)) for name in PRODUCTS)), ""),
                component=row.get("category"),
                subcategory=row.get("subcategory"),
                team=row.get("assignment_group"),
                agent=value(row, "assigned_to"),
                number=row.get("number"),
            ),
            tags=tags,
            status=Status(named or known.get(state, "open")),
            resolved_at=instant(value(row, "resolved_at")) or instant(value(row, "closed_at")),
            reopened=value(row, "reopen_count") != "0" if value(row, "reopen_count") else None,
            **extra,
        )


def value(row: Record, name: str) -> str:
    """The stored value of a field: unlike the displayed one, it is UTC and the same for every user."""
    field = row.get(name)
    return text(field.get("value")) if isinstance(field, dict) else text(field)


def _details(record: Record, entries: Sequence[Record]) -> Details:
    """The last comment before the end that is not the customer's own; dot-walked names may be hidden."""
    customers = {value(record, name) for name in PARTIES.split(",") if name.endswith(".user_name")}
    solved_at = instant(value(record, "resolved_at")) or instant(value(record, "closed_at"))
    answers = [entry for entry in entries if value(entry, "sys_created_by") not in customers - {""}]
    before = [
        value(entry, "value")
        for entry in answers
        if not solved_at or (instant(value(entry, "sys_created_on")) or solved_at) <= solved_at
    ]
    links = [link for entry in answers for link in ARTICLE.findall(value(entry, "value"))]
    return Details(
        external_id=value(record, "sys_id"),
        resolution=before[-1] if before else "",
        articles=tuple(dict.fromkeys(links)),
    )


def _auth(name: str, options: ServiceNowOptions, outside: Outside) -> httpx.Auth:
    if options.client_id:
        grant = ClientCredentials(options.client_id, outside.secret(options.client_secret))
        url = f"{options.base_url.rstrip('/')}/oauth_token.do"
        return OAuth(name, token_url=url, grant=grant, now=outside.now)
    return httpx.BasicAuth(options.user, outside.secret(options.password))


def _judge(response: httpx.Response, body: Any) -> Verdict | None:
    """Errors come with any status, even 200 beside half a result; an empty list may come as 404."""
    error = body.get("error") if isinstance(body, dict) else None
    message = text(error.get("message")) if isinstance(error, dict) else ""
    if message.startswith(CANCELLED):
        return Verdict.REFUSED
    if response.status_code == 404 and message == "No Record found":
        return Verdict.GOOD
    return Verdict.UNREADABLE if message and response.is_success else None


def _literal(at: datetime) -> str:
    """A plain time in a query is UTC."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def _query(position: State) -> str:
    since = _literal(required(position["since"], "since"))
    if position["phase"] == "rest":
        return f"sys_updated_on={since}^sys_id>{position['id']}^ORDERBYsys_id"
    upper = _literal(required(position["upper"], "upper"))
    return f"sys_updated_on>{since}^sys_updated_on<={upper}^ORDERBYsys_updated_on^ORDERBYsys_id"


def _rows(answer: Answer) -> list[Record]:
    return [] if answer.status == 404 else list(answer.listed("result"))


def _total(answer: Answer, offset: int, limit: int) -> int:
    """How many rows the query has, hidden ones included; without the header, a full page means more."""
    count = answer.headers.get("X-Total-Count", "")
    return int(count) if count.isdigit() else offset + (limit + 1 if len(_rows(answer)) >= limit else limit)


def _kept(state: State) -> State:
    return {key: state[key] for key in ("listed_at", "suspects", "full_at") if key in state}
