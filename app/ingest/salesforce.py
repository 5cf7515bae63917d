"""Salesforce Service Cloud cases: a keyset over SystemModstamp, trailing the server's clock."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import httpx

from app.domain import EPOCH, Checkpoint, RawTicket, Status, StatusChange
from app.errors import TryLater
from app.ingest.http import Answer, Api, Forbidden, Lane, Misconfigured, Refused, Verdict
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
    dig,
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
    rows_of,
    text,
)
from app.ingest.window import must_follow
from app.ports import Page

NEEDED = ("Id", "CreatedDate", "SystemModstamp", "IsDeleted", "IsClosed")
WISHED = (
    "CaseNumber", "Subject", "Description", "Status", "Priority", "Origin", "Type", "Reason", "IsEscalated",
    "MasterRecordId", "ParentId", "ContactId", "SuppliedEmail", "AccountId", "OwnerId", "ClosedDate",
)  # fmt: skip
CASE = ("Id", "Description", "CreatedDate", "IsClosed", "ClosedDate", "IsDeleted")
EMAIL = ("Id", "ParentId", "Incoming", "MessageDate", "TextBody", "HtmlBody", "IsDeleted")
COMMENT = ("Id", "ParentId", "CommentBody", "IsPublished", "CreatedDate", "CreatedById")
CHANGE = ("CaseId", "OldValue", "NewValue", "CreatedDate")
ORDER = "ORDER BY SystemModstamp ASC, Id ASC"
STATUSES = {"new": Status.NEW, "on hold": Status.PENDING, "escalated": Status.OPEN, "working": Status.OPEN}
PRIORITIES = {"low": "low", "medium": "normal", "high": "high", "critical": "urgent", "urgent": "urgent"}
ARTICLE = re.compile(r"https?://[^\s\"'<>]+/(?:articles?|s/article)/[\w./-]+")
UNKNOWN_OBJECT = ("INVALID_TYPE", "INVALID_FIELD", "INSUFFICIENT_ACCESS")
LOCATOR = re.compile(r"/query/([\w-]+)$")
RECORD_ID = re.compile(r"[A-Za-z0-9]{15,18}")
DELETED_BACK = timedelta(days=29)  # the list of deletions reaches no further
QUOTA_WINDOW_S = 3600.0


@dataclass(frozen=True, kw_only=True)
class SalesforceOptions(Options):
    """An External Client App with the client-credentials flow; base_url is the My Domain address."""

    client_id: str
    client_secret: str  # name of the secret
    api_version: int = 62
    page_size: int = 2000
    trail_s: float = 300  # rows younger than this wait: they become visible late
    quota_share: float = 0.5  # of the organisation's daily calls, shared with everything else


class Salesforce:
    """The cases of one organisation."""

    def __init__(self, name: str, options: SalesforceOptions, outside: Outside) -> None:
        self.name, self.options = name, options
        self._root = f"/services/data/v{options.api_version}.0"
        self._columns: tuple[str, ...] = ()
        self._ends: frozenset[str] | None = None  # statuses that close a case
        grant = ClientCredentials(options.client_id, outside.secret(options.client_secret))
        self.api = Api(
            name,
            base_url=options.base_url,
            auth=OAuth(
                name,
                token_url=f"{options.base_url.rstrip('/')}/services/oauth2/token",
                grant=grant,
                now=outside.now,
            ),
            outside=outside,
            timeout_s=options.timeout_s,
            lanes={"main": Lane(options.calls_per_minute), "details": Lane(options.detail_calls_per_minute)},
            headers={"Sforce-Query-Options": "batchSize=2000"},
            judge=_judge,
            meter=self._meter,
        )

    def pull(self, after: Checkpoint) -> Page:
        state = opened(after)
        wanted = self._wanted()  # and the server has told its clock, before anything is bound to it
        if state.get("purging"):
            return self._purged(after, state)
        position = state.get("pass")
        if position is None:
            now = self.api.clock
            position = begin(state, self.options, now)
            upper = iso(now - timedelta(seconds=self.options.trail_s))
            position |= {"upper": upper, "until": upper, "id": ""}
        try:
            rows, whole = self._query(_cases(wanted, position, self.options.page_size))
        except Refused as error:
            if error.code != "QUERY_TIMEOUT":
                raise
            return page(after, state | {"pass": _halved(position, error)}, more=True)
        return self._taken(after, state, position, rows, whole=whole)

    def fetch(self, ids: Sequence[str]) -> Page:
        tickets: list[RawTicket] = []
        deleted: list[str] = []
        for batch in chunks(_safe(ids), 100):
            rows = self._whole(_select(self._wanted(), "Case", where=f"Id IN ({_quoted(batch)})"))
            tickets += [self._ticket(row) for row in rows if not row.get("IsDeleted")]
            deleted += [ident(row, "Id") for row in rows if row.get("IsDeleted")]
        return page(Checkpoint(self.name), {}, more=False, tickets=tickets, deleted=deleted)

    def details(self, ids: Sequence[str]) -> tuple[Details, ...]:
        """Four calls for each hundred cases."""
        found: list[Details] = []
        for batch in chunks(_safe(ids), 100):
            among = f"IN ({_quoted(batch)})"
            cases = self._whole(_select(CASE, "Case", where=f"Id {among}"), "details")
            emails = self._messages(
                _select(
                    EMAIL, "EmailMessage", where=f"ParentId {among}", tail="ORDER BY ParentId, MessageDate"
                )
            )
            comments = self._messages(_select(COMMENT, "CaseComment", where=f"ParentId {among}"))
            changes = self._messages(
                _select(CHANGE, "CaseHistory", where=f"CaseId {among} AND Field = 'Status'")
            )
            found += [
                replace(
                    _details(row, _of(row, emails), _of(row, comments)), history=self._history(row, changes)
                )
                for row in cases
                if not row.get("IsDeleted")
            ]
        return tuple(found)

    def check(self) -> Checkup:
        wanted = self._wanted()
        lines = [Line(True, f"signed in; {len(wanted)} case fields are readable")]
        hidden = [name for name in WISHED if name not in wanted]
        if hidden:
            lines.append(Line(True, f"hidden from this account, so left empty: {', '.join(hidden)}"))
        rows, _ = self._query(_select(wanted, "Case", tail=f"{ORDER} LIMIT 5"))
        quota = self.api.quotas.get("main")
        if quota:
            lines.append(
                Line(quota.remaining > 0, f"{quota.remaining} calls are left of this source's share")
            )
        return Checkup(
            (*lines, *self.api.clock_lines()),
            tuple(self._ticket(row) for row in rows if not row.get("IsDeleted")),
        )

    def inspect(self) -> tuple[Column, ...]:
        return tuple(
            Column(
                text(field.get("name")),
                text(field.get("label")),
                text(field.get("type")),
                tuple(text(choice.get("value")) for choice in rows_of(field.get("picklistValues"))),
            )
            for field in self._describe()
        )

    def counted(self, start: datetime, end: datetime) -> int | None:
        """A count is one call, however many cases there are; those in the recycle bin do not count."""
        where = f"CreatedDate >= {_literal(start)} AND CreatedDate < {_literal(end)}"
        total = self.api.get(f"{self._root}/query", q=_select(["COUNT()"], "Case", where=where)).record
        return total["totalSize"] if isinstance(total.get("totalSize"), int) else None

    def quotas(self) -> Mapping[str, Quota]:
        return self.api.quotas

    def close(self) -> None:
        self.api.close()

    def _meter(self, headers: httpx.Headers) -> Quota | None:
        """What is left of our share of the organisation's calls; they come back over a day."""
        found = re.search(r"api-usage=(\d+)/(\d+)", headers.get("Sforce-Limit-Info", ""))
        if not found:
            return None
        share = int(int(found[2]) * self.options.quota_share)
        return Quota(max(0, share - int(found[1])), share, QUOTA_WINDOW_S)

    def _describe(self) -> Sequence[Record]:
        return rows_of(self.api.get(f"{self._root}/sobjects/Case/describe").record.get("fields"))

    def _readable(self) -> set[str]:
        """The fields this account may read; all of the usual ones when it may not ask."""
        try:
            return {text(field.get("name")) for field in self._describe()}
        except (Forbidden, Refused):
            return {*NEEDED, *WISHED, *self.options.field_map.values()}

    def _wanted(self) -> tuple[str, ...]:
        """The columns that field-level security lets this account read."""
        if not self._columns:
            readable = self._readable()
            missing = [name for name in NEEDED if name not in readable]
            unmapped = [
                path for path in self.options.field_map.values() if path.split(".")[0] not in readable
            ]
            if missing or [path for path in unmapped if "." not in path]:
                raise Misconfigured(
                    f"{self.name}: these case fields are missing or hidden: {', '.join(missing + unmapped)}",
                    pointer="field_map",
                )
            names = [name for name in (*NEEDED, *WISHED) if name in readable]
            related = ["Account.Name"] if "AccountId" in readable else []
            related += ["Owner.Type", "Owner.Name"] if "OwnerId" in readable else []
            self._columns = tuple(dict.fromkeys([*names, *related, *self.options.field_map.values()]))
        return self._columns

    def _messages(self, soql: str) -> list[Record]:
        """Messages of cases; none where this organisation has no such object, or this account may not see it."""
        try:
            return self._whole(soql, "details")
        except Forbidden:
            return []
        except Refused as error:
            if error.code in UNKNOWN_OBJECT:
                return []
            raise

    def _whole(self, soql: str, lane: str = "main") -> list[Record]:
        """All rows of a statement that has no keyset to go on from; TryLater when its locator expired."""
        rows, is_whole = self._query(soql, lane)
        if not is_whole:
            raise TryLater(f"{self.name}: an answer broke off in the middle; trying again later", after_s=60)
        return rows

    def _query(self, soql: str, lane: str = "main") -> tuple[list[Record], bool]:
        """All rows of one statement, and whether its locator lasted to the end."""
        answer: Answer = self.api.get(f"{self._root}/queryAll", lane, q=soql)
        rows: list[Record] = list(answer.listed("records"))
        used: set[str] = set()
        while (following := answer.record.get("nextRecordsUrl")) or answer.record.get("done") is False:
            locator = LOCATOR.search(text(following))
            if locator is None or locator[1] in used:
                return rows, False
            used.add(locator[1])
            try:
                answer = self.api.get(f"{self._root}/query/{locator[1]}", lane)
            except Refused:
                return rows, False  # the locator expired: what came is in order, the keyset goes on behind it
            rows += answer.listed("records")
        return rows, True

    def _taken(
        self, after: Checkpoint, state: State, position: State, rows: Sequence[Record], *, whole: bool
    ) -> Page:
        """The page, and where the keyset goes next."""
        keys = [(required(row.get("SystemModstamp"), "SystemModstamp"), ident(row, "Id")) for row in rows]
        must_follow(self.name, keys, required(position["since"], "since"))
        tickets = [self._ticket(row) for row in rows if not row.get("IsDeleted")]
        deleted = [ident(row, "Id") for row in rows if row.get("IsDeleted")]
        if rows and (len(rows) >= self.options.page_size or not whole):
            reached, last_id = keys[-1]
            position |= {"since": iso(reached), "id": last_id}
        elif position["until"] != position["upper"]:
            position |= {"since": position["until"], "until": position["upper"], "id": ""}
        elif whole:
            done = (
                {"purged_to": position["upper"]}
                | _kept(state)
                | finish(state, position, begun=position["upper"])
            )
            more = bool(position["wide"])
            done |= {"purging": True} if more else {}
            return page(after, done, more=more, tickets=tickets, deleted=deleted)
        return page(after, state | {"pass": position}, more=True, tickets=tickets, deleted=deleted)

    def _purged(self, after: Checkpoint, state: State) -> Page:
        """What was deleted for good, bypassing or leaving the recycle bin."""
        now = self.api.clock
        start = max(required(state["purged_to"], "purged_to"), now - DELETED_BACK)
        kept = {key: value for key, value in state.items() if key != "purging"}
        try:
            answer = self.api.get(
                f"{self._root}/sobjects/Case/deleted/", start=_literal(start), end=_literal(now)
            )
        except (Forbidden, Refused) as error:  # the walk itself tells of all that went through the bin
            return page(after, kept, more=False, notes=[f"{error}; cases deleted for good may stay here"])
        covered = instant(answer.record.get("latestDateCovered")) or start
        gone = [ident(row) for row in rows_of(answer.record.get("deletedRecords"))]
        return page(after, kept | {"purged_to": iso(min(covered, now))}, more=False, deleted=gone)

    def _history(self, case: Record, changes: Sequence[Record]) -> tuple[StatusChange, ...]:
        """The statuses of a case, where its organisation keeps a history of that field."""
        mine = [
            (instant(row.get("CreatedDate")), text(row.get("OldValue")), text(row.get("NewValue")))
            for row in changes
            if row.get("CaseId") == ident(case, "Id")
        ]
        return lived(instant(case.get("CreatedDate")), mine, self._past_status)

    def _past_status(self, name: str) -> Status:
        """What a word in the history means: which statuses close a case is the organisation's own choice."""
        if self._ends is None:
            rows = self._messages(_select(("ApiName", "MasterLabel"), "CaseStatus", where="IsClosed = true"))
            told = {text(row.get(column)) for row in rows for column in ("ApiName", "MasterLabel")}
            self._ends = frozenset(told or {"Closed"})
        return self._status(name, is_closed=name in self._ends)

    def _status(self, name: str, *, is_closed: bool) -> Status:
        status = Status.CLOSED if is_closed else STATUSES.get(name.lower(), Status.OPEN)
        return Status(self.options.status_map.get(name, status))

    def _ticket(self, row: Record) -> RawTicket:
        custom = mapped(row, self.options.field_map)
        name, priority = text(row.get("Status")), text(row.get("Priority"))
        queue = dig(row, "Owner.Type") == "Queue"
        extra: dict[str, Any] = {
            "escalated": row.get("IsEscalated"),
            "duplicate_of": text(row.get("MasterRecordId")),
            "problem": text(row.get("ParentId")),
        } | outcomes(custom, self.options)
        return RawTicket(
            source=self.name,
            external_id=ident(row, "Id"),
            created_at=required(row.get("CreatedDate"), "CreatedDate", row.get("SystemModstamp")),
            updated_at=required(row.get("SystemModstamp"), "SystemModstamp"),
            subject=text(row.get("Subject")),
            body=text(row.get("Description")),
            url=f"{self.options.base_url.rstrip('/')}/lightning/r/Case/{text(row['Id'])}/view",
            requester=text(row.get("ContactId")) or text(row.get("SuppliedEmail")),
            account=text(row.get("AccountId")),
            account_name=text(dig(row, "Account.Name")),
            attributes=attributes(
                custom,
                priority=PRIORITIES.get(priority.lower(), priority),
                channel=row.get("Origin"),
                component=text(row.get("Type")) or text(row.get("Reason")),
                team=(text(dig(row, "Owner.Name")) or row.get("OwnerId")) if queue else None,
                agent=None if queue else row.get("OwnerId"),
                number=row.get("CaseNumber"),
            ),
            status=self._status(name, is_closed=row.get("IsClosed") is True),
            resolved_at=instant(row.get("ClosedDate")),
            **extra,
        )


