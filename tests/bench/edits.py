"""Arbitrary hand edits, often wrong-looking, then 30 days with nightly passes: does every one hold?"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from app.detectors.grouping import Edit, EditKind, Grouping, Item
from app.domain import Signature
from app.errors import ForeshockError

HELP = "hand edits hold through 30 days of tickets and consolidations"
DIM = 48
START = datetime(2026, 3, 1, tzinfo=UTC)
TOPICS = 30
PER_DAY = 12
CODES = tuple(Signature(f"app-{n}", "vendor", f"APP-{n}") for n in range(6))


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seeds", type=int, default=20, help="how many seeds (default 20)")
    parser.add_argument("--edits", type=int, default=40, help="edits per seed (default 40)")


def tickets(seed: int, days: range) -> list[Item]:
    """Recurring topics with siblings close by, one-offs, and now and then a signature."""
    generator = np.random.default_rng([seed, days.start])
    heads = np.random.default_rng(seed).normal(size=(TOPICS, DIM))
    heads[1::3] = heads[::3] + 0.75 * heads[1::3]  # every third topic has a sibling
    items = []
    for day in days:
        for n in range(PER_DAY):
            about = int(generator.integers(TOPICS))
            one_off = generator.random() < 0.3
            head = generator.normal(size=DIM) if one_off else heads[about]
            noise = generator.normal(size=DIM) * generator.uniform(0.5, 1.0)
            vector = head / np.linalg.norm(head) + noise / np.sqrt(DIM)
            codes = (CODES[about % len(CODES)],) if generator.random() < 0.08 else ()
            at = START + timedelta(days=day, minutes=n * 1440 / PER_DAY)
            unit = (vector / np.linalg.norm(vector)).astype(np.float16)
            items.append(Item(f"t{day:03d}-{n:02d}", at, f"c{n}", unit, codes))
    return items


def live(engine: Grouping, items: list[Item], days: range) -> Iterator[datetime]:
    """Place each day's tickets and consolidate at its end; yields the midnight."""
    per_day = len(items) // len(days)
    for n, day in enumerate(days):
        for item in items[n * per_day : (n + 1) * per_day]:
            engine.place(item)
        midnight = START + timedelta(days=day + 1)
        engine.consolidate(midnight)
        yield midnight


def arbitrary(engine: Grouping, chance: random.Random, number: int, at: datetime) -> Edit:
    """One edit of any kind, of things that exist."""
    patterns = [group.id for group in engine.patterns()]
    grouped = sorted(engine.state.homes)
    everyone = [*grouped, *sorted(engine.state.pool)]
    kind = chance.choice(list(EditKind))
    names, chosen, undoes = [""], [""], ""
    match kind:
        case EditKind.MERGE | EditKind.SEPARATE:
            names, chosen = chance.sample(patterns, 2), []
        case EditKind.SPLIT:
            names = [chance.choice(patterns)]
            members = sorted(engine.pattern(names[0]).members)
            chosen = chance.sample(members, max(1, len(members) // 3)) if members else []
        case EditKind.MOVE:
            names, chosen = [chance.choice(patterns)], [chance.choice(everyone)]
        case EditKind.REMOVE:
            chosen = [chance.choice(grouped)]
            names = [engine.state.homes[chosen[0]]]
        case EditKind.LINK:
            names, chosen = [], chance.sample(everyone, chance.choice([2, 2, 3]))
        case EditKind.UNDO:
            names, chosen = [], []
            undoes = chance.choice([*engine.state.locks.edits, "none"])
        case _:
            names, chosen = [chance.choice(patterns)], []
    return Edit(
        id=f"e{number:03d}",
        kind=kind,
        at=at,
        actor="someone",
        patterns=tuple(names),
        tickets=tuple(chosen),
        undoes=undoes,
    )


def broken(engine: Grouping) -> list[str]:
    """Every promise of an edit in force that does not hold now, in words."""
    locks, homes, living = engine.state.locks, engine.state.homes, engine.state.groups
    wrong = []
    for ticket, edit in locks.fixed.items():
        if homes.get(ticket) != engine.resolve(edit.patterns[1]):
            wrong.append(f"{ticket} is not where {edit} put it")
    for edit in locks.active:
        heirs = [engine.resolve(pattern) for pattern in edit.patterns if pattern]
        if edit.kind in (EditKind.PIN, EditKind.DISMISS) and heirs[0] not in living:
            wrong.append(f"the pattern of {edit} is gone")
        if edit.kind is EditKind.MERGE and heirs[0] != heirs[1]:
            wrong.append(f"{edit} came apart")
        if edit.kind in (EditKind.SPLIT, EditKind.SEPARATE) and heirs[0] == heirs[1]:
            wrong.append(f"{edit} was undone by a merge")
        if edit.kind in (EditKind.REMOVE, EditKind.MOVE) and len(heirs) == len(edit.patterns):
            barred = homes.get(edit.tickets[0]) == heirs[0]
            if barred and edit.tickets[0] in locks.blocks.get(heirs[0], {}):
                wrong.append(f"{edit.tickets[0]} came back in spite of {edit}")
        if edit.kind is EditKind.LINK and len({homes.get(ticket) for ticket in edit.tickets}) > 1:
            wrong.append(f"the tickets of {edit} came apart")
    return wrong


def trial(seed: int, wanted: int) -> tuple[int, list[str]]:
    """30 days, then the edits, then 30 more; returns how many edits were made and what broke."""
    engine, chance = Grouping(DIM), random.Random(seed)
    at = list(live(engine, tickets(seed, range(30)), range(30)))[-1]
    made, wrong, ids = 0, [], {group.id for group in engine.patterns()}
    for number in range(wanted):
        try:
            engine.edit(arbitrary(engine, chance, number, at))
            made += 1
        except ForeshockError:
            continue
        wrong += broken(engine)
    ids |= {group.id for group in engine.patterns()}
    for _ in live(engine, tickets(seed, range(30, 60)), range(30, 60)):
        wrong += broken(engine)
    known = engine.state.groups.keys() | engine.state.graves.keys()
    wrong += [f"{name} no longer resolves" for name in sorted(ids) if engine.resolve(name) not in known]
    return made, wrong


def run(options: argparse.Namespace) -> dict[str, Any]:
    edits, violations = 0, 0
    for seed in range(options.seeds):
        made, wrong = trial(seed, options.edits)
        print(f"seed {seed:3d}: {made} edits, {len(wrong)} violations {wrong[:2] or ''}")
        edits, violations = edits + made, violations + len(wrong)
    return {"edits": edits, "violations": violations}
