"""A pattern's page: what it is, why it fired, who is hit, what they share, the tickets behind every number."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse
from sqlmodel import Session

from app.detectors.releases import Outcome, Verdict, fix_verdict
from app.detectors.sentence import amount, plural, verdict_sentence
from app.domain import Alert, Change, Pattern, PatternState, Release, Ticket, Topic, TopicKind
from app.errors import Invalid
from app.pipeline import review
from app.pipeline.feeds import About
from app.pipeline.fixes import onset
from app.runtime import Runtime
from app.store import alerts, events, pages, patterns, releases, reports, suggestions, tickets, topics
from app.store.patterns import Edit
from app.web import edit
from app.web.charts import Mark
from app.web.guard import Reader, Run, Writer
from app.web.inbox import LONGEST_DAYS, REASONS, SNOOZES, evidence_of, title
from app.web.made import Made
from app.web.render import PageRoute, done, page
from app.web.threads import Threads
from app.web.traffic import Traffic

router = APIRouter(prefix="/patterns", route_class=PageRoute, include_in_schema=False)
CHARTS_DAYS = (35, 63, LONGEST_DAYS)  # the shortest one that shows a fortnight before the pattern began
NARROW_DAYS = 28
EVIDENCE = 25
CUSTOMERS = 10
ANSWERS = 3
ALIKE = 0.6  # cosine between the middles of two patterns from which on one may tell of the other
NEAR, EARLIER = 20, 3  # patterns looked at, and shown of those that are older
RELEASED_BEFORE = timedelta(days=60)  # a release this long before the first ticket may still be its cause
NOTE_CHARS = 28  # of a note on the chart; all of it is in the timeline
CANDIDATES = 100  # patterns offered for merging, and releases for linking


@dataclass(frozen=True, slots=True)
class Judged:
    """A recorded fix and what can be said of it today; `verdict` is None before the first ticket."""

    fix: Release
    verdict: Verdict | None
    sentence: str
    came_back: bool  # it was verified, and the pattern has regressed since

    @property
    def word(self) -> str:
        if self.came_back:
            return "Came back"
        words = {Outcome.RECOVERED: "Recovered", Outcome.NOT_YET: "Not yet"}
        return words.get(self.verdict.outcome, "Too little data") if self.verdict else "Too little data"


@dataclass(frozen=True, slots=True)
class Earlier:
    """A pattern from before that was like this one, and what ended it as far as that is known."""

    pattern: Pattern
    likeness: float
    fix: Release | None
    answer: str


@router.get("/{id_}")
def show(request: Request, run: Run, visitor: Reader, id_: str, cursor: str = "") -> Response:
    """The page; a merged pattern answers 308 to its heir."""
    traffic: Traffic = request.app.state.traffic
    with run.store.read() as session:
        pattern = patterns.resolve(session, id_)
        if pattern.merged_into is not None:
            return RedirectResponse(f"/patterns/{patterns.heir(session, id_)}", 308)
        values = _read(session, run, traffic, pattern, cursor or None)
        made: Made[pages.Middles] = request.app.state.middles
        _, middles = made.of("middles", lambda: pages.middles(session), now=run.now())
        earlier = _earlier(session, pattern, middles)
    threads: Threads = request.app.state.threads
    return page(
        request, visitor, "pattern.html", about=About(patterns=[id_]), pattern=pattern, title=title(pattern.name, pattern.signature),
        threads=threads.of(run, pattern), snoozes=SNOOZES, reasons=REASONS, narrow_days=NARROW_DAYS,
        is_later=bool(cursor), edit_words=edit.WORDS, earlier=earlier, **values,
    )  # fmt: skip


def _read(
    session: Session, run: Runtime, traffic: Traffic, pattern: Pattern, cursor: str | None
) -> dict[str, Any]:
    """Everything the template shows that is in the store; as many queries for three tickets as for thousands."""
    now, topic_id = run.now(), topics.topic_id(TopicKind.PATTERN, pattern.id)
    days = _span(pattern, now)
    about = alerts.of_patterns(session, [pattern.id]).get(pattern.id, [])
    products = pages.values_of(session, pattern.id, "product")
    fixes = releases.of_pattern(session, pattern.id)
    topic = topics.by_ids(session, [topic_id]).get(topic_id)
    found = tickets.search(session, {"pattern": pattern.id}, cursor=cursor, limit=EVIDENCE)
    likeness = pages.likeness(session, pattern.id)
    examples = _examples(session, found.items, likeness)
    reasons = patterns.placements(session, [t.id for t in found.items])
    subjects = [pattern.id, *(a.id for a in about), *(f.id for f in fixes)]
    return {
        "standing": [a for a in about if a.resolved_at is None],
        "past": [a for a in about if a.resolved_at is not None],
        "products": products,
        "course": traffic.courses(session, [topic] if topic else [], days=days).get(topic_id),
        "marks": [
            *_marks(session, run, now - timedelta(days=days), products, fixes, about),
            *_notes(session, run, pattern.id),
        ],
        "fixes": [_judged(session, run, traffic, fix, topic, about, pattern) for fix in reversed(fixes)],
        "affected": pages.affected(session, pattern.id, limit=CUSTOMERS),
        "examples": examples,
        "answers": reports.answers(session, pattern.id, limit=ANSWERS),
        "evidence": evidence_of(session, found.items, reasons),
        "likeness": dict(likeness),
        "following": found.next_cursor,
        "timeline": events.of(session, subjects, limit=40),
        "candidates": pages.candidates(session, limit=CANDIDATES),
        "owners": pages.owners(session),
        "decisions": _decisions(session, pattern.id),
        "released": _released(session, pattern, products, now),
        "came_with": releases.get(session, pattern.came_with) if pattern.came_with else None,
        "suggested": [(suggestions.id_of(s), s) for s in suggestions.open_(session, pattern.id)],
        "lineage": patterns.by_ids(session, [pattern.split_from]) if pattern.split_from else {},
    }


def _earlier(session: Session, pattern: Pattern, middles: pages.Middles) -> list[Earlier]:
    """What was like this pattern and began before it, the most alike first."""
    near = middles.nearest(pattern.id, least=ALIKE)[:NEAR]
    known = patterns.by_ids(session, [id_ for id_, _ in near])
    before = [(p, cosine) for id_, cosine in near if (p := known.get(id_)) and p.first_at < pattern.first_at]
    found = []
    for other, cosine in before[:EARLIER]:
        fixes = releases.of_pattern(session, other.id)
        said = reports.answers(session, other.id, limit=1)
        found.append(Earlier(other, cosine, fixes[-1] if fixes else None, said[0][0] if said else ""))
    return found


def _span(pattern: Pattern, now: datetime) -> int:
    age = (now - pattern.first_at).days + 14
    return next((days for days in CHARTS_DAYS if days >= age), CHARTS_DAYS[-1])


def _examples(
    session: Session, newest: Sequence[Ticket], likeness: Sequence[tuple[str, float]]
) -> list[tuple[str, Ticket]]:
    """The one closest to the pattern's middle, the newest of the rest, and the least typical one."""
    ids = [ticket for ticket, _ in (*likeness[:1], *(likeness[-1:] if len(likeness) > 2 else []))]
    held = tickets.by_ids(session, ids)
    shown = [("Most typical", held[t]) for t in ids[:1] if t in held]
    shown += [("Newest", t) for t in newest if t.id not in held][:1]
    return shown + [("Least typical", held[t]) for t in ids[1:] if t in held]


