"""Has this happened before, and what fixed it? Earlier cases by meaning, words and error codes.

An answer comes within a budget of time. What is not ready by then is left out and said: without the
query's vector the cases are found by their words alone, and `degraded` is true.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.detectors import lexical
from app.detectors.rank import DENSE, Candidates, Case, Match, Ranker, answer
from app.detectors.signature import signatures
from app.detectors.text import embedding_text
from app.domain import Matrix, Pattern, Ticket, TopicKind, sortable_id
from app.errors import ForeshockError, TryLater
from app.ingest import normalise
from app.ingest.redact import redact
from app.pipeline.cases import Casebook, Mask, case, catch_up, held
from app.runtime import Runtime
from app.store import feedback, patterns, tickets, topics
from app.store.tickets import Outcome

log = logging.getLogger(__name__)

MOST_TEXT = 20_000  # characters of a question that are read
MOST_SUBJECT = 200  # a first line longer than this is no title
ALIKE = 0.6  # a share of what could be reached, from which on it is worth saying
FIXES = 5
MEMBERS = 200  # newest resolved cases of the pattern whose resolutions are compared
EMBED_SHARE, CATCH_UP_SHARE = 0.5, 0.25  # of the budget, at most
LATE = "the model did not answer in time: found by words alone"
FAILED = "the model failed: found by words alone"


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked. `before`: only what was known then; `live`: that is now."""

    case: Case
    before: datetime
    live: bool
    filters: Mapping[str, Any]
    until: float  # time.monotonic at which the answer is due
    problem: str = ""  # why its vector is missing

    def left(self, share: float = 1.0) -> float:
        """Seconds left, at most this share of them."""
        return max(0.0, share * (self.until - time.monotonic()))


@dataclass(frozen=True, slots=True)
class Found:
    """The ranked cases, with what they were ranked by."""

    matches: tuple[Match, ...] = ()
    candidates: Candidates | None = None
    problem: str = ""
    searched: int = 0  # cases that were known then and pass the filters


def cases(answer: Mapping[str, Any] | None) -> list[str]:
    """Ids of the cases an answer shows."""
    return [item["ticket"] for item in answer["items"]] if answer else []


def similar(
    runtime: Runtime,
    *,
    text: str = "",
    ticket_id: str = "",
    filters: Mapping[str, Any],
    k: int,
    include: Sequence[str],
    as_of: datetime | None = None,
) -> dict[str, Any]:
    """Answer a similar-case query as the API shows it; abstains when nothing is likely to be the same."""
    started = time.monotonic()
    query = Query(
        Case("", as_of or runtime.now(), "", "", "", np.zeros(0, np.float32), {}),
        as_of or runtime.now(), as_of is None, filters, started + runtime.settings.similar_budget_ms / 1000,
    )  # fmt: skip
    book = held(runtime, until=time.monotonic() + query.left(CATCH_UP_SHARE))
    query = _put(runtime, book, query, text=text, ticket_id=ticket_id)
    missing = catch_up(runtime, book, until=time.monotonic() + query.left(CATCH_UP_SHARE))
    found = search(book, query, k)
    ranker = book.rankers.words if found.problem else book.rankers.whole
    likely = [m for m in found.matches if m.probability >= floor(runtime, ranker)][:k]
    behind = f"{missing} new tickets are not searched yet" if missing else ""
    problem = "; ".join(filter(None, (found.problem, behind)))
    nothing = "" if likely else _nothing(found, query)
    answered: dict[str, Any] = {
        "query_id": _query_id(query),
        "model": runtime.embedder.model_id,
        "as_of": query.before.isoformat().replace("+00:00", "Z"),
        "took_ms": 0,
        "degraded": bool(problem),
        "abstained": not likely,
        "reason": problem or nothing,
        **_told(runtime, likely, query, include),
    }
    _record(runtime, book, query, found, likely, answered)
    answered["took_ms"] = int(1000 * (time.monotonic() - started))
    return answered


