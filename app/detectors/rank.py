"""Similar cases: candidates by meaning and by words, one ranking, an honest probability, or silence.

Meaning (dense vectors) and words (BM25 over the whole text and over titles) each propose candidates.
A boosted-tree ranker that may only rise with every similarity orders them; reciprocal rank fusion
(Cormack, Clarke and Buettcher, SIGIR 2009) is its guard where it does not fit a desk. A second such
model turns the best few into probabilities; below a level nothing is said.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.detectors.learn import Trees, fit
from app.detectors.lexical import Bm25, Floats, Floats32, Slots, TermSets, best, row_sums, slot, term_slots
from app.domain import Matrix
from app.errors import Invalid

Numbers = NDArray[np.int64]

FIELDS = ("product", "component", "version", "platform")
BODY_CHARS = 3000
TITLE_WEIGHT = 3
DENSE, WORDS, TITLES = 50, 50, 20  # candidates of each kind
FUSION_K = 60.0

SHARED = ("overlap", "covered", "title_overlap", "title_in_text", "text_in_title")
"""Rarity-weighted shares of terms: of all of both texts, of the case's text, of both titles; of the query's
title that the case's text holds, and of the case's title that the query's text holds."""
FEATURES = (
    "dense", "words", "title",
    "dense_rank", "words_rank", "title_rank",
    "dense_gap", "words_gap", "title_gap",
    "dense_above", "words_above",
    "fusion_pair", "fusion_all",
    *(f"same_{name}" for name in FIELDS),
    *SHARED, *(f"{name}_gap" for name in SHARED), *(f"{name}_rank" for name in SHARED),
    "recent",
)  # fmt: skip
_SAME = slice(FEATURES.index(f"same_{FIELDS[0]}"), FEATURES.index(f"same_{FIELDS[-1]}") + 1)
_SHARED = slice(FEATURES.index(SHARED[0]), FEATURES.index("recent"))
PAIR_FEATURES = (
    "score", "ahead", "lead", "dense", "words", "title", "same_fields", "same_requester",
    "crowd", "query_length", "case_length", "age_days", "overlap", "title_overlap",
)  # fmt: skip
PAIR_RISES = (1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, -1, 1, 1)


@dataclass(frozen=True, slots=True)
class Case:
    """A ticket as it is searched for, or searched: its text, its attributes, its vector."""

    ticket_id: str
    at: datetime
    requester: str
    title: str
    body: str
    vector: Matrix  # (dim,) unit length
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Match:
    """One earlier case and why it is here."""

    ticket_id: str
    number: int
    score: float
    logit: float  # of the shipped model, before what people said shifted it
    probability: float  # that a person would call it the same issue
    cosine: float
    words: float  # BM25 as a share of what the query could reach
    title: float
    same: tuple[str, ...]  # attributes both have with the same value


@dataclass(frozen=True, slots=True)
class Candidates:
    """The earlier cases worth ranking for one query, as columns; `features` (n, len(FEATURES))."""

    numbers: Numbers
    features: Floats
    fused: Floats  # (n,) reciprocal rank fusion of meaning and words
    context: Floats  # (n, 4): same requester, ln query length, ln case length, age in days

    def row(self, place: int) -> dict[str, Any]:
        """One candidate as plain values."""
        return {
            "features": np.round(self.features[place], 5).tolist(),
            "fused": round(float(self.fused[place]), 6),
            "context": np.round(self.context[place], 4).tolist(),
        }

    @classmethod
    def of_rows(cls, rows: Sequence[Mapping[str, Any]]) -> Candidates:
        """Candidates from what `row` gave, numbered from 0."""
        return cls(
            np.arange(len(rows)),
            np.array([row["features"] for row in rows], dtype=np.float64),
            np.array([row["fused"] for row in rows], dtype=np.float64),
            np.array([row["context"] for row in rows], dtype=np.float64),
        )

    def by_words(self) -> Candidates:
        """What is left of these where the query has no vector: found by words or title, meaning unknown."""
        column = FEATURES.index
        words, titles = self.features[:, column("words_rank")], self.features[:, column("title_rank")]
        kept = (words > 0) | (titles > 0)
        features = self.features[kept]
        words, titles = words[kept], titles[kept]
        for name in ("dense", "dense_rank", "dense_gap", "dense_above"):
            features[:, column(name)] = 0.0
        score = features[:, column("words")]
        features[:, column("words_above")] = score - (np.median(score) if len(score) else 0.0)
        features[:, _SHARED] = _standings(features[:, _SHARED][:, : len(SHARED)])
        features[:, column("fusion_pair")], features[:, column("fusion_all")] = words, words + titles
        return Candidates(self.numbers[kept], features, words + titles, self.context[kept])


