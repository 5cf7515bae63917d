"""Nearest neighbours inside PostgreSQL: one derived table of half-precision vectors for each model.

A cache like every index: it is made when it is first needed, filled from the vector log and may be
dropped at any time. All processes share it, so none keeps vectors of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import text
from sqlmodel import Session

from app.domain import Matrix
from app.errors import Invalid
from app.ports import Hits
from app.store.core import Store

SCHEMA = "foreshock_vector"
SPARE = 20
"""Rows fetched beyond twice the k wanted, so that half-precision ties are settled by exact scores."""
EF_SEARCH = 200
MOST_MS = 400
"""A search that takes longer is given up as TryLater: the caller has its own deadline."""


def is_available(store: Store) -> bool:
    """Whether the server of a PostgreSQL store can give us pgvector."""
    with store.read() as session:
        return bool(session.scalar(text("SELECT 1 FROM pg_available_extensions WHERE name = 'vector'")))


class PgVectorIndex:
    """pgvector's HNSW graph over inner products; `complete=False` marks an answer shorter than it could be."""

    def __init__(self, store: Store, model_id: str, dim: int) -> None:
        self.dim = dim
        self._store = store
        self._table = f"near_{hashlib.sha256(model_id.encode()).hexdigest()[:12]}"
        self._make()
        self._watermark = self._number("SELECT max(seq) FROM {table}")

    def _make(self) -> None:
        """The table with its graph; one process makes it while the others wait.

        The extension gets a schema of its own: its type `vector` would not fit beside our table of that name.
        """
        with self._store.write() as session:
            session.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
            session.execute(text(f"CREATE EXTENSION IF NOT EXISTS vector SCHEMA {SCHEMA}"))
            home = "SELECT nspname FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace WHERE extname = 'vector'"
            self._path = f"{session.scalar(text(home))}, public"
            session.execute(text(f"SET LOCAL search_path = {self._path}"))
            session.execute(
                text(
                    f"CREATE TABLE IF NOT EXISTS public.{self._table} "
                    f"(seq bigint PRIMARY KEY, embedding halfvec({self.dim}) NOT NULL)"
                )
            )
            session.execute(
                text(
                    f"CREATE INDEX IF NOT EXISTS {self._table}_near ON public.{self._table} "
                    "USING hnsw (embedding halfvec_ip_ops) WITH (m = 16, ef_construction = 128)"
                )
            )

    @contextmanager
    def _session(self, *, writes: bool = False) -> Iterator[Session]:
        """A session that finds the extension's types and operators."""
        with self._store.write() if writes else self._store.read() as session:
            session.execute(text(f"SET LOCAL search_path = {self._path}"))
            yield session

    def __len__(self) -> int:
        return self._number("SELECT count(*) FROM {table}")

    @property
    def watermark(self) -> int:
        """The highest sequence number taken in, deleted or not; 0 before the first."""
        return self._watermark

    @property
    def seqs(self) -> NDArray[np.int64]:
        """The live sequence numbers, ascending."""
        with self._session() as session:
            rows = session.scalars(text(f"SELECT seq FROM {self._table} ORDER BY seq"))  # noqa: S608
            return np.array(rows.all(), np.int64)

    def upsert(self, seqs: Sequence[int], vectors: Matrix) -> None:
        """Adds rows, or replaces those whose sequence number is known. Raises Invalid on another shape."""
        if vectors.shape != (len(seqs), self.dim):
            raise Invalid(
                f"{len(seqs)} rows of {self.dim} dimensions were expected, not vectors of shape {vectors.shape}"
            )
        rows = {int(seq): _text(row) for seq, row in zip(seqs, vectors, strict=True)}
        if not rows:
            return
        insert = (
            f"INSERT INTO {self._table} VALUES (:seq, CAST(:row AS halfvec)) ON CONFLICT (seq) "  # noqa: S608
            f"DO UPDATE SET embedding = excluded.embedding WHERE {self._table}.embedding <> excluded.embedding"
        )
        with self._session(writes=True) as session:
            session.execute(text(insert), [{"seq": seq, "row": row} for seq, row in sorted(rows.items())])
        self._watermark = max(self._watermark, *rows)

    def delete(self, seqs: Sequence[int]) -> None:
        """Takes rows out; unknown sequence numbers are no error."""
        if len(seqs):
            with self._session(writes=True) as session:
                gone = text(f"DELETE FROM {self._table} WHERE seq = ANY(:seqs)")  # noqa: S608
                session.execute(gone, {"seqs": [int(seq) for seq in seqs]})

    def search(self, vector: Matrix, k: int, *, among: NDArray[np.int64] | None = None) -> Hits:
        """The k live rows nearest to the unit `vector` (dim,), optionally only `among` some numbers."""
        if vector.shape != (self.dim,):
            raise Invalid(f"A vector of {self.dim} dimensions was expected, not one of shape {vector.shape}")
        fetch = 2 * k + SPARE
        where = "" if among is None else "WHERE seq = ANY(:among)"
        query = (
            f"SELECT seq, embedding::text FROM {self._table} {where} "  # noqa: S608
            "ORDER BY embedding <#> CAST(:query AS halfvec) LIMIT :fetch"
        )
        given = {"query": _text(vector), "fetch": fetch}
        if among is not None:
            given["among"] = among.tolist()
        with self._session() as session:
            session.execute(text(f"SET LOCAL hnsw.ef_search = {min(1000, max(EF_SEARCH, fetch))}"))
            session.execute(text(f"SET LOCAL statement_timeout = {MOST_MS}"))
            session.execute(text("SET LOCAL hnsw.iterative_scan = relaxed_order"))
            rows = session.execute(text(query), given).all()
            eligible = fetch if len(rows) == fetch else self._count(session, where, given)
        seqs = np.array([seq for seq, _ in rows], np.int64)
        scores = (_matrix([row for _, row in rows], self.dim).astype(np.float64) * vector).sum(axis=1)
        scores = scores.astype(np.float32)
        order = np.lexsort((seqs, -scores))[: max(k, 0)]
        return Hits(seqs[order], scores[order], complete=len(order) >= min(k, eligible))

    def vectors(self, seqs: NDArray[np.int64]) -> Matrix:
        """(n, dim) rows of live sequence numbers, in their order; raises KeyError for any other."""
        query = f"SELECT seq, embedding::text FROM {self._table} WHERE seq = ANY(:seqs)"  # noqa: S608
        with self._session() as session:
            rows = session.execute(text(query), {"seqs": seqs.tolist()}).all()
        found = {int(row[0]): str(row[1]) for row in rows}
        return _matrix([found[seq] for seq in seqs.tolist()], self.dim)

    def _count(self, session: Session, where: str, given: dict[str, object]) -> int:
        counted = text(f"SELECT count(*) FROM {self._table} {where}")  # noqa: S608
        wanted = {name: value for name, value in given.items() if name == "among"}
        return int(session.scalar(counted, wanted) or 0)

    def _number(self, query: str) -> int:
        with self._session() as session:
            return int(session.scalar(text(query.format(table=self._table))) or 0)


def _text(row: Matrix) -> str:
    """A vector in PostgreSQL's text form."""
    return f"[{','.join(map(str, row.tolist()))}]"


def _matrix(rows: Sequence[str], dim: int) -> Matrix:
    """(n, dim) of vectors in PostgreSQL's text form."""
    found = [np.array(row[1:-1].split(","), dtype=np.float32) for row in rows]
    return np.array(found, dtype=np.float32).reshape(len(found), dim)
