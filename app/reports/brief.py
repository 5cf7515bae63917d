"""The one-page brief of a pattern: its facts as a record, and the document made of them.

Made only from what is stored, never from the clock: the same state gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from app.reports.document import (
    Bars,
    Block,
    Bullets,
    Document,
    Facts,
    Item,
    Quote,
    Section,
    Table,
    Text,
    one_line,
    web_address,
)

MOST_QUOTE = 300  # characters
STATES = {
    "watching": "Being watched",
    "new": "New",
    "escalating": "Escalating",
    "ongoing": "Ongoing",
    "fix_pending": "Fix pending",
    "recovered": "Recovered",
    "regressed": "Regressed: it came back after its fix",
    "dormant": "Dormant",
    "dismissed": "Dismissed",
}


@dataclass(frozen=True, slots=True)
class Week:
    """Tickets and distinct customers of the seven business days that begin on `first`."""

    first: date
    tickets: int
    customers: int


@dataclass(frozen=True, slots=True)
class Signal:
    """One alert about the pattern, as it was told."""

    sentence: str
    opened_at: datetime
    resolved_at: datetime | None
    reason: str


@dataclass(frozen=True, slots=True)
class Customer:
    name: str
    tickets: int


@dataclass(frozen=True, slots=True)
class Said:
    """A redacted quote; `label` says why this ticket was chosen."""

    label: str
    text: str
    reference: str
    url: str
    at: datetime
    customer: str


@dataclass(frozen=True, slots=True)
class Fix:
    title: str
    at: datetime
    url: str
    verdict: str


@dataclass(frozen=True, slots=True)
class Answer:
    """How members were resolved: the words, how many, and how many of those came back."""

    text: str
    tickets: int
    reopened: int


@dataclass(frozen=True, slots=True)
class Member:
    """One ticket as evidence."""

    ticket: str
    reference: str
    url: str
    subject: str
    at: datetime
    customer: str
    status: str
    reason: str


@dataclass(frozen=True, slots=True)
class Feed:
    """A source the tickets come from, and the time of the newest ticket it brought."""

    name: str
    newest_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Brief:
    """Everything the brief says. `as_of` is the newest thing known, not the moment of asking."""

    pattern: str
    name: str
    state: str
    signature: str
    description: str
    phrases: tuple[str, ...]
    url: str
    zone: str
    as_of: datetime
    first_at: datetime
    last_at: datetime
    tickets: int
    customers: int
    products: tuple[tuple[str, int], ...]
    came_with: str  # title of the release people say it came with, "" when none
    weeks: tuple[Week, ...]
    usual: float  # customers a week, over the full weeks before the newest seven days
    usual_weeks: int
    signals: tuple[Signal, ...]
    affected: tuple[Customer, ...]
    threads: tuple[str, ...] | None  # None while the comparison is still running
    quotes: tuple[Said, ...]
    fixes: tuple[Fix, ...]
    answers: tuple[Answer, ...]
    evidence: tuple[Member, ...]
    feeds: tuple[Feed, ...]
    version: int
    lacking: tuple[tuple[str, str], ...] = ()  # sources whose tickets may be missing, and why in a word

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; times are RFC 3339 UTC."""
        found: dict[str, Any] = _plain(asdict(self))
        return found


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, tuple | list) else value


def document(brief: Brief, *, most_evidence: int | None = None) -> Document:
    """The brief as a document; with `most_evidence`, only so many tickets are listed."""
    made = [
        Section("What is happening", _what(brief)),
        Section("How big against normal", _size(brief)),
        Section("Who is affected", _who(brief)),
        Section("Common thread", _thread(brief)),
        Section("In customers' words", tuple(_quote(q, brief) for q in brief.quotes)),
        Section("What was tried", _tried(brief)),
        Section("Evidence", _evidence(brief, most_evidence), is_appendix=True),
    ]
    return Document(
        title=brief.name,
        url=brief.url,
        line=f"{STATES.get(brief.state, brief.state)} · {_counted(brief.tickets, brief.customers)} · "
        f"{_day(brief.first_at, brief)} to {_day(brief.last_at, brief)}",
        sections=tuple(s for s in made if s.blocks),
        foot=_foot(brief),
    )


def _what(brief: Brief) -> tuple[Block, ...]:
    facts = [("Since", _when(brief.first_at, brief)), ("Last seen", _when(brief.last_at, brief))]
    facts += [("Error", brief.signature)] if brief.signature else []
    facts += [("Product", ", ".join(f"{v} ({n})" for v, n in brief.products))] if brief.products else []
    facts += [("Came with", brief.came_with)] if brief.came_with else []
    facts += [("Its words", "; ".join(brief.phrases))] if brief.phrases else []
    opening: list[Block] = [
        Text(f"Numbers may be too low: {name} is {state}.") for name, state in brief.lacking
    ]
    opening += [Text(brief.description)] if brief.description else []
    return (*opening, *(Text(s.sentence) for s in brief.signals[:1]), Facts(tuple(facts)))


