"""Other thresholds or another embedding model, tried on a copy first: what would merge, split and move.

A rehearsal changes nothing people can see. Carrying one out keeps every pattern's id: thresholds hold for
new tickets at once and for all at the next nightly consolidation, a model gives each pattern new sums over
the members it has.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sqlmodel import Session

from app.detectors.grouping import EditKind, Revision, RevisionKind
from app.detectors.grouping.calibrate import ENOUGH_LABELS, Dial, Null, calibrate, join_by_labels
from app.detectors.grouping.engine import Grouping, Snapshot, reembedded
from app.detectors.grouping.fields import WIDTH, with_component
from app.detectors.grouping.state import Item, Parameters
from app.detectors.text import embedding_text
from app.domain import EPOCH, Status, Ticket
from app.errors import Invalid
from app.pipeline import memory
from app.pipeline.digest import BATCH
from app.pipeline.memory import Memory
from app.ports import Embedder
from app.runtime import Runtime
from app.store import events, patterns, sources, tickets

HARD_PAIRS = 3  # nearest other labelled tickets each labelled ticket is compared with
Progress = Callable[[int, int], None]
Vectors = Mapping[str, NDArray[np.float16]]


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a change of thresholds or model would come to."""

    model_id: str
    was: Parameters
    parameters: Parameters
    null: Null
    labels: int  # labelled pairs the threshold was checked against
    reason: str
    changes: tuple[Revision, ...]

    @property
    def counts(self) -> dict[str, int]:
        """Patterns that would merge, split, be founded or dissolve; tickets that would move or leave."""
        found: Counter[str] = Counter()
        for change in self.changes:
            is_ticket = change.kind in (RevisionKind.MOVED, RevisionKind.RELEASED)
            found[change.kind.value] += len(change.ticket_ids) if is_ticket else 1
        return {kind.value: found[kind.value] for kind in RevisionKind if kind is not RevisionKind.RESTORED}

    @property
    def sentence(self) -> str:
        c = self.counts
        return (
            f"join {self.was.join:.2f} -> {self.parameters.join:.2f} ({self.reason}): {c['merged']} patterns "
            f"would merge, {c['split']} split, {c['founded']} be founded, {c['dissolved']} dissolve; "
            f"{c['moved']} tickets would move, {c['released']} leave theirs"
        )

    def as_dict(self) -> dict[str, Any]:
        return {
            "model": self.model_id, "join_now": self.was.join, "join": self.parameters.join,
            "reason": self.reason, "null_median": self.null.median, "null_spread": self.null.spread,
            "labelled_pairs": self.labels, "counts": self.counts, "sentence": self.sentence,
        }  # fmt: skip


def rehearse(
    runtime: Runtime,
    *,
    dial: str | None = None,
    model: Embedder | None = None,
    progress: Progress = lambda _done, _all: None,
) -> Rehearsal:
    """Calibrate on the desk's own tickets and consolidate a copy. Vectors of `model` are kept for the switch."""
    with memory.turn(runtime) as held:
        snapshot, _ = _under(runtime, held, model, progress)
        return _rehearsed(runtime, held, snapshot, dial, model)


def carry_out(
    runtime: Runtime,
    *,
    dial: str | None = None,
    model: Embedder | None = None,
    actor: str,
    progress: Progress = lambda _done, _all: None,
) -> Rehearsal:
    """Make what a rehearsal says so, with a line in the audit trail."""
    with memory.turn(runtime) as held:
        snapshot, total = _under(runtime, held, model, progress)
        made = _rehearsed(runtime, held, snapshot, dial, model)
        with runtime.store.write() as session:
            if total is not None:
                patterns.save_sums(session, [memory.sums(row) for row in snapshot.patterns])
                sources.save_note(session, memory.HOOD, held.hood.state() | {"sum": total.tolist()})
            chosen = {"join": made.parameters.join, "set_at": runtime.settings.granularity}
            sources.save_note(session, memory.THRESHOLDS, chosen)
            memory.keep(session, held, model=made.model_id)
            events.write(session, "grouping.calibrated", "grouping", made.as_dict(), at=runtime.now(),
                         actor=actor, owed=False)  # fmt: skip
        runtime.memory = None  # thresholds and sums are read again
    return made


def _rehearsed(
    runtime: Runtime, held: Memory, snapshot: Snapshot, dial: str | None, model: Embedder | None
) -> Rehearsal:
    was = held.grouping.state.parameters
    items = [*(m.item for m in snapshot.members), *snapshot.pool]
    if not items:
        raise Invalid("there are no tickets to rehearse with: import a history first")
    turned = Dial(dial or runtime.settings.granularity)
    found = calibrate(items, Parameters(), dial=turned, centring=False)
    with runtime.store.read() as session:
        scores, same = _labelled(session, items)
    parameters, reason = found.parameters, found.reason
    if len(same) >= ENOUGH_LABELS:  # what people say wins over what chance looks like
        start = parameters if dial else was
        parameters, reason = join_by_labels(scores, same, start), f"by {len(same)} labelled pairs"
    dim = (model or runtime.embedder).dim + WIDTH
    copy = Grouping.restore(replace(snapshot, dirty=True), dim=dim, parameters=parameters)
    at = held.grouping.state.consolidated_at or max(item.at for item in items)
    return Rehearsal(
        (model or runtime.embedder).model_id, was, parameters, found.null, len(same), reason,
        tuple(copy.consolidate(at)),
    )  # fmt: skip


