"""Walks lists that can only be paged by position, while their rows move.

A row changed during the walk leaves its place, and everything behind it shifts forward: the row at a
page boundary is skipped. The first page from a time bound cannot skip, so the bound is rolled forward
after each first page. Only when a whole page shares the first tick of the window (a plateau) are later
pages read, again and again until two rounds saw the same rows: a skip needs a row that was seen in
one round and has left before the next.

A list that turns out to ignore the bound cannot be rolled: it is read by its own pages from there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.ingest.http import Misconfigured
from app.ingest.source import State, iso, required

IGNORES = "the list ignores the time it should start from, so it is read by its own pages: a row that moves may be missed"
Key = tuple[datetime, str]
"""When a row was last changed, and its id."""


def floor(at: datetime, tick: timedelta) -> datetime:
    origin = datetime(1970, 1, 1, tzinfo=at.tzinfo)
    return origin + (at - origin) // tick * tick


@dataclass(frozen=True, slots=True)
class Round:
    """The rows of one plateau seen in one round, as an order-free checksum."""

    count: int = 0
    total: int = 0

    def plus(self, ids: Iterable[str]) -> Round:
        count, total = self.count, self.total
        for row_id in ids:
            count += 1
            total += int.from_bytes(hashlib.sha256(row_id.encode()).digest()[:6])
        return Round(count, total % 2**48)


def advance(position: State, rows: Sequence[Key], *, following: str | None, tick: timedelta) -> State | None:
    """The next position after a page, or None at the end.

    `position` holds `since`; once rolled, what was `left` by it; inside a plateau, `token` and the checksums
    `round` (this round so far) and `before` (the round before). `following` names the next page of the
    same query.
    """
    if position.get("plain"):
        return position | {"token": following} if following else None
    base = floor(required(position["since"], "bound"), tick)
    last = floor(rows[-1][0], tick) if rows else base
    first_page = position.get("token") is None
    if first_page and following is None:
        return None
    if first_page and last > base:
        return _at(position, last) | {"left": [position["since"], following]}
    seen = Round(*position.get("round") or (0, 0)).plus(
        row_id for at, row_id in rows if floor(at, tick) <= base
    )
    if following is not None and last <= base:
        return position | {"token": following, "round": [seen.count, seen.total]}
    checksum = [seen.count, seen.total]
    if checksum != position.get("before"):
        return _at(position, base) | {"before": checksum}
    return _at(position, base + tick)


def by_pages(name: str, position: State, rows: Iterable[Key], since: datetime) -> State | None:
    """Where to go on by the list's own pages when it ignores the bound it was asked for; None when it does not.

    Misconfigured when it told of no next page.
    """
    if position.get("plain") or all(at >= since for at, _ in rows):
        return None
    before, token = position.get("left") or (None, None)
    if token is None:
        must_follow(name, rows, since)
    kept = {
        key: value for key, value in position.items() if key not in ("left", "round", "before", "drained")
    }
    return kept | {"since": before, "token": token, "plain": True}


def must_follow(name: str, rows: Iterable[Key], since: datetime) -> None:
    """Raise Misconfigured when a list ignores the bound it was asked for: its walk would never end."""
    if any(at < since for at, _ in rows):
        raise Misconfigured(
            f"{name}: the list ignores the time it should start from: check base_url and any proxy"
        )


def beyond(position: State, *, tick: timedelta) -> State:
    """Leave a plateau that the tool cannot page through."""
    return _at(position, floor(required(position["since"], "bound"), tick) + tick)


def _at(position: State, since: datetime) -> State:
    """The first page of the window from `since`."""
    kept = {key: value for key, value in position.items() if key not in ("token", "round", "before", "left")}
    return kept | {"since": iso(since)}
