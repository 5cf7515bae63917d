"""Freshdesk: live, deleted and spam tickets, each list rolled forward second by second."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx

from app.domain import Checkpoint, RawTicket, Status, StatusChange
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
    dig,
    finish,
    ident,
    instant,
    iso,
    mapped,
    opened,
    outcomes,
    page,
    part,
    required,
    text,
    words_of,
)
from app.ingest.window import IGNORES, advance, beyond, by_pages, floor
from app.ports import Page

LISTS = ("tickets", "deleted", "spam")
SECOND = timedelta(seconds=1)  # the grain of updated_at
STATUSES = {"2": Status.OPEN, "3": Status.PENDING, "4": Status.SOLVED, "5": Status.CLOSED}
TIMES = {
    "reopened_at": Status.OPEN, "pending_since": Status.PENDING, "resolved_at": Status.SOLVED,
    "closed_at": Status.CLOSED,
}  # fmt: skip
"""What `stats` tells of a ticket's statuses: when it last entered each of these."""
PRIORITIES = {"1": "low", "2": "normal", "3": "high", "4": "urgent"}
CHANNELS = {"1": "email", "2": "portal", "3": "phone", "7": "chat", "9": "widget", "10": "outbound"}
OUTBOUND = "10"
ARTICLE = re.compile(r"https?://[^\s\"'<>]+/support/solutions/articles/\d+")
LIST_CREDITS = 5  # one list call, and two for each of the two things it includes
TRACKER = "3"  # the association type of a ticket that others hang on
RATING_SLACK = timedelta(minutes=10)  # ratings are asked for again from so long before the newest one


@dataclass(frozen=True, kw_only=True)
class FreshdeskOptions(Options):
    """Basic authorisation with an agent's API key."""

    api_key: str  # name of the secret
    lookback_s: float = 120
    lists_per_minute: int = 20  # the smallest plan's limit for listing tickets
    calls_per_minute: int = 50  # all calls together; what a list includes counts too
    detail_calls_per_minute: int = 20
    last_page: int = 300  # page numbers beyond are refused
    ratings_every_s: float = 3600  # how often satisfaction ratings are read
    merge_note: str = r"merged into ticket (?:ID )?#?(\d+)"  # of the private note a merge leaves


