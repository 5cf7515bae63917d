"""Who writes: accounts of very different size with plan, region and people, and how each person writes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from random import Random

from app.domain import Release
from app.sample.words import load

LEGAL_FOOTER_ACCOUNT = "Harbor Insurance"
FLOOD_ACCOUNTS = ("Cobalt Robotics", "Granite Housing")
_LANGUAGES = {
    "EU": {"en": 0.5, "de": 0.3, "fr": 0.13, "es": 0.07},
    "LATAM": {"es": 0.7, "en": 0.3},
}
_BROWSER_PLATFORMS = {"Safari": {"macOS": 0.8, "iOS": 0.2}}


def pick(rng: Random, weights: dict[str, float]) -> str:
    return rng.choices(list(weights), list(weights.values()))[0]


@dataclass(frozen=True, slots=True)
class Contact:
    """One person of an account, with the habits that make their mails look alike."""

    name: str
    email: str
    role: str
    phone: str
    browser: str
    platform: str
    signs: bool
    html: bool
    sloppy: float  # 0 careful to 1 careless


@dataclass(frozen=True, slots=True)
class Account:
    name: str
    plan: str
    region: str
    language: str
    eagerness: float  # 0 takes every release on its first day, 1 is the last to
    contacts: tuple[Contact, ...]


def _contact(rng: Random, name: str, slug: str) -> Contact:
    company = load("company")
    browser = pick(rng, company["browsers"])
    platforms = _BROWSER_PLATFORMS.get(browser, company["platforms"])
    return Contact(
        name=name,
        email=f"{name.lower()}@{slug}.example.{rng.choice(('com', 'org', 'net'))}",
        role=rng.choice(load("voice")["slots"]["role"]),
        phone=f"+1 (555) 01{rng.randint(10, 99)}-{rng.randint(100, 999)}",
        browser=browser,
        platform=pick(rng, platforms),
        signs=rng.random() < 0.6,
        html=rng.random() < 0.4,
        sloppy=rng.random() ** 2.5,
    )


def make_accounts(rng: Random, count: int = 900) -> list[Account]:
    """`count` accounts, the ones that write most first."""
    company = load("company")
    names = [f"{head} {tail}" for head in company["account_heads"] for tail in company["account_tails"]]
    special = [LEGAL_FOOTER_ACCOUNT, *FLOOD_ACCOUNTS]
    names = [name for name in names if name not in special]
    rng.shuffle(names)
    names[2:2] = special
    accounts = []
    for rank, name in enumerate(names[:count]):
        region = pick(rng, company["regions"])
        people = rng.sample(
            load("voice")["slots"]["person"], 1 + min(7, int(40 / (rank + 4)) + rng.randint(0, 2))
        )
        slug = name.lower().replace(" ", "-")
        accounts.append(
            Account(
                name=name,
                plan="enterprise" if rank < 12 else pick(rng, company["plans"]),
                region=region,
                language=pick(rng, _LANGUAGES.get(region, {"en": 1.0})),
                eagerness=rng.random(),
                contacts=tuple(_contact(rng, person, slug) for person in people),
            )
        )
    return accounts


class Population:
    """Draws who writes next: few accounts write a lot, most write rarely."""

    def __init__(self, rng: Random, accounts: list[Account]) -> None:
        self.rng = rng
        self.accounts = accounts
        self.by_name = {account.name: account for account in accounts}
        self._weights = list(accumulate(1 / (rank + 25) ** 0.85 for rank in range(len(accounts))))

    def any(self) -> Account:
        return self.rng.choices(self.accounts, cum_weights=self._weights)[0]

    def distinct(self, count: int) -> list[Account]:
        """`count` different accounts, none of them a flooding one."""
        return self.rng.sample([a for a in self.accounts if a.name not in FLOOD_ACCOUNTS], count)


def version_in_use(
    releases: list[tuple[Release, float]], product: str, account: Account, at: datetime
) -> str:
    """The version `account` runs `at`: a release spreads over two weeks to its share of adoption."""
    version = ""
    for release, adoption in releases:
        if release.product != product or release.at > at:
            continue
        spread = min(1.0, 0.3 + 0.7 * ((at - release.at) / timedelta(days=14)))
        if not version or account.eagerness < adoption * spread:
            version = release.version
    return version
