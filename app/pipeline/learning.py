"""What people tie together and say of answers makes the next answers better, measured before it is used."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import numpy as np

from app.detectors.learn import platt
from app.detectors.lexical import Floats
from app.detectors.rank import FEATURES, OWN_FROM, Candidates, Example, reciprocal_rank, refit
from app.domain import Ticket
from app.errors import Invalid, NotFound
from app.pipeline import similar
from app.pipeline.cases import Casebook, case, held, ready, shipped, use_newest
from app.runtime import Runtime
from app.store import feedback, tickets
from app.store.feedback import Attempt, Judged

HELD_OUT = 0.25  # newest share of what people tied together, on which a refit must prove itself
GROWTH = 1.1  # so many times more of it before the next refit
MOST_LINKS = 1000  # newest links that are looked up again
CALIBRATE_FROM = 30  # judged cases before the probabilities are shifted
BINS = 5
REPORTED = timedelta(days=90)


def judge(runtime: Runtime, query_id: str, *, ticket: str, verdict: str, actor: str) -> None:
    """Keep what a person said of one answer. Raises NotFound, or Invalid for a case that was not in it."""
    with runtime.store.write() as session:
        shown = feedback.query(session, query_id)
        if shown is None:
            raise NotFound(f"there is no query {query_id}")
        if ticket not in {row["ticket"] for row in shown}:
            raise Invalid(f"ticket {ticket} was not in the answer to {query_id}", pointer="/ticket")
        feedback.keep(session, query_id, ticket, verdict=verdict, at=runtime.now(), actor=actor)


# -- fitting to this desk -------------------------------------------------------------------------------


def learn(runtime: Runtime) -> Attempt | None:
    """Fit the ranker to the desk's own links and verdicts when there are enough new ones.

    The newest quarter is held out: the way that ranks it best (refitted, shipped, or plain fusion) is used
    from now on. Returns the attempt, or None when there is too little that is new.
    """
    with runtime.store.read() as session:
        pairs = _answered(tickets.links(session))
        said = [one for one in feedback.judged(session) if len(one.row.get("features", ())) == len(FEATURES)]
        last = feedback.last_attempt(session)
    known = len(pairs) + len({one.query_id for one in said})
    if known < max(OWN_FROM, GROWTH * last.links if last else 0):
        return None
    book = ready(runtime)
    examples = [example for _, example in sorted(
        [*_of_links(runtime, book, pairs[-MOST_LINKS:]), *_of_verdicts(said)], key=lambda pair: pair[0]
    )]  # fmt: skip
    examples = [one for one in examples if one.same.any()]
    if len(examples) < OWN_FROM:
        return None
    attempt = _attempt(runtime, examples, said, known)
    with runtime.store.write() as session:
        feedback.keep_attempt(session, attempt)
    with runtime.store.read() as session:
        use_newest(session, book)
    return attempt


def _attempt(runtime: Runtime, examples: Sequence[Example], said: Sequence[Judged], known: int) -> Attempt:
    base = shipped().whole
    proof = examples[-max(1, int(HELD_OUT * len(examples))) :]
    trial = refit(base, examples[: -len(proof)], least=0)
    ways: dict[str, Callable[[Candidates], Floats]] = {
        "shipped": base.scores, "fusion": lambda c: c.fused, "own": trial.scores,
    }  # fmt: skip
    figures = {way: round(float(np.mean([reciprocal_rank(one, order(one.candidates)) for one in proof])), 4)
               for way, order in ways.items()}  # fmt: skip
    way = max(figures, key=lambda name: (figures[name], -list(ways).index(name)))
    model: dict[str, Any] = {}
    if way == "own":
        model["order"] = refit(base, examples, least=0).order.to_json()
    if len(said) >= CALIBRATE_FROM:
        right = np.array([one.is_right for one in said])
        model["platt"] = list(platt(np.array([one.row["logit"] for one in said]), right))
    return Attempt(
        version=None, at=runtime.now(), links=known, adopted=way == "own",
        figures={"way": way, "held_out": len(proof), "mrr": figures, "judged": len(said)}, model=model,
    )  # fmt: skip


def _answered(links: Sequence[tickets.Link]) -> list[tuple[tickets.Link, frozenset[str]]]:
    """Each tied ticket that has earlier ones of its group, with their ids; oldest first."""
    earlier: dict[str, list[str]] = {}
    found = []
    for link in links:
        group = earlier.setdefault(link.group, [])
        if group:
            found.append((link, frozenset(group)))
        group.append(link.id)
    return found


def _of_links(
    runtime: Runtime, book: Casebook, pairs: Sequence[tuple[tickets.Link, frozenset[str]]]
) -> list[tuple[str, Example]]:
    """Each tied ticket looked up again as it would have been when it came, with what was tied to it."""
    found = []
    for start in range(0, len(pairs), tickets.CHUNK):
        some = pairs[start : start + tickets.CHUNK]
        ids = [link.id for link, _ in some]
        with runtime.store.read() as session:
            stored = tickets.by_ids(session, ids)
            vectors = tickets.vectors_of(session, runtime.embedder.model_id, ids)
        for link, same in some:
            if link.id in vectors and link.id in stored:
                vector = vectors[link.id].astype(np.float32)
                found.append((link.created_at.isoformat(), _looked_up(book, stored[link.id], vector, same)))
    return found


def _looked_up(book: Casebook, ticket: Ticket, vector: Any, same: frozenset[str]) -> Example:
    query = similar.Query(case(ticket, vector), ticket.created_at, False, {}, math.inf)
    candidates = similar.search(book, query).candidates
    assert candidates is not None
    ids = [book.words.ticket_ids[number] for number in candidates.numbers.tolist()]
    return Example(candidates, np.array([id_ in same for id_ in ids], dtype=bool))


def _of_verdicts(said: Sequence[Judged]) -> list[tuple[str, Example]]:
    """Each answer people judged, as far as they did."""
    found = []
    for _, rows in itertools.groupby(said, key=lambda one: one.query_id):
        judged = list(rows)
        candidates = Candidates.of_rows([one.row for one in judged])
        right = np.array([one.is_right for one in judged])
        found.append((judged[0].at.isoformat(), Example(candidates, right)))
    return found


# -- how good the answers are ---------------------------------------------------------------------------


def quality(runtime: Runtime) -> dict[str, Any]:
    """What was asked and said lately, how well the probabilities held, and what ranks now."""
    book = held(runtime)
    with runtime.store.read() as session:
        use_newest(session, book)
        asked = feedback.counts(session, since=runtime.now() - REPORTED)
        said = feedback.judged(session)
        attempts = feedback.attempts(session, limit=5)
    right = sum(one.is_right for one in said)
    low, high = similar.wilson(right, len(said)) if said else (0.0, 1.0)
    verdicts = {name: sum(one.verdict == name for one in said) for name in ("right", "wrong", "helped")}
    return {
        "floor": {"probability": round(similar.floor(runtime, book.rankers.whole), 4),
                  "from": "ranker" if runtime.settings.similar_floor is None else "similar_floor"},
        "queries": {"days": REPORTED.days, **asked},
        "feedback": {**verdicts, "share_right": round(right / len(said), 3) if said else None,
                     "interval": [round(low, 3), round(high, 3)]},
        "calibration": _calibration(said),
        "ranker": {"version": book.rankers.version, "way": _way(attempts)},
        "refits": [{"version": a.version, "at": a.at.isoformat().replace("+00:00", "Z"), "links": a.links,
                    "adopted": a.adopted, **a.figures} for a in attempts],
    }  # fmt: skip


def _way(attempts: Sequence[Attempt]) -> str:
    return str(attempts[0].figures["way"]) if attempts else "shipped"


def _calibration(said: Sequence[Judged]) -> list[dict[str, Any]]:
    """Judged cases by the probability they were shown with: what was said, and what proved right."""
    rows = []
    for k in range(BINS):
        low, high = k / BINS, (k + 1) / BINS
        own = [one for one in said if low <= one.probability < high or (one.probability == 1 and high == 1)]
        if own:
            rows.append({
                "from": low, "to": high, "n": len(own),
                "predicted": round(float(np.mean([one.probability for one in own])), 3),
                "right": round(sum(one.is_right for one in own) / len(own), 3),
            })  # fmt: skip
    return rows