def _nothing(found: Found, query: Query) -> str:
    """Why no case is shown, where that is not a problem of our own."""
    if found.candidates is None:
        return ""
    if not found.searched:
        return "no earlier case passes the filters" if query.filters else "there is no earlier case"
    return "no earlier case is likely enough to be the same issue"


def floor(runtime: Runtime, ranker: Ranker) -> float:
    """The probability below which a case is not shown: the operator's, else the ranker's own."""
    chosen = runtime.settings.similar_floor
    return ranker.level if chosen is None else chosen


def _put(runtime: Runtime, book: Casebook, query: Query, *, text: str, ticket_id: str) -> Query:
    """The question as a case with its vector; a text is cleaned and redacted like any ticket."""
    if ticket_id:
        with runtime.store.read() as session:
            ticket = tickets.get(session, ticket_id)
            stored = tickets.vectors_of(session, runtime.embedder.model_id, [ticket_id]).get(ticket_id)
        asked = case(ticket, np.zeros(0, np.float32))
        if stored is not None:
            return replace(query, case=replace(asked, vector=stored.astype(np.float32)))
    else:
        cleaned = redact(normalise.clean(text[:MOST_TEXT], is_html=False))
        first, _, rest = cleaned.partition("\n")
        title, body = (first, rest) if len(first) <= MOST_SUBJECT else ("", cleaned)
        asked = replace(query.case, title=title, body=body)
    vector, problem = _embedded(runtime, book, asked, query.left(EMBED_SHARE))
    return replace(query, case=replace(asked, vector=vector), problem=problem)


def _embedded(runtime: Runtime, book: Casebook, asked: Case, seconds: float) -> tuple[Matrix, str]:
    """The question's vector, or an empty one and why."""
    text = embedding_text(asked.title, asked.body)
    waiting: Future[Matrix] = book.embedding.submit(lambda: runtime.embedder.embed([text])[0])
    try:
        return waiting.result(seconds), ""
    except TimeoutError:
        waiting.cancel()
        return np.zeros(0, np.float32), LATE
    except Exception as error:  # whatever a model's runtime raises, words still answer
        log.warning("a question was answered by words alone: the model failed with %s", type(error).__name__)
        return np.zeros(0, np.float32), FAILED


def search(book: Casebook, query: Query, k: int = 1) -> Found:
    """Earlier cases, the likeliest to be the same issue first; none where the casebook is not free in time."""
    try:
        return _search(book, query, k)
    except TryLater as busy:
        return Found(problem=str(busy))


def _search(book: Casebook, query: Query, k: int) -> Found:
    with book.locked(query.until):
        mask = _allowed(book, query)
    nearest, problem = np.empty(0, np.int64), query.problem
    if not problem:
        try:
            nearest = _nearest(book, query, mask)
        except ForeshockError:
            problem = "the vector index did not answer in time: found by words alone"
    with book.locked(query.until):
        mask = np.concatenate((mask, np.zeros(len(book.words) - len(mask), dtype=np.bool_)))
        mask &= ~np.isnan(book.at[: len(mask)])  # gone in the meantime
        numbers = book.numbers(nearest)
        numbers = numbers[mask[numbers]] if len(numbers) else numbers
        candidates = book.words.candidates(
            query.case, numbers, None if problem else lambda some: _cosines(book, query, some), among=mask
        )
    ranker = book.rankers.words if problem else book.rankers.whole
    matches = answer(book.words, candidates, ranker, k=k).matches
    return Found(matches, candidates, problem, searched=int(mask.sum()))


def _allowed(book: Casebook, query: Query) -> Mask:
    mask = book.allowed(query.before, query.filters)
    own = book.current.get(query.case.ticket_id)
    if own is not None:
        mask[own] = False
    return mask


def _nearest(book: Casebook, query: Query, mask: Mask) -> NDArray[np.int64]:
    """Places in the vector log of the nearest cases a query may find, best first."""
    allowed = int(mask.sum())
    spare = len(book.current) - allowed
    if spare > DENSE:
        among = book.seqs[: len(mask)][mask]
        return book.vectors.search(query.case.vector, DENSE, among=among).seqs if allowed else among
    found = book.vectors.search(query.case.vector, DENSE + max(0, spare)).seqs
    found = found[found <= book.seqs[len(mask) - 1]] if len(mask) else found[:0]
    kept: NDArray[np.int64] = found[mask[book.numbers(found)]][:DENSE]
    return kept


