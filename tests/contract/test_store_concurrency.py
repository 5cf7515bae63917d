"""Several writers at once: nothing fails, nothing is lost, nothing is sent twice."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.errors import Invalid
from app.store import events, keys, sources, tickets
from app.store.core import Store
from tests.fakes import START, draft

WRITERS, WRITES = 4, 100
COUNT = """
import sys
from app.store import sources
from app.store.core import Store
store = Store(sys.argv[1], busy_timeout_s=60)
for _ in range(int(sys.argv[2])):
    with store.write() as session:
        n = sources.note(session, "count").get("n", 0)
        sources.save_note(session, "count", {"n": n + 1})
"""


def run_at_once(times: int, code: str, *arguments: str) -> list[tuple[int, str]]:
    """Exit code and errors of the same Python code run in several processes at once."""
    processes = [
        subprocess.Popen([sys.executable, "-c", code, *arguments], stderr=subprocess.PIPE, text=True,
                         cwd=Path(__file__).parents[2])
        for _ in range(times)
    ]  # fmt: skip
    errors = [process.communicate(timeout=240)[1] for process in processes]
    return [(process.returncode, error) for process, error in zip(processes, errors, strict=True)]


def test_four_processes_that_read_then_write_lose_nothing(store: Store) -> None:
    ends = run_at_once(WRITERS, COUNT, store.url, str(WRITES))
    assert all(code == 0 for code, _ in ends), ends
    with store.read() as session:
        assert sources.note(session, "count") == {"n": WRITERS * WRITES}


def test_events_written_at_once_are_numbered_without_gap_or_repeat(store: Store) -> None:
    def write(_: int) -> None:
        with store.write() as session:
            events.write(session, "pattern.changed", "pat_1", {}, at=START)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(40)))
    with store.read() as session:
        assert [e.sequence for e in events.after(session, 0, limit=99)] == list(range(1, 41))


def test_a_ticket_pushed_twice_at_the_same_moment_is_stored_once(store: Store) -> None:
    def push(_: int) -> int:
        with store.write() as session:
            return len(tickets.save(session, [draft(1)], seen_at=START).new)

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(push, range(8))) == 1


def test_of_requests_with_one_idempotency_key_exactly_one_is_the_first(store: Store) -> None:
    def begin(_: int) -> bool:
        with store.write() as session:
            return keys.begin_idempotent(session, "k", "hash", at=START) is None

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(begin, range(8))) == 1


def test_an_empty_database_can_be_migrated_by_several_processes_at_once(store: Store, tmp_path: Path) -> None:
    if store.is_sqlite:
        url = f"sqlite:///{tmp_path / 'new.sqlite3'}"
    else:
        url = store.url
        with store.engine.begin() as connection:
            connection.exec_driver_sql("DROP SCHEMA public CASCADE")
            connection.exec_driver_sql("CREATE SCHEMA public")
    migrate = "import sys; from app.store.core import Store; Store(sys.argv[1], busy_timeout_s=60).migrate()"
    ends = run_at_once(3, migrate, url)
    assert all(code == 0 for code, _ in ends), ends
    made = Store(url)
    assert made.pending_migration() is None
    made.close()


def test_text_that_postgresql_cannot_hold_is_refused_in_words(store: Store) -> None:
    if store.is_sqlite:
        pytest.skip("SQLite keeps any character")
    with pytest.raises(Invalid, match="NUL"), store.write() as session:
        tickets.save(session, [draft(1, "a\x00b")], seen_at=START)
