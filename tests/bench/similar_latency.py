"""Similar-case queries over HTTP against a running service: how long the caller waits.

The store is filled without embedding every ticket: a thousand generated tickets are embedded by the
shipped model, and each stored one mixes the vectors and the sentences of two of them, with noise. What is
asked are other generated tickets, each once, so no answer and no vector comes from a cache. The clients
are processes of their own. `--compare` searches the same vectors under filters with the engines that
are installed: sqlite-vec, and Qdrant's in-process engine.
"""

from __future__ import annotations

import argparse
import importlib.util
import multiprocessing
import random
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import uvicorn
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from app.backtest import scratch
from app.detectors.embed import CachingEmbedder, load_embedder
from app.detectors.index import ExactIndex, UsearchIndex
from app.detectors.text import embedding_text
from app.domain import Matrix, RawTicket, Status, TicketDraft
from app.pipeline import cases
from app.pipeline.cases import EXACT_UP_TO, Casebook
from app.ports import VectorIndex
from app.runtime import Runtime
from app.sample import generate
from app.server import SWITCH_S, service
from app.settings import MODELS, load
from app.store import tickets

HELP = "p50, p95 and p99 of similar-case queries over HTTP, by several clients at once"
POOL = 1000  # generated tickets whose vectors are mixed
AT_ONCE = 5000  # tickets stored in one transaction
NOISE = 0.35  # length of the random part of a mixed vector
SHARES = (1.0, 0.5, 0.1, 0.01)  # of the rows a compared filter leaves
K = 10

Seqs = NDArray[np.int64]


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tickets", type=int, default=100_000, help="cases to search")
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--queries", type=int, default=400, help="queries in all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--compare", action="store_true", help="search the same vectors with other engines")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Fill a scratch store, serve it on loopback and ask."""
    sys.setswitchinterval(SWITCH_S)  # as the service does
    threadpool_limits(1)
    embedder = CachingEmbedder(load_embedder(MODELS / "all-minilm-l6-v2", workers=2), capacity=2000)
    drawn = _generated(POOL + options.queries, options.seed)
    pool, asked = drawn[:POOL], drawn[POOL:]
    vectors = embedder.embed([embedding_text(t.subject, t.body) for t in pool])
    with scratch(load(requests_per_minute=10**9), embedder) as (runtime, clock):
        clock.at = datetime.now(UTC)
        _fill(runtime, pool, vectors, options)
        began = time.perf_counter()
        book = cases.ready(runtime)
        print(f"  index read from the store in {time.perf_counter() - began:.0f} s", flush=True)
        texts = [f"{t.subject}\n{t.body}" for t in asked]
        spent = time.process_time()
        times, degraded = _ask(service(runtime), texts, options.clients)
        spent = time.process_time() - spent
        queries = embedder.embed([embedding_text(t.subject, t.body) for t in asked[:50]])
        figures = {
            "tickets": len(book.current), "clients": options.clients,
            **{f"p{q}_ms": round(float(np.percentile(times, q)), 1) for q in (50, 95, 99)},
            "cpu_ms": round(1000 * spent / len(texts), 1), "model_cpu_ms": _model_cpu_ms(embedder, texts),
            "recall10": _recall(book, queries), "rss_mb": _rss_mb(), "degraded": degraded,
        }  # fmt: skip
        print("  p50 {p50_ms} ms   p95 {p95_ms} ms   p99 {p99_ms} ms; {cpu_ms} ms of CPU a query, of which the model "
              "{model_cpu_ms}; {degraded} answers degraded; recall@10 {recall10}; {rss_mb} MB".format(**figures))  # fmt: skip
        if options.compare:
            figures["compared"] = _compare(book, queries, Path(runtime.settings.data_dir))
    return figures


# -- the store ------------------------------------------------------------------------------------------


def _generated(count: int, seed: int) -> list[RawTicket]:
    """Generated tickets of different wording; more than one sample's worth come from further seeds."""
    found: dict[str, RawTicket] = {}
    end = datetime(2026, 11, 20, 18, tzinfo=UTC)
    while len(found) < count:
        for ticket in generate(seed, end).tickets:
            found.setdefault(ticket.body, ticket)
        seed += 1
    return random.Random(seed).sample(list(found.values()), k=count)


def _fill(runtime: Runtime, pool: list[RawTicket], vectors: Matrix, options: argparse.Namespace) -> None:
    draw = np.random.default_rng(options.seed)
    began = time.perf_counter()
    for start in range(0, options.tickets, AT_ONCE):
        count = min(AT_ONCE, options.tickets - start)
        pairs = draw.integers(0, len(pool), (count, 2))
        mixed = _mixed(vectors[pairs[:, 0]], vectors[pairs[:, 1]], draw)
        drafts = [
            _draft(start + n, pool[one], pool[other])
            for n, (one, other) in enumerate(zip(*pairs.T.tolist(), strict=True))
        ]
        with runtime.store.write() as session:
            ids = tickets.save(session, drafts, seen_at=runtime.now()).new
            log = [(id_, id_[-16:], row) for id_, row in zip(ids, mixed, strict=True)]
            tickets.save_vectors(session, runtime.embedder.model_id, log)
            tickets.mark_digested(session, ids, at=runtime.now())
    print(f"  {options.tickets:,} tickets stored in {time.perf_counter() - began:.0f} s", flush=True)


