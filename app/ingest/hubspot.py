"""HubSpot tickets: the CRM search rolled forward by the millisecond, over an index that trails writes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx

from app.domain import EPOCH, Checkpoint, RawTicket, Status, StatusChange
from app.ingest.http import Answer, Api, CursorStuck, Forbidden, Lane, Refused, Verdict
from app.ingest.oauth import OAuth, RotatingToken, StaticToken
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
    part,
    required,
    rows_of,
    share_of,
    text,
)
from app.ingest.window import IGNORES, by_pages
from app.ports import Page

MODIFIED = "hs_lastmodifieddate"
PROPERTIES = (
    "subject", "content", "hs_pipeline", "hs_pipeline_stage", "hs_ticket_priority", "hs_ticket_category",
    "source_type", "createdate", "hs_lastmodifieddate", "closed_date", "hubspot_owner_id", "hubspot_team_id",
    "hs_resolution", "hs_feedback_last_survey_rating", "hs_merged_object_ids",
)  # fmt: skip
EMAIL_PROPERTIES = ("hs_email_text", "hs_email_direction", "hs_timestamp")
PRIORITIES = {"LOW": "low", "MEDIUM": "normal", "HIGH": "high", "URGENT": "urgent"}
MILLISECOND = timedelta(milliseconds=1)
LINK = re.compile(r"https?://[^\s\"'<>]+/(?:kb|knowledge)[^\s\"'<>]*")
INDEX_SLACK = timedelta(seconds=1)  # results may precede the bound by parts of it
BATCH = 100  # the most inputs of one batch call
BATCH_WITH_HISTORY = 50
STAGE = "hs_pipeline_stage"


@dataclass(frozen=True, kw_only=True)
class HubSpotOptions(Options):
    """A static `access_token`, or `client_id`, `client_secret` and the file that keeps the refresh token."""

    base_url: str = "https://api.hubapi.com"
    access_token: str = ""  # name of the secret
    client_id: str = ""
    client_secret: str = ""  # name of the secret
    refresh_token_file: str = ""
    api: str = "2026-09"  # "legacy" for the v3 paths
    page_size: int = 200
    lookback_s: float = 600
    sweep_every_s: float = 3600
    sweep_back_s: float = 10_800
    list_every_s: float = 86_400  # how often archived tickets are listed
    searches_per_s: int = 3  # the account's five are shared with everything else
    calls_per_minute: int = 540


class HubSpot:
    """The tickets of one portal."""

    def __init__(self, name: str, options: HubSpotOptions, outside: Outside) -> None:
        self.name, self.options = name, options
        legacy = options.api == "legacy"
        self._objects = "/crm/v3/objects" if legacy else f"/crm/objects/{options.api}"
        self._associations = "/crm/v4/associations" if legacy else f"/crm/associations/{options.api}"
        self._stages: Mapping[str, Record] | None = None
        self._names: dict[str, str] = {}  # of companies
        self._wanted = list(dict.fromkeys([*PROPERTIES, *_mapped_properties(options.field_map)]))
        self.api = Api(
            name,
            base_url=options.base_url,
            auth=_auth(name, options, outside),
            outside=outside,
            timeout_s=options.timeout_s,
            lanes={
                "search": Lane(options.searches_per_s, per_s=2.0),
                "main": Lane(options.calls_per_minute),
                "details": Lane(options.detail_calls_per_minute),
            },
            judge=_judge,
            meter=_meter,
        )

    def pull(self, after: Checkpoint) -> Page:
        state = opened(after)
        if state.get("listing"):
            return self._archived(after, state)
        position = state.get("pass")
        if position is None:
            position = begin(state, self.options, self.api.clock)
        answer = self._search(position)
        if "begun" not in position:
            position |= {"begun": iso(answer.at) if answer.at else None}
        return self._taken(after, state, position, answer)

    def fetch(self, ids: Sequence[str]) -> Page:
        rows: list[Record] = []
        for batch in chunks(ids, BATCH):
            asked = {"properties": self._wanted, "inputs": [{"id": ticket_id} for ticket_id in batch]}
            rows += rows_of(self.api.post(f"{self._objects}/tickets/batch/read", asked).record.get("results"))
        found = {ident(row) for row in rows}
        gone = [ticket_id for ticket_id in ids if ticket_id not in found]
        return page(Checkpoint(self.name), {}, more=False, tickets=self._tickets(rows), deleted=gone)

    def details(self, ids: Sequence[str]) -> tuple[Details, ...]:
        """Three calls for each fifty tickets: two, and one more for each hundred e-mails."""
        found: list[Details] = []
        for batch in chunks(ids, BATCH_WITH_HISTORY):
            asked = {
                "properties": self._wanted,
                "propertiesWithHistory": [STAGE],
                "inputs": [{"id": ticket_id} for ticket_id in batch],
            }
            answer = self.api.post(f"{self._objects}/tickets/batch/read", asked, "details")
            rows = rows_of(answer.record.get("results"))
            linked = self._associated(batch, "emails", "details")
            emails = self._emails([email for ids_of in linked.values() for email in ids_of])
            for row in rows:
                said = [emails[email] for email in linked.get(ident(row), ()) if email in emails]
                found.append(replace(_details(row, said), history=self._history(row)))
        return tuple(found)

    def check(self) -> Checkup:
        lines = [Line(True, f"the token works; tickets have {len(self._properties())} properties")]
        rows = self._search({"since": iso(self.options.start_at)}, size=5).listed("results")
        lines.append(Line(True, f"the search answers with {len(rows)} tickets"))
        return Checkup((*lines, *self.api.clock_lines()), self._tickets(rows))

    def inspect(self) -> tuple[Column, ...]:
        return tuple(
            Column(
                f"properties.{text(row.get('name'))}",
                text(row.get("label")),
                text(row.get("type")),
                tuple(text(choice.get("value")) for choice in rows_of(row.get("options"))),
            )
            for row in self._properties()
        )

    def counted(self, start: datetime, end: datetime) -> int | None:
        """The search says how many match."""
        filters = [
            {"propertyName": "createdate", "operator": "GTE", "value": str(_milliseconds(start))},
            {"propertyName": "createdate", "operator": "LT", "value": str(_milliseconds(end))},
        ]
        asked = {
            "filterGroups": [{"filters": filters}],
            "sorts": [{"propertyName": MODIFIED, "direction": "ASCENDING"}],
            "properties": [MODIFIED],
            "limit": 1,
            "after": "",
        }
        total = self.api.post(f"{self._objects}/tickets/search", asked, "search").record.get("total")
        return total if isinstance(total, int) else None

    def quotas(self) -> Mapping[str, Quota]:
        return self.api.quotas

    def close(self) -> None:
        self.api.close()

    def _properties(self) -> Sequence[Record]:
        return rows_of(self.api.get("/crm/v3/properties/tickets").record.get("results"))

    def _search(self, position: State, *, size: int | None = None) -> Answer:
        """The first page from a bound; inside a millisecond with too many tickets, the next by id."""
        at = str(_milliseconds(required(position["since"], "bound")))
        filters = [{"propertyName": MODIFIED, "operator": "GTE", "value": at}]
        order = MODIFIED
        if "drained" in position:
            filters = [
                {"propertyName": MODIFIED, "operator": "EQ", "value": at},
                {"propertyName": "hs_object_id", "operator": "GT", "value": position["drained"]},
            ]
            order = "hs_object_id"
        return self.api.post(
            f"{self._objects}/tickets/search",
            {
                "filterGroups": [{"filters": filters}],
                "sorts": [{"propertyName": order, "direction": "ASCENDING"}],
                "properties": self._wanted,
                "limit": size or self.options.page_size,
                "after": position.get("token") or "",
            },
            "search",
        )

    def _taken(self, after: Checkpoint, state: State, position: State, answer: Answer) -> Page:
        """The page, and where the bound goes next."""
        rows, body = answer.listed("results"), answer.record
        tickets = self._tickets(rows)
        merged = [loser for row in rows for loser in _merged(row)]
        more = bool(dig(body, "paging.next"))
        keys = [(_modified(row), ident(row)) for row in rows]
        instead = by_pages(self.name, position, keys, required(position["since"], "bound") - INDEX_SLACK)
        if instead is not None:
            return page(after, state | {"pass": instead}, more=True, notes=[IGNORES])
        if more and keys and keys[-1][1] == position.get("drained"):
            raise CursorStuck(f"{self.name}: the search repeats one page; nothing was lost", after_s=900)
        following = _next(position, keys, more=more, token=text(dig(body, "paging.next.after")))
        if following is not None:
            return page(after, state | {"pass": following}, more=True, tickets=tickets, deleted=merged)
        begun = position.get("begun") or state.get("watermark") or position["since"]
        done = {"listed_at": begun} | _kept(state) | finish(state, position, begun=begun)
        age = required(begun, "begun") - required(done["listed_at"], "listed_at")
        due = age.total_seconds() >= self.options.list_every_s
        done |= {"listing": {"begun": begun, "after": None}} if due else {}
        return page(after, done, more=due, tickets=tickets, deleted=merged)

    def _archived(self, after: Checkpoint, state: State) -> Page:
        """One page of the archived tickets, which cannot be sorted by date and are listed as a whole."""
        listing = state["listing"]
        answer = self.api.get(
            f"{self._objects}/tickets",
            archived="true",
            limit=BATCH,
            after=listing["after"],
            properties="hs_merged_object_ids",
        )
        gone = [ticket_id for row in answer.listed("results") for ticket_id in (ident(row), *_merged(row))]
        cursor = text(dig(answer.record, "paging.next.after"))
        if cursor and cursor == listing["after"]:
            raise CursorStuck(f"{self.name}: the list of archived tickets repeats one page", after_s=900)
        kept = {key: item for key, item in state.items() if key != "listing"}
        if cursor:
            return page(after, kept | {"listing": listing | {"after": cursor}}, more=True, deleted=gone)
        return page(after, kept | {"listed_at": listing["begun"]}, more=False, deleted=gone)

    def _associated(self, ids: Sequence[str], kind: str, lane: str = "main") -> dict[str, list[str]]:
        """Ids of the contacts, companies or e-mails of each ticket; empty when they may not be read."""
        found: dict[str, list[str]] = {}
        for batch in chunks(ids, BATCH):
            asked = {"inputs": [{"id": ticket_id} for ticket_id in batch]}
            try:
                body = self.api.post(f"{self._associations}/tickets/{kind}/batch/read", asked, lane).record
            except (Forbidden, Refused):
                return {}
            for row in rows_of(body.get("results")):
                found[text(dig(row, "from.id"))] = [
                    text(to.get("toObjectId") or to.get("id")) for to in rows_of(row.get("to"))
                ]
        return found

    def _emails(self, ids: Sequence[str]) -> dict[str, Record]:
        found: dict[str, Record] = {}
        for batch in chunks(ids, BATCH):
            asked = {"properties": EMAIL_PROPERTIES, "inputs": [{"id": email} for email in batch]}
            rows = self.api.post(f"{self._objects}/emails/batch/read", asked, "details").record.get("results")
            found |= {ident(row): part(row, "properties") for row in rows_of(rows)}
        return found

    def _stage(self, stage: str) -> Record:
        """A pipeline stage's label and state; ids are unique per portal."""
        if self._stages is None:
            try:
                pipelines = self.api.get("/crm/v3/pipelines/tickets").record.get("results")
            except (Forbidden, Refused):
                pipelines = ()
            stages = [row for line in rows_of(pipelines) for row in rows_of(line.get("stages"))]
            self._stages = {text(row.get("id")): row for row in stages}
        return self._stages.get(stage, {})

    def _history(self, row: Record) -> tuple[StatusChange, ...]:
        """The stages of a ticket, by their labels."""
        told = rows_of(part(row, "propertiesWithHistory").get(STAGE))[::-1]  # the newest comes first
        changes = [(instant(entry.get("timestamp")), "", text(entry.get("value"))) for entry in told]
        return tuple(
            replace(change, told=text(self._stage(change.told).get("label")) or change.told)
            for change in lived(None, changes, self._status)
        )

    def _status(self, number: str) -> Status:
        """What a stage means, by the operator's word for its label or number, else by its own state."""
        stage = self._stage(number)
        state = text(dig(stage, "metadata.ticketState"))
        closed = state == "CLOSED" or (not state and text(dig(stage, "metadata.isClosed")) == "true")
        named = self.options.status_map.get(text(stage.get("label")), self.options.status_map.get(number))
        return Status(named or (Status.CLOSED if closed else Status.OPEN))

    def _tickets(self, rows: Sequence[Record]) -> tuple[RawTicket, ...]:
        if not rows:
            return ()
        ids = [ident(row) for row in rows]
        contacts, companies = self._associated(ids, "contacts"), self._associated(ids, "companies")
        self._name([company for some in companies.values() for company in some[:1]])
        return tuple(
            self._ticket(row, next(iter(contacts.get(key, ())), ""), next(iter(companies.get(key, ())), ""))
            for key, row in zip(ids, rows, strict=True)
        )

    def _name(self, companies: Sequence[str]) -> None:
        """Learn the names of companies not met before; none when they may not be read."""
        for batch in chunks(sorted({*companies} - self._names.keys()), BATCH):
            asked = {"properties": ["name"], "inputs": [{"id": company} for company in batch]}
            try:
                body = self.api.post(f"{self._objects}/companies/batch/read", asked).record
            except (Forbidden, Refused):
                body = {}
            told = {
                text(row.get("id")): text(dig(row, "properties.name")) for row in rows_of(body.get("results"))
            }
            self._names |= {company: told.get(company, "") for company in batch}

    def _ticket(self, row: Record, contact: str, company: str) -> RawTicket:
        fields = part(row, "properties")
        custom = mapped(row, self.options.field_map)
        priority = text(fields.get("hs_ticket_priority"))
        extra: dict[str, Any] = {
            "satisfaction": share_of(text(fields.get("hs_feedback_last_survey_rating"))),
            "resolution": text(fields.get("hs_resolution")),
        } | outcomes(custom, self.options)
        return RawTicket(
            source=self.name,
            external_id=ident(row),
            created_at=instant(fields.get("createdate") or row.get("createdAt")) or _modified(row),
            updated_at=_modified(row),
            subject=text(fields.get("subject")),
            body=text(fields.get("content")),
            url=text(row.get("url")),
            requester=contact,
            account=company,
            account_name=self._names.get(company, ""),
            attributes=attributes(
                custom,
                priority=PRIORITIES.get(priority, priority),
                channel=fields.get("source_type"),
                component=fields.get("hs_ticket_category"),
                team=fields.get("hubspot_team_id"),
                agent=fields.get("hubspot_owner_id"),
                pipeline=fields.get("hs_pipeline"),
            ),
            status=self._status(text(fields.get(STAGE))),
            resolved_at=instant(fields.get("closed_date")),
            **extra,
        )