def _cosines(book: Casebook, query: Query, numbers: NDArray[np.int64]) -> Matrix:
    cosines: Matrix = book.vectors.vectors(book.seqs[numbers]) @ query.case.vector
    return cosines


def _record(
    runtime: Runtime, book: Casebook, query: Query, found: Found, shown: Sequence[Match],
    answered: Mapping[str, Any],
) -> None:  # fmt: skip
    """Keep what was answered, for feedback; a store that is busy does not hold up the answer."""
    rows = [_remembered(found, match) for match in shown]
    waiting = book.recording.submit(
        _keep, runtime, answered["query_id"], at=query.before, ticket_id=query.case.ticket_id or None,
        answer=rows, degraded=answered["degraded"], ranker=book.rankers.version,
    )  # fmt: skip
    wait([waiting], timeout=query.left())


def _keep(runtime: Runtime, query_id: str, **values: Any) -> None:
    try:
        with runtime.store.write() as session:
            feedback.keep_query(session, query_id, **values)
    except ForeshockError as error:
        log.warning("a similar-case answer could not be kept, feedback on it will be refused: %s", error)


def _remembered(found: Found, match: Match) -> dict[str, Any]:
    """One case of an answer with the numbers it was ranked by: what a refit learns from, and no text."""
    row: dict[str, Any] = {
        "ticket": match.ticket_id, "probability": round(match.probability, 4), "logit": round(match.logit, 4)
    }  # fmt: skip
    if found.candidates is not None and not found.problem:
        place = int(np.flatnonzero(found.candidates.numbers == match.number)[0])
        row |= found.candidates.row(place)
    return row


def _told(runtime: Runtime, matches: Sequence[Match], query: Query, include: Sequence[str]) -> dict[str, Any]:
    """The cases with what fixed them, the pattern they belong to, and the resolutions that worked."""
    ids = [m.ticket_id for m in matches]
    with runtime.store.read() as session:
        found = tickets.by_ids(session, ids)
        shown = topics.of_tickets(session, ids, TopicKind.SIGNATURE)
        homes = [t.pattern_id for t in found.values() if t.pattern_id]
        best = max(sorted(set(homes)), key=homes.count, default=None)
        pattern = patterns.resolve(session, best) if best and "pattern" in include else None
        members = (
            tickets.outcomes(session, best, before=query.before, limit=MEMBERS) if best and matches else []
        )
    own = {s.key: s.label for s in signatures(query.case.title, query.case.body)}
    items = []
    for match in matches:
        errors = [f"same error {own[t.key]}" for t in shown.get(match.ticket_id, ()) if t.key in own]
        items.append(_item(found[match.ticket_id], match, errors + _why(match), include, query))
    ended = {o.id: o for o in (*members, *(_outcome(t) for t in found.values() if t.resolved_at))}
    return {
        "pattern": _pattern(pattern, query),
        "items": items,
        "resolutions": _resolutions(ended.values(), query) if matches else [],
    }


def _pattern(pattern: Pattern | None, query: Query) -> dict[str, Any] | None:
    """The pattern as far as it was known; its state and counts are those of today, so only today's query has them."""
    if pattern is None or pattern.founded_at > query.before:
        return None
    told = {"id": pattern.id, "name": pattern.name}
    today = {"state": pattern.state.value, "tickets": pattern.tickets, "customers": pattern.customers}
    return {**told, **(today if query.live else dict.fromkeys(today))}


def _outcome(ticket: Ticket) -> Outcome:
    assert ticket.resolved_at is not None
    return Outcome(ticket.id, ticket.created_at, ticket.updated_at, ticket.resolution, ticket.resolved_at,
                   ticket.reopened)  # fmt: skip


