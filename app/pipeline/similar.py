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
from app.detectors.signature import signatures
from app.detectors.text import embedding_text
from app.domain import Matrix, Status, Ticket, TopicKind, sortable_id
from app.errors import Invalid, NotFound
from app.ingest import normalise
from app.ingest.redact import redact
from app.runtime import Runtime
from app.store import feedback as judged
from app.store import patterns, tickets, topics

CANDIDATES = 50
TITLE_WEIGHT = 3
BODY_CHARS = 3000
BATCH = 2000
RRF_K = 60.0
FIXES = 5


@dataclass
class Cases:
    """A cache over the stored tickets: vectors and words of all that have been digested."""

    vectors: ExactIndex
    words: lexical.Bm25 = field(default_factory=lexical.Bm25)
    ids: list[str] = field(default_factory=list)  # by document number
    at: list[float] = field(default_factory=list)  # creation, Unix seconds
    gone: set[str] = field(default_factory=set)
    document: dict[str, int] = field(default_factory=dict)
    seq: int = 0


def cases(runtime: Runtime) -> Cases:
    """The cache, brought up to what is committed."""
    with runtime.lock:
        held: Cases | None = runtime.cases
        if held is None:
            held = runtime.cases = Cases(ExactIndex(runtime.embedder.dim))
        while _take(runtime, held):
            pass
    return held


def behind(runtime: Runtime) -> int:
    """How many stored vectors the cache has not taken in."""
    held: Cases | None = runtime.cases
    with runtime.store.read() as session:
        last = tickets.last_vector_seq(session, runtime.embedder.model_id)
    return last - (held.seq if held else 0)


def _take(runtime: Runtime, held: Cases) -> bool:
    with runtime.store.read() as session:
        rows = tickets.vectors_after(session, runtime.embedder.model_id, held.seq, limit=BATCH)
        found = tickets.by_ids(session, [r.ticket_id for r in rows])
    for row in rows:
        held.seq = row.seq
        old = held.document.pop(row.ticket_id, None)
        if old is not None:
            held.vectors.delete([old])
            held.ids[old] = ""
        ticket = found.get(row.ticket_id)
        if row.vector is None or ticket is None or ticket.status is Status.DELETED:
            continue
        number = held.words.add(_slots(ticket.subject, ticket.body))
        held.vectors.upsert([number], row.vector.astype(np.float32)[None, :])
        held.ids.append(ticket.id)
        held.at.append(ticket.created_at.timestamp())
        held.document[ticket.id] = number
    return len(rows) == BATCH


def _slots(subject: str, body: str) -> list[int]:
    return lexical.term_slots(subject) * TITLE_WEIGHT + lexical.term_slots(body[:BODY_CHARS])


@dataclass(frozen=True, slots=True)
class Hit:
    """One earlier case, how it was found, and how sure we are that it is the same issue."""

    ticket_id: str
    probability: float
    cosine: float


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
    subject, body, vector = _question(runtime, text, ticket_id)
    held = cases(runtime)
    hits = _rank(runtime, held, subject, body, vector, before=now, filters=filters, but=ticket_id)
    likely = [h for h in hits if h.probability >= runtime.settings.similar_floor][:k]
    answer: dict[str, Any] = {
        "query_id": _query_id(now, subject, body, ticket_id, filters),
        "model": runtime.embedder.model_id,
        "as_of": now.isoformat().replace("+00:00", "Z"),
        "took_ms": 0,
        "degraded": False,
        "abstained": not likely,
        "reason": "" if likely else "no earlier case is likely enough to be the same issue",
        **_told(runtime, likely, subject, body, include, before=now),
    }
    with runtime.store.write() as session:
        kept = [{"ticket": h.ticket_id, "probability": round(h.probability, 4)} for h in likely]
        judged.keep_query(session, answer["query_id"], at=now, ticket_id=ticket_id or None, answer=kept)
    answer["took_ms"] = int(1000 * (time.perf_counter() - started))
    return answer


def _question(runtime: Runtime, text: str, ticket_id: str) -> tuple[str, str, Matrix]:
    if ticket_id:
        with runtime.store.read() as session:
            ticket = tickets.get(session, ticket_id)
            stored = tickets.vectors_of(session, runtime.embedder.model_id, [ticket_id]).get(ticket_id)
        if stored is not None:
            return ticket.subject, ticket.body, stored.astype(np.float32)
        subject, body = ticket.subject, ticket.body
    else:
        cleaned = redact(normalise.clean(text, is_html=False))
        subject, _, body = (
            cleaned.partition("\n") if len(cleaned.partition("\n")[0]) <= 200 else ("", "", cleaned)
        )
    return subject, body, runtime.embedder.embed([embedding_text(subject, body)])[0]