def _judge(response: httpx.Response, body: Any) -> Verdict | None:
    """The daily limit is told as 403."""
    codes = [row.get("errorCode") for row in body if isinstance(row, dict)] if isinstance(body, list) else []
    return Verdict.QUOTA if response.status_code == 403 and "REQUEST_LIMIT_EXCEEDED" in codes else None


def _cases(columns: Sequence[str], position: State, limit: int) -> str:
    """The keyset: everything after (SystemModstamp, Id) up to the bound, in that order."""
    since, until = (
        _literal(required(position["since"], "since")),
        _literal(required(position["until"], "until")),
    )
    after = f"SystemModstamp >= {since}"
    if position["id"]:
        after = f"(SystemModstamp > {since} OR (SystemModstamp = {since} AND Id > '{position['id']}'))"
    where = f"SystemModstamp <= {until} AND {after}"
    return _select(columns, "Case", where=where, tail=f"{ORDER} LIMIT {limit}")


def _select(columns: Sequence[str], table: str, *, where: str = "", tail: str = "") -> str:
    parts = ("SELECT", ", ".join(columns), "FROM", table, f"WHERE {where}" if where else "", tail)
    return " ".join(filter(None, parts))


def _halved(position: State, error: Refused) -> State:
    """The same position with half the time ahead of it, because the query took too long."""
    since, until = required(position["since"], "since"), required(position["until"], "until")
    if until - since < timedelta(seconds=2):
        raise error
    return position | {"until": iso(since + (until - since) / 2)}