def _why(match: Match) -> list[str]:
    """What speaks for the case, in words."""
    said = []
    if match.cosine >= ALIKE:
        said.append("similar meaning")
    if match.title >= ALIKE or match.words >= ALIKE:
        said.append("similar words")
    said += [f"same {name}" for name in match.same]
    return said or ["shares rare words"]


def _item(
    ticket: Ticket, match: Match, why: list[str], include: Sequence[str], query: Query
) -> dict[str, Any]:
    resolved = ticket.resolved_at if ticket.resolved_at and ticket.resolved_at <= query.before else None
    item: dict[str, Any] = {
        "ticket": ticket.id, "external_id": ticket.external_id, "url": ticket.url, "title": ticket.subject,
        "created_at": ticket.created_at.isoformat().replace("+00:00", "Z"),
        "resolved_at": resolved and resolved.isoformat().replace("+00:00", "Z"),
        "probability_same_issue": round(match.probability, 3), "why": why,
    }  # fmt: skip
    if "resolution" in include and resolved:
        is_settled = _is_settled(ticket, query)
        item["resolution"] = {"text": ticket.resolution, "article_url": next(iter(ticket.articles), None)}
        item["outcome"] = {
            "reopened": ticket.reopened if is_settled else None,
            "csat": ticket.satisfaction if is_settled else None,
            "hours_to_resolve": round(_hours(ticket.created_at, resolved), 1),
        }
    return item


def _is_settled(ended: Ticket | Outcome, query: Query) -> bool:
    """Whether what is stored of how it ended was known then: nothing of the ticket changed later."""
    return query.live or ended.updated_at <= query.before


def _hours(start: datetime, end: datetime) -> float:
    return (end - start).total_seconds() / 3600


def _resolutions(found: Iterable[Outcome], query: Query) -> list[dict[str, Any]]:
    """What was done, how often, and how often it held: resolutions worded alike counted together."""
    groups: list[tuple[set[str], list[Outcome]]] = []
    known = [o for o in found if o.resolution and o.resolved_at <= query.before]
    for outcome in sorted(known, key=lambda o: (len(o.resolution), o.resolution, o.id)):
        said = set(lexical.tokens(outcome.resolution))
        home = next((g for words, g in groups if _is_alike(words, said)), None)
        if home is None:
            groups.append((said, [outcome]))
        else:
            home.append(outcome)
    told = [_resolution(group, query) for _, group in groups]
    return sorted(told, key=lambda r: (-r["n"], r["label"]))[:FIXES]


def _is_alike(one: set[str], other: set[str]) -> bool:
    """Whether two resolutions share most of their words; where one is far shorter they cannot."""
    fewer, more = sorted((len(one), len(other)))
    return fewer >= ALIKE * more and len(one & other) >= ALIKE * len(one | other)


def _resolution(group: Sequence[Outcome], query: Query) -> dict[str, Any]:
    """One way of resolving: the rate is of the cases of which it is known whether they came back."""
    held_ = [not o.reopened for o in group if o.reopened is not None and _is_settled(o, query)]
    low, high = wilson(sum(held_), len(held_)) if held_ else (0.0, 1.0)
    return {
        "label": group[0].resolution[:200], "n": len(group), "known": len(held_),
        "success_rate": round(sum(held_) / len(held_), 3) if held_ else None,
        "interval": [round(low, 3), round(high, 3)],
        "median_hours": round(float(np.median([_hours(o.created_at, o.resolved_at) for o in group])), 1),
    }  # fmt: skip


def wilson(hits: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's 95 % interval of a share (1927)."""
    share, spread = hits / n, z * z / n
    middle = (share + spread / 2) / (1 + spread)
    half = z * np.sqrt(share * (1 - share) / n + spread / (4 * n)) / (1 + spread)
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def _query_id(query: Query) -> str:
    asked = json.dumps(query.filters, sort_keys=True, default=str)
    of = query.case
    return sortable_id("qry", query.before, of.ticket_id, of.title, of.body, asked)


def tag(answer: Mapping[str, Any]) -> str:
    """The ETag: what was found, not when or how fast."""
    content = {k: v for k, v in answer.items() if k not in ("query_id", "as_of", "took_ms")}
    return f'"{hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:24]}"'