def _rank(
    runtime: Runtime,
    held: Cases,
    subject: str,
    body: str,
    vector: Matrix,
    *,
    before: datetime,
    filters: Mapping[str, Any],
    but: str,
) -> list[Hit]:
    """Candidates by meaning and by words, fused by reciprocal rank (Cormack et al. 2009)."""
    with runtime.lock:
        among = _allowed(runtime, held, before, filters, but)
        if not len(among):
            return []
        dense = held.vectors.search(vector, CANDIDATES, among=among)
        scores = held.words.scores(_slots(subject, body))
    own = scores[among]
    order = among[np.argsort(-own, kind="stable")[:CANDIDATES]]
    fused: dict[int, float] = {}
    cosine = dict(zip(dense.seqs.tolist(), dense.scores.tolist(), strict=True))
    for ranking in (dense.seqs.tolist(), [n for n in order.tolist() if scores[n] > 0]):
        for rank, number in enumerate(ranking):
            fused[number] = fused.get(number, 0.0) + 1.0 / (RRF_K + rank + 1)
    ranked = sorted(fused, key=lambda n: (-fused[n], -n))
    top = max(float(own.max()), 1e-9)
    return [
        Hit(held.ids[n], _probability(cosine.get(n, 0.0), float(scores[n]) / top), cosine.get(n, 0.0))
        for n in ranked
    ]


def _probability(cosine: float, lexical_share: float) -> float:
    return float(1.0 / (1.0 + np.exp(-(9.0 * (cosine - 0.62) + 1.2 * (lexical_share - 0.5)))))


def _allowed(
    runtime: Runtime, held: Cases, before: datetime, filters: Mapping[str, Any], but: str
) -> NDArray[np.int64]:
    """Document numbers a query may find: known by then, matching every filter, not itself."""
    at = np.array(held.at)
    ok = at < before.timestamp()
    if filters.get("since"):
        ok &= at >= filters["since"].timestamp()
    wanted = {name: value for name, value in filters.items() if name != "since"}
    if wanted:
        with runtime.store.read() as session:
            matching = tickets.matching(session, wanted)
        ok &= np.array([id_ in matching for id_ in held.ids], dtype=bool)
    ok &= np.array([id_ not in ("", but) for id_ in held.ids], dtype=bool)
    return np.flatnonzero(ok)


def _told(
    runtime: Runtime,
    hits: Sequence[Hit],
    subject: str,
    body: str,
    include: Sequence[str],
    *,
    before: datetime,
) -> dict[str, Any]:
    """The cases with what fixed them, the pattern they belong to, and the resolutions that worked."""
    ids = [h.ticket_id for h in hits]
    with runtime.store.read() as session:
        found = tickets.by_ids(session, ids)
        shown = topics.of_tickets(session, ids, TopicKind.SIGNATURE)
        homes = [t.pattern_id for t in found.values() if t.pattern_id]
        best = max(sorted(set(homes)), key=homes.count, default=None)
        pattern = patterns.resolve(session, best) if best and "pattern" in include else None
        members = tickets.members(session, best, limit=200) if best else []
    own = {s.key: s.label for s in signatures(subject, body)}
    items = []
    for hit in hits:
        ticket = found[hit.ticket_id]
        why = [f"same error {own[t.key]}" for t in shown.get(ticket.id, ()) if t.key in own]
        if hit.cosine >= 0.6:
            why.append("says the same in other words" if not why else "described alike")
        items.append(_item(ticket, hit, why or ["shares rare words"], include, before))
    return {
        "pattern": None if pattern is None else {
            "id": pattern.id, "name": pattern.name, "state": pattern.state.value,
            "tickets": pattern.tickets, "customers": pattern.customers,
        },
        "items": items,
        "resolutions": _resolutions([*found.values(), *members], before) if hits else [],
    }  # fmt: skip


def _item(
    ticket: Ticket, hit: Hit, why: list[str], include: Sequence[str], before: datetime
) -> dict[str, Any]:
    is_known = ticket.resolved_at is not None and ticket.resolved_at <= before
    hours = (ticket.resolved_at - ticket.created_at).total_seconds() / 3600 if ticket.resolved_at else None
    item: dict[str, Any] = {
        "ticket": ticket.id, "external_id": ticket.external_id, "url": ticket.url, "title": ticket.subject,
        "created_at": ticket.created_at.isoformat().replace("+00:00", "Z"),
        "resolved_at": ticket.resolved_at.isoformat().replace("+00:00", "Z")
        if ticket.resolved_at and is_known else None,
        "probability_same_issue": round(hit.probability, 3), "why": why,
    }  # fmt: skip
    if "resolution" in include and is_known:
        item["resolution"] = {"text": ticket.resolution, "article_url": next(iter(ticket.articles), None)}
        item["outcome"] = {"reopened": ticket.reopened, "csat": ticket.satisfaction,
                           "hours_to_resolve": None if hours is None else round(hours, 1)}  # fmt: skip
    return item


def _resolutions(found: Sequence[Ticket], before: datetime) -> list[dict[str, Any]]:
    """What was done, how often, and how often it held: resolutions worded alike counted together."""
    groups: dict[str, list[Ticket]] = {}
    for ticket in {t.id: t for t in found}.values():
        if ticket.resolution and ticket.resolved_at and ticket.resolved_at <= before:
            key = " ".join(sorted(set(lexical.tokens(ticket.resolution.lower()))))[:300]
            groups.setdefault(key, []).append(ticket)
    told = [_resolution(group) for group in groups.values()]
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


def _query_id(at: datetime, subject: str, body: str, ticket_id: str, filters: Mapping[str, Any]) -> str:
    return sortable_id("qry", at, subject, body, ticket_id, json.dumps(filters, sort_keys=True, default=str))


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