def _marks(
    session: Session,
    run: Runtime,
    since: datetime,
    products: Sequence[tuple[str, int]],
    fixes: Sequence[Release],
    about: Sequence[Alert],
) -> list[Mark]:
    """Releases of the pattern's main product (or of no product), its own fixes, and when alerts opened."""
    zone = run.settings.zone
    main = products[0][0] if products else ""
    near = [
        r for r in releases.between(session, since, run.now())
        if r.kind is Change.RELEASE and r.product in ("", main)
    ]  # fmt: skip
    marks = [Mark(r.at.astimezone(zone).date(), "release", r.title.split(":")[0]) for r in near]
    marks += [Mark(f.at.astimezone(zone).date(), "fix", f"Fix {f.version}".strip()) for f in fixes]
    return marks + [
        Mark(a.opened_at.astimezone(zone).date(), "alert", "Alert") for a in about if a.tier == "alert"
    ]


def _released(
    session: Session, pattern: Pattern, products: Sequence[tuple[str, int]], now: datetime
) -> list[Release]:
    """What the pattern may have come with, newest first: its products' releases before those of others."""
    own = {"", *(value for value, _ in products)}
    near = releases.between(session, pattern.first_at - RELEASED_BEFORE, now)[::-1]
    found = sorted((r for r in near if r.kind is Change.RELEASE), key=lambda r: r.product not in own)
    return [r for n, r in enumerate(found) if n < CANDIDATES or r.id == pattern.came_with]


def _notes(session: Session, run: Runtime, id_: str) -> list[Mark]:
    """What people noted beside the pattern, on the days it is about."""
    found = events.of(session, [id_], type_="pattern.noted")
    return [
        Mark(
            datetime.fromisoformat(e.data["noted_at"]).astimezone(run.settings.zone).date(), "note",
            textwrap.shorten(e.data["text"], NOTE_CHARS, placeholder="…"),
        )
        for e in found
    ]  # fmt: skip


