"""Real bug reports that people marked as duplicates: do patterns bring them together, and only them?

`joined_share`: of tickets with an earlier duplicate, those placed at once into a pattern that holds one.
`pair_precision`: of all pairs of tickets in one pattern, those marked duplicates of each other; tickets
nobody marked count as strangers, so it understates. `labelled_precision` counts only pairs of marked
tickets.
"""

from __future__ import annotations

import argparse
import gzip
import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from app.detectors.grouping import Grouping, Item, Parameters
from app.detectors.signature.extract import signatures
from app.detectors.text import embedding_text
from tests.bench.grouping import destination, embed, move

HELP = "share of duplicate reports that land in the pattern of an earlier one"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--stream", type=Path, required=True, help="JSON lines (gzip) with group labels")
    parser.add_argument("--vectors", type=Path, help="folder of NAME.npy (rows, dim) instead of embedding")
    parser.add_argument("--tickets", type=int, help="at most so many")
    parser.add_argument("--join", type=float, default=Parameters().join)
    parser.add_argument("--no-signatures", action="store_true", help="meaning alone")


def run(options: argparse.Namespace) -> dict[str, Any]:
    with gzip.open(options.stream, "rt", encoding="utf-8") as file:
        tickets = [json.loads(line) for line in file][: options.tickets]
    engine = Grouping(parameters=Parameters(join=options.join))
    groups = [ticket["group"] or "" for ticket in tickets]
    earlier, joined, due = defaultdict[str, list[str]](list), 0, 0
    homes, members = dict[str, str](), defaultdict[str, set[str]](set)
    began, midnight = time.process_time(), None
    for item, group in sorted(zip(items(tickets, options), groups, strict=True), key=lambda pair: pair[0].at):
        today = item.at.replace(hour=0, minute=0, second=0, microsecond=0)
        if midnight is not None and today > midnight:
            for revision in engine.consolidate(today):
                move(homes, members, revision.ticket_ids, destination(revision))
        midnight = today
        decision = engine.place(item)
        move(homes, members, (item.ticket_id, *decision.members), decision.pattern_id)
        if group:
            before = {engine.resolve(homes[mate]) for mate in earlier[group] if mate in homes}
            due += bool(earlier[group])
            joined += decision.pattern_id in before
            earlier[group].append(item.ticket_id)
    seconds = time.process_time() - began
    label = {ticket["id"]: group for ticket, group in zip(tickets, groups, strict=True)}
    final = defaultdict[str, list[str]](list)
    for ticket, home in homes.items():
        final[engine.resolve(home)].append(label[ticket])
    pairs, right, labelled = precision(final.values())
    print(
        f"{len(tickets)} tickets, {len(engine.patterns())} patterns, {pairs} pairs, {due} due, {seconds:.0f} s"
    )
    return {
        "joined_share": round(joined / max(1, due), 4),
        "pair_precision": round(right / max(1, pairs), 4),
        "labelled_precision": round(right / max(1, labelled), 4),
        "patterns": len(engine.patterns()),
        "cpu_s": round(seconds, 1),
    }


def items(tickets: list[dict[str, Any]], options: argparse.Namespace) -> Iterable[Item]:
    if options.vectors:
        vectors = np.load(options.vectors / f"{options.stream.name.split('.')[0]}.npy")
    else:
        vectors = embed([embedding_text(ticket["subject"], ticket["body"]) for ticket in tickets])
    for ticket, vector in zip(tickets, vectors, strict=False):
        found = () if options.no_signatures else signatures(ticket["subject"], ticket["body"])
        at = datetime.fromisoformat(ticket["created_at"])
        yield Item(ticket["id"], at, ticket["requester"], vector, found)


def precision(patterns: Iterable[list[str]]) -> tuple[int, int, int]:
    """Pairs inside patterns, those marked duplicates of each other, and those of marked tickets."""
    pairs = right = labelled = 0
    for labels in patterns:
        marked = Counter(label for label in labels if label)
        pairs += _pairs(len(labels))
        labelled += _pairs(sum(marked.values()))
        right += sum(map(_pairs, marked.values()))
    return pairs, right, labelled


def _pairs(count: int) -> int:
    return count * (count - 1) // 2
