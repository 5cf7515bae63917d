"""The neighbourhood scan: calls a problem at its third report, before any pattern exists.

Around each new ticket the last seven days are searched for two others, from two other customers,
such that the three are alike in meaning, words and error signatures *and* unlike what the desk has
seen in the half year before. The mean similarity of the best such triple is the evidence; a dial
keeps the number of calls at a budget. What an established pattern hears is left to the rules that know
its rate. Everything is a function of the documents fed so far, in the order they were fed, and of the
patterns at those moments.

Meaning is compared after the desk's mean vector is taken out ("all but the top", Mu and Viswanath,
ICLR 2018, first step only), which puts different desks on one scale. A triple is judged by its mean
pairwise similarity, less for an impure one: stars and chains of look-alikes were measured to be worse.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import combinations, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.detectors.lexical import (
    DocumentCounts,
    Floats,
    Slots,
    SparseRows,
    counted,
    masked,
    row_sums,
    shingles,
    slot,
    term_slots,
)
from app.domain import Matrix


@dataclass(frozen=True, slots=True)
class Doc:
    """One ticket as the scan sees it; `codes` are keys of its specific error signatures."""

    ticket_id: str
    at: datetime
    customer: str  # "" (or any one constant) when unknown: all unknown count as one person
    title: str
    body: str
    vector: NDArray[np.float16]  # (dim,) unit length
    codes: tuple[str, ...] = ()
    frames: tuple[str, ...] = ()
    error_lines: tuple[str, ...] = ()


# Of the calls at the dial's threshold a fifth is not one problem, by reading; the share falls tenfold every
# .22 of score, as it does for the same scan over two public trackers shuffled within blocks of 1,500 tickets.
FALSE_SHARE, FALSE_TENFOLD = 0.2, 0.22

Earlier = Callable[[Sequence[str]], int]
"""How many customers were, before these tickets, in the pattern that holds most of them."""


def nobody(_tickets: Sequence[str]) -> int:
    """Where there are no patterns."""
    return 0


@dataclass(frozen=True, slots=True)
class Knot:
    """Three or more tickets of distinct customers, alike and new."""

    ticket_id: str  # the ticket that completed it
    at: datetime
    score: float  # of the best triple: lower the less pure and the less new it is
    mean: float  # mean pairwise similarity of the triple
    weakest: float  # similarity of its least similar pair
    history: int  # distinct customers 7 to 182 days back at least this similar to the new ticket
    earlier: int  # distinct customers before it in the pattern that holds most of the triple
    triple: tuple[str, str, str]
    ticket_ids: tuple[str, ...]  # the evidence: the triple and whatever belongs to it, oldest first
    related: tuple[str, ...]  # further tickets of the same customers that fit as well
    customers: int  # distinct customers of the evidence
    threshold: float  # of the dial at that moment
    per_1000: float  # the budget the dial keeps

    @property
    def false_per_1000(self) -> float:
        """Calls per 1,000 tickets at least this strong that are not one problem.

        The dial stands where this desk's tickets, however alike its everyday themes, give `per_1000` calls.
        """
        return FALSE_SHARE * self.per_1000 * 10 ** ((self.threshold - self.score) / FALSE_TENFOLD)


@dataclass(frozen=True, slots=True)
class Settings:
    """Constants of the scan; similarities are sums of a dense, a lexical and a signature part."""

    per_1000: float = 3.0  # budget: calls per 1,000 tickets
    window: timedelta = timedelta(days=7)
    memory: timedelta = timedelta(days=182)
    quiet: timedelta = timedelta(days=14)  # a ticket called once is not called again for so long
    learning: int = 50  # documents to have seen before the first call: fewer make everything look rare
    candidates: int = 12
    body_chars: int = 2500
    title_weight: int = 2
    boilerplate_after: int = 5  # a body line held by so many tickets older than the window is dropped
    title: float = 0.3  # weights of the parts of a similarity; the centred cosine has 1
    words: float = 0.3
    signatures: float = 0.5
    purity: float = 0.3  # share of the way from its mean to its weakest pair that a triple's score sinks
    stranger: float = 0.4  # a triple whose weakest pair is below this share of its mean is none
    history: float = 0.07  # similarity a triple must gain per e-fold of earlier customers like it
    established: int = 5  # a pattern with so many customers has a rate of its own, which other rules judge
    start: float = 0.66  # first threshold at 3 calls per 1,000 tickets
    slope: float = 0.08  # by which a budget twice as large lowers it
    step: float = 0.02  # of the dial, per call
    down: float = 0.25  # the dial stays so near its first threshold
    up: float = 1.0

    @property
    def first(self) -> float:
        """The threshold a new desk begins with."""
        return self.start - self.slope * math.log2(self.per_1000 / 3)

    def turned(self, threshold: float, *, called: bool) -> float:
        """The threshold after one more ticket: rises with every call, sinks slowly without."""
        moved = threshold + self.step * (called - self.per_1000 / 1000)
        return min(max(moved, self.first - self.down), self.first + self.up)


CENTRE_PRIOR = 10.0  # pseudo-tickets at 0 in the mean vector of a new desk


@dataclass(frozen=True, slots=True)
class _Print:
    """One document as it is compared: who, its vector, and per field distinct columns with weights."""

    ticket_id: str
    at: float  # the scan's clock in Unix seconds: the document's time, but never running backwards
    customer: str
    vector: Floats
    columns: tuple[Slots, ...]
    weights: tuple[Floats, ...]


class _Field:
    """One kind of evidence (words, codes, frames, error-line shingles) of all remembered documents."""

    def __init__(self, limit: float = math.inf, limit_share: float = 0.0) -> None:
        self.counts = DocumentCounts()
        self.rows = SparseRows()
        self._limit, self._limit_share = limit, limit_share
        self._query: Floats = np.zeros(0)

    def idf(self, columns: Slots) -> Floats:
        """Weight of each column now; 0 where it is too common to say anything."""
        weights = self.counts.idf(columns)
        if self._limit < math.inf:
            limit = max(self._limit, self._limit_share * self.counts.documents)
            weights[self.counts[columns] > limit] = 0.0
        return weights

    def against(self, columns: Slots, weights: Floats, low: int, high: int) -> tuple[Floats, Floats]:
        """(shared IDF, cosine) of one document with each of the rows low..high-1."""
        if not len(columns):
            return np.zeros(high - low), np.zeros(high - low)
        if len(self._query) < len(self.counts):
            self._query = np.zeros(2 * len(self.counts))
        starts, held, held_weights = self.rows.slice(low, high)
        own = weights * self.idf(columns)
        values = held_weights * self.idf(held)
        self._query[columns] = own
        here = self._query[held]
        self._query[columns] = 0.0
        hits = np.flatnonzero(here)
        row = np.searchsorted(starts, hits, side="right") - 1
        shared = np.bincount(row, values[hits] / held_weights[hits], minlength=high - low).astype(np.float64)
        dots = np.bincount(row, values[hits] * here[hits], minlength=high - low).astype(np.float64)
        norms = np.sqrt(row_sums(values * values, starts) * (own @ own))
        return shared, np.divide(dots, norms, out=np.zeros(high - low), where=norms > 0)

    def among(self, rows: Sequence[int], columns: Slots, weights: Floats) -> tuple[Floats, Floats]:
        """(shared IDF, cosine), both (n + 1, n + 1), of picked rows and, last, one more document."""
        size = len(rows) + 1
        starts, held, held_weights = self.rows.take(rows)
        held, held_weights = np.concatenate((held, columns)), np.concatenate((held_weights, weights))
        if not len(held):
            return np.zeros((size, size)), np.zeros((size, size))
        row = np.repeat(np.arange(size), np.diff(np.append(starts, len(held))))
        used, place = np.unique(held, return_inverse=True)
        idf = self.idf(used)
        dense = np.zeros((size, len(used)))
        dense[row, place] = held_weights * idf[place]
        present = (dense > 0).astype(np.float64)
        shared: Floats = (present * idf) @ present.T
        norms = np.sqrt((dense * dense).sum(axis=1))
        dense /= np.where(norms > 0, norms, 1.0)[:, None]
        return shared, dense @ dense.T


@dataclass(frozen=True, slots=True)
class _Triple:
    """The document with candidates `j` and `k`, and how alike the three are."""

    j: int
    k: int
    mean: float
    weakest: float
    pure: float


class Neighbourhood:
    """The scan's memory. Feed it every ticket once, in one order; the answer may be a `Knot`.

    The cost is per ticket in the window (words and vectors are compared exactly with all of them)
    and, only when a triple stands out, per ticket in the memory.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.threshold = self.settings.first
        self._fields = {
            "title": _Field(),
            "words": _Field(),
            "codes": _Field(limit=10, limit_share=0.01),
            "frames": _Field(limit=25),
            "shingles": _Field(limit=8),
        }
        self._lines = DocumentCounts()  # body lines of documents older than the window
        self._pending: deque[tuple[float, Slots]] = deque()  # body lines of younger ones
        self._ids: list[str] = []
        self._at: list[float] = []
        self._customers: list[str] = []
        self._known: set[str] = set()
        self._vectors: Matrix = np.empty((0, 0), dtype=np.float32)  # exact float16 values
        self._sum: Floats = np.zeros(0)  # of all vectors; exact, since each is made of float16 values
        self._called: dict[str, float] = {}  # ticket id -> when it was last called, Unix seconds
        self._taught: dict[str, float] = {}  # the same of imported history, which nobody was told of

    def feed(self, doc: Doc, earlier: Earlier = nobody) -> Knot | None:
        """Scan around the document, then remember it. A ticket that is known already is passed over.

        A triple that lies in an established pattern is not called: see `Settings.established`.
        """
        return self._feed(doc, earlier, self._called)

    def learn(self, doc: Doc, earlier: Earlier = nobody) -> None:
        """The same for imported history: it turns the dial to this desk, and silences nothing live."""
        self._feed(doc, earlier, self._taught)

    def _feed(self, doc: Doc, earlier: Earlier, called: dict[str, float]) -> Knot | None:
        if doc.ticket_id in self._known:
            return None
        new = self._print(doc)
        knot = self._scan(new, earlier, called)
        self._count(new)
        self._remember(new)
        return knot

    # -- what is stored for a restart -------------------------------------------------------------

    def counts(self, *, changed: bool = False) -> list[tuple[str, int, int]]:
        """(table, slot, documents) of every count, or only of those changed since the last call."""
        return [
            (name, found, count)
            for name, table in self._tables().items()
            for found, count in table.rows(changed=changed)
        ]

    def state(self) -> dict[str, Any]:
        """The rest of what a restart needs, as JSON values: dial, recent calls, sizes of the tables."""
        return {
            "threshold": self.threshold,
            "sum": self._sum.tolist(),
            "called": self._still_quiet(self._called),
            "taught": self._still_quiet(self._taught),
            "documents": {name: table.documents for name, table in self._tables().items()},
        }

    @classmethod
    def restore(
        cls,
        counts: Iterable[tuple[str, int, int]],
        state: Mapping[str, Any],
        docs: Sequence[Doc],
        *,
        settings: Settings | None = None,
    ) -> Neighbourhood:
        """As if it had never stopped: all later answers are the same to the last bit.

        `docs` are those fed in the last `memory + window` before the stop, in the order they were
        fed. (The first `window` of them only says which lines the others had seen before.)
        """
        restored = cls(settings)
        restored.threshold = state["threshold"]
        restored._sum = np.array(state["sum"])
        restored._called, restored._taught = dict(state["called"]), dict(state.get("taught", {}))
        for name, table in restored._tables().items():
            table.load(((k, n) for kind, k, n in counts if kind == name), state["documents"][name])
        if docs:
            restored._relive(docs)
        return restored

    def _relive(self, docs: Sequence[Doc]) -> None:
        newest = max(doc.at for doc in docs)
        clock = docs[0].at
        for doc in docs:
            clock = max(clock, doc.at)
            if clock < newest - self.settings.window:  # counted by now, but not yet when these came
                self._lines.add(self._lines.columns(_line_slots(doc.body)), times=-1)
        for doc in docs:
            self._remember(self._print(doc))

    def _tables(self) -> dict[str, DocumentCounts]:
        return {name: one.counts for name, one in self._fields.items()} | {"lines": self._lines}

    # -- remembering --------------------------------------------------------------------------------

    def _print(self, doc: Doc) -> _Print:
        """Move the clock, let what is too old go, and reduce the document to what is compared."""
        at = max(doc.at.timestamp(), self._at[-1] if self._at else -math.inf)
        while self._pending and self._pending[0][0] < at - self.settings.window.total_seconds():
            self._lines.add(self._pending.popleft()[1])
        slots = _line_slots(doc.body)
        lines = self._lines.columns(slots)
        often = set(slots[self._lines[lines] >= self.settings.boilerplate_after].tolist())
        self._pending.append((at, lines))
        body = "\n".join(line for line in doc.body.split("\n") if slot("line", masked(line)) not in often)
        title = term_slots(doc.title)
        fields = (
            counted(title),
            counted(title * self.settings.title_weight + term_slots(body[: self.settings.body_chars])),
            counted({slot("code", code) for code in doc.codes}),
            counted({slot("frame", frame) for frame in doc.frames}),
            counted({slot("shingle", run) for line in doc.error_lines for run in shingles(line)}),
        )
        return _Print(
            doc.ticket_id,
            at,
            doc.customer,
            doc.vector.astype(np.float16).astype(np.float64),
            tuple(
                one.counts.columns(slots)
                for one, (slots, _) in zip(self._fields.values(), fields, strict=True)
            ),
            tuple(weights for _, weights in fields),
        )

    def _count(self, new: _Print) -> None:
        for one, columns in zip(self._fields.values(), new.columns, strict=True):
            one.counts.add(columns)
        self._sum = self._sum + new.vector if len(self._sum) else new.vector

    def _remember(self, new: _Print) -> None:
        self._expire(new.at)
        for one, columns, weights in zip(self._fields.values(), new.columns, new.weights, strict=True):
            one.rows.append(columns, weights)
        row = len(self._ids)
        if row == len(self._vectors):
            grown = np.zeros((max(1024, 2 * row), len(new.vector)), dtype=np.float32)
            grown[:row] = self._vectors if row else 0
            self._vectors = grown
        self._vectors[row] = new.vector
        self._ids.append(new.ticket_id)
        self._at.append(new.at)
        self._customers.append(new.customer)
        self._known.add(new.ticket_id)

    def _expire(self, now: float) -> None:
        """Drop what no scan can see any more, in large steps so that the cost per ticket stays small."""
        old = bisect_left(self._at, now - (self.settings.memory + self.settings.window).total_seconds())
        if old < 64 or 2 * old < len(self._at):
            return
        self._known.difference_update(self._ids[:old])
        for column in (self._ids, self._at, self._customers):
            del column[:old]
        self._vectors = self._vectors[old:].copy()
        for one in self._fields.values():
            one.rows.drop(old)
        self._called, self._taught = self._still_quiet(self._called), self._still_quiet(self._taught)

    def _still_quiet(self, called: Mapping[str, float]) -> dict[str, float]:
        since = (self._at[-1] if self._at else 0.0) - self.settings.quiet.total_seconds()
        return {ticket: at for ticket, at in called.items() if at >= since}

    # -- scanning -----------------------------------------------------------------------------------

    def _scan(self, new: _Print, earlier: Earlier, called: dict[str, float]) -> Knot | None:
        """The call around one document, if any and not `called` lately; turns the dial either way."""
        found = self._standing_out(new, earlier)
        if found is not None and (found.score < self.threshold or self._is_quiet(found, called)):
            found = None  # a suppressed call must not extend the episode: its tickets are not marked
        self.threshold = self.settings.turned(self.threshold, called=found is not None)
        if found is not None:
            called.update(dict.fromkeys(found.ticket_ids + found.related, new.at))
        return found

    def _is_quiet(self, found: Knot, called: Mapping[str, float]) -> bool:
        since = found.at.timestamp() - self.settings.quiet.total_seconds()
        return any(called.get(ticket, -math.inf) >= since for ticket in found.ticket_ids + found.related)

    def _standing_out(self, new: _Print, earlier: Earlier) -> Knot | None:
        """The best triple around the document with its evidence, if it could be called: history only lowers it."""
        if self._fields["words"].counts.documents < self.settings.learning:
            return None
        low = bisect_left(self._at, new.at - self.settings.window.total_seconds())
        rows = self._candidates(new, low)
        if len(rows) < 2:
            return None
        pairs = self._pairs(new, rows)
        triple = self._best_triple(pairs, rows)
        if triple is None or triple.pure < self.threshold:
            return None
        alike = (self._ids[rows[triple.j]], self._ids[rows[triple.k]], new.ticket_id)
        before = earlier(alike)
        if before >= self.settings.established:
            return None
        history = self._history(new, triple.mean, low)
        members, related = self._members(triple, pairs, rows)
        evidence = sorted(rows[member] for member in members)
        return Knot(
            ticket_id=new.ticket_id,
            at=datetime.fromtimestamp(new.at, UTC),
            score=triple.pure - self.settings.history * math.log1p(history),
            mean=triple.mean,
            weakest=triple.weakest,
            history=history,
            earlier=before,
            triple=alike,
            ticket_ids=(*(self._ids[row] for row in evidence), new.ticket_id),
            related=tuple(self._ids[row] for row in sorted(rows[member] for member in related)),
            customers=1 + len(evidence),
            threshold=self.threshold,
            per_1000=self.settings.per_1000,
        )

    def _candidates(self, new: _Print, low: int) -> list[int]:
        """Rows of the window most like the document, other customers only, best first."""
        if low == len(self._ids):
            return []
        alike = self._similar(new, low, len(self._ids))
        order = (low + np.argsort(-alike, kind="stable")).tolist()
        others = (row for row in order if self._customers[row] != new.customer)
        return list(islice(others, self.settings.candidates))

    def _best_triple(self, pairs: Floats, rows: Sequence[int]) -> _Triple | None:
        """The purest triple of the document and two candidates, all of different customers."""
        best = None
        for j, k in combinations(range(len(rows)), 2):
            if self._customers[rows[j]] == self._customers[rows[k]]:
                continue
            sides = (float(pairs[-1, j]), float(pairs[-1, k]), float(pairs[j, k]))
            mean, weakest = sum(sides) / 3, min(sides)
            if weakest < self.settings.stranger * mean:
                continue  # two copies and a stranger are not three reports
            pure = mean - self.settings.purity * (mean - weakest)
            if best is None or pure > best.pure:
                best = _Triple(j, k, mean, weakest, pure)
        return best

    def _members(self, triple: _Triple, pairs: Floats, rows: Sequence[int]) -> tuple[list[int], list[int]]:
        """The triple's two candidates and others that fit it: one of each customer, and the rest."""
        fit = (pairs[:-1, triple.j] + pairs[:-1, triple.k] + pairs[:-1, -1]) / 3
        members = {self._customers[rows[triple.j]]: triple.j, self._customers[rows[triple.k]]: triple.k}
        related = []
        for place in np.argsort(-fit, kind="stable").tolist():
            fits = fit[place] >= self.threshold and place not in (triple.j, triple.k)
            if fits and members.setdefault(self._customers[rows[place]], place) != place:
                related.append(place)
        return list(members.values()), related

    def _history(self, new: _Print, mean: float, high: int) -> int:
        """Distinct customers between memory and window whose tickets are at least as similar."""
        low = bisect_left(self._at, new.at - self.settings.memory.total_seconds())
        if low == high:
            return 0
        alike = np.flatnonzero(self._similar(new, low, high) >= mean)
        return len({self._customers[low + row] for row in alike.tolist()})

    def _similar(self, new: _Print, low: int, high: int) -> Floats:
        """(high - low,) similarity of the document with each remembered row."""
        centre = self._centre()
        mean = centre @ centre
        dots = self._vectors[low:high].astype(np.float64) @ np.column_stack((new.vector, centre))
        own = new.vector @ centre
        lengths = np.maximum((1 - 2 * dots[:, 1] + mean) * (1 - 2 * own + mean), 1e-9)
        dense = (dots[:, 0] - dots[:, 1] - own + mean) / np.sqrt(lengths)
        return self._mix(
            dense,
            [
                one.against(columns, weights, low, high)
                for one, columns, weights in zip(self._fields.values(), new.columns, new.weights, strict=True)
            ],
        )

    def _pairs(self, new: _Print, rows: Sequence[int]) -> Floats:
        """(n + 1, n + 1) similarities of the picked rows and, last, the document."""
        vectors = np.vstack((self._vectors[rows].astype(np.float64), new.vector)) - self._centre()
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
        return self._mix(
            vectors @ vectors.T,
            [
                one.among(rows, columns, weights)
                for one, columns, weights in zip(self._fields.values(), new.columns, new.weights, strict=True)
            ],
        )

    def _centre(self) -> Floats:
        """(dim,) mean of all vectors so far, drawn to 0 while they are few: what the whole desk shares."""
        centre: Floats = self._sum / (self._fields["words"].counts.documents + CENTRE_PRIOR)
        return centre

    def _mix(self, dense: Floats, fields: Sequence[tuple[Floats, Floats]]) -> Floats:
        """One similarity from its parts, on a grid of 2^-20 so that no order of summing shows."""
        (_, title), (_, words), (codes, _), (frames, _), (runs, runs_cosine) = fields
        signatures = (
            0.02 * np.minimum(codes, 12)
            + 0.04 * np.log1p(frames)
            + 0.06 * np.log1p(runs)
            + 0.15 * runs_cosine
        )
        lexical = self.settings.title * title + self.settings.words * words
        mixed = dense + lexical + self.settings.signatures * signatures
        rounded: Floats = np.round(mixed * (1 << 20)) / (1 << 20)
        return rounded


def _line_slots(body: str) -> Slots:
    """Distinct slots of the body's masked lines."""
    return np.unique(
        np.array([slot("line", masked(line)) for line in body.split("\n") if masked(line)], np.int32)
    )


def strength(knot: Knot, *, tickets_per_week: float, topics: int) -> float:
    """The knot on the common scale: -log10 of false episodes per topic-week.

    The scan looks once per ticket; `tickets_per_week` is the desk's traffic, `topics` how many its budget is
    shared among.
    """
    false_per_week = tickets_per_week * knot.false_per_1000 / 1000.0
    return -math.log10(max(false_per_week, 1e-12) / max(1, topics))