class Freshdesk:
    """One Freshdesk account."""

    def __init__(self, name: str, options: FreshdeskOptions, outside: Outside) -> None:
        self.name, self.options = name, options
        self._names: dict[str, Mapping[str, str]] = {}
        account = Lane(options.calls_per_minute)
        self._merged = re.compile(options.merge_note, re.IGNORECASE)
        self.api = Api(
            name,
            base_url=options.base_url.rstrip("/").removesuffix("/api/v2"),
            auth=httpx.BasicAuth(outside.secret(options.api_key), "X"),
            outside=outside,
            timeout_s=options.timeout_s,
            lanes={
                "main": account,
                "list": Lane(options.lists_per_minute, within=account, weight=LIST_CREDITS),
                "details": Lane(options.detail_calls_per_minute, within=account),
            },
            judge=_judge,
            meter=_meter,
        )

    def pull(self, after: Checkpoint) -> Page:
        """One page of one list. A pass reads the three lists from the same bound."""
        state = opened(after)
        if state.get("rating"):
            return self._ratings(after, state)
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
                row = self.api.get(f"/api/v2/tickets/{ticket_id}", include="stats").record
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
        mapped_by = self.options.status_map.keys()
        unknown = [
            f"{number} ({name})"
            for number, name in self._statuses().items()
            if number not in STATUSES and not {number, name} & mapped_by
        ]
        if unknown:
            lines.append(
                Line(True, f"custom statuses count as open unless status_map says more: {', '.join(unknown)}")
            )
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

    def counted(self, start: datetime, end: datetime) -> int | None:
        """The search counts whole days, without deleted and archived tickets; None for any other time."""
        if end - start != timedelta(days=1):
            return None
        query = f"\"created_at:'{start:%Y-%m-%d}'\""
        try:
            total = self.api.get("/api/v2/search/tickets", query=query).record.get("total")
        except (Refused, Forbidden):
            return None
        return total if isinstance(total, int) else None

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
            include="description,stats",
        )

    def _taken(self, after: Checkpoint, state: State, position: State, answer: Answer, number: int) -> Page:
        """The page, and where the window, the list or the pass goes next."""
        rows = answer.listed()
        keys = [(required(row.get("updated_at"), "updated_at"), ident(row)) for row in rows]
        instead = by_pages(self.name, position, keys, floor(required(position["since"], "bound"), SECOND))
        if instead is not None:
            return page(after, state | {"pass": instead}, more=True, notes=[IGNORES])
        more = len(rows) >= self.options.page_size or 'rel="next"' in answer.headers.get("Link", "")
        following = advance(position, keys, following=str(number + 1) if more else None, tick=SECOND)
        later = LISTS[LISTS.index(position["list"]) + 1 :]
        if following is None and later:
            following = {key: position[key] for key in ("from", "wide", "begun")}
            following |= {"since": position["from"], "list": later[0]}
        alive = position["list"] == "tickets"
        tickets = [self._ticket(row) for row in rows] if alive else []
        deleted = () if alive else [ident(row) for row in rows]
        if following is not None:
            return page(after, state | {"pass": following}, more=True, tickets=tickets, deleted=deleted)
        begun = position.get("begun") or state.get("watermark") or position["from"]
        done: State = (
            {"rated_to": iso(self.options.start_at)} | _kept(state) | finish(state, position, begun=begun)
        )
        age = required(begun, "begun") - (instant(done.get("rated_at")) or self.options.start_at)
        due = age.total_seconds() >= self.options.ratings_every_s
        done |= {"rating": {"begun": begun, "page": 1}} if due else {}
        return page(after, done, more=due, tickets=tickets, deleted=deleted)

    def _ratings(self, after: Checkpoint, state: State) -> Page:
        """One page of the satisfaction ratings given since the newest one that was read.

        They come days after the answer, and leave their ticket as it was. Plans without surveys refuse.
        """
        place = state["rating"]
        since = required(state["rated_to"], "rated_to") - RATING_SLACK
        try:
            rows = self.api.get(
                "/api/v2/surveys/satisfaction_ratings",
                created_since=since.strftime("%Y-%m-%dT%H:%M:%SZ"),
                page=place["page"],
            ).listed()
        except (Refused, Forbidden):
            rows = ()
        given = [(instant(row.get("created_at")) or since, row) for row in rows]
        newest = max([iso(at) for at, _ in given], default="")
        place |= {"page": place["page"] + 1, "newest": max(newest, place.get("newest") or "")}
        shares = {text(row.get("ticket_id")): _share(row) for _, row in sorted(given, key=lambda one: one[0])}
        rated = {ticket_id: share for ticket_id, share in shares.items() if ticket_id and share is not None}
        if rows and place["page"] <= self.options.last_page:
            return page(after, state | {"rating": place}, more=True, rated=rated)
        kept = {name: value for name, value in state.items() if name != "rating"}
        kept |= {"rated_at": place["begun"], "rated_to": max(state["rated_to"], place["newest"])}
        return page(after, kept, more=False, rated=rated)

    def _ticket(self, row: Record) -> RawTicket:
        custom = mapped(row, self.options.field_map)
        tags = words_of(row.get("tags"))
        source = text(row.get("source"))
        form = "description_text" if row.get("description_text") is not None else "description"
        body = "" if source == OUTBOUND else text(row.get(form))
        ticket_id = ident(row)
        solved_at = instant(dig(row, "stats.resolved_at")) or instant(dig(row, "stats.closed_at"))
        extra: dict[str, Any] = {
            "escalated": any(
                row.get(name) is True for name in ("is_escalated", "fr_escalated", "nr_escalated")
            ),
            "problem": ticket_id if text(row.get("association_type")) == TRACKER else "",
        } | outcomes(custom, self.options, tags)
        return RawTicket(
            source=self.name,
            external_id=ticket_id,
            created_at=required(row.get("created_at"), "created_at", row.get("updated_at")),
            updated_at=required(row.get("updated_at"), "updated_at"),
            subject=text(row.get("subject")),
            body=body,
            body_is_html=form == "description",
            url=f"{self.options.base_url.rstrip('/').removesuffix('/api/v2')}/a/tickets/{ticket_id}",
            requester=text(row.get("requester_id")),
            account=text(row.get("company_id")),
            account_name=text(dig(row, "company.name")) or self._name("companies", row.get("company_id")),
            attributes=attributes(
                custom,
                priority=PRIORITIES.get(text(row.get("priority"))),
                channel=CHANNELS.get(source, source),
                product=self._named("products", row.get("product_id")),
                team=self._named("groups", row.get("group_id")),
                agent=row.get("responder_id"),
                component=row.get("type"),
            ),
            tags=tags,
            status=self._status(text(row.get("status"))),
            resolved_at=solved_at,
            reopened=bool(dig(row, "stats.reopened_at")) if isinstance(row.get("stats"), dict) else None,
            history=_history(row),
            **extra,
        )

    def _status(self, number: str) -> Status:
        """By number or, where the operator maps statuses of the account's own by name, by that."""
        chosen = self.options.status_map
        if number in chosen or number in STATUSES or not chosen:
            return Status(chosen.get(number, STATUSES.get(number, Status.OPEN)))
        return Status(chosen.get(self._statuses().get(number, ""), Status.OPEN))

    def _statuses(self) -> Mapping[str, str]:
        """The account's statuses: names by number."""
        if "statuses" not in self._names:
            try:
                fields = self.api.get("/api/v2/ticket_fields").listed()
            except (Refused, Forbidden):
                fields = ()
            choices = next((field.get("choices") for field in fields if field.get("name") == "status"), None)
            known = choices.items() if isinstance(choices, dict) else ()
            self._names["statuses"] = {
                number: text(labels[0] if isinstance(labels, list) and labels else labels)
                for number, labels in known
            }
        return self._names["statuses"]

    def _named(self, kind: str, key: Any) -> str:
        """The name of a product or a group; its id when names may not be read."""
        return self._name(kind, key) or text(key)

    def _name(self, kind: str, key: Any) -> str:
        if key is None:
            return ""
        if kind not in self._names:
            try:
                rows = self._all(f"/api/v2/{kind}", "main")
            except (Refused, Forbidden):
                rows = []
            self._names[kind] = {text(row.get("id")): text(row.get("name")) for row in rows}
        return self._names[kind].get(text(key), "")

    def _details(self, ticket_id: str) -> Details | None:
        """What the conversation says; None when it is gone, as for deleted tickets."""
        try:
            ticket = self.api.get(f"/api/v2/tickets/{ticket_id}", "details", include="stats").record
            said = self._all(f"/api/v2/tickets/{ticket_id}/conversations", "details")
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
        notes = [_plain(entry) for entry in said if entry.get("private")]
        links = ARTICLE.findall(" ".join(text(entry.get("body")) + " " + _plain(entry) for entry in answers))
        return Details(
            external_id=ticket_id,
            body=_plain(first) if first and text(ticket.get("source")) == OUTBOUND else "",
            resolution=_plain(before[-1]) if before and row.status.is_done else "",
            articles=tuple(dict.fromkeys(links)),
            duplicate_of=next((match[1] for match in map(self._merged.search, notes) if match), ""),
        )

    def _all(self, path: str, lane: str) -> list[Record]:
        """All rows of a list paged by number."""
        found: list[Record] = []
        for number in range(1, self.options.last_page + 1):
            rows = self.api.get(path, lane, per_page=100, page=number).listed()
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


