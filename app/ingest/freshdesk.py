"""Freshdesk: live, deleted and spam tickets, each list rolled forward second by second."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx

from app.domain import Checkpoint, RawTicket, Status
from app.ingest.http import Answer, Api, Forbidden, Gone, Lane, Refused, Verdict
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
    finish,
    ident,
    instant,
    iso,
    mapped,
    opened,
    outcomes,
    page,
    required,
    text,
)
from app.ingest.window import advance, beyond, floor, must_follow
from app.ports import Page

LISTS = ("tickets", "deleted", "spam")
SECOND = timedelta(seconds=1)  # the grain of updated_at
STATUSES = {"2": Status.OPEN, "3": Status.PENDING, "4": Status.SOLVED, "5": Status.CLOSED}
PRIORITIES = {"1": "low", "2": "normal", "3": "high", "4": "urgent"}
CHANNELS = {"1": "email", "2": "portal", "3": "phone", "7": "chat", "9": "widget", "10": "outbound"}
OUTBOUND = "10"
ARTICLE = re.compile(r"https?://[^\s\"'<>]+/support/solutions/articles/\d+")
MERGED = re.compile(r"merged into ticket (?:ID )?#?(\d+)", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class FreshdeskOptions(Options):
    """Basic authorisation with an agent's API key."""

    api_key: str  # name of the secret
    lookback_s: float = 120
    lists_per_minute: int = 20  # the smallest plan's limit for listing tickets
    calls_per_minute: int = 50
    last_page: int = 300  # page numbers beyond are refused


