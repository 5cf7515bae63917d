"""All tickets that can be found again: vectors, words and facets in memory, derived from the store.

Caught up from the store's two logs (vectors and revisions of tickets) before an answer, so no process
answers from before another one's commit. A large one is saved to `data_dir/similar` now and then, and a
restart reads on from there; without a file, or with one of another database, it is read from the start.
"""

from __future__ import annotations

import logging
import math
import os
import threading
import time
import zipfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlmodel import Session

from app.detectors.index import ExactIndex, UsearchIndex
from app.detectors.learn import Trees
from app.detectors.rank import BODY_CHARS, Case, Cases, Ranker
from app.domain import Matrix, Ticket
from app.errors import TryLater
from app.ports import VectorIndex
from app.runtime import Runtime
from app.settings import MODELS
from app.store import feedback, pgvector, tickets
from app.store.feedback import Attempt
from app.store.tickets import Facets, Searchable

log = logging.getLogger(__name__)

RANKERS = MODELS / "ranker"
FILTERS = ("product", "version", "language", "status", "source")
EXACT_UP_TO = 200_000
"""Cases one matrix is scanned for; above, a graph is walked."""
BATCH = 200
"""Rows taken in while queries wait: about 50 ms."""
SAVED_FROM = 20_000
"""Cases from which a restart is worth a file."""
SAVED_EVERY_S = 1800.0
FORMAT = 2
READING = "the index is being read: nothing was searched"

Numbers = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass
class Rankers:
    """Who orders the cases: with a query's vector, and from its words alone."""

    whole: Ranker
    words: Ranker
    version: int | None = None  # of the installation's own ranker; None: as shipped


def shipped() -> Rankers:
    return Rankers(Ranker.load(RANKERS / "ranker.json"), Ranker.load(RANKERS / "words.json"))


def of_attempt(last: Attempt) -> Rankers:
    """The rankers an attempt to fit them to the desk's own links decided for."""
    plain = shipped()
    whole = replace(plain.whole, learned=last.figures["way"] != "fusion")
    if "platt" in last.model:
        whole = whole.recalibrated(*last.model["platt"])
    if "order" in last.model:
        whole = replace(whole, order=Trees.from_json(last.model["order"]), base=plain.whole.order)
    return Rankers(whole, plain.words, last.version)


def use_newest(session: Session, book: Casebook) -> None:
    """Rank as the newest attempt decided, whichever process made it."""
    if feedback.newest_version(session) != book.rankers.version:
        last = feedback.last_attempt(session)
        book.rankers = of_attempt(last) if last else shipped()


@dataclass
class Casebook:
    """What can be found. `lock` guards everything but `vectors`, which readers may use at any time.

    A case has a document number, in the order of the vector log; a ticket's newest one counts.
    `is_open` False: what was saved is not read yet, whoever asks first holds the lock and reads it.
    """

    vectors: VectorIndex  # by place in the vector log
    rankers: Rankers
    words: Cases = field(default_factory=Cases)
    current: dict[str, int] = field(default_factory=dict)  # document number of each ticket that can be found
    seq: int = 0  # how far the vector log has been taken in
    place: tuple[int, str] = (0, "")  # how far the log of revisions has
    lock: threading.RLock = field(default_factory=threading.RLock)
    is_open: bool = False
    saved_at: float = 0.0
    embedding: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(4, "embed a question"))
    recording: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "keep an answer"))
    at: NDArray[np.float64] = field(default_factory=lambda: np.zeros(1024))  # creation, Unix s; nan: gone
    seqs: Numbers = field(default_factory=lambda: np.zeros(1024, np.int64))  # place in the log, ascending
    facets: NDArray[np.int32] = field(default_factory=lambda: np.zeros((1024, len(FILTERS)), np.int32))
    codes: dict[tuple[str, str], int] = field(default_factory=dict)  # of (filter, value), from 1
    waiting: dict[str, tuple[int, ...]] = field(default_factory=dict)  # facets of tickets not yet digested

    @contextmanager
    def locked(self, until: float) -> Iterator[None]:
        """The lock, or TryLater when it is not free by then (time.monotonic)."""
        if not self.lock.acquire(timeout=min(max(0.0, until - time.monotonic()), threading.TIMEOUT_MAX)):
            raise TryLater(READING, after_s=2)
        try:
            yield
        finally:
            self.lock.release()

    def add(self, row: Searchable) -> None:
        """Take in one row of the vector log."""
        self.seq = row.seq
        old = self.current.pop(row.ticket_id, None)
        if old is not None:
            self.vectors.delete([int(self.seqs[old])])
            self.at[old] = np.nan
            self.waiting[row.ticket_id] = tuple(self.facets[old].tolist())
        if row.vector is None:
            return
        vector = row.vector.astype(np.float32)
        number = self.words.add(Case(row.ticket_id, row.created_at, row.requester, row.subject, row.body,
                                     vector, row.attributes))  # fmt: skip
        self.vectors.upsert([row.seq], vector[None, :])
        if number == len(self.at):
            room = max(1024, 2 * number)
            self.at, self.seqs = np.resize(self.at, room), np.resize(self.seqs, room)
            self.facets = np.resize(self.facets, (room, len(FILTERS)))
        self.at[number], self.seqs[number] = row.created_at.timestamp(), row.seq
        self.facets[number] = self.waiting.pop(row.ticket_id, (0,) * len(FILTERS))
        self.current[row.ticket_id] = number

    def note(self, row: Facets) -> None:
        """Take in what a filter asks of a ticket, digested or not."""
        self.place = (row.revision, row.id)
        given = {**row.attributes, "status": row.status, "source": row.source}
        values = tuple(self._code(name, given.get(name, "")) for name in FILTERS)
        number = self.current.get(row.id)
        if number is None:
            self.waiting[row.id] = values
        else:
            self.facets[number] = values

    def _code(self, name: str, value: str) -> int:
        return self.codes.setdefault((name, value), len(self.codes) + 1) if value else 0

    def allowed(self, before: datetime, filters: Mapping[str, Any]) -> Mask:
        """(documents,) which cases a query may find: known by then and matching every filter."""
        at = self.at[: len(self.words)]
        found: Mask = at < before.timestamp()  # never true of nan
        for name, value in filters.items():
            if name == "since":
                found &= at >= value.timestamp()
            else:
                wanted = self.codes.get((name, value), -1)
                found &= self.facets[: len(found), FILTERS.index(name)] == wanted
        return found

    def numbers(self, seqs: Numbers) -> Numbers:
        """Document numbers of places in the vector log."""
        return np.searchsorted(self.seqs[: len(self.words)], seqs).astype(np.int64)