def _mixed(one: Matrix, other: Matrix, draw: np.random.Generator) -> NDArray[np.float16]:
    """(n, dim) unit rows between two real ones, off the line between them by a random direction."""
    share = draw.uniform(0.5, 1.0, (len(one), 1))
    noise = draw.normal(size=one.shape)
    noise *= NOISE / np.linalg.norm(noise, axis=1, keepdims=True)
    rows = share * one + (1 - share) * other + noise
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    found: NDArray[np.float16] = rows.astype(np.float16)
    return found


def _draft(number: int, one: RawTicket, other: RawTicket) -> TicketDraft:
    """A ticket with the subject of one, and every other line of both."""
    lines = one.body.splitlines()[::2] + other.body.splitlines()[1::2]
    at = datetime(2026, 11, 1, tzinfo=UTC) - timedelta(minutes=number)
    return TicketDraft(
        source="bench", external_id=str(number), created_at=at, updated_at=at, content_hash=str(number),
        subject=one.subject, body="\n".join(lines), requester=f"r{number % 9973}",
        attributes=one.attributes, status=Status.SOLVED, resolution="Fixed in the next version",
        resolved_at=at + timedelta(hours=9), reopened=False, backfill=True,
    )  # fmt: skip


# -- asking ---------------------------------------------------------------------------------------------


def _ask(app: Any, texts: list[str], clients: int) -> tuple[list[float], int]:
    """Milliseconds each query took, asked by so many processes at once, and how many were degraded."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1/similar"
    context = multiprocessing.get_context("spawn")
    found: Queue[tuple[float, bool]] = context.Queue()
    ready = context.Barrier(clients)
    shares = [texts[n::clients] for n in range(clients)]
    asking = [context.Process(target=_client, args=(url, share, ready, found)) for share in shares]
    for one in asking:
        one.start()
    answers = [found.get(timeout=600) for _ in texts]
    for one in asking:
        one.join()
    server.should_exit = True
    thread.join(timeout=10)
    return [ms for ms, _ in answers], sum(degraded for _, degraded in answers)


def _client(url: str, texts: list[str], ready: Any, found: Queue[tuple[float, bool]]) -> None:
    with httpx.Client(timeout=60) as http:
        for n in range(3):
            http.post(url, json={"text": f"warm up {n}"})
        ready.wait()
        for text in texts:
            began = time.perf_counter()
            answer = http.post(url, json={"text": text})
            found.put(
                (1000 * (time.perf_counter() - began), bool(answer.raise_for_status().json()["degraded"]))
            )


def _recall(book: Casebook, queries: Matrix) -> float:
    """Share of the true ten nearest, by brute force over every vector, that the index finds."""
    seqs = book.vectors.seqs
    truth = [row[0] for row in _nearest_of_all(book.vectors, seqs, queries)]
    shares = [
        len(np.intersect1d(book.vectors.search(query, K).seqs, true)) / K
        for query, true in zip(queries, truth, strict=True)
    ]
    return round(float(np.mean(shares)), 4)


def _nearest_of_all(index: VectorIndex, seqs: Seqs, queries: Matrix) -> list[tuple[Seqs, Matrix]]:
    """For each query the true K nearest of `seqs` and their scores, read in pieces."""
    best = [(np.empty(0, np.int64), np.empty(0, np.float32)) for _ in queries]
    for start in range(0, len(seqs), 50_000):
        some = seqs[start : start + 50_000]
        scores = index.vectors(some) @ queries.T
        for n, (held, held_scores) in enumerate(best):
            ids, values = np.concatenate((held, some)), np.concatenate((held_scores, scores[:, n]))
            top = np.lexsort((ids, -values))[:K]
            best[n] = (ids[top], values[top])
    return best


def _model_cpu_ms(embedder: CachingEmbedder, texts: list[str]) -> float:
    began = time.process_time()
    for text in texts[:50]:
        embedder.inner.embed([text])
    return round(1000 * (time.process_time() - began) / min(50, len(texts)), 1)


def _rss_mb() -> int:
    """Resident memory of this process, the service with its store and index, now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * 4096 // 2**20


# -- other engines on the same vectors -----------------------------------------------------------------

Search = Callable[[Matrix, float], list[int]]
"""Ids of the K nearest to a query among the rows a share's filter leaves."""