def _auth(name: str, options: HubSpotOptions, outside: Outside) -> httpx.Auth:
    if not options.client_id:
        return StaticToken(outside.secret(options.access_token))
    path = Path(options.refresh_token_file)
    grant = RotatingToken(options.client_id, outside.secret(options.client_secret), path)
    url = f"{options.base_url.rstrip('/')}/oauth/v1/token"
    return OAuth(name, token_url=url, grant=grant, now=outside.now)


def _judge(response: httpx.Response, body: Any) -> Verdict | None:
    """The daily limit does not pass by waiting a little."""
    daily = isinstance(body, dict) and body.get("policyName") == "DAILY"
    return Verdict.QUOTA if response.status_code == 429 and daily else None


def _meter(headers: httpx.Headers) -> Quota | None:
    left, total = headers.get("X-HubSpot-RateLimit-Remaining", ""), headers.get("X-HubSpot-RateLimit-Max", "")
    return Quota(int(left), int(total), 10.0) if left.isdigit() and total.isdigit() else None


def _next(position: State, keys: Sequence[tuple[datetime, str]], *, more: bool, token: str) -> State | None:
    """Where the search goes after a page, or None at the end.

    Only first pages are read, so no row can be pushed over a boundary and the cap of 10,000 rows is
    never met. A millisecond that fills a page is drained by id.
    """
    since = required(position["since"], "bound")
    if position.get("plain"):
        return position | {"token": token} if token not in ("", position["token"]) else None
    kept = {key: item for key, item in position.items() if key != "drained"}
    if "drained" in position:
        return (
            position | {"drained": keys[-1][1]}
            if more and keys
            else kept | {"since": iso(since + MILLISECOND)}
        )
    if not more or not keys:
        return None
    reached = _in_order([at for at, _ in keys])
    if reached <= since:
        return kept | {"drained": "0"}
    return kept | {"since": iso(reached), "left": [position["since"], token or None]}


