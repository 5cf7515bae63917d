"""The rolling window: a list that moves while it is paged by position hides no row that stayed."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest

from app.ingest.source import State, iso
from app.ingest.window import advance, beyond, floor

TICK = timedelta(seconds=1)
START = datetime(2026, 11, 20, 12, tzinfo=UTC)


def walk(seed: int) -> tuple[set[str], dict[str, datetime], datetime]:
    """Page through a moving list; returns the ids seen, the list at the end, and when the walk began."""
    chance = random.Random(seed)
    size = chance.randint(1, 4)
    rows: dict[str, datetime] = {}
    for tick in range(chance.randint(1, 4)):
        for _ in range(chance.choice((0, 1, size, 3 * size, 3 * size + 1))):
            rows[f"r{len(rows)}"] = START + timedelta(seconds=tick, milliseconds=chance.choice((0, 0, 250)))
    now = begun = START + timedelta(minutes=1)
    moves = chance.randint(0, 25)
    seen: set[str] = set()
    position: State = {"since": iso(START)}
    for _ in range(2000):
        bound = floor(datetime.fromisoformat(position["since"]), TICK)
        listed = sorted((at, row_id) for row_id, at in rows.items() if at >= bound)
        first = int(position.get("token") or 0)
        page = listed[first : first + size]
        seen.update(row_id for _, row_id in page)
        following = str(first + size) if first + size < len(listed) else None
        after = advance(position, page, following=following, tick=TICK)
        if after is None:
            return seen, rows, begun
        position = after
        now += TICK
        while moves > 0 and rows and chance.random() < 0.5:
            moves -= 1
            rows[chance.choice(sorted(rows))] = now
    raise AssertionError("the walk does not end")


@pytest.mark.parametrize("group", range(4))
def test_no_row_that_stayed_in_its_place_is_missed(group: int) -> None:
    for seed in range(group, 3000, 4):
        seen, rows, begun = walk(seed)
        stayed = {row_id for row_id, at in rows.items() if at < begun}
        assert stayed <= seen, f"seed {seed}"


def test_a_plateau_that_cannot_be_paged_is_left_behind() -> None:
    position = {"since": iso(START), "token": "301", "round": [1, 1], "before": [1, 1], "begun": "x"}
    assert beyond(position, tick=TICK) == {"since": iso(START + TICK), "begun": "x"}
