"""The seams with two real implementations each; `runtime.build` chooses among them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from app.domain import Checkpoint, Matrix, RawTicket

Now = Callable[[], datetime]
"""The only clock: returns aware UTC."""


@dataclass(frozen=True, slots=True)
class Page:
    """What one call to a source brought: commit its tickets, deletions and checkpoint together."""

    tickets: tuple[RawTicket, ...]
    checkpoint: Checkpoint
    more: bool  # True: pull again now
    deleted: tuple[str, ...] = ()  # external ids that are gone at the source
    rated: Mapping[str, float] = field(default_factory=dict)  # satisfaction told apart from its ticket
    notes: tuple[str, ...] = field(default=())  # what the operator should know, in words


class TicketSource(Protocol):
    """One ticketing tool. `pull` may be repeated from any checkpoint without harm."""

    def pull(self, after: Checkpoint) -> Page: ...


class Embedder(Protocol):
    """Text to unit vectors; `model_id` is the fingerprint of model, tokenizer, length and runtime."""

    @property
    def model_id(self) -> str: ...
    @property
    def dim(self) -> int: ...
    def embed(self, texts: Sequence[str]) -> Matrix:
        """(n, dim) float32 unit rows; one text's row never depends on the other texts."""
        ...


@dataclass(frozen=True, slots=True)
class Hits:
    """Nearest rows, best first; `complete` is False when an approximate index may have missed some."""

    seqs: NDArray[np.int64]
    scores: NDArray[np.float32]
    complete: bool = True


class VectorIndex(Protocol):
    """A cache over the stored vectors, keyed by their sequence number; always rebuildable."""

    @property
    def watermark(self) -> int:
        """The highest sequence number taken in."""
        ...

    @property
    def seqs(self) -> NDArray[np.int64]:
        """The live sequence numbers, ascending."""
        ...

    def upsert(self, seqs: Sequence[int], vectors: Matrix) -> None: ...
    def delete(self, seqs: Sequence[int]) -> None: ...
    def search(self, vector: Matrix, k: int, *, among: NDArray[np.int64] | None = None) -> Hits:
        """The k rows nearest to `vector` (dim,) by cosine, optionally only `among` some sequence numbers."""
        ...

    def vectors(self, seqs: NDArray[np.int64]) -> Matrix:
        """(n, dim) rows of live sequence numbers, in their order; raises KeyError for any other."""
        ...
