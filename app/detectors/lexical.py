"""Words and what is known of them: tokens, hashed document counts, sparse rows, BM25.

Terms live in a fixed table of slots (feature hashing, Weinberger et al., ICML 2009): a term's slot
depends on nothing but its spelling, so memory is bounded, counts are plain integers that can be
stored and added up again in any order, and every replay sums in the same order.
"""

from __future__ import annotations

import itertools
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Slots = NDArray[np.int32]
Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]

SLOTS = 1 << 22  # 300,000 distinct terms share a slot with another one in 7 cases of 100
_WORD = re.compile(r"[^\W_]+(?:_[^\W_]+)*")
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_a-zA-Z]+")
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]{2,}")
_DIGITS_AND_MARKS = re.compile(r"[\W\d_]+")


def slot(kind: str, term: str) -> int:
    """Where a term of one kind is counted: the same in every process and version of Python."""
    return zlib.crc32(f"{kind}\x1f{term}".encode()) % SLOTS


def stem(word: str) -> str:
    """A light English stem after Harman's S-stemmer (JASIS 1991), plus -ed, -ing and a final -e."""
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 5 and word.endswith("ing"):
        word = _undoubled(word[:-3])
    elif len(word) > 4 and word.endswith("ed"):
        word = _undoubled(word[:-2])
    elif len(word) > 4 and word.endswith(("sses", "shes", "ches", "xes")):
        word = word[:-2]
    elif len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    return word[:-1] if len(word) > 4 and word.endswith("e") else word


def _undoubled(word: str) -> str:
    """ "stopp" becomes "stop"; "install", "process" and "buzz" stay."""
    doubled = len(word) > 3 and word[-1] == word[-2] and word[-1] not in "lsz"
    return word[:-1] if doubled else word


def tokens(text: str) -> Iterator[str]:
    """Lower-case words, an identifier both whole and in its camelCase parts, each part stemmed."""
    for word in _WORD.findall(text):
        yield from _terms(word)


@lru_cache(maxsize=1 << 17)
def _terms(word: str) -> tuple[str, ...]:
    if _UNSPACED.fullmatch(word):  # scripts without spaces: character pairs stand in for words
        return tuple(word[k : k + 2] for k in range(len(word) - 1))
    whole = word.lower()
    parts = _PART.findall(word)
    if len(parts) < 2:
        return (stem(whole),)
    return (whole, *(stem(part.lower()) for part in parts if len(part) > 1))


@lru_cache(maxsize=1 << 17)
def _term_slots(word: str) -> tuple[int, ...]:
    return tuple(slot("term", term) for term in _terms(word))


def term_slots(text: str) -> list[int]:
    """The slot of every token, repeated as often as it occurs."""
    return [found for word in _WORD.findall(text) for found in _term_slots(word)]


def masked(line: str) -> str:
    """A line without digits and punctuation: what stays the same when people fill in a form."""
    return _DIGITS_AND_MARKS.sub(" ", line).strip().lower()


def shingles(line: str, width: int = 4) -> Iterator[str]:
    """Runs of `width` words of a masked line; a shorter line is its own shingle."""
    words = masked(line).split()
    for start in range(max(1, len(words) - width + 1)):
        if words:
            yield " ".join(words[start : start + width])


def counted(slots: Iterable[int]) -> tuple[Slots, Floats]:
    """Distinct slots, ascending, and 1 + ln(tf) of each."""
    found, times = np.unique(np.fromiter(slots, dtype=np.int32), return_counts=True)
    return found, 1.0 + np.log(times)