def _in_order(times: Sequence[datetime]) -> datetime:
    """How far a page may be trusted: to its end, or to where its order breaks."""
    return min([times[-1], *(later for earlier, later in pairwise(times) if later < earlier)])


def _modified(row: Record) -> datetime:
    fields = part(row, "properties")
    return required(fields.get(MODIFIED), MODIFIED, row.get("updatedAt"))


def _merged(row: Record) -> list[str]:
    """Tickets that were merged into this one and no longer exist by themselves."""
    ids = text(part(row, "properties").get("hs_merged_object_ids"))
    return [part.strip() for part in ids.split(";") if part.strip()]


def _milliseconds(at: datetime) -> int:
    return max(1000, (at - EPOCH) // MILLISECOND)  # the search fails on the epoch itself


def _mapped_properties(field_map: Mapping[str, str]) -> Iterable[str]:
    return [path.removeprefix("properties.") for path in field_map.values()]


def _kept(state: State) -> State:
    return {key: state[key] for key in ("listed_at",) if key in state}


def _sent(email: Record) -> datetime:
    return instant(email.get("hs_timestamp")) or EPOCH


def _details(row: Record, emails: Sequence[Record]) -> Details:
    """The newest outgoing e-mail before closing, and the oldest incoming one when there is no content."""
    fields = part(row, "properties")
    closed = instant(fields.get("closed_date"))
    ordered = sorted(emails, key=_sent)
    outgoing = [e for e in ordered if e.get("hs_email_direction") == "EMAIL" and text(e.get("hs_email_text"))]
    before = [email for email in outgoing if closed and _sent(email) <= closed]
    incoming = [email for email in ordered if email.get("hs_email_direction") == "INCOMING_EMAIL"]
    links = LINK.findall(" ".join(text(email.get("hs_email_text")) for email in outgoing))
    return Details(
        external_id=ident(row),
        body=text(incoming[0].get("hs_email_text")) if incoming and not fields.get("content") else "",
        resolution=text(before[-1].get("hs_email_text")) if before else "",
        articles=tuple(dict.fromkeys(links)),
    )