def _kept(state: State) -> State:
    """What a finished pass leaves as it is."""
    return {name: state[name] for name in ("rated_to", "rated_at") if name in state}


def _share(rating: Record) -> float | None:
    """103 (happy) over 100 (neutral) to -103 (unhappy) as 1 to 0; scales of five and seven lie between."""
    code = text(dig(rating, "ratings.default_question"))
    if not re.fullmatch(r"-?10[0-3]", code):
        return None
    step = abs(int(code)) - 100
    return round(0.5 + (-step if code.startswith("-") else step) / 6, 3)


def _history(row: Record) -> tuple[StatusChange, ...]:
    """When the ticket last entered each status, oldest first; what it went through in between is not told."""
    stats, created_at = part(row, "stats"), instant(row.get("created_at"))
    entered = [(instant(stats.get(name)), status) for name, status in TIMES.items()]
    known = sorted((at, status) for at, status in [(created_at, Status.OPEN), *entered] if at)
    return tuple(StatusChange(at, status) for at, status in known) if stats else ()


def _plain(entry: Record) -> str:
    return text(entry.get("body_text"))


def _choices(choices: Any) -> tuple[str, ...]:
    """Choices come as a list, or as an object from value to labels."""
    return tuple(text(choice) for choice in choices or ()) if isinstance(choices, list | dict) else ()
