"""Jira Service Management (Cloud, REST v3): the enhanced search, rolled forward minute by minute."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx

from app.domain import Checkpoint, RawTicket, Status, StatusChange
from app.errors import Invalid, TryLater
from app.ingest.adf import to_text
from app.ingest.columns import status_of
from app.ingest.http import (
    Answer,
    Api,
    AuthFailed,
    CursorStuck,
    Forbidden,
    Gone,
    Lane,
    Refused,
    Verdict,
    http_date,
)
from app.ingest.oauth import StaticToken
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
    vanished,
    words_of,
)
from app.ingest.window import IGNORES, advance, by_pages, floor
from app.ports import Page

SEARCH = "/rest/api/3/search/jql"
COUNT = "/rest/api/3/search/approximate-count"
GATEWAY = "api.atlassian.com"
CHANNEL = "request.channel.type"  # a property of service desk requests
MINUTE = timedelta(minutes=1)  # the grain of JQL comparisons on `updated`
FIELDS = (
    "summary", "description", "status", "priority", "issuetype", "project", "labels", "components",
    "versions", "fixVersions", "resolution", "resolutiondate", "statuscategorychangedate", "created",
    "updated", "reporter",
    "assignee", "issuelinks",
)  # fmt: skip
CATEGORIES = {"new": Status.NEW, "indeterminate": Status.OPEN, "done": Status.SOLVED}
PRIORITIES = {"highest": "urgent", "high": "high", "medium": "normal", "low": "low", "lowest": "low"}
ORIGIN = "com.atlassian.servicedesk:vp-origin"
ORGANIZATIONS = "com.atlassian.servicedesk:sd-customer-organizations"
FEEDBACK = "com.atlassian.servicedesk:sd-request-feedback"
ARTICLE = re.compile(
    r"https?://[^\s)\"'<>]+/(?:wiki/spaces/[^\s)\"'<>]+|servicedesk/[^\s)\"'<>]*article/\d+)"
)
CONFIRMATIONS = 500  # missing issues asked for one by one in each nightly listing


@dataclass(frozen=True, kw_only=True)
class JiraOptions(Options):
    """`site` is shown in links; a scoped token needs base_url https://api.atlassian.com/ex/jira/{cloudId}."""

    projects: tuple[str, ...]
    email: str = ""
    api_token: str = ""  # name of the secret
    access_token: str = ""  # name of the secret, for a service account's bearer token
    site: str = ""
    lookback_s: float = 900
    sweep_every_s: float = 21_600
    sweep_back_s: float = 86_400
    list_every_s: float = 86_400  # how often all ids are listed, to find deleted issues
    list_size: int = 5000