def _compare(book: Casebook, queries: Matrix, folder: Path) -> dict[str, dict[str, list[float]]]:
    """Of each engine and share of rows left by the filter: recall@10 and median milliseconds a query."""
    seqs = book.vectors.seqs
    bucket = np.random.default_rng(5).permutation(len(seqs)) / len(seqs)  # < share: left by the filter
    rows = book.vectors.vectors(seqs)
    truth = {share: _nearest_of_all(book.vectors, seqs[bucket < share], queries) for share in SHARES}
    told: dict[str, dict[str, list[float]]] = {}
    for name, search in _engines(seqs, rows, bucket, folder):
        told[name] = {}
        for share in SHARES:
            found, times = [], []
            for query, (true, _) in zip(queries, truth[share], strict=True):
                began = time.perf_counter()
                ids = search(query, share)
                times.append(1000 * (time.perf_counter() - began))
                found.append(len(np.intersect1d(ids, true)) / len(true))
            told[name][f"{share:g}"] = [round(float(np.mean(found)), 4), round(float(np.median(times)), 2)]
        columns = "   ".join(f"{share}: recall {r:.3f}, {ms:.2f} ms" for share, (r, ms) in told[name].items())
        print(f"  {name:22} {columns}", flush=True)
    return told


def _engines(
    seqs: Seqs, rows: Matrix, bucket: NDArray[np.float64], folder: Path
) -> Iterator[tuple[str, Search]]:
    among = {share: seqs[bucket < share] for share in SHARES}
    exact, graph = ExactIndex(rows.shape[1], capacity=len(seqs)), UsearchIndex(rows.shape[1])
    ours: list[tuple[str, VectorIndex]] = [("Foreshock, exact", exact)]
    if len(seqs) > EXACT_UP_TO:
        ours = [("Foreshock, graph", graph)]
    for name, index in ours:
        index.upsert(seqs.tolist(), rows)

        def search(query: Matrix, share: float, index: VectorIndex = index) -> list[int]:
            return index.search(query, K, among=None if share == 1 else among[share]).seqs.tolist()  # type: ignore[no-any-return]

        yield name, search
    others = ((("sqlite_vec", "apsw"), _sqlite_vec), (("qdrant_client",), _qdrant))
    for modules, engine in others:
        missing = [module.replace("_", "-") for module in modules if importlib.util.find_spec(module) is None]
        if missing:
            print(f"  !! NOT compared with {modules[0]}: pip install {' '.join(missing)}", flush=True)
        else:
            yield engine(seqs, rows, bucket, folder)


def _share_of(bucket: NDArray[np.float64]) -> list[int]:
    """The narrowest filter each row passes, as the position of its share."""
    return [max(n for n, share in enumerate(SHARES) if place < share) for place in bucket.tolist()]


def _sqlite_vec(seqs: Seqs, rows: Matrix, bucket: NDArray[np.float64], folder: Path) -> tuple[str, Search]:
    """sqlite-vec's exact search with the filter as a metadata column."""
    vec: Any = importlib.import_module("sqlite_vec")
    apsw: Any = importlib.import_module("apsw")  # many builds of Python's own module load no extensions
    connection = apsw.Connection(str(folder / "vec.sqlite3"))
    connection.enable_load_extension(True)
    connection.load_extension(vec.loadable_path())
    connection.execute(
        f"CREATE VIRTUAL TABLE near USING vec0(v float[{rows.shape[1]}] distance_metric=cosine, narrowest int)"
    )
    values = zip(seqs.tolist(), (row.tobytes() for row in rows), _share_of(bucket), strict=True)
    with connection:
        connection.executemany("INSERT INTO near (rowid, v, narrowest) VALUES (?, ?, ?)", values)

    def search(query: Matrix, share: float) -> list[int]:
        asked = "SELECT rowid FROM near WHERE v MATCH ? AND k = ? AND narrowest >= ? ORDER BY distance"
        return [row[0] for row in connection.execute(asked, (query.tobytes(), K, SHARES.index(share)))]

    return "sqlite-vec", search


def _qdrant(seqs: Seqs, rows: Matrix, bucket: NDArray[np.float64], folder: Path) -> tuple[str, Search]:
    """Qdrant's in-process engine with the filter as a range over the payload."""
    qdrant: Any = importlib.import_module("qdrant_client")
    models = qdrant.models
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that a server is better for so many points
        client = qdrant.QdrantClient(":memory:")
        client.create_collection(
            "near", vectors_config=models.VectorParams(size=rows.shape[1], distance=models.Distance.COSINE)
        )
        payload = [{"narrowest": n} for n in _share_of(bucket)]
        client.upload_collection("near", vectors=rows, payload=payload, ids=seqs.tolist())

    def search(query: Matrix, share: float) -> list[int]:
        left = models.FieldCondition(key="narrowest", range=models.Range(gte=SHARES.index(share)))
        only = None if share == 1 else models.Filter(must=[left])
        hits = client.query_points("near", query=query, query_filter=only, limit=K).points
        return [hit.id for hit in hits]

    return "Qdrant, in process", search