class DocumentCounts:
    """In how many documents each slot occurred: integers only, so a stored table restores exactly.

    Slots in use get a column each, in order of first use: common terms come early, so the columns
    that are read all the time lie together in memory. A row of columns stays in the order of its
    slots, so nothing that is summed depends on how columns were given out.
    """

    def __init__(self) -> None:
        self.documents = 0
        self._place: Slots = np.zeros(SLOTS, dtype=np.int32)  # column + 1, or 0
        self._slot: Slots = np.zeros(1 << 10, dtype=np.int32)
        self._counts: Slots = np.zeros(1 << 10, dtype=np.int32)
        self._log: Floats = np.zeros(1 << 10)  # ln(count + 1)
        self._used = 0
        self._changed: set[int] = set()

    def __len__(self) -> int:
        return self._used

    def columns(self, slots: Slots) -> Slots:
        """The column of each of these distinct slots; new slots get new columns."""
        found: Slots = self._place[slots] - 1
        new = slots[found < 0]
        if len(new):
            end = self._used + len(new)
            if end > len(self._slot):
                self._slot, self._counts = np.resize(self._slot, 2 * end), np.resize(self._counts, 2 * end)
                self._log = np.resize(self._log, 2 * end)
            self._slot[self._used : end] = new
            self._counts[self._used : end] = 0
            self._log[self._used : end] = 0.0
            self._place[new] = np.arange(self._used + 1, end + 1, dtype=np.int32)
            self._used = end
            found = self._place[slots] - 1
        return found

    def seen(self, slots: Slots) -> tuple[Slots, NDArray[np.bool_]]:
        """The columns of those distinct slots that have one, and which they are; changes nothing."""
        found: Slots = self._place[slots] - 1
        return found[found >= 0], found >= 0

    def add(self, columns: Slots, *, times: int = 1) -> None:
        """Count one more document (or with `times=-1` one less) that holds these distinct columns."""
        self.documents += times
        self._counts[columns] += times
        self._log[columns] = np.log(self._counts[columns] + 1.0)
        self._changed.update(columns.tolist())

    def __getitem__(self, columns: Slots) -> Slots:
        found: Slots = self._counts[columns]
        return found

    def idf(self, columns: Slots) -> Floats:
        """ln((N + 1) / (df + 1)) of each column."""
        weights: Floats = np.log(self.documents + 1.0) - self._log[columns]
        return weights

    def rows(self, *, changed: bool = False) -> list[tuple[int, int]]:
        """(slot, count) of every slot in use, or only of those changed since the last call."""
        columns = np.array(sorted(self._changed), dtype=np.int32) if changed else np.arange(self._used)
        self._changed.clear()
        if not changed:
            columns = columns[self._counts[columns] > 0]
        return sorted(zip(self._slot[columns].tolist(), self._counts[columns].tolist(), strict=True))

    def restore(self, slots: Slots, counts: Slots, documents: int) -> None:
        """Make this empty table equal to one whose columns, in order, were given to these slots."""
        self._slot, self._counts = slots.copy(), counts.copy()
        self._log = np.log(self._counts + 1.0)
        self._place[slots] = np.arange(1, len(slots) + 1, dtype=np.int32)
        self._used, self.documents = len(slots), documents

    def load(self, rows: Iterable[tuple[int, int]], documents: int) -> None:
        """Put back into an empty table what `rows` gave."""
        table = np.array(sorted(rows), dtype=np.int32).reshape(-1, 2)
        columns = self.columns(table[:, 0])
        self._counts[columns] = table[:, 1]
        self._log = np.log(self._counts + 1.0)
        self.documents = documents