class Freshdesk:
    """One Freshdesk account."""

    def __init__(self, name: str, options: FreshdeskOptions, outside: Outside) -> None:
        self.name, self.options = name, options
        self._names: dict[str, Mapping[str, str]] = {}
        self.api = Api(
            name,
            base_url=options.base_url.rstrip("/").removesuffix("/api/v2"),
            auth=httpx.BasicAuth(outside.secret(options.api_key), "X"),
            outside=outside,
            timeout_s=options.timeout_s,
            lanes={
                "list": Lane(options.lists_per_minute),
                "main": Lane(options.calls_per_minute),
                "details": Lane(options.detail_calls_per_minute),
            },
            judge=_judge,
            meter=_meter,
        )

    def pull(self, after: Checkpoint) -> Page:
        """One page of one list. A pass reads the three lists from the same bound."""
        state = opened(after)
        position = state.get("pass")
        if position is None:
            position = begin(state, self.options, self.api.clock)
            position |= {"list": LISTS[0], "from": position["since"]}
        number = int(position.get("token") or 1)
        if number > self.options.last_page:
            note = f"{self.name}: over {number - 1} pages changed in one second; the rest of them is skipped"
            return page(after, state | {"pass": beyond(position, tick=SECOND)}, more=True, notes=[note])
        answer = self._listed(position, number)
        if "begun" not in position:
            position |= {"begun": iso(answer.at) if answer.at else None}
        return self._taken(after, state, position, answer, number)

    def fetch(self, ids: Sequence[str]) -> Page:
        tickets: list[RawTicket] = []
        deleted: list[str] = []
        for ticket_id in ids:
            try:
                row = self.api.get(f"/api/v2/tickets/{ticket_id}", include="stats,requester").record
            except Gone:
                deleted.append(ticket_id)
                continue
            if row.get("deleted") or row.get("spam"):
                deleted.append(ticket_id)
            else:
                tickets.append(self._ticket(row))
        return page(Checkpoint(self.name), {}, more=False, tickets=tickets, deleted=deleted)

    def details(self, ids: Sequence[str]) -> tuple[Details, ...]:
        return tuple(found for ticket_id in ids if (found := self._details(ticket_id)))

    def check(self) -> Checkup:
        position = {"since": iso(self.options.start_at), "list": "tickets"}
        rows = self._listed(position, 1, size=5).listed()
        tickets = tuple(self._ticket(row) for row in rows)
        lines = [Line(True, f"the API key works; {len(tickets)} tickets on the first page")]
        self._listed(position | {"list": "deleted"}, 1, size=5)
        lines.append(Line(True, "deleted tickets can be listed"))
        unknown = sorted(
            {text(row.get("status")) for row in rows} - STATUSES.keys() - self.options.status_map.keys()
        )
        if unknown:
            lines.append(Line(False, f"statuses {', '.join(unknown)} are custom: map them with status_map"))
        return Checkup((*lines, *self.api.clock_lines()), tickets)

    def inspect(self) -> tuple[Column, ...]:
        return tuple(
            Column(
                text(field.get("name"))
                if field.get("default")
                else f"custom_fields.{text(field.get('name'))}",
                text(field.get("label")),
                text(field.get("type")),
                _choices(field.get("choices")),
            )
            for field in self.api.get("/api/v2/ticket_fields").listed()
        )

    def counted(self, start: datetime, end: datetime) -> int | None:  # noqa: ARG002
        """Lists give no totals."""
        return None

    def quotas(self) -> Mapping[str, Quota]:
        return self.api.quotas

    def close(self) -> None:
        self.api.close()

    def _listed(self, position: State, number: int, *, size: int | None = None) -> Answer:
        chosen = position["list"]
        return self.api.get(
            "/api/v2/tickets",
            "list",
            updated_since=required(position["since"], "bound").strftime("%Y-%m-%dT%H:%M:%SZ"),
            order_by="updated_at",
            order_type="asc",
            per_page=size or self.options.page_size,
            page=number,
            filter=None if chosen == "tickets" else chosen,
            include="description,stats,requester",
        )

    def _taken(self, after: Checkpoint, state: State, position: State, answer: Answer, number: int) -> Page:
        """The page, and where the window, the list or the pass goes next."""
        rows = answer.listed()
        keys = [(required(row.get("updated_at"), "updated_at"), ident(row)) for row in rows]
        must_follow(self.name, keys, floor(required(position["since"], "bound"), SECOND))
        more = len(rows) >= self.options.page_size or 'rel="next"' in answer.headers.get("Link", "")
        following = advance(position, keys, following=str(number + 1) if more else None, tick=SECOND)
        later = LISTS[LISTS.index(position["list"]) + 1 :]
        if following is None and later:
            following = {key: position[key] for key in ("from", "wide", "begun")}
            following |= {"since": position["from"], "list": later[0]}
        alive = position["list"] == "tickets"
        begun = position.get("begun") or state.get("watermark") or position["from"]
        return page(
            after,
            finish(state, position, begun=begun) if following is None else state | {"pass": following},
            more=following is not None,
            tickets=[self._ticket(row) for row in rows] if alive else (),
            deleted=() if alive else [ident(row) for row in rows],
        )

    def _ticket(self, row: Record) -> RawTicket:
        custom = mapped(row, self.options.field_map)
        stats: Record = row.get("stats") or {}
        status, source = text(row.get("status")), text(row.get("source"))
        form = "description_text" if row.get("description_text") is not None else "description"
        body = "" if source == OUTBOUND else text(row.get(form))
        ticket_id = ident(row)
        extra: dict[str, Any] = {
            "escalated": any(
                row.get(name) is True for name in ("is_escalated", "fr_escalated", "nr_escalated")
            ),
        } | outcomes(custom)
        return RawTicket(
            source=self.name,
            external_id=ticket_id,
            created_at=required(row.get("created_at") or row.get("updated_at"), "created_at"),
            updated_at=required(row.get("updated_at"), "updated_at"),
            subject=text(row.get("subject")),
            body=body,
            body_is_html=form == "description",
            url=f"{self.options.base_url.rstrip('/').removesuffix('/api/v2')}/a/tickets/{ticket_id}",
            requester=text(row.get("requester_id")),
            account=text(row.get("company_id")),
            attributes=attributes(
                custom,
                priority=PRIORITIES.get(text(row.get("priority"))),
                channel=CHANNELS.get(source, source),
                product=self._named("products", row.get("product_id")),
                team=self._named("groups", row.get("group_id")),
                agent=row.get("responder_id"),
                component=row.get("type"),
            ),
            tags=tuple(text(tag) for tag in row.get("tags") or ()),
            status=Status(self.options.status_map.get(status, STATUSES.get(status, Status.OPEN))),
            resolved_at=instant(stats.get("resolved_at")) or instant(stats.get("closed_at")),
            reopened=bool(stats.get("reopened_at")) if "reopened_at" in stats else None,
            **extra,
        )

    def _named(self, kind: str, key: Any) -> str:
        """The name of a product or a group; its id when names may not be read."""
        if key is None:
            return ""
        if kind not in self._names:
            try:
                rows = self.api.get(f"/api/v2/{kind}", per_page=100).listed()
            except (Refused, Forbidden):
                rows = ()
            self._names[kind] = {ident(row): text(row.get("name")) for row in rows}
        return self._names[kind].get(text(key)) or text(key)

    def _details(self, ticket_id: str) -> Details | None:
        """What the conversation says; None when it is gone, as for deleted tickets."""
        try:
            ticket = self.api.get(f"/api/v2/tickets/{ticket_id}", "details", include="stats").record
            said = self._conversations(ticket_id)
        except Gone:
            return None
        row = self._ticket(ticket)
        answers = [entry for entry in said if not entry.get("incoming") and not entry.get("private")]
        before = [
            entry
            for entry in answers
            if not row.resolved_at or (instant(entry.get("created_at")) or row.resolved_at) <= row.resolved_at
        ]
        first = next((entry for entry in said if entry.get("incoming")), None)
        notes = [text(entry.get("body_text")) for entry in said if entry.get("private")]
        links = ARTICLE.findall(" ".join(text(entry.get("body")) + " " + _plain(entry) for entry in answers))
        return Details(
            external_id=ticket_id,
            body=_plain(first) if first and text(ticket.get("source")) == OUTBOUND else "",
            resolution=_plain(before[-1]) if before and row.status.is_done else "",
            articles=tuple(dict.fromkeys(links)),
            duplicate_of=next((match[1] for match in map(MERGED.search, notes) if match), ""),
        )

    def _conversations(self, ticket_id: str) -> list[Record]:
        found: list[Record] = []
        for number in range(1, self.options.last_page + 1):
            rows = self.api.get(
                f"/api/v2/tickets/{ticket_id}/conversations", "details", per_page=100, page=number
            ).listed()
            found += rows
            if len(rows) < 100:
                break
        return found


def _judge(response: httpx.Response, _body: Any) -> Verdict | None:
    """access_denied is also said under load, to accounts that may."""
    return Verdict.DOUBTFUL if response.status_code == 403 else None


def _meter(headers: httpx.Headers) -> Quota | None:
    left, total = headers.get("X-RateLimit-Remaining", ""), headers.get("X-RateLimit-Total", "")
    return Quota(int(left), int(total)) if left.isdigit() and total.isdigit() else None


def _plain(entry: Record) -> str:
    return text(entry.get("body_text"))


def _choices(choices: Any) -> tuple[str, ...]:
    """Choices come as a list, or as an object from value to labels."""
    return tuple(text(choice) for choice in choices or ()) if isinstance(choices, list | dict) else ()