class Cases:
    """What is remembered of every ticket for searching by words and attributes; vectors live elsewhere.

    Tickets are numbered from 0 in the order they were added. About 1.5 kB a ticket.
    """

    def __init__(self) -> None:
        self._texts, self._titles = Bm25(), Bm25()
        self._text_terms, self._title_terms = TermSets(), TermSets()  # in columns of the text index
        self.ticket_ids: list[str] = []
        self._attributes: NDArray[np.int32] = np.zeros((1 << 10, len(FIELDS)), dtype=np.int32)
        self._facts: Floats = np.zeros((1 << 10, 3))  # requester, ln length, Unix days

    def __len__(self) -> int:
        return len(self.ticket_ids)

    def add(self, case: Case) -> int:
        """Take in one ticket; returns its number."""
        number = len(self)
        if number == len(self._facts):
            room = max(1024, 2 * number)
            self._attributes = np.resize(self._attributes, (room, len(FIELDS)))
            self._facts = np.resize(self._facts, (room, 3))
        title, body = _slots(case)
        self._texts.add(title * TITLE_WEIGHT + body)
        self._titles.add(title)
        self._text_terms.append(self._texts.known(title + body)[0])
        self._title_terms.append(self._texts.known(title)[0])
        self._attributes[number] = _attribute_codes(case)
        self._facts[number] = _facts(case)
        self.ticket_ids.append(case.ticket_id)
        return number

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Everything equal cases are made from, as plain arrays."""
        count = len(self)
        return {
            **{f"texts.{name}": values for name, values in self._texts.to_arrays().items()},
            **{f"titles.{name}": values for name, values in self._titles.to_arrays().items()},
            **{f"text_terms.{name}": values for name, values in self._text_terms.to_arrays().items()},
            **{f"title_terms.{name}": values for name, values in self._title_terms.to_arrays().items()},
            "ticket_ids": np.array(self.ticket_ids, dtype=str),
            "attributes": self._attributes[:count].copy(),
            "case_facts": self._facts[:count].copy(),
        }

    def load_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Make these empty cases equal to those `to_arrays` was called on."""
        parts: dict[str, Bm25 | TermSets] = {
            "texts.": self._texts, "titles.": self._titles,
            "text_terms.": self._text_terms, "title_terms.": self._title_terms,
        }  # fmt: skip
        for name, part in parts.items():
            part.load_arrays({k.removeprefix(name): v for k, v in arrays.items() if k.startswith(name)})
        self.ticket_ids = arrays["ticket_ids"].tolist()
        self._attributes, self._facts = arrays["attributes"], arrays["case_facts"]

    def candidates(
        self,
        query: Case,
        nearest: Numbers,
        cosines: Callable[[Numbers], Floats32] | None,
        *,
        among: NDArray[np.bool_] | None = None,
    ) -> Candidates:
        """Union of the nearest by meaning (given, best first) and the best by words and by title.

        `cosines` answers the cosine of the query with any numbers, None where its vector is missing; `among` (len(self),) says which
        tickets may be returned, and `nearest` must respect it already.
        """
        title, body = _slots(query)
        words, top_words = _scored(self._texts, title * TITLE_WEIGHT + body, among)
        titles, top_titles = _scored(self._titles, title, among)
        near = nearest[:DENSE].astype(np.int64)
        by_words, by_title = best(words, WORDS), best(titles, TITLES)
        numbers = np.unique(np.concatenate((near, by_words, by_title)))
        similar = np.column_stack(
            (
                np.zeros(len(numbers)) if cosines is None else cosines(numbers).astype(np.float64),
                words[numbers] / max(top_words, 1e-9),
                titles[numbers] / max(top_titles, 1e-9),
            )
        )
        ranks = np.column_stack([_reciprocal(numbers, listed) for listed in (near, by_words, by_title)])
        same = _agreement(_attribute_codes(query), self._attributes[numbers])
        fused = np.column_stack([_fusion(ranks[:, :2]), _fusion(ranks)])
        requester, length, day = _facts(query)
        facts = self._facts[numbers]
        age = np.maximum(0.0, day - facts[:, 2])
        features = np.column_stack(
            (
                similar,
                ranks,
                similar - similar.max(axis=0, initial=0.0),
                similar[:, :2] - (np.median(similar[:, :2], axis=0) if len(numbers) else 0.0),
                fused,
                same,
                _standings(self._shared(title, body, numbers)),
                -np.log1p(age),
            )
        )
        context = np.column_stack(
            (
                (facts[:, 0] == requester).astype(np.float64),
                np.full(len(numbers), length),
                facts[:, 1],
                age,
            )
        )
        found = Candidates(numbers, features, fused[:, 0], context)
        return found.by_words() if cosines is None else found

    def _shared(self, title: list[int], body: list[int], numbers: Numbers) -> Floats:
        """(n, len(SHARED)) what the query's words and those of each case have in common."""
        index = self._texts
        text_set, text_new = index.known(title + body)
        title_set, title_new = index.known(title)
        text_weight = float(index.idf(text_set).sum()) + text_new * index.idf_of_new()
        title_weight = float(index.idf(title_set).sum()) + title_new * index.idf_of_new()
        of_text, in_text, title_in_text = self._held(self._text_terms, numbers, text_set, title_set)
        of_title, text_in_title, in_title = self._held(self._title_terms, numbers, text_set, title_set)
        return np.column_stack(
            (
                _share(in_text, of_text + text_weight - in_text),
                _share(in_text, of_text),
                _share(in_title, of_title + title_weight - in_title),
                _share(title_in_text, np.full(len(numbers), title_weight)),
                _share(text_in_title, of_title),
            )
        )

    def _held(
        self, terms: TermSets, numbers: Numbers, text: Slots, title: Slots
    ) -> tuple[Floats, Floats, Floats]:
        """(n,) weight of each case's terms, of those in the query's text, and of those in its title."""
        starts, columns = terms.take(numbers)
        weights = self._texts.idf(columns)
        return (
            row_sums(weights, starts),
            row_sums(weights * _is_in(columns, text), starts),
            row_sums(weights * _is_in(columns, title), starts),
        )