class SparseRows:
    """Append-only sparse rows (CSR) that can drop their oldest ones; rows are numbered from 0."""

    def __init__(self) -> None:
        self._starts = [0]
        self._columns: Slots = np.empty(1 << 12, dtype=np.int32)
        self._weights: Floats = np.empty(1 << 12, dtype=np.float64)

    def __len__(self) -> int:
        return len(self._starts) - 1

    def append(self, columns: Slots, weights: Floats) -> None:
        """Add a row: distinct columns and their weights."""
        start, end = self._starts[-1], self._starts[-1] + len(columns)
        if end > len(self._columns):
            self._columns = np.resize(self._columns, 2 * end)
            self._weights = np.resize(self._weights, 2 * end)
        self._columns[start:end], self._weights[start:end] = columns, weights
        self._starts.append(end)

    def drop(self, rows: int) -> None:
        """Forget the oldest `rows` rows; those behind them move up. Costs a copy of what stays."""
        start, end = self._starts[rows], self._starts[-1]
        self._columns = self._columns[start:end].copy()
        self._weights = self._weights[start:end].copy()
        self._starts = [at - start for at in self._starts[rows:]]

    def slice(self, low: int, high: int) -> tuple[NDArray[np.int64], Slots, Floats]:
        """Rows low..high-1 as (starts (n + 1,), columns, weights)."""
        starts = np.array(self._starts[low : high + 1], dtype=np.int64)
        begin, end = int(starts[0]), int(starts[-1])
        return starts - begin, self._columns[begin:end], self._weights[begin:end]

    def take(self, rows: Sequence[int]) -> tuple[NDArray[np.int64], Slots, Floats]:
        """The same for rows picked by number."""
        spans = [(self._starts[row], self._starts[row + 1]) for row in rows]
        starts = np.cumsum([0, *(end - begin for begin, end in spans)])
        columns = [self._columns[begin:end] for begin, end in spans]
        weights = [self._weights[begin:end] for begin, end in spans]
        return starts, np.concatenate(columns), np.concatenate(weights)


def row_sums(values: Floats, starts: NDArray[np.int64]) -> Floats:
    """Sum of each row's values; an empty row sums to 0. A row's sum depends on that row alone."""
    sums = np.zeros(len(starts) - 1)
    filled = starts[1:] > starts[:-1]
    if filled.any():
        sums[filled] = np.add.reduceat(values, starts[:-1][filled])
    return sums


class TermSets:
    """Which terms each document holds: append-only rows of distinct columns, numbered from 0."""

    def __init__(self) -> None:
        self._starts: NDArray[np.int64] = np.zeros(1 << 10, dtype=np.int64)
        self._columns: Slots = np.empty(1 << 12, dtype=np.int32)
        self._rows = 0

    def __len__(self) -> int:
        return self._rows

    def append(self, columns: Slots) -> None:
        start = int(self._starts[self._rows])
        end = start + len(columns)
        if end > len(self._columns):
            self._columns = np.resize(self._columns, 2 * end)
        if self._rows + 1 == len(self._starts):
            self._starts = np.resize(self._starts, 2 * len(self._starts))
        self._columns[start:end] = columns
        self._rows += 1
        self._starts[self._rows] = end

    def take(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], Slots]:
        """The rows as (starts (n + 1,), columns)."""
        begins, ends = self._starts[rows], self._starts[rows + 1]
        starts = np.concatenate(([0], np.cumsum(ends - begins)))
        inside = np.arange(starts[-1]) - np.repeat(starts[:-1], ends - begins)
        return starts, self._columns[np.repeat(begins, ends - begins) + inside]

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Everything an equal one is made from, as plain arrays."""
        starts = self._starts[: self._rows + 1]
        return {"starts": starts, "columns": self._columns[: starts[-1]]}

    def load_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Make this empty one equal to the one `to_arrays` was called on."""
        self._starts, self._columns = arrays["starts"].copy(), arrays["columns"].copy()
        self._rows = len(self._starts) - 1


class _Segment:
    """Postings of a run of consecutive documents, by column: documents and tf, ascending documents."""

    __slots__ = ("documents", "starts", "terms", "times")
    documents: Slots
    times: NDArray[np.uint16]
    terms: Slots
    starts: NDArray[np.int64]

    @classmethod
    def of(cls, **arrays: NDArray[Any]) -> _Segment:
        """A segment whose arrays are at hand."""
        made = cls.__new__(cls)
        for name, values in arrays.items():
            setattr(made, name, values)
        return made

    def __init__(self, columns: Slots, documents: Slots, times: NDArray[np.uint16]) -> None:
        order = np.argsort(columns, kind="stable")
        self.documents, self.times = documents[order], times[order]
        self.terms, counts = np.unique(columns, return_counts=True)
        self.starts = np.concatenate(([0], np.cumsum(counts)))

    def merged(self, later: _Segment) -> _Segment:
        """Both runs as one."""
        columns = [np.repeat(one.terms, np.diff(one.starts)) for one in (self, later)]
        return _Segment(
            np.concatenate(columns),
            np.concatenate((self.documents, later.documents)),
            np.concatenate((self.times, later.times)),
        )

    def postings(self, columns: Slots) -> list[tuple[int, int]]:
        """Where each of these columns begins and ends; equal where it does not occur."""
        places = np.searchsorted(self.terms, columns)
        inside = places < len(self.terms)
        inside[inside] = self.terms[places[inside]] == columns[inside]
        begins = np.where(inside, self.starts[np.where(inside, places, 0)], 0)
        ends = np.where(inside, self.starts[np.where(inside, places + 1, 0)], 0)
        return list(zip(begins.tolist(), ends.tolist(), strict=True))