def _decisions(session: Session, id_: str) -> list[Edit]:
    """Hand edits of this pattern that are in force, newest first."""
    every = patterns.edits(session)
    undone = {e.undoes for e in every}
    of_it = [e for e in every if id_ in {patterns.heir(session, p) for p in e.patterns if p}]
    return [e for e in reversed(of_it) if e.id not in undone and e.kind not in ("rename", "undo")]


def _judged(
    session: Session,
    run: Runtime,
    traffic: Traffic,
    fix: Release,
    topic: Topic | None,
    about: Sequence[Alert],
    pattern: Pattern,
) -> Judged:
    came_back = fix.outcome == Outcome.RECOVERED and pattern.state is PatternState.REGRESSED
    desk = traffic.desk(session)
    if desk is None or topic is None:
        return Judged(fix, None, "There is no ticket yet to judge it by.", came_back)
    series = traffic.series(session, topic)
    verdict = fix_verdict(series, desk, fix, run.now().timestamp(), onset=onset(about, fix))
    if came_back:
        told = (
            f"It was verified, and the problem is back: {plural(verdict.after, 'customer')} since the fix, "
            f"where the level before it would have brought {amount(verdict.expected)}."
        )
    else:
        told = verdict_sentence(verdict, run.settings.time_zone)
    return Judged(fix, verdict, told, came_back)


# --- decisions --------------------------------------------------------------------------------------


@router.post("/{id_}/rename")
def rename(run: Run, visitor: Writer, id_: str, name: Annotated[str, Form(max_length=120)]) -> Response:
    if not name.strip():
        raise Invalid("a name needs at least one letter")
    review.rename(run, id_, " ".join(name.split()), actor=visitor.name)
    return done(f"/patterns/{id_}", "renamed")


@router.post("/{id_}/release")
def link_release(run: Run, visitor: Writer, id_: str, release: Annotated[str, Form()] = "") -> Response:
    review.link_release(run, id_, release or None, actor=visitor.name)
    return done(f"/patterns/{id_}", "linked" if release else "unlinked")


@router.post("/{id_}/note")
def annotate(
    run: Run,
    visitor: Writer,
    id_: str,
    text: Annotated[str, Form(max_length=500)],
    on: Annotated[str, Form()] = "",
) -> Response:
    """Remember a note; `on` is a business day, today when it is empty."""
    if not text.strip():
        raise Invalid("a note needs words")
    try:
        day = datetime.fromisoformat(on).replace(tzinfo=run.settings.zone) if on else None
    except ValueError:
        raise Invalid(f"{on!r} is not a day such as 2026-05-04") from None
    review.annotate(run, id_, " ".join(text.split()), on=day, actor=visitor.name)
    return done(f"/patterns/{id_}", "noted")


@router.get("/{id_}/merge")
def ask_merge(request: Request, run: Run, visitor: Reader, id_: str, into: str = "") -> Response:
    """What a merge would do, before it is done."""
    with run.store.read() as session:
        loser = patterns.resolve(session, id_)
        survivor = patterns.resolve(session, patterns.heir(session, into.strip().split(" ")[0]))
    if loser.merged_into or loser.id == survivor.id:
        raise Invalid("choose another pattern to merge into")
    return page(request, visitor, "merge.html", loser=loser, survivor=survivor)


@router.post("/{id_}/merge")
def merge(run: Run, visitor: Writer, id_: str, into: Annotated[str, Form()]) -> Response:
    survivor = review.merge(run, id_, into=into, actor=visitor.name)
    return done(f"/patterns/{survivor.id}", "merged")


@router.post("/{id_}/fix")
def fix(
    run: Run,
    visitor: Writer,
    id_: str,
    what: Annotated[str, Form(max_length=200)],
    at: Annotated[str, Form()],
    version: Annotated[str, Form(max_length=60)] = "",
    url: Annotated[str, Form(max_length=500)] = "",
) -> Response:
    """Remember a fix, given in business time."""
    if url and not url.startswith(("https://", "http://")):
        raise Invalid("the link must begin with https:// or http://")
    try:
        moment = datetime.fromisoformat(at).replace(tzinfo=run.settings.zone)
    except ValueError:
        raise Invalid(f"{at!r} is not a date and time such as 2026-05-04T09:30") from None
    if moment > run.now():
        raise Invalid("a fix is recorded once it is out: the time lies in the future")
    review.record_release(
        run, at=moment, kind=Change.FIX, title=what.strip() or "Fix", version=version.strip(), pattern_id=id_,
        url=url, actor=visitor.name,
    )  # fmt: skip
    return done(f"/patterns/{id_}", "fix")
