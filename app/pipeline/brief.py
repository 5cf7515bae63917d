"""The brief of a pattern, gathered from the store: from any pattern in any state, and never from the clock."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlmodel import Session

from app.detectors.thread import Thread
from app.domain import Event, Pattern, Release, Ticket
from app.errors import Invalid
from app.pipeline import feeds, review
from app.pipeline.feeds import About
from app.reports import dialects, html, pdf
from app.reports.brief import Answer, Brief, Customer, Feed, Fix, Member, Said, Signal, Week, document
from app.reports.reasons import reason
from app.runtime import Runtime
from app.store import alerts, events, pages, patterns, releases, reports, sources, tickets

MOST_WEEKS = 12
USUAL_WEEKS = 4
CUSTOMERS = 8
THREADS = 5  # those that a stronger one explains are left to the pattern's page
PRODUCTS = 3
QUOTES = 4
QUOTED_FROM = 12  # tickets closest to the middle, among which quotes of different customers are sought
ANSWERS = 3
EVIDENCE = 60  # the newest tickets listed; all of them are in the CSV
BODY_EVIDENCE = 10  # in a body that is pasted somewhere
FORMATS = {
    "html": "text/html; charset=utf-8",
    "md": "text/markdown; charset=utf-8",
    "pdf": "application/pdf",
    "json": "application/json",
    "slack": "text/plain; charset=utf-8",
    "jira": "text/plain; charset=utf-8",
}
VERDICTS = ("fix.verified", "fix.failed")


def brief(runtime: Runtime, id_: str) -> Brief:
    """What is known of a pattern, its common thread computed afresh."""
    return gathered(runtime, id_, review.common_thread(runtime, id_))


def gathered(runtime: Runtime, id_: str, threads: Sequence[Thread] | None) -> Brief:
    """What is known of a pattern whose common thread the caller has; None: it is still being computed."""
    missing = feeds.touching(runtime, About(patterns=[id_]))
    with runtime.store.read() as session:
        found = _read(session, runtime, patterns.resolve(session, id_), threads)
    return replace(found, lacking=tuple((name, trouble.state) for name, trouble in sorted(missing.items())))


def rendered(found: Brief, format_: str) -> bytes:
    """The brief in one of FORMATS; the same brief gives the same bytes. JSON is the caller's."""
    match format_:
        case "html":
            return html.page(document(found)).encode()
        case "md":
            return dialects.render(document(found), dialects.MARKDOWN).encode()
        case "pdf":
            return pdf.render(document(found), made=found.as_of)
        case "slack" | "jira":
            dialect = dialects.SLACK if format_ == "slack" else dialects.JIRA
            return dialects.render(document(found, most_evidence=BODY_EVIDENCE), dialect).encode()
        case _:
            raise Invalid(f"format must be one of {', '.join(FORMATS)}", pointer="format")


def _read(session: Session, runtime: Runtime, pattern: Pattern, threads: Sequence[Thread] | None) -> Brief:
    zone = runtime.settings.zone
    fixes = releases.of_pattern(session, pattern.id)
    about = alerts.of_patterns(session, [pattern.id]).get(pattern.id, [])
    told = events.of(session, [pattern.id, *(a.id for a in about), *(f.id for f in fixes)])
    as_of = max([pattern.last_at, *(e.at for e in told[:1]), *_newest(session)])
    lived = reports.lifetime(session, pattern.id)
    drawn = reports.sightings(session, pattern.id, since=as_of - timedelta(weeks=MOST_WEEKS, days=1))
    weeks = _weeks(drawn, lived[0] if lived else None, as_of.astimezone(zone).date(), zone)
    before = weeks[:-1][-USUAL_WEEKS:]
    return Brief(
        pattern=pattern.id,
        name=pattern.name,
        state=pattern.state.value,
        signature=pattern.signature,
        description=pattern.description,
        phrases=pattern.phrases,
        url=f"{runtime.settings.base_url}/patterns/{pattern.id}",
        zone=runtime.settings.time_zone,
        as_of=as_of,
        first_at=pattern.first_at,
        last_at=pattern.last_at,
        tickets=pattern.tickets,
        customers=pattern.customers,
        products=tuple((v, n) for v, n in pages.values_of(session, pattern.id, "product") if v)[:PRODUCTS],
        came_with=releases.get(session, pattern.came_with).title if pattern.came_with else "",
        weeks=weeks,
        usual=sum(w.customers for w in before) / max(len(before), 1),
        usual_weeks=len(before),
        signals=tuple(Signal(a.sentence, a.opened_at, a.resolved_at, a.reason) for a in about),
        affected=tuple(
            Customer(c.name or c.customer[:12], c.tickets)
            for c in pages.affected(session, pattern.id, limit=CUSTOMERS)
        ),
        threads=None if threads is None else tuple(t.sentence for t in threads if not t.note)[:THREADS],
        quotes=_quotes(session, pattern.id),
        fixes=tuple(_fix(fix, told) for fix in fixes),
        answers=tuple(Answer(*row) for row in reports.answers(session, pattern.id, limit=ANSWERS)),
        evidence=tuple(_member(m) for m in reports.members(session, pattern.id, limit=EVIDENCE)),
        feeds=tuple(Feed(h.name, h.newest_at) for h in sources.health(session)),
        version=pattern.version,
    )