class Jira:
    """The chosen projects of one site."""

    def __init__(self, name: str, options: JiraOptions, outside: Outside) -> None:
        self.name, self.options = name, options
        for project in options.projects:
            if not re.fullmatch(r"[\w ]+", project):
                raise Invalid(
                    f"source {name}: option projects: {project!r} is not a project key", pointer="projects"
                )
        projects = ", ".join(f'"{project}"' for project in options.projects)
        self._scope = f"project in ({projects})"
        self._known = outside.known
        self._rated = True  # until the feedback of requests turns out to be closed to this account
        self._fields: Mapping[str, str] | None = None  # custom field ids by schema
        self._categories: Mapping[str, str] | None = None  # of statuses, by name
        self.api = Api(
            name,
            base_url=options.base_url,
            auth=_auth(options, outside),
            outside=outside,
            timeout_s=options.timeout_s,
            lanes={"main": Lane(options.calls_per_minute), "details": Lane(options.detail_calls_per_minute)},
            judge=_judge,
            meter=_meter,
        )

    def pull(self, after: Checkpoint) -> Page:
        state = opened(after)
        if state.get("listing"):
            return self._list(after, state)
        position = state.get("pass")
        if position is None:
            me = self._sign_in()
            position = begin(state, self.options, me.at or self.api.clock)
            since = floor(required(position["since"], "bound"), MINUTE)
            position |= {"since": iso(since), "begun": iso(me.at) if me.at else None}
        try:
            body = self._search(position["since"], position.get("token"), self._wanted())
        except Refused:
            if position.get("token") is None:
                raise
            position = {
                key: value for key, value in position.items() if key not in ("token", "round", "before")
            }
            return page(
                after, state | {"pass": position}, more=True
            )  # the token expired: the window starts over
        return self._taken(after, state, position, body)

    def fetch(self, ids: Sequence[str]) -> Page:
        tickets: list[RawTicket] = []
        deleted: list[str] = []
        for ticket_id in ids:
            try:
                answer = self.api.get(
                    f"/rest/api/3/issue/{ticket_id}", fields=",".join(self._wanted()), properties=CHANNEL
                )
            except Gone:
                deleted.append(ticket_id)
            else:
                tickets.append(self._ticket(answer.record))
        return page(Checkpoint(self.name), {}, more=False, tickets=tickets, deleted=deleted)

    def details(self, ids: Sequence[str]) -> tuple[Details, ...]:
        """One call a ticket, one more for each hundred comments or changes, and one where only the desk knows the rating."""
        found = []
        for ticket_id in ids:
            try:
                answer = self.api.get(
                    f"/rest/api/3/issue/{ticket_id}",
                    "details",
                    fields=",".join([*self._wanted(), "comment"]),
                    expand="changelog",
                )
                row = answer.record
                found.append(self._details(row, self._comments(row), self._changes(row)))
            except Gone:
                continue
        return tuple(found)

    def check(self) -> Checkup:
        me = self._sign_in().record
        lines = [
            Line(True, f"signed in; this account's time zone is {text(me.get('timeZone')) or 'unknown'}")
        ]
        body = self._search(iso(self.options.start_at), None, self._wanted(), size=5)
        tickets = tuple(self._ticket(row) for row in rows_of(body.get("issues")))
        lines.append(Line(bool(tickets), f"the search answers with {len(tickets)} issues"))
        if not tickets:
            lines.append(
                Line(False, "no issue is visible: check the option projects and Browse Projects permission")
            )
        return Checkup((*lines, *self.api.clock_lines()), tickets)

    def inspect(self) -> tuple[Column, ...]:
        return tuple(
            Column(
                f"fields.{text(field.get('id'))}",
                text(field.get("name")),
                text(part(field, "schema").get("type")),
            )
            for field in self.api.get("/rest/api/3/field").listed()
        )

    def counted(self, start: datetime, end: datetime) -> int | None:
        """The search has no totals, but there is an approximate count; None when it may not be asked."""
        created = f"created >= {_milliseconds(start)} AND created < {_milliseconds(end)}"
        try:
            count = self.api.post(COUNT, {"jql": f"{self._scope} AND {created}"}).record.get("count")
        except (Refused, Forbidden):
            return None
        return count if isinstance(count, int) else None

    def quotas(self) -> Mapping[str, Quota]:
        return self.api.quotas

    def close(self) -> None:
        self.api.close()

    def _sign_in(self) -> Answer:
        """Who we are; search alone would answer an unknown caller with an empty list."""
        try:
            answer = self.api.get("/rest/api/3/myself")
        except AuthFailed as error:
            if self.api.host == GATEWAY:
                raise
            raise AuthFailed(
                f"{error}; a scoped token needs base_url https://{GATEWAY}/ex/jira/CLOUD-ID"
            ) from None
        if not answer.record.get("accountId"):
            raise AuthFailed(f"{self.name}: {self.api.host} treats this token as anonymous; renew the secret")
        return answer

    def _search(
        self, since: str, token: str | None, fields: Sequence[str], *, size: int | None = None
    ) -> Record:
        """One page of issues changed since a whole minute, oldest change first."""
        bound = _milliseconds(required(since, "bound"))
        body: State = {
            "jql": f"{self._scope} AND updated >= {bound} ORDER BY updated ASC",
            "maxResults": size or self.options.page_size,
            "fields": list(fields),
        }
        body |= {"properties": [CHANNEL]} if "updated" in fields else {}
        answer = self.api.post(SEARCH, body | ({"nextPageToken": token} if token else {}))
        answer.listed("issues")
        if token and answer.record.get("nextPageToken") == token:
            raise CursorStuck(f"{self.name}: the search repeats one page; nothing was lost", after_s=900)
        return answer.record

    def _taken(self, after: Checkpoint, state: State, position: State, body: Record) -> Page:
        """The page, and where the window goes next; at its end perhaps the nightly listing."""
        rows = rows_of(body.get("issues"))
        tickets = [self._ticket(row) for row in rows]
        keys = [
            (required(ticket.updated_at and iso(ticket.updated_at), "updated"), ticket.external_id)
            for ticket in tickets
        ]
        instead = by_pages(self.name, position, keys, required(position["since"], "bound"))
        if instead is not None:
            return page(after, state | {"pass": instead}, more=True, notes=[IGNORES])
        following = advance(position, keys, following=_following(body), tick=MINUTE)
        if following is not None:
            return page(after, state | {"pass": following}, more=True, tickets=tickets)
        begun = position.get("begun") or state.get("watermark") or position["since"]
        done = {"listed_at": begun, "suspects": []} | _kept(state) | finish(state, position, begun=begun)
        listed = required(done["listed_at"], "listed_at")
        due = (required(begun, "begun") - listed).total_seconds() >= self.options.list_every_s
        return page(after, done | ({"listing": begun} if due else {}), more=due, tickets=tickets)

    def _list(self, after: Checkpoint, state: State) -> Page:
        """List all ids; an issue missing twice running and not found by itself is deleted."""
        twice, once, warning = vanished(self._known(), self._all_ids(), state["suspects"])
        deleted = [ticket_id for ticket_id in twice[:CONFIRMATIONS] if self._is_gone(ticket_id)]
        kept = {key: value for key, value in state.items() if key != "listing"}
        state = kept | {"listed_at": state["listing"], "suspects": once + twice[CONFIRMATIONS:]}
        return page(after, state, more=False, deleted=deleted, notes=[warning] if warning else [])

    def _all_ids(self) -> frozenset[str]:
        listed: set[str] = set()
        token: str | None = None
        while True:
            try:
                body = self._search(iso(self.options.start_at), token, ["id"], size=self.options.list_size)
            except Refused as error:
                if token is None:
                    raise
                raise TryLater(
                    f"{self.name}: the list of ids expired while it was read; it starts over"
                ) from error
            listed.update(ident(row) for row in rows_of(body.get("issues")))
            token = _following(body)
            if token is None:
                return frozenset(listed)

    def _is_gone(self, ticket_id: str) -> bool:
        try:
            self.api.get(f"/rest/api/3/issue/{ticket_id}", fields="id")
        except Gone:
            return True
        return False

    def _wanted(self) -> list[str]:
        """The standard fields, the service desk's own, and those of the field map."""
        custom = self._service_desk_fields().values()
        named = [path.split(".")[1] for path in self.options.field_map.values() if path.startswith("fields.")]
        return list(dict.fromkeys([*FIELDS, *custom, *named]))

    def _service_desk_fields(self) -> Mapping[str, str]:
        """Ids of the service desk's custom fields: they differ from site to site."""
        if self._fields is None:
            try:
                found = self.api.get("/rest/api/3/field").listed()
            except (Forbidden, Refused):
                found = ()
            schemas = {text(part(field, "schema").get("custom")): text(field.get("id")) for field in found}
            self._fields = {
                name: schemas[name] for name in (ORIGIN, ORGANIZATIONS, FEEDBACK) if name in schemas
            }
        return self._fields

    def _ticket(self, row: Record) -> RawTicket:
        fields = part(row, "fields")
        custom = mapped(row, self.options.field_map)
        special = {name: fields.get(field) for name, field in self._service_desk_fields().items()}
        organization = next(iter(rows_of(special.get(ORGANIZATIONS))), {})
        category = text(dig(fields, "status.statusCategory.key"))
        chosen = Status(
            self.options.status_map.get(
                text(dig(fields, "status.name")), CATEGORIES.get(category, Status.OPEN)
            )
        )
        priority = text(dig(fields, "priority.name"))
        labels = words_of(fields.get("labels"))
        channel = part(row, "properties").get(CHANNEL)
        resolved_at = instant(fields.get("resolutiondate"))
        if resolved_at is None and chosen.is_done:
            resolved_at = instant(fields.get("statuscategorychangedate"))
        extra: dict[str, Any] = {
            "satisfaction": share_of(text(dig(special.get(FEEDBACK), "rating"))),
            "duplicate_of": _duplicated(fields),
            "problem": _caused({"id": row.get("id"), "fields": fields}),
        } | outcomes(custom, self.options, labels)
        return RawTicket(
            source=self.name,
            external_id=ident(row),
            created_at=required(fields.get("created"), "created", fields.get("updated")),
            updated_at=required(fields.get("updated"), "updated"),
            subject=text(fields.get("summary")),
            body=to_text(fields.get("description")),
            url=f"{(self.options.site or self.options.base_url).rstrip('/')}/browse/{text(row.get('key'))}",
            requester=text(dig(fields, "reporter.accountId")),
            account=text(organization.get("id")),
            account_name=text(organization.get("name")),
            attributes=attributes(
                custom,
                priority=PRIORITIES.get(priority.lower(), priority),
                channel=dig(channel, "value") if isinstance(channel, dict) else channel,
                product=dig(fields, "project.key"),
                version=fields.get("versions"),
                component=fields.get("components"),
                agent=dig(fields, "assignee.accountId"),
                fix_version=fields.get("fixVersions"),
                request_type=dig(special.get(ORIGIN), "requestType.name"),
            ),
            tags=labels,
            status=chosen,
            resolved_at=resolved_at,
            **extra,
        )

    def _comments(self, row: Record) -> list[Record]:
        """All comments, oldest first; the issue itself may embed only some."""
        found = list(rows_of(dig(row, "fields.comment.comments")))
        total = text(dig(row, "fields.comment.total"))
        path = f"/rest/api/3/issue/{ident(row)}/comment"
        many = int(total) if total.isdigit() else 0
        return found + self._paged(path, "comments", many, start=len(found), orderBy="created")

    def _paged(self, path: str, key: str, total: int, *, start: int = 0, **params: str) -> list[Record]:
        """The rows of a list from `start` on."""
        found: list[Record] = []
        while start + len(found) < total:
            asked = {"startAt": start + len(found), "maxResults": 100} | params
            more = rows_of(self.api.get(path, "details", **asked).record.get(key))
            if not more:
                break
            found += more
        return found

    def _changes(self, row: Record) -> list[tuple[datetime | None, Record]] | None:
        """All changes of the issue's fields and when, oldest first; None without its history.

        The issue embeds the newest ones, newest first; the history by itself is told oldest first.
        """
        histories = dig(row, "changelog.histories")
        if not isinstance(histories, list):
            return None
        total = text(dig(row, "changelog.total"))
        histories = histories[::-1]
        if total.isdigit() and int(total) > len(histories):
            histories = self._paged(f"/rest/api/3/issue/{ident(row)}/changelog", "values", int(total))
        return [
            (instant(entry.get("created")), item)
            for entry in rows_of(histories)
            for item in rows_of(entry.get("items"))
        ]

    def _history(
        self, ticket: RawTicket, row: Record, changes: Sequence[tuple[datetime | None, Record]]
    ) -> tuple[StatusChange, ...]:
        """The statuses of an issue; one that never changed has had its present one all along."""
        told = [
            (at, text(item.get("fromString")), text(item.get("toString")))
            for at, item in changes
            if item.get("field") == "status"
        ]
        told = told or [(ticket.created_at, "", text(dig(row, "fields.status.name")))]
        return lived(ticket.created_at, told, self._past_status)

    def _past_status(self, name: str) -> Status:
        """What a word in the history means; by the word itself when the list of statuses may not be read."""
        if self._categories is None:
            try:
                rows = self.api.get("/rest/api/3/status", "details").listed()
            except (Forbidden, Gone, Refused):
                rows = ()
            self._categories = {
                text(row.get("name")): text(dig(row, "statusCategory.key")) for row in rows_of(rows)
            }
        known = CATEGORIES.get(self._categories.get(name, ""), status_of(name))
        return Status(self.options.status_map.get(name, known))

    def _details(
        self,
        row: Record,
        comments: Sequence[Record],
        changes: Sequence[tuple[datetime | None, Record]] | None,
    ) -> Details:
        ticket = self._ticket(row)
        answers = [
            to_text(comment.get("body"))
            for comment in comments
            if comment.get("jsdPublic") is not False
            and not _is_customer(part(comment, "author"), ticket.requester)
            and (
                not ticket.resolved_at
                or (instant(comment.get("created")) or ticket.resolved_at) <= ticket.resolved_at
            )
        ]
        name = text(dig(row, "fields.resolution.name"))
        resolution = (
            "\n".join(filter(None, (name, answers[-1] if answers else ""))) if ticket.status.is_done else ""
        )
        links = dict.fromkeys(link for answer in answers for link in ARTICLE.findall(answer))
        is_rated = ticket.satisfaction is not None or FEEDBACK in self._service_desk_fields()
        return Details(
            external_id=ticket.external_id,
            resolution=resolution,
            articles=tuple(links),
            satisfaction=None if is_rated or not ticket.status.is_done else self._feedback(row),
            reopened=None if changes is None else any(_takes_back(item) for _, item in changes),
            history=() if changes is None else self._history(ticket, row, changes),
        )

    def _feedback(self, row: Record) -> float | None:
        """How the customer rated a request; the service desk alone knows where no field of the issue does."""
        is_request = ORIGIN in self._service_desk_fields()
        if not (self._rated and is_request):
            return None
        try:
            answer = self.api.get(f"/rest/servicedeskapi/request/{text(row.get('key'))}/feedback", "details")
        except Gone:
            return None
        except (Forbidden, Refused):
            self._rated = False
            return None
        return share_of(text(answer.record.get("rating")))