def _is_in(columns: Slots, wanted: Slots) -> NDArray[np.bool_]:
    """Which columns are among the ascending `wanted`."""
    if not len(wanted):
        return np.zeros(len(columns), dtype=np.bool_)
    found: NDArray[np.bool_] = (
        wanted[np.minimum(np.searchsorted(wanted, columns), len(wanted) - 1)] == columns
    )
    return found


def _share(part: Floats, whole: Floats) -> Floats:
    found: Floats = part / np.maximum(whole, 1e-9)
    return found


def _standings(values: Floats) -> Floats:
    """(n, 3m) values, their distance to the column's best, and 1 / (k + rank) with equals ranked alike."""
    gaps = values - values.max(axis=0, initial=0.0)
    ranks = [np.searchsorted(np.sort(-column), -column) for column in values.T]
    return np.column_stack((values, gaps, *(1.0 / (FUSION_K + 1.0 + rank) for rank in ranks)))


def _slots(case: Case) -> tuple[list[int], list[int]]:
    return term_slots(case.title), term_slots(case.body[:BODY_CHARS])


def _attribute_codes(case: Case) -> NDArray[np.int32]:
    """One code per field, 0 where it is unknown."""
    values = (case.attributes.get(name, "") for name in FIELDS)
    return np.array([1 + slot("field", value.lower()) if value else 0 for value in values], dtype=np.int32)