def case(ticket: Ticket, vector: Matrix) -> Case:
    return Case(ticket.id, ticket.created_at, ticket.requester, ticket.subject, ticket.body, vector,
                ticket.attributes)  # fmt: skip


def held(runtime: Runtime, *, until: float = math.inf) -> Casebook:
    """The casebook of this process, opened by who asks first; not necessarily caught up.

    Whoever asks while another one opens it gets it at `until` (time.monotonic) as it is then: empty.
    """
    with runtime.lock:
        if runtime.cases is None:
            runtime.cases = Casebook(ExactIndex(runtime.embedder.dim), shipped())
        book: Casebook = runtime.cases
    if book.is_open:
        return book
    try:
        with book.locked(until):
            if not book.is_open:  # another one may have done it meanwhile
                _open(runtime, book)
    except TryLater:
        if until == math.inf:
            raise
    return book


def catch_up(runtime: Runtime, book: Casebook, *, until: float = math.inf) -> int:
    """Take in what is committed, until `until` (time.monotonic); returns how many rows are still missing."""
    while True:
        with runtime.store.read() as session:
            newest = tickets.newest_places(session, runtime.embedder.model_id)
            if newest == (book.seq, book.place[0], book.rankers.version or 0):
                return 0
            vectors = tickets.searchable_after(
                session, runtime.embedder.model_id, book.seq, limit=BATCH, body_chars=BODY_CHARS
            )
            facets = tickets.facets_after(session, book.place, limit=10 * BATCH)
            use_newest(session, book)
        if not vectors and not facets:
            return 0
        try:
            with book.locked(until):
                for row in facets:
                    if (row.revision, row.id) > book.place:
                        book.note(row)
                for found in vectors:
                    if found.seq > book.seq:
                        book.add(found)
        except TryLater:
            if until == math.inf:
                raise
            return behind(runtime)
        if time.monotonic() > until:
            return behind(runtime)


def behind(runtime: Runtime) -> int:
    """How many rows of the vector log this process has not taken in."""
    book: Casebook | None = runtime.cases
    with runtime.store.read() as session:
        return tickets.count_vectors_after(session, runtime.embedder.model_id, book.seq if book else 0)


def ready(runtime: Runtime) -> Casebook:
    """The casebook with everything committed in it."""
    book = held(runtime)
    catch_up(runtime, book)
    return book


# -- which index, and its file --------------------------------------------------------------------------


def _folder(runtime: Runtime) -> Path:
    return runtime.settings.data_dir / "similar"


