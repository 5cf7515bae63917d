"""What was made of a whole period, kept for some minutes: its figures read many tickets and change little."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from datetime import datetime, timedelta
from typing import Generic, TypeVar

Value = TypeVar("Value")
KEPT = timedelta(minutes=5)  # it may be this much older than its page, which says so
MOST_KEPT = 64


class Made(Generic[Value]):
    """The last values by what was asked, each with the time it was made at."""

    def __init__(self) -> None:
        self._held: dict[Hashable, tuple[datetime, Value]] = {}
        self._lock = threading.Lock()

    def of(
        self, asked: Hashable, make: Callable[[], Value], *, now: datetime, younger: timedelta = KEPT
    ) -> tuple[datetime, Value]:
        """When it was made, and what; made now unless what is held is `younger` than that."""
        with self._lock:
            held = self._held.get(asked)
        if held is not None and timedelta() <= now - held[0] < younger:
            return held
        found = (now, make())
        with self._lock:
            self._held[asked] = found
            while len(self._held) > MOST_KEPT:
                del self._held[next(iter(self._held))]
        return found