def _facts(case: Case) -> tuple[float, float, float]:
    who = float(1 + slot("requester", case.requester)) if case.requester else math.nan
    return who, math.log1p(len(case.title) + len(case.body)), case.at.timestamp() / 86400


def _scored(index: Bm25, slots: list[int], among: NDArray[np.bool_] | None) -> tuple[Floats32, float]:
    """Scores of all documents, 0 for those not allowed, and the score a copy of the query would get."""
    scores, ceiling = index.scores(slots)
    return (scores if among is None else np.where(among, scores, np.float32(0.0))), ceiling


def _reciprocal(numbers: Numbers, listed: Numbers) -> Floats:
    """1 / (k + rank) of each number in a list that is best first; 0 where it is not listed."""
    found = np.zeros(len(numbers))
    found[np.searchsorted(numbers, listed)] = 1.0 / (FUSION_K + 1.0 + np.arange(len(listed)))
    return found


def _fusion(ranks: Floats) -> Floats:
    summed: Floats = ranks.sum(axis=1)
    return summed


def _agreement(query: NDArray[np.int32], cases: NDArray[np.int32]) -> Floats:
    """+1 where a field has the same value, -1 where another, 0 where one is unknown."""
    known = (query != 0) & (cases != 0)
    agreed: Floats = np.where(known, np.where(query == cases, 1.0, -1.0), 0.0)
    return agreed


@dataclass(frozen=True, slots=True)
class Example:
    """One query people have answered: its candidates, and which of them were the same issue."""

    candidates: Candidates
    same: NDArray[np.bool_]  # (n,)
    weight: float = 1.0  # how many queries it stands for


@dataclass(frozen=True, slots=True)
class Ranker:
    """Orders candidates and says how likely each of the first few is the same issue.

    `learned` False means reciprocal rank fusion orders them: the guard for a desk the trees do not
    fit. `level` is the probability below which the best case is not shown at all.
    """

    order: Trees
    pair: Trees
    level: float
    learned: bool = True
    version: str = ""
    platt: tuple[float, float] = (1.0, 0.0)  # slope and shift of the pair's log-odds, from people's verdicts
    base: Trees | None = None  # of a refitted ranker: the shipped order, which has half the say

    TOP = 5  # cases that get a probability of their own; those behind share the last one's at most

    def scores(self, candidates: Candidates) -> Floats:
        """(n,) learned score of every candidate."""
        learned = self.order(candidates.features)
        return learned if self.base is None else (learned + self.base(candidates.features)) / 2

    def recalibrated(self, slope: float, shift: float) -> Ranker:
        """With log-odds `slope * x + shift`; what was silent before stays silent."""
        level = min(max(self.level, 1e-6), 1 - 1e-6)
        moved = slope * math.log(level / (1 - level)) + shift
        return replace(self, platt=(slope, shift), level=1 / (1 + math.exp(-moved)))

    def ranked(self, candidates: Candidates, k: int = 10) -> tuple[NDArray[np.int64], Floats]:
        """Positions of the best k candidates and the probability that each is the same issue."""
        first, logits = self.judged(candidates, self.scores(candidates), k)
        slope, shift = self.platt
        return first, 1 / (1 + np.exp(-(slope * logits + shift)))

    def judged(self, candidates: Candidates, scores: Floats, k: int) -> tuple[NDArray[np.int64], Floats]:
        """Positions of the best k candidates and the shipped log-odds that each is the same issue."""
        by = scores if self.learned else candidates.fused
        first = np.lexsort((candidates.numbers, -candidates.features[:, 0], -by))[:k]
        pairs = pair_features(candidates, scores, first[: self.TOP])
        logits = np.minimum.accumulate(self.pair(pairs))
        behind = np.full(len(first) - len(logits), logits[-1] if len(logits) else 0.0)
        return first, np.concatenate((logits, behind))

    def to_json(self) -> dict[str, Any]:
        """The model as plain values, with the names of its inputs."""
        return {
            "version": self.version,
            "features": list(FEATURES),
            "pair_features": list(PAIR_FEATURES),
            "level": round(self.level, 4),
            "order": self.order.to_json(),
            "pair": self.pair.to_json(),
        }

    @classmethod
    def load(cls, path: Path, *, learned: bool = True) -> Ranker:
        """A shipped model; raises Invalid when it was made for other inputs than this program's."""
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored["features"] != list(FEATURES) or stored["pair_features"] != list(PAIR_FEATURES):
            raise Invalid(f"{path} was trained on other features: train it again, see its card")
        return cls(
            order=Trees.from_json(stored["order"]),
            pair=Trees.from_json(stored["pair"]),
            level=float(stored["level"]),
            learned=learned,
            version=stored["version"],
        )


