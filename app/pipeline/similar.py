"""Has this happened before, and what fixed it? Earlier cases by meaning, words and error codes."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.detectors import lexical
from app.detectors.index import ExactIndex
from app.detectors.rank import DENSE, Case, Cases, Match, Ranker
from app.detectors.rank import answer as rank
from app.detectors.signature import signatures
from app.detectors.text import embedding_text
from app.domain import Matrix, Status, Ticket, TopicKind, sortable_id
from app.errors import Invalid, NotFound
from app.ingest import normalise
from app.ingest.redact import redact
from app.runtime import Runtime
from app.settings import MODELS
from app.store import feedback as judged
from app.store import patterns, tickets, topics

RANKER = MODELS / "ranker" / "ranker.json"
BATCH = 2000
MOST = 50  # cases ranked
MOST_SUBJECT = 200  # a first line longer than this is no title
ALIKE = 0.6  # a share of what could be reached, from which on it is worth saying
FIXES = 5


@dataclass
class Searchable:
    """A cache over the stored tickets: vectors and words of all that have been digested."""

    vectors: ExactIndex  # by document number
    ranker: Ranker
    words: Cases = field(default_factory=Cases)
    at: NDArray[np.float64] = field(
        default_factory=lambda: np.zeros(1024)
    )  # creation, Unix seconds; nan: gone
    current: dict[str, int] = field(default_factory=dict)  # document number of each ticket that can be found
    seq: int = 0


def cases(runtime: Runtime) -> Searchable:
    """The cache, brought up to what is committed."""
    with runtime.lock:
        held: Searchable | None = runtime.cases
        if held is None:
            held = runtime.cases = Searchable(ExactIndex(runtime.embedder.dim), Ranker.load(RANKER))
        while _take(runtime, held):
            pass
    return held


def behind(runtime: Runtime) -> int:
    """How many stored vectors the cache has not taken in."""
    held: Searchable | None = runtime.cases
    with runtime.store.read() as session:
        last = tickets.last_vector_seq(session, runtime.embedder.model_id)
    return last - (held.seq if held else 0)


def _take(runtime: Runtime, held: Searchable) -> bool:
    with runtime.store.read() as session:
        rows = tickets.vectors_after(session, runtime.embedder.model_id, held.seq, limit=BATCH)
        found = tickets.by_ids(session, [r.ticket_id for r in rows])
    for row in rows:
        held.seq = row.seq
        old = held.current.pop(row.ticket_id, None)
        if old is not None:
            held.vectors.delete([old])
            held.at[old] = np.nan
        ticket = found.get(row.ticket_id)
        if row.vector is None or ticket is None or ticket.status is Status.DELETED:
            continue
        vector = row.vector.astype(np.float32)
        number = held.words.add(_case(ticket, vector))
        held.vectors.upsert([number], vector[None, :])
        if number == len(held.at):
            held.at = np.resize(held.at, 2 * number)
        held.at[number] = ticket.created_at.timestamp()
        held.current[ticket.id] = number
    return len(rows) == BATCH


def _case(ticket: Ticket, vector: Matrix) -> Case:
    return Case(ticket.id, ticket.created_at, ticket.requester, ticket.subject, ticket.body, vector,
                ticket.attributes)  # fmt: skip


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
    started = time.perf_counter()
    now = as_of or runtime.now()
    question = _question(runtime, text, ticket_id, now)
    held = cases(runtime)
    floor = runtime.settings.similar_floor
    level = held.ranker.level if floor is None else floor
    matches = _search(runtime, held, question, before=now, filters=filters)
    likely = [m for m in matches if m.probability >= level][:k]
    answer: dict[str, Any] = {
        "query_id": _query_id(now, question, filters),
        "model": runtime.embedder.model_id,
        "as_of": now.isoformat().replace("+00:00", "Z"),
        "took_ms": 0,
        "degraded": False,
        "abstained": not likely,
        "reason": "" if likely else "no earlier case is likely enough to be the same issue",
        **_told(runtime, likely, question, include, before=now),
    }
    with runtime.store.write() as session:
        kept = [{"ticket": m.ticket_id, "probability": round(m.probability, 4)} for m in likely]
        judged.keep_query(session, answer["query_id"], at=now, ticket_id=ticket_id or None, answer=kept)
    answer["took_ms"] = int(1000 * (time.perf_counter() - started))
    return answer


def _question(runtime: Runtime, text: str, ticket_id: str, at: datetime) -> Case:
    """What is asked, as a case; a text is cleaned and redacted like any ticket."""
    if ticket_id:
        with runtime.store.read() as session:
            ticket = tickets.get(session, ticket_id)
            stored = tickets.vectors_of(session, runtime.embedder.model_id, [ticket_id]).get(ticket_id)
        vector = _embed(runtime, ticket.subject, ticket.body) if stored is None else stored.astype(np.float32)
        return _case(ticket, vector)
    cleaned = redact(normalise.clean(text, is_html=False))
    first, _, rest = cleaned.partition("\n")
    subject, body = (first, rest) if len(first) <= MOST_SUBJECT else ("", cleaned)
    return Case("", at, "", subject, body, _embed(runtime, subject, body), {})


def _embed(runtime: Runtime, subject: str, body: str) -> Matrix:
    row: Matrix = runtime.embedder.embed([embedding_text(subject, body)])[0]
    return row


def _search(
    runtime: Runtime, held: Searchable, question: Case, *, before: datetime, filters: Mapping[str, Any]
) -> tuple[Match, ...]:
    """Earlier cases, the likeliest to be the same issue first."""
    with runtime.lock:
        among = _allowed(runtime, held, before, filters, but=question.ticket_id)
        numbers = np.flatnonzero(among)
        if not len(numbers):
            return ()
        nearest = held.vectors.search(question.vector, DENSE, among=numbers).seqs
        candidates = held.words.candidates(
            question, nearest, lambda some: held.vectors.vectors(some) @ question.vector, among=among
        )
        return rank(held.words, candidates, held.ranker, k=MOST).matches


def _allowed(
    runtime: Runtime, held: Searchable, before: datetime, filters: Mapping[str, Any], *, but: str
) -> NDArray[np.bool_]:
    """(documents,) which a query may find: known by then, matching every filter, not the question itself."""
    at = held.at[: len(held.words)]
    allowed: NDArray[np.bool_] = at < before.timestamp()  # never true of nan
    if filters.get("since"):
        allowed &= at >= filters["since"].timestamp()
    wanted = {name: value for name, value in filters.items() if name != "since"}
    if wanted:
        with runtime.store.read() as session:
            matching = tickets.matching(session, wanted)
        kept = [number for id_ in matching if (number := held.current.get(id_)) is not None]
        chosen = np.zeros_like(allowed)
        chosen[kept] = True
        allowed &= chosen
    if but in held.current:
        allowed[held.current[but]] = False
    return allowed


def _told(
    runtime: Runtime, matches: Sequence[Match], question: Case, include: Sequence[str], *, before: datetime
) -> dict[str, Any]:
    """The cases with what fixed them, the pattern they belong to, and the resolutions that worked."""
    ids = [m.ticket_id for m in matches]
    with runtime.store.read() as session:
        found = tickets.by_ids(session, ids)
        shown = topics.of_tickets(session, ids, TopicKind.SIGNATURE)
        homes = [t.pattern_id for t in found.values() if t.pattern_id]
        best = max(sorted(set(homes)), key=homes.count, default=None)
        pattern = patterns.resolve(session, best) if best and "pattern" in include else None
        members = tickets.members(session, best, limit=200) if best else []
    own = {s.key: s.label for s in signatures(question.title, question.body)}
    items = []
    for match in matches:
        errors = [f"same error {own[t.key]}" for t in shown.get(match.ticket_id, ()) if t.key in own]
        items.append(_item(found[match.ticket_id], match, errors + _why(match), include, before))
    return {
        "pattern": None if pattern is None else {
            "id": pattern.id, "name": pattern.name, "state": pattern.state.value,
            "tickets": pattern.tickets, "customers": pattern.customers,
        },
        "items": items,
        "resolutions": _resolutions([*found.values(), *members], before) if matches else [],
    }  # fmt: skip


def _why(match: Match) -> list[str]:
    """What speaks for the case, in words."""
    said = []
    if match.cosine >= ALIKE:
        said.append("means the same")
    if match.title >= ALIKE or match.words >= ALIKE:
        said.append("uses the same words")
    said += [f"same {name}" for name in match.same]
    return said or ["shares rare words"]


def _item(
    ticket: Ticket, match: Match, why: list[str], include: Sequence[str], before: datetime
) -> dict[str, Any]:
    is_known = ticket.resolved_at is not None and ticket.resolved_at <= before
    hours = (ticket.resolved_at - ticket.created_at).total_seconds() / 3600 if ticket.resolved_at else None
    item: dict[str, Any] = {
        "ticket": ticket.id, "external_id": ticket.external_id, "url": ticket.url, "title": ticket.subject,
        "created_at": ticket.created_at.isoformat().replace("+00:00", "Z"),
        "resolved_at": ticket.resolved_at.isoformat().replace("+00:00", "Z")
        if ticket.resolved_at and is_known else None,
        "probability_same_issue": round(match.probability, 3), "why": why,
    }  # fmt: skip
    if "resolution" in include and is_known:
        item["resolution"] = {"text": ticket.resolution, "article_url": next(iter(ticket.articles), None)}
        item["outcome"] = {"reopened": ticket.reopened, "csat": ticket.satisfaction,
                           "hours_to_resolve": None if hours is None else round(hours, 1)}  # fmt: skip
    return item


def _resolutions(found: Sequence[Ticket], before: datetime) -> list[dict[str, Any]]:
    """What was done, how often, and how often it held: resolutions worded alike counted together."""
    groups: list[tuple[set[str], list[Ticket]]] = []
    known = {t.id: t for t in found if t.resolution and t.resolved_at and t.resolved_at <= before}
    for ticket in sorted(known.values(), key=lambda t: (len(t.resolution), t.resolution, t.id)):
        said = set(lexical.tokens(ticket.resolution))
        home = next((g for words, g in groups if len(words & said) >= ALIKE * len(words | said)), None)
        if home is None:
            groups.append((said, [ticket]))
        else:
            home.append(ticket)
    told = [_resolution(group) for _, group in groups]
    return sorted(told, key=lambda r: (-r["n"], r["label"]))[:FIXES]


def _resolution(group: Sequence[Ticket]) -> dict[str, Any]:
    worked = sum(not t.reopened for t in group)
    hours = [(t.resolved_at - t.created_at).total_seconds() / 3600 for t in group if t.resolved_at]
    low, high = _wilson(worked, len(group))
    return {
        "label": min((t.resolution for t in group), key=lambda r: (len(r), r))[:200], "n": len(group),
        "success_rate": round(worked / len(group), 3), "interval": [round(low, 3), round(high, 3)],
        "median_hours": round(float(np.median(hours)), 1),
    }  # fmt: skip


def _wilson(hits: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's 95 % interval of a share (1927)."""
    share, spread = hits / n, z * z / n
    middle = (share + spread / 2) / (1 + spread)
    half = z * np.sqrt(share * (1 - share) / n + spread / (4 * n)) / (1 + spread)
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def _query_id(at: datetime, question: Case, filters: Mapping[str, Any]) -> str:
    asked = json.dumps(filters, sort_keys=True, default=str)
    return sortable_id("qry", at, question.ticket_id, question.title, question.body, asked)


def tag(answer: Mapping[str, Any]) -> str:
    """The ETag: what was found, not when or how fast."""
    content = {k: v for k, v in answer.items() if k not in ("query_id", "as_of", "took_ms")}
    return f'"{hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:24]}"'


def feedback(runtime: Runtime, query_id: str, *, ticket: str, verdict: str, actor: str) -> None:
    """Keep what a person said of one answer."""
    with runtime.store.write() as session:
        shown = judged.query(session, query_id)
        if shown is None:
            raise NotFound(f"there is no query {query_id}")
        if ticket not in {row["ticket"] for row in shown}:
            raise Invalid(f"ticket {ticket} was not in the answer to {query_id}", pointer="/ticket")
        judged.keep(session, query_id, ticket, verdict=verdict, at=runtime.now(), actor=actor)