def _index(runtime: Runtime, count: int) -> VectorIndex:
    """The index for so many cases: pgvector where the database has it, else a matrix, else a graph."""
    model, dim = runtime.embedder.model_id, runtime.embedder.dim
    if not runtime.store.is_sqlite and pgvector.is_available(runtime.store):
        return pgvector.PgVectorIndex(runtime.store, model, dim)
    if count > EXACT_UP_TO:
        return UsearchIndex.open(_folder(runtime) / "graph", dim, model_id=model)
    return ExactIndex(dim, capacity=max(1024, count + count // 8))


CONTENT = ("words", "at", "seqs", "facets", "current", "codes", "waiting", "seq", "place")


def _open(runtime: Runtime, book: Casebook) -> None:
    """Fill an empty casebook as saved; a file that cannot be used is told of and left aside."""
    with runtime.store.read() as session:
        count = tickets.count_vectors_after(session, runtime.embedder.model_id, 0)
    book.vectors = _index(runtime, count)
    saved = Casebook(book.vectors, book.rankers)
    try:
        _read(runtime, saved, _folder(runtime) / "words.npz")
    except FileNotFoundError:
        pass
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        log.warning("the saved similar-case index cannot be used and is read anew: %s", error)
    else:
        for name in CONTENT:
            setattr(book, name, getattr(saved, name))
    _reconcile(runtime, book)
    book.is_open = True


def _read(runtime: Runtime, book: Casebook, path: Path) -> None:
    """Fill an empty casebook, but for its vectors, from its file."""
    with path.open("rb") as file, np.load(file) as saved:
        arrays = dict(saved)
    seq = int(arrays["seq"])
    with runtime.store.read() as session:
        if str(arrays["of"]) != _fingerprint(runtime, tickets.ticket_at(session, seq)):
            raise ValueError("it is of another database, model or version")
    book.words.load_arrays(arrays)
    book.at, book.seqs, book.facets = arrays["at"], arrays["seqs"], arrays["facets"]
    live = np.flatnonzero(~np.isnan(book.at)).tolist()
    book.current = {book.words.ticket_ids[number]: number for number in live}
    pairs = zip(arrays["code_names"].tolist(), arrays["code_values"].tolist(), strict=True)
    book.codes = {pair: code for code, pair in enumerate(pairs, start=1)}
    rows = zip(arrays["waiting_ids"].tolist(), arrays["waiting"].tolist(), strict=True)
    book.waiting = {id_: tuple(values) for id_, values in rows}
    book.seq, book.place = seq, (int(arrays["revision"]), str(arrays["revision_id"]))


def _fingerprint(runtime: Runtime, last_ticket: str | None) -> str:
    """What a saved casebook holds for: the newest row it has taken in is that of the store."""
    return f"{FORMAT} {runtime.embedder.model_id} {last_ticket}"


def _reconcile(runtime: Runtime, book: Casebook) -> None:
    """Bring the index to exactly the cases that can be found: what is extra goes, what lacks is read."""
    count = len(book.words)
    wanted = book.seqs[:count][~np.isnan(book.at[:count])]
    book.vectors.delete(np.setdiff1d(book.vectors.seqs, wanted).tolist())
    lacking = np.setdiff1d(wanted, book.vectors.seqs)
    if not len(lacking):
        return
    first, last = int(lacking[0]), int(lacking[-1])
    with runtime.store.read() as session:
        for some, raw in tickets.vectors_by_seq(session, runtime.embedder.model_id, first - 1, last):
            kept = np.isin(some, lacking)
            rows = np.frombuffer(raw, np.float16).reshape(len(some), -1)
            book.vectors.upsert(np.array(some)[kept].tolist(), rows[kept].astype(np.float32))


def maintain(runtime: Runtime) -> bool:
    """For the worker: catch up, move to the index that fits the number of cases, save a large casebook.

    Always False: there is nothing to call it again for.
    """
    book = ready(runtime)
    if isinstance(book.vectors, ExactIndex) and len(book.current) > EXACT_UP_TO:
        larger = _index(runtime, len(book.current))
        with book.lock:
            moved = Casebook(larger, book.rankers, words=book.words, at=book.at, seqs=book.seqs)
        _reconcile(runtime, moved)
        with book.lock:
            book.vectors = larger
            _reconcile(runtime, book)
    now = time.monotonic()
    if len(book.current) >= SAVED_FROM and now - book.saved_at >= SAVED_EVERY_S:
        save(runtime, book)
    return False


def save(runtime: Runtime, book: Casebook) -> None:
    """Write the casebook where the next start finds it; a crash at any moment leaves the former file."""
    folder = _folder(runtime)
    folder.mkdir(parents=True, exist_ok=True)
    with book.lock:
        arrays = _arrays(runtime, book)
    scratch = folder / "words.npz.writing"
    with scratch.open("wb") as file:
        np.savez(file, **arrays)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(folder / "words.npz")
    if isinstance(book.vectors, UsearchIndex):
        book.vectors.save(folder / "graph")
    book.saved_at = time.monotonic()


def _arrays(runtime: Runtime, book: Casebook) -> dict[str, Any]:
    count = len(book.words)
    with runtime.store.read() as session:
        last = tickets.ticket_at(session, book.seq)
    return {
        **book.words.to_arrays(),
        "of": np.array(_fingerprint(runtime, last)), "seq": np.array(book.seq),
        "revision": np.array(book.place[0]), "revision_id": np.array(book.place[1]),
        "at": book.at[:count].copy(), "seqs": book.seqs[:count].copy(),
        "facets": book.facets[:count].copy(),
        "code_names": np.array([name for name, _ in book.codes], dtype=str),
        "code_values": np.array([value for _, value in book.codes], dtype=str),
        "waiting_ids": np.array(list(book.waiting), dtype=str),
        "waiting": np.array(list(book.waiting.values()), np.int32).reshape(-1, len(FILTERS)),
    }  # fmt: skip