def pair_features(candidates: Candidates, scores: Floats, first: NDArray[np.int64]) -> Floats:
    """(len(first), len(PAIR_FEATURES)) what the probability of the best few is read from."""
    features, own = candidates.features[first], scores[first]
    others = np.array([np.max(np.delete(own, k), initial=-20.0) for k in range(len(own))])
    crowd = np.count_nonzero(scores >= (own.max(initial=-20.0) - 1.0))
    same = features[:, _SAME].sum(axis=1)
    context = candidates.context[first]
    return np.column_stack(
        (
            own,
            own - np.mean(own) if len(own) else own,
            own - others,
            features[:, :3],
            same,
            context[:, 0],
            np.full(len(first), math.log1p(crowd)),
            context[:, 1:],
            features[:, [FEATURES.index("overlap"), FEATURES.index("title_overlap")]],
        )
    )


@dataclass(frozen=True, slots=True)
class Answer:
    """The best earlier cases; `silent` when even the first is too unlikely to be worth showing."""

    matches: tuple[Match, ...]
    silent: bool


def answer(cases: Cases, candidates: Candidates, ranker: Ranker, *, k: int = 10) -> Answer:
    """Rank the candidates and say how likely each is; the caller decides what silence looks like."""
    scores = ranker.scores(candidates)
    order, logits = ranker.judged(candidates, scores, k)
    slope, shift = ranker.platt
    matches = []
    for position, logit in zip(order.tolist(), logits.tolist(), strict=True):
        values = dict(zip(FEATURES, candidates.features[position].tolist(), strict=True))
        matches.append(
            Match(
                ticket_id=cases.ticket_ids[candidates.numbers[position]],
                number=int(candidates.numbers[position]),
                score=float(scores[position]),
                logit=logit,
                probability=1 / (1 + math.exp(-(slope * logit + shift))),
                cosine=values["dense"],
                words=values["words"],
                title=values["title"],
                same=tuple(name for name in FIELDS if values[f"same_{name}"] > 0),
            )
        )
    return Answer(tuple(matches), not matches or matches[0].probability < ranker.level)


class Guard:
    """Which of several ways to order has served this desk best, by its own answered queries.

    Keeps a decayed mean of reciprocal ranks for each; the first named is used until another one is
    clearly ahead over enough answers.
    """

    def __init__(self, *ways: str, memory: int = 200, needed: int = 30) -> None:
        self._means = dict.fromkeys(ways, 0.0)
        self._first, self._keep, self._needed = ways[0], 1 - 1 / memory, needed
        self._answers = 0

    @property
    def best(self) -> str:
        """The way to use now."""
        if self._answers < self._needed:
            return self._first
        return max(self._means, key=lambda way: (self._means[way], way == self._first))

    def note(self, ranks: Mapping[str, int | None]) -> None:
        """Tell at which rank (from 1; None: not at all) each way had put the right case."""
        self._answers += 1
        keep = min(self._keep, 1 - 1 / self._answers)
        for way, rank in ranks.items():
            self._means[way] = keep * self._means[way] + (1 - keep) * (1 / rank if rank else 0.0)


