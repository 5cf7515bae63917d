"""What will happen on the desk: the everyday queue, the planted stories and the traps; no text yet."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import accumulate
from random import Random
from typing import Any

from app.domain import Change, Release, sortable_id
from app.sample.compose import Issue
from app.sample.customers import Account, Contact, Population
from app.sample.season import DAY, HOUR, Season, midweek
from app.sample.words import capitalised, load

EVERYDAY = 4250  # tickets beside the planted ones
ONE_OFF_SHARE = 0.54  # of the everyday tickets
IMPORTED = 250
EAGER = 0.1  # the accounts that take early-access releases: see the adoption of Forms 4.2.0


@dataclass(frozen=True, slots=True)
class Planned:
    """One ticket to be written: who, when, about what; `label` names the story or trap it belongs to."""

    at: datetime
    issue: Issue
    account: Account
    contact: Contact
    label: str = ""
    say: str = ""
    note: str = ""
    channel: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    is_resend: bool = False  # the same person sending the ticket before it again


def make_releases(end: datetime) -> list[tuple[Release, float]]:
    """Every release and fix in order of time, each with the share of accounts that adopt it."""
    rows = [
        (_mark(end, Change.RELEASE, row["title"], row), row.get("adoption", 0.95))
        for row in load("company")["release"]
    ]
    rows += [
        (_mark(end, Change.FIX, story["fix_title"], {**story, "days_before": story["fix_days_before"]}), 0.0)
        for story in load("stories")["story"]
        if "fix_title" in story
    ]
    return sorted(rows, key=lambda row: (row[0].at, row[0].title))


def _mark(end: datetime, kind: Change, title: str, row: Mapping[str, Any]) -> Release:
    at = (end - row["days_before"] * DAY).replace(minute=0, second=0, microsecond=0)
    product, version = row["product"], row.get("version", "")
    return Release(sortable_id("rel", at, "sample", title), at, kind, title, product, version)


class Planner:
    """Plans tickets with one source of randomness; every method returns what it planned."""

    def __init__(self, rng: Random, season: Season, people: Population) -> None:
        self.rng = rng
        self.season = season
        self.people = people

    def everyday(self) -> list[Planned]:
        """Recurring small issues, each at its own steady rate, and one-offs that resemble nothing else."""
        times = self.season.times(self.rng, EVERYDAY, self.season.start, self.season.end)
        return [
            self._by(self.people.any(), at, issue) for at, issue in zip(times, self._mixed(), strict=False)
        ]

    def bulk_import(self) -> list[Planned]:
        """Old tickets of another help desk, all with a creation time in the same hour."""
        day = midweek(self.season.end, 59)
        start = datetime(day.year, day.month, day.day, 10, tzinfo=self.season.end.tzinfo)
        planned = []
        for number, issue in zip(range(IMPORTED), self._mixed(), strict=False):
            opened = start - timedelta(days=self.rng.randint(200, 900))
            planned.append(
                self._by(
                    self.people.any(),
                    start + HOUR * self.rng.random(),
                    issue,
                    label="bulk-import",
                    note=f"[Imported from the former desk: case {48000 + number}, opened {opened:%Y-%m-%d}]",
                    tags=("imported",),
                )
            )
        return planned

    def story(self, row: dict[str, Any]) -> list[Planned]:
        """The tickets of one planted story."""
        issues = [Issue.of(row | aspect) for aspect in row.get("aspect", ({},))]
        says = self.rng.sample(row["once"], len(row["once"])) if "once" in row else []
        planned = []
        for phase, times in self._story_times(row):
            few = len(times) <= 60
            accounts = self.people.distinct(len(times)) if few else [self.people.any() for _ in times]
            if len(times) == 9:
                accounts[-1] = accounts[0]  # one customer reports twice
            for at, account in zip(times, accounts, strict=True):
                say = says.pop() if says else ""
                planned.append(
                    self._story_ticket(row, phase, self.rng.choice(issues), at=at, account=account, say=say)
                )
        return planned

    def _story_times(self, row: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], list[datetime]]]:
        end = self.season.end
        if minutes := row.get("minutes_before"):
            yield {}, [end - timedelta(minutes=before) for before in minutes]
        for phase in row.get("phases", ()):
            start, stop = end - phase["from"] * DAY, end - phase["to"] * DAY
            if "per_week" in phase:
                yield phase, self.season.weekly(self.rng, phase["per_week"], start, stop)
            else:
                yield phase, self.season.times(self.rng, phase["count"], start, stop)

    def _story_ticket(
        self,
        row: Mapping[str, Any],
        phase: Mapping[str, Any],
        issue: Issue,
        *,
        at: datetime,
        account: Account,
        say: str,
    ) -> Planned:
        attributes: dict[str, str] = {}
        if "version" in phase:
            attributes["version"] = phase["version"]
        if (thread := row.get("thread")) and self.rng.random() < row["thread_share"]:
            attributes |= thread
            if "version" in thread:
                account = self._eager_account()
        return self._by(account, at, issue, label=row["name"], say=say, attributes=attributes)

    def _eager_account(self) -> Account:
        return self.rng.choice([account for account in self.people.accounts if account.eagerness < EAGER])

    def trap(self, row: dict[str, Any]) -> list[Planned]:
        """One customer filing very many tickets in one working day."""
        end = self.season.end
        noon = end - row["days_before"] * DAY
        account = self.people.by_name[row["account"]]
        start = min(noon.replace(hour=7, minute=0, second=0, microsecond=0), end - 9 * HOUR)
        times = sorted(start + 8 * HOUR * self.rng.random() for _ in range(row["count"]))
        return [
            Planned(
                at=at.replace(microsecond=0),
                issue=Issue.of(
                    {**row, "subjects": _numbered(row["subjects"], k), "says": _numbered(row["says"], k)}
                ),
                account=account,
                contact=account.contacts[0],
                label=row["name"],
                channel="email",
            )
            for k, at in enumerate(times, 1)
        ]

    def resends(self, planned: list[Planned]) -> list[Planned]:
        """Every hundredth or so everyday ticket sent once more by the same impatient person."""
        again = []
        for ticket in planned:
            later = ticket.at + timedelta(minutes=self.rng.randint(6, 240))
            if self.rng.random() < 0.012 and later < self.season.end:
                again.append(
                    Planned(
                        at=later,
                        issue=ticket.issue,
                        account=ticket.account,
                        contact=ticket.contact,
                        channel="email",
                        note="I am not sure my first message reached you, so once more:",
                        is_resend=True,
                    )
                )
        return again

    def _by(self, account: Account, at: datetime, issue: Issue, **more: Any) -> Planned:
        return Planned(at=at, issue=issue, account=account, contact=self.rng.choice(account.contacts), **more)

    def _mixed(self) -> Iterator[Issue]:
        themes = [Issue.of(row) for row in load("themes")["theme"]]
        self.rng.shuffle(themes)
        weights = list(accumulate((rank + 6) ** -0.7 for rank in range(len(themes))))
        one_offs = self._one_offs()
        while True:
            if self.rng.random() < ONE_OFF_SHARE:
                yield next(one_offs)
            else:
                yield self.rng.choices(themes, cum_weights=weights)[0]

    def _one_offs(self) -> Iterator[Issue]:
        """Subject matters and predicates in pairs that never repeat, with strays in between."""
        book = load("oneoffs")
        things = [(product, thing) for product, those in book["things"].items() for thing in those]
        decks = [self.rng.sample(things, len(things)) for _ in book["predicate"]]
        strays = self.rng.sample(book["strays"], len(book["strays"]))
        stray_share = len(strays) / (EVERYDAY * ONE_OFF_SHARE)
        weigh = partial(_still_weighs, book["predicate"], decks)
        while any(weights := weigh()):
            if strays and self.rng.random() < stray_share:
                text = strays.pop()
                yield Issue("stray", "", "", (_short(text),), (text,), tag="stray")
                continue
            index = self.rng.choices(range(len(decks)), weights)[0]
            product, thing = decks[index].pop()
            yield self._one_off(book["predicate"][index], book["details"], product, thing)

    def _one_off(self, predicate: Mapping[str, Any], details: list[str], product: str, thing: str) -> Issue:
        count = min(3, int(-math.log(self.rng.random()) * 0.9))
        return Issue(
            id="one-off",
            product=product,
            component="",
            subjects=tuple(predicate["subjects"]),
            says=tuple(map(capitalised, predicate["says"])),
            fixed=tuple(predicate["fixed"]),
            details=tuple(self.rng.sample(details, count)),
            tag=predicate["tag"],
            article="",
            facts={"thing": thing, "Thing": capitalised(thing)},
        )


def _still_weighs(predicates: list[Mapping[str, Any]], decks: list[list[Any]]) -> list[float]:
    return [row["weight"] if deck else 0.0 for row, deck in zip(predicates, decks, strict=True)]


def _numbered(templates: list[str], number: int) -> list[str]:
    return [template.replace("{k}", str(number)) for template in templates]


def _short(text: str) -> str:
    return " ".join(text.split()[:6]).rstrip(".,:;?!")