class Bm25:
    """An inverted index that grows ticket by ticket and scores only the rarest words of a query.

    BM25 after Robertson and Zaragoza (2009), with idf ln(1 + (N - df + .5) / (df + .5)). Documents
    are numbered from 0 in the order they were added. Segments of postings are merged in the manner of
    a binary counter, so an addition costs O(log n) copies in all and a query touches few segments.
    """

    def __init__(
        self,
        *,
        k1: float = 1.2,
        b: float = 0.75,
        terms: int = 60,
        postings: int = 400_000,
        segment: int = 512,
    ) -> None:
        self._segment = segment
        self._k1, self._b, self._terms, self._postings = k1, b, terms, postings
        self._counts = DocumentCounts()
        self._lengths: Floats32 = np.zeros(1 << 10, dtype=np.float32)
        self._total = 0.0
        self._segments: list[_Segment] = []
        self._fresh = SparseRows()

    def __len__(self) -> int:
        return self._counts.documents

    def add(self, slots: Sequence[int]) -> int:
        """Take in one document, given as the slots of its tokens; returns its number."""
        number = len(self)
        found, times = np.unique(np.array(slots, dtype=np.int32), return_counts=True)
        columns = self._counts.columns(found)
        self._counts.add(columns)
        if number >= len(self._lengths):
            self._lengths = np.resize(self._lengths, 2 * number)
        self._lengths[number] = len(slots)
        self._total += len(slots)
        self._fresh.append(columns, times.astype(np.float64))
        if len(self._fresh) == self._segment:
            self._settle()
        return number

    def known(self, slots: Sequence[int]) -> tuple[Slots, int]:
        """Columns of the distinct terms that some document holds, ascending, and how many others there are."""
        found = np.unique(np.array(slots, dtype=np.int32))
        columns, known = self._counts.seen(found)
        return np.sort(columns), int(len(found) - known.sum())

    def idf(self, columns: Slots) -> Floats:
        """How rare each of these columns is: ln(1 + (N - df + .5) / (df + .5))."""
        df = self._counts[columns]
        return np.log1p((len(self) - df + 0.5) / (df + 0.5))

    def idf_of_new(self) -> float:
        """The same of a term that no document holds."""
        return float(np.log1p((len(self) + 0.5) / 0.5))

    def _settle(self) -> None:
        starts, columns, times = self._fresh.slice(0, len(self._fresh))
        documents = np.repeat(
            np.arange(len(self) - self._segment, len(self), dtype=np.int32), np.diff(starts)
        )
        few = np.minimum(times, np.iinfo(np.uint16).max).astype(np.uint16)
        self._segments.append(_Segment(columns.copy(), documents, few))
        self._fresh = SparseRows()
        settled = len(self) // self._segment
        while settled % 2 == 0:  # like the carry of a binary counter
            later, earlier = self._segments.pop(), self._segments.pop()
            self._segments.append(earlier.merged(later))
            settled //= 2

    def scores(self, slots: Sequence[int]) -> tuple[Floats32, float]:
        """(documents,) score of every document for a query given as the slots of its tokens.

        The second value is what a document made of nothing but the query's rare words could get.
        """
        found, times = np.unique(np.array(slots, dtype=np.int32), return_counts=True)
        columns, known = self._counts.seen(found)
        frequency, times = self._counts[columns], times[known]
        rarest = np.argsort(frequency, kind="stable")[: self._terms]
        affordable = np.cumsum(frequency[rarest]) <= self._postings
        affordable[:3] = True
        rarest = rarest[affordable]
        df = frequency[rarest]
        weights = np.log1p((len(self) - df + 0.5) / (df + 0.5)) * (1 + np.log(times[rarest]))
        return self._accumulate(columns[rarest], weights.astype(np.float32)), float(weights.sum())

    def _accumulate(self, columns: Slots, weights: Floats32) -> Floats32:
        total = np.zeros(len(self), dtype=np.float32)
        average = self._total / max(1, len(self))
        norms = self._k1 * (1 - self._b + self._b * self._lengths[: len(self)] / average)
        found = [
            (segment.documents[begin:end], segment.times[begin:end], weight)
            for segment in self._segments
            for (begin, end), weight in zip(segment.postings(columns), weights, strict=True)
            if begin < end
        ]
        if found:  # all postings at once: a few passes over long arrays instead of many over short ones
            documents = np.concatenate([held for held, _, _ in found])
            times = np.concatenate([held for _, held, _ in found], dtype=np.float32)
            weight_of = np.repeat([weight for *_, weight in found], [len(held) for held, *_ in found])
            parts = weight_of * times / (times + norms[documents])
            total += np.bincount(documents, parts, minlength=len(total))
        first = len(self) - len(self._fresh)
        if first < len(self):
            total[first:] = self._of_fresh(columns, weights, norms[first:])
        return total

    def _of_fresh(self, columns: Slots, weights: Floats32, norms: Floats32) -> Floats32:
        starts, held, times = self._fresh.slice(0, len(self._fresh))
        order = np.argsort(columns)
        place = np.minimum(np.searchsorted(columns, held, sorter=order), max(0, len(columns) - 1))
        hits = np.flatnonzero(columns[order[place]] == held) if len(columns) else np.empty(0, np.int64)
        row = np.searchsorted(starts, hits, side="right") - 1
        weight = weights[order[place[hits]]]
        parts = weight * times[hits] / (times[hits] + norms[row])
        found: Floats32 = np.bincount(row, parts, minlength=len(norms)).astype(np.float32)
        return found

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Everything an equal index is made from, as plain arrays."""
        counts = self._counts
        starts, columns, times = self._fresh.slice(0, len(self._fresh))
        arrays: dict[str, NDArray[Any]] = {
            "slots": counts._slot[: len(counts)], "counts": counts._counts[: len(counts)],
            "lengths": self._lengths[: len(self)], "total": np.array([self._total]),
            "starts": starts, "columns": columns, "times": times,
        }  # fmt: skip
        for number, segment in enumerate(self._segments):
            for name in _Segment.__slots__:
                arrays[f"{number}.{name}"] = getattr(segment, name)
        return arrays

    def load_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Make this empty index equal to the one `to_arrays` was called on."""
        self._counts.restore(arrays["slots"], arrays["counts"], len(arrays["lengths"]))
        self._lengths = arrays["lengths"].astype(np.float32)
        self._total = float(arrays["total"][0])
        starts = arrays["starts"].tolist()
        for begin, end in itertools.pairwise(starts):
            self._fresh.append(arrays["columns"][begin:end], arrays["times"][begin:end])
        number = 0
        while f"{number}.terms" in arrays:
            self._segments.append(
                _Segment.of(**{name: arrays[f"{number}.{name}"] for name in _Segment.__slots__})
            )
            number += 1


def best(scores: Floats32, k: int) -> NDArray[np.int64]:
    """Positions of the k highest positive scores, best first, the older of equals first."""
    positive = np.flatnonzero(scores > 0)
    if len(positive) > k:
        edge = np.partition(scores[positive], len(positive) - k)[len(positive) - k]
        positive = positive[scores[positive] >= edge]
    order: NDArray[np.int64] = positive[np.argsort(-scores[positive], kind="stable")][:k]
    return order