def by_words(example: Example) -> Example:
    """The same query had it come without a vector: what the ranker for that case learns from."""
    ranks = example.candidates.features[:, [FEATURES.index("words_rank"), FEATURES.index("title_rank")]]
    kept = (ranks > 0).any(axis=1)
    return replace(example, candidates=example.candidates.by_words(), same=example.same[kept])


OWN_FROM, OWN_FULL, OWN_LAST = 30, 200, 2000  # own answered queries a refit needs, is full at, looks back


def reciprocal_rank(example: Example, scores: Floats, k: int = 10) -> float:
    """1 / rank of the first right case among the k best; 0 when none is."""
    right = np.flatnonzero(example.same[np.argsort(-scores, kind="stable")[:k]])
    return 1.0 / (1 + int(right[0])) if len(right) else 0.0


def refit(
    shipped: Ranker, examples: Sequence[Example], *, version: str = "", least: int = OWN_FROM
) -> Ranker:
    """The shipped ranker with its order learned anew from the desk's own answered queries.

    The shipped order keeps half the say: on two desks the mean of both log-odds beat either alone.
    """
    answered = [one for one in examples if one.same.any()][-OWN_LAST:]
    if len(answered) < max(1, least):
        return shipped
    full = len(answered) >= OWN_FULL
    order = _fit_order(
        answered, iterations=80 if full else 40, leaf=50 if full else max(5, len(answered) // 4)
    )
    return replace(shipped, order=order, base=shipped.order, version=version or shipped.version)


NEGATIVES = 30  # hard negatives of each query a ranker learns from
KEPT = 0.9  # share of correct first hits that must stay when the level of silence is set


def train(examples: Sequence[Example], *, iterations: int = 80, leaf: int = 50, version: str = "") -> Ranker:
    """A ranker from answered queries; those without any same case teach only the probability.

    The probability is learned from scores of rankers that had not seen the query (five folds by
    position, so neighbours in time stay together).
    """
    answered = [one for one in examples if one.same.any()]
    order = _fit_order(answered, iterations=iterations, leaf=leaf)
    folds = np.arange(len(answered)) * 5 // max(1, len(answered))
    rows: list[Floats] = []
    labels: list[bool] = []
    weights: list[float] = []
    heads: list[int] = []
    for fold in range(5):
        seen = [one for one, of in zip(answered, folds, strict=True) if of != fold]
        held = [one for one, of in zip(answered, folds, strict=True) if of == fold]
        held += [one for k, one in enumerate(x for x in examples if not x.same.any()) if k % 5 == fold]
        partial = _fit_order(seen, iterations=iterations, leaf=leaf)
        for one in held:
            scores = partial(one.candidates.features)
            first = np.argsort(-scores, kind="stable")[: Ranker.TOP]
            heads.append(len(labels))
            rows.append(pair_features(one.candidates, scores, first))
            labels.extend(one.same[first].tolist())
            weights.extend([one.weight] * len(first))
    table, truth = np.concatenate(rows), np.array(labels, dtype=bool)
    pair = fit(table, truth, PAIR_RISES, weights=np.array(weights), iterations=iterations, leaf=leaf)
    correct = np.array([head for head in heads if truth[head]], dtype=np.int64)
    chances = 1 / (1 + np.exp(-pair(table[correct])))
    return Ranker(order, pair, float(np.quantile(chances, 1 - KEPT)), version=version)


def _fit_order(examples: Sequence[Example], *, iterations: int, leaf: int) -> Trees:
    rows: list[Floats] = []
    labels: list[NDArray[np.bool_]] = []
    for one in examples:
        hard = np.flatnonzero(~one.same)
        hard = hard[np.argsort(-one.candidates.fused[hard], kind="stable")][:NEGATIVES]
        taken = np.concatenate((np.flatnonzero(one.same), hard))
        rows.append(one.candidates.features[taken])
        labels.append(one.same[taken])
    table = np.concatenate(rows)
    return fit(table, np.concatenate(labels), [1] * table.shape[1], iterations=iterations, leaf=leaf)
