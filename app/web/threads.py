"""Common threads as last computed, for the pages: comparing with the whole desk may take longer than a page should."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor

from app.detectors import label
from app.detectors.thread import Thread
from app.domain import Pattern
from app.pipeline import review
from app.runtime import Runtime

THREADS_KEPT = 256
PATIENCE_S = 0.05  # how long the first look at a pattern waits for its common thread


class Threads:
    """Common threads as last computed: comparing with the whole desk may take longer than a page should.

    The first look at a pattern waits a moment for it; later ones show the last answer at once and have
    it computed again behind the page when the pattern has changed.
    """

    def __init__(self) -> None:
        self._held: dict[str, tuple[int, list[Thread]]] = {}
        self._asked: dict[str, Future[list[Thread]]] = {}
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="common threads")

    def of(self, run: Runtime, pattern: Pattern) -> list[Thread] | None:
        """The pattern's common thread; None while it is still being computed for the first time."""
        held, asked = self._ask(run, pattern)
        if held is not None or asked is None:
            return held
        try:
            return asked.result(PATIENCE_S)
        except TimeoutError:
            return None

    def prepare(self, run: Runtime, patterns: Iterable[Pattern]) -> None:
        """Have these ready: somebody is likely to open one of them next."""
        for pattern in patterns:
            self._ask(run, pattern)

    def _ask(self, run: Runtime, pattern: Pattern) -> tuple[list[Thread] | None, Future[list[Thread]] | None]:
        """The last answer, and the one that is being computed when that is not of today's pattern."""
        with self._lock:
            version, held = self._held.get(pattern.id, (-1, None))
            if version == pattern.version:
                return held, None
            asked = self._asked.get(pattern.id)
            if asked is None:
                asked = self._asked[pattern.id] = self._pool.submit(self._compute, run, pattern)
            return held, asked

    def _compute(self, run: Runtime, pattern: Pattern) -> list[Thread]:
        try:
            found = review.common_thread(run, pattern.id)
            with self._lock:
                self._held.pop(pattern.id, None)
                self._held[pattern.id] = (pattern.version, found)
                while len(self._held) > THREADS_KEPT:
                    del self._held[next(iter(self._held))]
            return found
        finally:
            with self._lock:
                del self._asked[pattern.id]
                is_last = not self._asked
            if is_last:
                label.forget()

    @property
    def is_busy(self) -> bool:
        """Whether something is still being computed."""
        with self._lock:
            return bool(self._asked)

    def strongest(self, pattern_id: str) -> Thread | None:
        """The first line of the last answer, if there is one."""
        with self._lock:
            _, held = self._held.get(pattern_id, (-1, []))
        return next((t for t in held if not t.note), None)