def _kept(state: State) -> State:
    return {key: state[key] for key in ("purged_to",) if key in state}


def _literal(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def _safe(ids: Sequence[str]) -> list[str]:
    """Ids that can stand in a statement; a hint may hold anything."""
    return [record_id for record_id in ids if RECORD_ID.fullmatch(record_id)]


def _quoted(ids: Sequence[str]) -> str:
    return ", ".join(f"'{record_id}'" for record_id in ids)


def _of(case: Record, rows: Sequence[Record]) -> list[Record]:
    return [row for row in rows if row.get("ParentId") == ident(case, "Id") and not row.get("IsDeleted")]


def _details(case: Record, emails: Sequence[Record], comments: Sequence[Record]) -> Details:
    """The first message when the case has no description, and the last answer before it was closed."""
    answers: list[tuple[datetime, str, bool]] = [
        (instant(email.get("MessageDate")) or EPOCH, *_said(email))
        for email in emails
        if not email.get("Incoming")
    ]
    answers += [
        (instant(comment.get("CreatedDate")) or EPOCH, text(comment.get("CommentBody")), False)
        for comment in comments
        if comment.get("IsPublished")
    ]
    answers = [answer for answer in answers if answer[1]]
    closed = instant(case.get("ClosedDate"))
    before = sorted(answer for answer in answers if closed is None or answer[0] <= closed)
    incoming = [email for email in emails if email.get("Incoming")]
    body, body_is_html = _said(incoming[0]) if incoming and not case.get("Description") else ("", False)
    _, resolution, is_html = before[-1] if before and case.get("IsClosed") else (None, "", False)
    links = dict.fromkeys(link for _, said, _ in answers for link in ARTICLE.findall(said))
    return Details(
        external_id=ident(case, "Id"),
        body=body,
        body_is_html=body_is_html,
        resolution=resolution,
        resolution_is_html=is_html,
        articles=tuple(links),
    )


def _said(email: Record) -> tuple[str, bool]:
    """The text of an e-mail, and whether it is HTML."""
    plain = text(email.get("TextBody"))
    return (plain, False) if plain else (text(email.get("HtmlBody")), True)
