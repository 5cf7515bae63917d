"""Zendesk Support: the cursor export, which orders by generated timestamp and never splits a second."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx

from app.domain import Checkpoint, RawTicket, Status, StatusChange
from app.ingest.http import Api, CursorStuck, Forbidden, Gone, Lane, Refused, Verdict
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
    attributes,
    chunks,
    dig,
    ident,
    instant,
    lived,
    mapped,
    opened,
    outcomes,
    page,
    part,
    required,
    rows_of,
    share_of,
    text,
    words_of,
)
from app.ports import Page

EXPORT = "/api/v2/incremental/tickets/cursor.json"
MANY = "/api/v2/tickets/show_many.json"
STATUSES = {
    "new": Status.NEW,
    "open": Status.OPEN,
    "pending": Status.PENDING,
    "hold": Status.PENDING,
    "solved": Status.SOLVED,
    "closed": Status.CLOSED,
    "deleted": Status.DELETED,
}
MACHINE_TAG = re.compile(r"(intent|intent_confidence|sentiment|language)__")
ARTICLE = re.compile(r"https?://[^\s\"'<>]+/hc/[^\s\"'<>]*articles/\d+")
MERGED = re.compile(r"merged into .*?#(\d+)", re.IGNORECASE | re.DOTALL)
CHECK_PAGES = 4
WITHHELD_S = 61  # the export refuses a start younger than a minute


@dataclass(frozen=True, kw_only=True)
class ZendeskOptions(Options):
    """OAuth (client id and secret) is the way; `email` with `api_token` works until 2027-04-30."""

    client_id: str = ""
    client_secret: str = ""  # name of the secret
    email: str = ""
    api_token: str = ""  # name of the secret
    page_size: int = 1000
    exports_per_minute: int = 10
    calls_per_minute: int = 200


class Zendesk:
    """One Zendesk account."""

    def __init__(self, name: str, options: ZendeskOptions, outside: Outside) -> None:
        self.name, self.options = name, options
        self._per_page = options.page_size
        self._names: dict[str, Mapping[str, str]] = {}
        self.api = Api(
            name,
            base_url=options.base_url,
            auth=_auth(name, options, outside),
            outside=outside,
            timeout_s=options.timeout_s,
            lanes={
                "export": Lane(options.exports_per_minute),
                "main": Lane(options.calls_per_minute),
                "details": Lane(options.detail_calls_per_minute),
            },
            judge=_judge,
            meter=_meter,
        )

    def pull(self, after: Checkpoint) -> Page:
        state = opened(after)
        begin_at = instant(state.get("read_to"))  # of a stream that was told where to begin
        body = self._export(state.get("cursor"), begin_at=begin_at)
        cursor = text(body.get("after_cursor")) or state.get("cursor")
        ended = body.get("end_of_stream") is True
        if not ended and cursor == state.get("cursor"):
            raise CursorStuck(f"{self.name}: the export repeats one page; nothing was lost", after_s=900)
        tickets, deleted = self._tickets(body)
        return page(after, state | {"cursor": cursor}, more=not ended, tickets=tickets, deleted=deleted)

    def fetch(self, ids: Sequence[str]) -> Page:
        tickets: list[RawTicket] = []
        deleted: list[str] = []
        for batch in chunks(ids, 100):
            answer = self.api.get(MANY, ids=",".join(batch), include="metric_sets,organizations")
            answer.listed("tickets")
            alive, gone = self._tickets(answer.record)
            tickets += alive
            deleted += gone
            told = {*gone, *(ticket.external_id for ticket in alive)}
            deleted += [
                ticket_id for ticket_id in batch if ticket_id not in told and self._is_gone(ticket_id)
            ]
        return page(Checkpoint(self.name), {}, more=False, tickets=tickets, deleted=deleted)

    def details(self, ids: Sequence[str]) -> tuple[Details, ...]:
        """Two calls for each ticket, and one more for each hundred."""
        found: list[Details] = []
        for batch in chunks(ids, 100):
            answer = self.api.get(MANY, "details", ids=",".join(batch), include="metric_sets")
            metrics = _metrics(answer.record)
            found += filter(None, (self._details(row, metrics) for row in answer.listed("tickets")))
        return tuple(found)

    def check(self) -> Checkup:
        who = part(self.api.get("/api/v2/users/me.json").record, "user")
        lines = [Line(True, f"signed in with role {text(who.get('role')) or 'unknown'}")]
        tickets: tuple[RawTicket, ...] = ()
        deleted = 0
        cursor: str | None = None
        try:
            for _ in range(CHECK_PAGES):  # a page may be empty, or hold deleted tickets only
                body = self._export(cursor, most=5)
                found, gone = self._tickets(body)
                tickets, deleted = tickets + found, deleted + len(gone)
                cursor = text(body.get("after_cursor"))
                if tickets or not cursor or body.get("end_of_stream"):
                    break
        except Forbidden:
            lines.append(Line(False, "the export is for administrators: use an administrator's OAuth client"))
        else:
            lines.append(Line(True, f"the export answers: {len(tickets)} tickets, {deleted} deleted first"))
        return Checkup((*lines, *self.api.clock_lines()), tickets[:5])

    def inspect(self) -> tuple[Column, ...]:
        fields = rows_of(self.api.get("/api/v2/ticket_fields.json").record.get("ticket_fields"))
        return tuple(
            Column(
                f"custom_fields.{text(field.get('id'))}"
                if field.get("removable", True)
                else text(field.get("type")),
                text(field.get("title")),
                text(field.get("type")),
                tuple(text(choice.get("value")) for choice in rows_of(field.get("custom_field_options"))),
            )
            for field in fields
        )

    def counted(self, start: datetime, end: datetime) -> int | None:
        """The search counts what is not deleted; None when this account may not search."""
        query = f"type:ticket created>={start:%Y-%m-%dT%H:%M:%SZ} created<{end:%Y-%m-%dT%H:%M:%SZ}"
        try:
            count = self.api.get("/api/v2/search/count.json", query=query).record.get("count")
        except (Refused, Forbidden):
            return None
        return count if isinstance(count, int) else None

    def quotas(self) -> Mapping[str, Quota]:
        return self.api.quotas

    def close(self) -> None:
        self.api.close()

    def _is_gone(self, ticket_id: str) -> bool:
        """Lists leave out what is deleted; only the ticket's own address says so."""
        try:
            self.api.get(f"/api/v2/tickets/{ticket_id}.json")
        except Gone:
            return True
        return False

    def _export(
        self, cursor: str | None, *, begin_at: datetime | None = None, most: int | None = None
    ) -> Record:
        """One page of the export; a gateway timeout means the page was too big for the account."""
        start = self._start(begin_at)
        while True:
            try:
                answer = self.api.get(
                    EXPORT,
                    "export",
                    start_time=None if cursor else start,
                    cursor=cursor,
                    per_page=min(self._per_page, most or self._per_page),
                    support_type_scope="all",
                    include="metric_sets,organizations",
                )
            except Refused as error:
                earlier = self._start(begin_at)
                if error.status_code == 504:
                    self._per_page = max(1, self._per_page // 2)
                elif error.code == "StartTimeTooRecent" and earlier < start:
                    start = earlier
                else:
                    raise
            else:
                self._per_page = min(self.options.page_size, self._per_page + self.options.page_size // 20)
                answer.listed("tickets")
                return answer.record

    def _start(self, begin_at: datetime | None) -> int:
        """Where the first page starts: `begin_at`, else `start_at`, or as late as the server allows."""
        latest = self.api.clock - timedelta(seconds=WITHHELD_S)
        first = begin_at - timedelta(seconds=self.options.lookback_s) if begin_at else self.options.start_at
        return int(min(max(first, self.options.start_at), latest).timestamp())

    def _tickets(self, body: Record) -> tuple[tuple[RawTicket, ...], tuple[str, ...]]:
        """Tickets to keep and ids of deleted ones; a scrubbed ticket's text is dropped here."""
        names = {text(org.get("id")): text(org.get("name")) for org in rows_of(body.get("organizations"))}
        metrics = _metrics(body)
        rows: dict[str, Record] = {ident(row): row for row in rows_of(body.get("tickets"))}
        deleted = tuple(key for key, row in rows.items() if row.get("status") == "deleted")
        alive = tuple(
            self._ticket(row, names, _metric_set(row, metrics))
            for row in rows.values()
            if row.get("status") != "deleted"
        )
        return alive, deleted

    def _ticket(self, row: Record, names: Mapping[str, str], metrics: Record) -> RawTicket:
        ticket_id, account = ident(row), text(row.get("organization_id"))
        custom = mapped(row, self.options.field_map)
        tags = words_of(row.get("tags"))
        brand = self._named("brands", row.get("brand_id"))
        is_problem = row.get("type") == "problem" and row.get("has_incidents") is True
        extra: dict[str, Any] = {
            "satisfaction": share_of(text(dig(row, "satisfaction_rating.score"))),
            "ai_handled": True if row.get("support_type") == "ai_agent" else None,
            "problem": text(row.get("problem_id")) or (ticket_id if is_problem else ""),
        } | outcomes(custom, self.options, tags)
        return RawTicket(
            source=self.name,
            external_id=ticket_id,
            created_at=required(row.get("created_at"), "created_at", _version(row)),
            updated_at=_version(row),
            subject=text(row.get("subject")),
            body=text(row.get("description")) if row.get("is_public") is not False else "",
            url=f"{self.options.base_url.rstrip('/')}/agent/tickets/{ticket_id}",
            requester=text(row.get("requester_id")),
            account=account,
            account_name=names.get(account, ""),
            attributes=attributes(
                custom,
                priority=row.get("priority"),
                channel=dig(row, "via.channel"),
                product=brand if len(self._names.get("brands", ())) != 1 else None,
                team=self._named("groups", row.get("group_id")),
                agent=row.get("assignee_id"),
                brand=brand,
            ),
            tags=tuple(tag for tag in tags if not MACHINE_TAG.match(tag)),
            machine_tags=tuple(tag for tag in tags if MACHINE_TAG.match(tag)),
            status=self._status(text(row.get("status"))),
            resolved_at=instant(metrics.get("solved_at")),
            reopened=text(metrics.get("reopens")) != "0" if text(metrics.get("reopens")) else None,
            **extra,
        )

    def _named(self, kind: str, key: Any) -> str:
        """The name of a group or a brand; its id when names may not be read."""
        if key is None:
            return ""
        if kind not in self._names:
            try:
                rows = self._all(f"/api/v2/{kind}.json", kind)
            except (Refused, Forbidden):
                rows = []
            self._names[kind] = {text(row.get("id")): text(row.get("name")) for row in rows}
        return self._names[kind].get(text(key)) or text(key)

    def _details(self, ticket: Record, metrics: Mapping[str, Record]) -> Details | None:
        """What the public comments say; None when the ticket's comments are gone."""
        ticket_id = ident(ticket)
        try:
            comments, customers = self._comments(ticket_id)
        except Gone:
            return None
        customers.add(text(ticket.get("requester_id")))
        public = [comment for comment in comments if comment.get("public")]
        answers = [comment for comment in public if text(comment.get("author_id")) not in customers]
        solved_at = instant(_metric_set(ticket, metrics).get("solved_at"))
        before = [
            a for a in answers if not solved_at or (instant(a.get("created_at")) or solved_at) <= solved_at
        ]
        done = STATUSES.get(text(ticket.get("status")), Status.OPEN).is_done
        return Details(
            external_id=ticket_id,
            body=_said(public[0]) if public and ticket.get("is_public") is False else "",
            resolution=_said(before[-1]) if done and before else "",
            articles=tuple(dict.fromkeys(ARTICLE.findall(" ".join(text(a.get("body")) for a in answers)))),
            duplicate_of=next(filter(None, map(_merged_into, comments)), ""),
            history=self._history(ticket),
        )

    def _history(self, ticket: Record) -> tuple[StatusChange, ...]:
        """The statuses that the ticket's audits tell; none for an account that may not read them."""
        try:
            audits = self._all(f"/api/v2/tickets/{ident(ticket)}/audits.json", "audits", "details")
        except (Forbidden, Gone, Refused):
            return ()
        changes = [
            (instant(audit.get("created_at")), text(event.get("previous_value")), text(event.get("value")))
            for audit in audits
            for event in rows_of(audit.get("events"))
            if event.get("field_name") == "status" and event.get("type") in ("Create", "Change")
        ]
        return lived(instant(ticket.get("created_at")), changes, self._status)

    def _status(self, told: str) -> Status:
        return Status(self.options.status_map.get(told, STATUSES.get(told, Status.OPEN)))

    def _comments(self, ticket_id: str) -> tuple[list[Record], set[str]]:
        """All comments, oldest first, and which of their authors are customers.

        The comments' metadata holds addresses and places and is never kept.
        """
        path, users = f"/api/v2/tickets/{ticket_id}/comments.json", list[Record]()
        rows = self._all(path, "comments", "details", include="users", users=users)
        customers = {text(user.get("id")) for user in users if user.get("role") == "end-user"}
        return [{k: v for k, v in row.items() if k != "metadata"} for row in rows], customers

    def _all(
        self, path: str, key: str, lane: str = "main", *, users: list[Record] | None = None, **params: str
    ) -> list[Record]:
        """All rows of a list paged by cursor; the users told beside them are added to `users`."""
        found: list[Record] = []
        cursor = ""
        while True:
            paging = {"page[size]": 100, "page[after]": cursor or None}
            answer = self.api.get(path, lane, **params, **paging)
            found += answer.listed(key)
            if users is not None:
                users += rows_of(answer.record.get("users"))
            after = text(dig(answer.record, "meta.after_cursor"))
            if not dig(answer.record, "meta.has_more") or after in ("", cursor):
                return found
            cursor = after


def _auth(name: str, options: ZendeskOptions, outside: Outside) -> httpx.Auth:
    if options.client_id:
        grant = ClientCredentials(options.client_id, outside.secret(options.client_secret), scope="read")
        return OAuth(
            name,
            token_url=f"{options.base_url.rstrip('/')}/oauth/tokens",
            grant=grant,
            now=outside.now,
            as_json=True,
        )
    return httpx.BasicAuth(f"{options.email}/token", outside.secret(options.api_token))


def _judge(response: httpx.Response, _body: Any) -> Verdict | None:
    """A 504 of the export is an answer to the page size, not a passing failure."""
    too_big = response.status_code == 504 and response.request.url.path.endswith("cursor.json")
    return Verdict.REFUSED if too_big and "per_page=1&" not in str(response.request.url) else None


def _meter(headers: httpx.Headers) -> Quota | None:
    export = dict(re.findall(r"(\w+)=(\d+)", headers.get("zendesk-ratelimit-incremental-exports", "")))
    if export.keys() >= {"total", "remaining"}:
        return Quota(int(export["remaining"]), int(export["total"]), float(export.get("resets", 60)))
    left, total = headers.get("X-Rate-Limit-Remaining", ""), headers.get("X-Rate-Limit", "")
    reset = headers.get("ratelimit-reset", "")
    if left.isdigit() and total.isdigit():
        return Quota(int(left), int(total), float(reset) if reset.isdigit() else 60.0)
    return None


def _metrics(body: Record) -> Mapping[str, Record]:
    """Metric sets told beside the tickets, by ticket."""
    return {text(item.get("ticket_id")): item for item in rows_of(body.get("metric_sets"))}


def _metric_set(ticket: Record, metrics: Mapping[str, Record]) -> Record:
    """A ticket's metrics, which come inside it or beside it."""
    inside = ticket.get("metric_set")
    return inside if isinstance(inside, dict) else metrics.get(ident(ticket), {})


def _version(row: Record) -> datetime:
    """The later of what people did and what the system did: the export orders by the second."""
    generated = instant(row.get("generated_timestamp"))
    shown = required(row.get("updated_at"), "updated_at", generated, row.get("created_at"))
    return max(shown, generated or shown)


def _said(comment: Record) -> str:
    return text(comment.get("plain_body")) or text(comment.get("body"))


def _merged_into(comment: Record) -> str:
    """The ticket a merge comment names; other comments may mention numbers freely."""
    merge = dig(comment, "via.source.rel") == "merge"
    found = MERGED.search(text(comment.get("body"))) if merge else None
    return found[1] if found else ""