def _under(
    runtime: Runtime, held: Memory, model: Embedder | None, progress: Progress
) -> tuple[Snapshot, NDArray[np.float64] | None]:
    """The grouping as it is, or with every vector of another model, and then their sum (dim,)."""
    snapshot = held.grouping.export()
    if model is None:
        return snapshot, None
    if model.model_id == runtime.embedder.model_id:
        raise Invalid(f"the patterns are grouped with {model.model_id} already", pointer="model")
    with runtime.store.read() as session:
        everyone = [
            t for t in tickets.digested_since(session, EPOCH, runtime.embedder.model_id)
            if t.status is not Status.DELETED
        ]  # fmt: skip
        filed = tickets.filed_under(session, [t.id for t in everyone])
    vectors = _embedded(runtime, model, everyone, filed, progress)
    homes = {t.id: t.pattern_id for t in everyone if t.pattern_id}
    total = np.stack([vectors[t.id] for t in everyone]).sum(axis=0, dtype=np.float64)
    joint = {id_: with_component(vector, filed[id_]) for id_, vector in vectors.items()}
    return reembedded(snapshot, joint, homes, model.dim + WIDTH), total


def _embedded(
    runtime: Runtime,
    model: Embedder,
    everyone: Sequence[Ticket],
    filed: Mapping[str, str],
    progress: Progress,
) -> Vectors:
    """Every ticket's vector under `model`; what was embedded before an interruption is not done again."""
    with runtime.store.read() as session:
        known = tickets.vectors_of(session, model.model_id, [t.id for t in everyone])
    missing = [t for t in everyone if t.id not in known]
    for start in range(0, len(missing), BATCH):
        some = missing[start : start + BATCH]
        texts = [embedding_text(t.subject, t.body) for t in some]
        rows = model.embed(texts).astype(np.float16)
        hashes = [hashlib.sha256(text.encode()).hexdigest()[:32] for text in texts]
        made = [(t.id, text_hash, row) for t, text_hash, row in zip(some, hashes, rows, strict=True)]
        with runtime.store.write() as session:
            tickets.save_vectors(session, model.model_id, made, filed)
        known |= {id_: row for id_, _, row in made}
        progress(min(start + BATCH, len(missing)), len(missing))
    return known


def _labelled(session: Session, items: Sequence[Item]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Cosines of labelled pairs and whether people call them the same problem.

    A ticket is labelled by a duplicate or problem link or a "same" edit; each is paired with its nearest
    other labelled tickets, so that what looks alike and is not counts as much as what is.
    """
    groups = _said_to_be_same(session, [item.ticket_id for item in items])
    vectors = [item.vector for item in items if item.ticket_id in groups]
    labels = np.array([groups[item.ticket_id] for item in items if item.ticket_id in groups])
    if len(vectors) < 2:
        return np.empty(0), np.empty(0, np.bool_)
    rows = np.stack(vectors).astype(np.float64)
    cosines = rows @ rows.T
    np.fill_diagonal(cosines, -1.0)
    nearest = np.argsort(-cosines, axis=1, kind="stable")[:, :HARD_PAIRS]
    pairs = {(min(i, int(j)), max(i, int(j))) for i, found in enumerate(nearest) for j in found}
    one, other = np.array(sorted(pairs)).T
    return cosines[one, other], labels[one] == labels[other]


def _said_to_be_same(session: Session, ids: Sequence[str]) -> dict[str, int]:
    """Tickets that people linked, each with the number of its group."""
    held = tickets.by_ids(session, ids)
    by_name = {(t.source, t.external_id): t.id for t in held.values()}
    links: list[tuple[str, str]] = []
    problems: dict[tuple[str, str], str] = {}
    for ticket in sorted(held.values(), key=lambda t: t.id):
        if original := by_name.get((ticket.source, ticket.duplicate_of)):
            links.append((ticket.id, original))
        if ticket.problem:
            links.append((ticket.id, problems.setdefault((ticket.source, ticket.problem), ticket.id)))
    for edit in patterns.edits(session):
        if edit.kind == EditKind.LINK:
            links += [(edit.tickets[0], other) for other in edit.tickets[1:] if other in held]
    links = [(one, other) for one, other in links if one != other and one in held]
    names = sorted({name for link in links for name in link})
    if not names:
        return {}
    number = {name: n for n, name in enumerate(names)}
    one, other = np.array([[number[a], number[b]] for a, b in links]).T
    graph = coo_array((np.ones(len(one)), (one, other)), shape=(len(names), len(names)))
    return dict(zip(names, connected_components(graph, directed=False)[1].tolist(), strict=True))