def _newest(session: Session) -> list[datetime]:
    newest = tickets.newest(session)
    return [newest] if newest else []


def _weeks(
    seen: Sequence[tuple[datetime, str]], first: datetime | None, last: date, zone: ZoneInfo
) -> tuple[Week, ...]:
    """The seven days up to `last` and the sevens before them, back to the `first` ticket; oldest first."""
    if first is None:
        return ()
    held: dict[int, list[str]] = defaultdict(list)
    for at, customer in seen:
        held[_weeks_back(at, last, zone)].append(customer)
    return tuple(
        Week(last - timedelta(days=7 * back + 6), len(held[back]), len(set(held[back])))
        for back in reversed(range(min(_weeks_back(first, last, zone) + 1, MOST_WEEKS)))
    )


def _weeks_back(at: datetime, last: date, zone: ZoneInfo) -> int:
    return max(0, (last - at.astimezone(zone).date()).days) // 7


def _quotes(session: Session, pattern_id: str) -> tuple[Said, ...]:
    """Three to five tickets in their own words: the most typical of different customers, newest, least typical."""
    likeness = [ticket for ticket, _ in pages.likeness(session, pattern_id)]
    newest = [m.id for m in reports.members(session, pattern_id, limit=1)]
    ids = [*likeness[:QUOTED_FROM], *likeness[-1:], *newest]
    held = {id_: t for id_, t in tickets.by_ids(session, ids).items() if (t.subject + t.body).strip()}
    labels = {t: "Least typical" for t in likeness[-1:] if len(likeness) > QUOTES}
    labels |= dict.fromkeys(newest, "Newest") | dict.fromkeys(likeness[:1], "Most typical")
    named = [t for t in [*likeness[:1], *newest, *likeness[-1:]] if t in labels]
    spoken: dict[str, Ticket] = {}
    for id_ in [*named, *likeness]:
        ticket = held.get(id_)
        fresh = ticket and ticket.customer not in {t.customer for t in spoken.values()}
        if ticket and id_ not in spoken and len(spoken) < QUOTES and (fresh or id_ in named):
            spoken[id_] = ticket
    return tuple(_said(labels.get(id_, "Typical"), ticket) for id_, ticket in spoken.items())


def _said(label: str, ticket: Ticket) -> Said:
    says_it_again = ticket.subject.casefold() in ticket.body.casefold()
    return Said(
        label=label,
        text=ticket.body if says_it_again else f"{ticket.subject}: {ticket.body}".strip(": \n"),
        reference=f"{ticket.source} {ticket.external_id}",
        url=ticket.url,
        at=ticket.created_at,
        customer=ticket.account_name or ticket.customer[:12],
    )


def _fix(fix: Release, told: Sequence[Event]) -> Fix:
    """A recorded fix with the last verdict that was told of it."""
    verdict = next((e.data for e in told if e.type in VERDICTS and e.data.get("fix") == fix.id), None)
    said = str(verdict["sentence"]) if verdict else "No verdict yet: too little data since."
    return Fix(f"{fix.title} {fix.version}".strip(), fix.at, fix.url, said)


def _member(found: reports.Member) -> Member:
    return Member(
        found.id, f"{found.source} {found.external_id}", found.url, found.subject, found.created_at,
        found.account_name or found.customer[:12], found.status, reason(found.why),
    )  # fmt: skip