def _size(brief: Brief) -> tuple[Block, ...]:
    last = brief.weeks[-1] if brief.weeks else None
    if last is None:
        return (Text("No ticket is in this pattern any more."),)
    usual = "It is less than a week old: there is nothing of its own to compare with."
    if brief.usual_weeks:
        span = "the week" if brief.usual_weeks == 1 else f"the {brief.usual_weeks} weeks"
        usual = f"In {span} before it was {_amount(brief.usual)} customers a week."
    day = _day(brief.as_of, brief)
    said = f"{_counted(last.tickets, last.customers)} in the seven days to {day}. {usual}"
    bars = Bars("customers", tuple((f"{w.first.day} {w.first:%b}", w.customers) for w in brief.weeks))
    earlier = tuple(Item(_signal(s, brief)) for s in brief.signals[1:])
    return (Text(said), bars, *((Text("Earlier alerts"), Bullets(earlier)) if earlier else ()))


def _signal(signal: Signal, brief: Brief) -> str:
    end = f"; closed {_day(signal.resolved_at, brief)}" if signal.resolved_at else "; still open"
    return f"{_day(signal.opened_at, brief)}: {signal.sentence}{end}" + (
        f" ({signal.reason})" if signal.reason else ""
    )


def _who(brief: Brief) -> tuple[Block, ...]:
    if not brief.affected:
        return ()
    shown = ", ".join(f"{c.name} ({c.tickets})" if c.tickets > 1 else c.name for c in brief.affected)
    rest = brief.customers - len(brief.affected)
    return (Text(f"{shown} and {_plural(rest, 'further customer')}" if rest > 0 else shown),)


def _thread(brief: Brief) -> tuple[Block, ...]:
    if brief.threads is None:
        return (Text("Still being compared with the rest of the queue."),)
    if not brief.threads:
        return (Text("Nothing sets these customers apart from the rest of the queue in the same time."),)
    return (Bullets(tuple(Item(t) for t in brief.threads)),)


def _quote(said: Said, brief: Brief) -> Block:
    by = f"{said.reference}, {said.customer}, {_day(said.at, brief)}"
    return Quote(said.label, one_line(said.text, MOST_QUOTE), Item(by, web_address(said.url)))


def _tried(brief: Brief) -> tuple[Block, ...]:
    fixes = tuple(
        Item(f"{_when(f.at, brief)}: {one_line(f.title)}. {f.verdict}", web_address(f.url))
        for f in brief.fixes
    )
    answers = tuple(Item(_answer(a)) for a in brief.answers)
    blocks: list[Block] = [Bullets(fixes)] if fixes else [Text("No fix is recorded yet.")]
    if answers:
        blocks += [Text("How these tickets were answered, most frequent first"), Bullets(answers)]
    return tuple(blocks)


def _answer(answer: Answer) -> str:
    back = f", {answer.reopened} reopened" if answer.reopened else ""
    return f"“{one_line(answer.text, 240)}” ({_plural(answer.tickets, 'ticket')}{back})"


def _evidence(brief: Brief, most: int | None) -> tuple[Block, ...]:
    shown: Sequence[Member] = brief.evidence if most is None else brief.evidence[:most]
    rows = tuple(
        (
            Item(m.reference, web_address(m.url)),
            Item(_day(m.at, brief)),
            Item(one_line(m.customer, 40)),
            Item(one_line(m.subject) or "(no subject)"),
            Item(m.reason),
        )
        for m in shown
    )
    left = brief.tickets - len(shown)
    more = f"The newest {len(shown)} of {brief.tickets}; all of them are in the CSV of the evidence page."
    said = (Text(more),) if left > 0 else ()
    return (*said, Table(("Ticket", "Day", "Customer", "Subject", "Why it belongs"), rows)) if rows else said


def _foot(brief: Brief) -> str:
    feeds = ", ".join(
        f"{f.name} (newest ticket {_when(f.newest_at, brief)})"
        if f.newest_at
        else f"{f.name} (no ticket yet)"
        for f in brief.feeds
    )
    return (
        f"Based on {_plural(brief.tickets, 'ticket')} from {_when(brief.first_at, brief)} to "
        f"{_when(brief.last_at, brief)}, as far as known {_when(brief.as_of, brief)}. "
        f"Sources: {feeds or 'none'}. Days begin at midnight, {brief.zone}. Personal data were redacted before "
        f"anything was stored. {brief.pattern}, version {brief.version}."
    )


def _counted(tickets: int, customers: int) -> str:
    return f"{_plural(tickets, 'ticket')} from {_plural(customers, 'customer')}"


def _plural(n: int, noun: str) -> str:
    return f"{n:,} {noun}" + ("" if n == 1 else "s")


def _amount(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def _day(at: datetime, brief: Brief) -> str:
    local = at.astimezone(ZoneInfo(brief.zone))
    return f"{local.day} {local:%b %Y}"


def _when(at: datetime, brief: Brief) -> str:
    local = at.astimezone(ZoneInfo(brief.zone))
    name = local.tzname() or ""
    zone = f"UTC{name}" if name[:1] in "+-" else name
    return f"{local.day} {local:%b %Y, %H:%M} {zone}"
