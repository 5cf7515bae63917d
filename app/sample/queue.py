"""Turns the plan into tickets as a ticketing tool would hold them, and into the truth about them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random
from typing import Any

from app.domain import RawTicket, Release, Status
from app.errors import Invalid
from app.sample.compose import Text, compose
from app.sample.customers import LEGAL_FOOTER_ACCOUNT, Population, make_accounts, pick, version_in_use
from app.sample.plan import Planned, Planner, make_releases
from app.sample.season import DAY, HOUR, Season
from app.sample.words import load, render

FIRST_NUMBER = 20417
SECRETS = 10
REWRITES = 8  # attempts at a body that nobody has sent yet
_SATISFACTION = (0.0, 0.25, 0.5, 0.75, 1.0)
_URGENCY = {"low": 0.2, "normal": 0.55, "high": 0.2, "urgent": 0.05}


@dataclass(frozen=True, slots=True)
class Sample:
    """The generated queue: `tickets` by creation time, `received` their arrival by external id."""

    seed: int
    end: datetime
    tickets: list[RawTicket]
    releases: list[Release]
    received: Mapping[str, datetime]
    truth: dict[str, Any] = field(default_factory=dict)


def generate(seed: int, end: datetime) -> Sample:
    """The queue of the 120 days up to `end` (aware); raises `Invalid` when `end` names no time zone."""
    if end.tzinfo is None:
        raise Invalid("The sample's end needs a time zone, such as 2025-06-01T15:00:00+00:00.", pointer="end")
    rng = Random(seed)  # noqa: S311 - a seeded sample, nothing secret
    season = Season(end.replace(microsecond=0))
    releases = make_releases(season.end)
    planned = _plan(rng, season)
    desk = _Desk(rng, season, releases)
    tickets = [desk.ticket(FIRST_NUMBER + k, item) for k, item in enumerate(planned)]
    tickets = _link(rng, planned, tickets)
    secrets = _plant_secrets(rng, planned, tickets)
    received = {ticket.external_id: season.received(rng, ticket.created_at) for ticket in tickets}
    truth = _truth(seed, season, planned, tickets, [release for release, _ in releases]) | {
        "secrets": secrets
    }
    return Sample(seed, season.end, tickets, [release for release, _ in releases], received, truth)


def _plan(rng: Random, season: Season) -> list[Planned]:
    planner = Planner(rng, season, Population(rng, make_accounts(rng)))
    everyday = planner.everyday()
    planned = everyday + planner.resends(everyday) + planner.bulk_import()
    for row in load("stories")["story"]:
        planned += planner.story(row)
    for row in load("stories")["trap"]:
        planned += planner.trap(row)
    return sorted(planned, key=lambda item: item.at)


class _Desk:
    """Writes tickets and works on them: agents, answers, ratings."""

    def __init__(self, rng: Random, season: Season, releases: list[tuple[Release, float]]) -> None:
        self.rng = rng
        self.end = season.end
        self.outage_over = season.outage[1]
        self.releases = releases
        self.company = load("company")
        self._bodies: set[str] = set()
        self._sent: dict[tuple[str, str, str], Text] = {}  # (issue, account, person) to what was last sent

    def ticket(self, number: int, plan: Planned) -> RawTicket:
        rng = self.rng
        channel = plan.channel or self._channel(plan)
        attributes = self._attributes(plan, channel)
        ai_handled = channel in ("chat", "web", "email") and rng.random() < plan.issue.ai_share
        handed_over = ai_handled and rng.random() < 0.55
        text = self._text(plan, channel, attributes, handed_over=handed_over)
        resolved_at = self._resolved_at(plan, ai_only=ai_handled and not handed_over)
        if not ai_handled or handed_over:
            attributes["agent"] = rng.choice(self.company["agents"])
        attributes["language"] = text.language
        escalated = rng.random() < self.company["escalation"][plan.account.plan] * (
            2 if attributes["priority"] == "urgent" else 1
        )
        done = resolved_at is not None
        return RawTicket(
            source="sample",
            external_id=str(number),
            created_at=plan.at.replace(microsecond=0),
            updated_at=resolved_at or min(self.end, plan.at.replace(microsecond=0) + HOUR * rng.random()),
            subject=text.subject,
            body=text.body,
            body_is_html=text.is_html,
            url=f"https://support.tarnbeck.example.com/tickets/{number}",
            requester=plan.contact.email,
            account=plan.account.name.lower().replace(" ", "-"),
            account_name=plan.account.name,
            attributes={key: value for key, value in attributes.items() if value},
            tags=self._tags(plan),
            status=self._status(plan, resolved_at),
            resolution=self._resolution(plan, attributes) if done else "",
            resolved_at=resolved_at,
            articles=self._articles(plan) if done else (),
            reopened=done and rng.random() < 0.05,
            satisfaction=self._satisfaction(plan, resolved_at),
            escalated=escalated,
            ai_handled=ai_handled,
        )

    def _channel(self, plan: Planned) -> str:
        if plan.account.name == LEGAL_FOOTER_ACCOUNT and self.rng.random() < 0.8:
            return "email"
        if plan.issue.tag == "stray":
            return "email"
        channel = pick(self.rng, self.company["channels"])
        is_technical = plan.issue.component in ("API", "Provisioning", "Custom queries")
        return "web" if channel == "api" and not is_technical and self.rng.random() < 0.6 else channel

    def _attributes(self, plan: Planned, channel: str) -> dict[str, str]:
        product = plan.issue.product
        return {
            "product": product,
            "version": version_in_use(self.releases, product, plan.account, plan.at),
            "component": plan.issue.component,
            "plan": plan.account.plan,
            "region": plan.account.region,
            "platform": plan.contact.platform,
            "browser": plan.contact.browser,
            "channel": channel,
            "priority": pick(self.rng, _URGENCY),
            "team": self.company["teams"].get(product, "Front desk"),
            "macro": self.rng.choice(self.company["macros"]) if self.rng.random() < 0.3 else "",
            **plan.attributes,
        }

    def _text(self, plan: Planned, channel: str, attributes: Mapping[str, str], *, handed_over: bool) -> Text:
        key = (plan.issue.id, plan.account.name, plan.contact.email)
        if plan.is_resend and key in self._sent and not self._sent[key].is_html:
            first = self._sent[key]
            return replace(first, body=f"{plan.note}\n\n{first.body}")
        facts = {
            "plan": attributes["plan"],
            "version": attributes["version"] or "the current one",
            "browser_words": attributes["browser"],
            "component": plan.issue.component or "other",
        }
        note = self._banner(facts) if handed_over else plan.note
        for _ in range(REWRITES):
            text = compose(
                self.rng,
                plan.issue,
                plan.account,
                plan.contact,
                channel=channel,
                at=plan.at,
                facts=facts,
                say=plan.say,
                note=note,
            )
            if text.body not in self._bodies:
                break
        self._bodies.add(text.body)
        if channel == "email":
            self._sent[key] = text
        return text

    def _banner(self, facts: Mapping[str, str]) -> str:
        banners = load("voice")["banners"]
        banner = self.rng.choice(banners["ai"]).replace("{reason}", self.rng.choice(banners["reasons"]))
        return render(banner.replace("[Assistant]", "Assistant:"), self.rng, facts)

    def _resolved_at(self, plan: Planned, *, ai_only: bool) -> datetime | None:
        if self.rng.random() < 0.02:
            return None  # forgotten
        median_hours = 0.2 if ai_only else 9.0 if plan.issue.tag else 6.5
        took = HOUR * median_hours * math.exp(self.rng.gauss(0, 1.45))
        resolved = (plan.at + took).replace(microsecond=0)
        return resolved if resolved <= self.end else None

    def _status(self, plan: Planned, resolved_at: datetime | None) -> Status:
        if resolved_at:
            return Status.CLOSED if self.end - resolved_at > 4 * DAY else Status.SOLVED
        if self.end - plan.at < 2 * HOUR:
            return Status.NEW
        return Status.PENDING if self.rng.random() < 0.3 else Status.OPEN

    def _resolution(self, plan: Planned, attributes: Mapping[str, str]) -> str:
        if self.rng.random() < 0.08:
            return self.rng.choice(
                ("No answer from the customer, closed.", "Solved by the customer.", "Duplicate.")
            )
        fixed = render(
            self.rng.choice(plan.issue.fixed), self.rng, {**plan.issue.facts, "plan": attributes["plan"]}
        )
        ends = ("", "", "", "", " Customer confirmed.", " Closed.", f" Confirmed by {plan.contact.name}.")
        return fixed + self.rng.choice(ends)

    def _articles(self, plan: Planned) -> tuple[str, ...]:
        issue = plan.issue
        return (issue.article,) if issue.article and self.rng.random() < issue.article_use else ()

    def _tags(self, plan: Planned) -> tuple[str, ...]:
        own = plan.issue.tag or plan.issue.component.lower().replace(" ", "-")
        return (*plan.tags, own) if own and self.rng.random() < 0.7 else plan.tags

    def _satisfaction(self, plan: Planned, resolved_at: datetime | None) -> float | None:
        if resolved_at is None or self.rng.random() > 0.35:
            return None
        slow = resolved_at - plan.at > timedelta(days=2)
        return self.rng.choices(_SATISFACTION, (4, 3, 3, 3, 4) if slow else (1, 1, 2, 4, 9))[0]


def _link(rng: Random, planned: list[Planned], tickets: list[RawTicket]) -> list[RawTicket]:
    """Marks repeats as duplicates of the first one, and hangs known problems on a problem record."""
    first: dict[tuple[str, str], str] = {}
    problems: dict[str, str] = {}
    linked = []
    for item, ticket in zip(planned, tickets, strict=True):
        sender = (item.issue.id + item.issue.facts.get("thing", ""), item.contact.email)
        if item.is_resend and sender in first:
            linked.append(replace(ticket, duplicate_of=first[sender]))
        elif item.label in ("renamed-field-import", "calendar-duplicates-fixed", "past-incident"):
            problem = problems.setdefault(item.label, f"PRB-{101 + len(problems)}")
            linked.append(replace(ticket, problem=problem if rng.random() < 0.6 else ""))
        else:
            linked.append(ticket)
        first.setdefault(sender, ticket.external_id)
    return linked


def _plant_secrets(rng: Random, planned: list[Planned], tickets: list[RawTicket]) -> dict[str, list[str]]:
    """Adds test numbers of the kinds that must never be stored; returns them by external id."""
    token = "".join(rng.choices("abcdefghijkmnpqrstuvwxyz23456789", k=32))
    lines = (
        ("My card is {}, please charge it instead.", "4111 1111 1111 1111"),
        ("Card used: {} exp 12/29.", "5555 5555 5555 4444"),
        ("Please refund to {}.", "DE89 3704 0044 0532 0130 00"),
        ("Our account for the refund: {}", "GB82 WEST 1234 5698 7654 32"),
        ("Here is the token we use: Authorization: Bearer {}", f"tb_live_{token}"),
        ("Key in our script: api_key={}", token[::-1]),
        ("You reach me at {} until five.", "+49 30 901820"),
        ("The request comes from {}.", "203.0.113.77"),
        ("Please add {} as well.", "greta.private@example.net"),
        ("Her social security number is {} if you need it.", "078-05-1120"),
    )
    plain = [
        k
        for k, item in enumerate(planned)
        if not item.label and not item.is_resend and not tickets[k].body_is_html and item.issue.tag != "stray"
    ]
    planted = {}
    for (line, value), k in zip(lines, sorted(rng.sample(plain, SECRETS)), strict=True):
        tickets[k] = replace(tickets[k], body=f"{line.format(value)}\n\n{tickets[k].body}")
        planted[tickets[k].external_id] = [value]
    return planted


def _truth(
    seed: int, season: Season, planned: list[Planned], tickets: list[RawTicket], releases: list[Release]
) -> dict[str, Any]:
    members: dict[str, list[RawTicket]] = defaultdict(list)
    for item, ticket in zip(planned, tickets, strict=True):
        if item.label:
            members[item.label].append(ticket)
    stories = load("stories")
    by_title = {release.title.split(":")[0]: release for release in releases}
    return {
        "generated": "A made-up support queue; no company, person or ticket in it is real.",
        "seed": seed,
        "end": season.end.isoformat(),
        "tickets": len(tickets),
        "stories": [_told(row, season.end, members[row["name"]], by_title) for row in stories["story"]],
        "traps": [_told(row, season.end, members[row["name"]], by_title) for row in stories["trap"]]
        + _queue_traps(season, tickets, members["bulk-import"]),
    }


def _told(
    row: Mapping[str, Any], end: datetime, tickets: list[RawTicket], releases: Mapping[str, Release]
) -> dict[str, Any]:
    release = releases.get(row.get("release", row.get("fix_title", "")))
    return {
        "name": row["name"],
        "story": row.get("letter", ""),
        "expected": row["expected"],
        "product": row["product"],
        "component": row["component"],
        "version": row.get("thread", {}).get("version", release.version if release else ""),
        "key": row.get("key", ""),
        "thread": {**row["thread"], "share": row["thread_share"]} if "thread" in row else {},
        "article": row.get("article", ""),
        "release": release.id if release else "",
        "changes": [(end - phase["from"] * DAY).isoformat() for phase in row.get("phases", ())[1:]],
        **_extent(tickets),
    }


def _extent(tickets: list[RawTicket]) -> dict[str, Any]:
    return {
        "start": tickets[0].created_at.isoformat(),
        "end": tickets[-1].created_at.isoformat(),
        "tickets": [ticket.external_id for ticket in tickets],
        "customers": sorted({ticket.account for ticket in tickets}),
    }


def _queue_traps(season: Season, tickets: list[RawTicket], imported: list[RawTicket]) -> list[dict[str, Any]]:
    begin, over = season.outage
    late = [ticket for ticket in tickets if begin <= ticket.created_at < over]
    surge = [ticket for ticket in tickets if ticket.created_at.date() in season.surge]
    quiet = [ticket for ticket in tickets if ticket.created_at.date() == season.holiday]
    footer = [ticket for ticket in tickets if "authorised and regulated" in ticket.body]
    form = [ticket for ticket in tickets if "What did you expect to happen?" in ticket.body]
    outage = _extent(late) | {"start": begin.isoformat(), "end": over.isoformat()}
    return [
        {"name": "bulk-import", "expected": "none", **_extent(imported)},
        {"name": "connector-outage", "expected": "none", **outage},
        {"name": "marketing-surge", "expected": "none", **_extent(surge)},
        {"name": "holiday", "expected": "none", **_extent(quiet)},
        {"name": "legal-footer", "expected": "none", **_extent(footer)},
        {"name": "form-labels", "expected": "none", **_extent(form)},
    ]