def _auth(options: JiraOptions, outside: Outside) -> httpx.Auth:
    if options.access_token:
        return StaticToken(outside.secret(options.access_token))
    return httpx.BasicAuth(options.email, outside.secret(options.api_token))


def _judge(response: httpx.Response, _body: Any) -> Verdict | None:
    """A used-up quota of the hour does not pass by waiting a little; a burst does."""
    hourly = "quota" in response.headers.get("RateLimit-Reason", "")
    return Verdict.QUOTA if response.status_code == 429 and hourly else None


def _meter(headers: httpx.Headers) -> Quota | None:
    left, total = headers.get("X-RateLimit-Remaining", ""), headers.get("X-RateLimit-Limit", "")
    if not (left.isdigit() and total.isdigit()):
        return None
    opens, now = instant(headers.get("X-RateLimit-Reset")), http_date(headers.get("Date", ""))
    wait_s = (opens - now).total_seconds() if opens and now else 0.0
    return Quota(int(left), int(total), wait_s if wait_s > 0 else 10.0)


def _milliseconds(at: datetime) -> int:
    return int(at.timestamp()) * 1000


def _takes_back(item: Record) -> bool:
    """Whether a change takes a resolution back."""
    return item.get("field") == "resolution" and bool(item.get("from")) and not item.get("to")


def _following(body: Record) -> str | None:
    token = text(body.get("nextPageToken"))
    return token if token and body.get("isLast") is not True else None


def _kept(state: State) -> State:
    """What a finished pass leaves as it is."""
    return {key: state[key] for key in ("listed_at", "suspects") if key in state}


def _is_customer(author: Record, reporter: str) -> bool:
    return author.get("accountType") == "customer" or text(author.get("accountId")) == reporter


def _duplicated(fields: Record) -> str:
    """The issue this one duplicates; links the other way round are the other's."""
    return next((text(dig(link, "outwardIssue.id")) for link in _links(fields, "name", "duplicate")), "")


def _caused(row: Record) -> str:
    """The problem this issue is caused by; itself when it is the cause of others."""
    links = [*_links(row["fields"], "name", "problem"), *_links(row["fields"], "inward", "is caused by")]
    causes = [text(dig(link, "inwardIssue.id")) for link in links]
    return next(filter(None, causes), ident(row) if links else "")


def _links(fields: Record, side: str, word: str) -> list[Record]:
    """Links of types whose name or inward name holds `word`."""
    links = rows_of(fields.get("issuelinks"))
    return [link for link in links if word in text(dig(link, f"type.{side}")).lower()]
