"""One door to the database: `read()` and `write()`; nothing else opens a session."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlmodel import Session, create_engine

from app.errors import ForeshockError, Invalid, TryLater

MIGRATIONS = Path(__file__).parent / "migrations"
MIGRATION_TRIES, MIGRATION_PAUSE_S = 20, 0.5
WRITERS = 0x466F7265  # the number of the advisory lock all writers of one PostgreSQL database take


class Store:
    """The SQL database, SQLite or PostgreSQL: the truth every other state is derived from.

    A `write()` is short, is the only one of its moment (BEGIN IMMEDIATE on SQLite, an advisory lock on
    PostgreSQL), so that what it read still holds when it writes, and refuses to nest. Database faults
    leave it as TryLater with a sentence an operator can act on.
    """

    def __init__(self, url: str, *, busy_timeout_s: float = 30.0, durable: bool = True) -> None:
        self.url, self.busy_timeout_s = url, busy_timeout_s
        self.is_sqlite = url.startswith("sqlite")
        options: dict[str, Any] = {"pool_pre_ping": True}
        if self.is_sqlite:
            options = {"connect_args": {"timeout": busy_timeout_s, "check_same_thread": False}}
        else:
            options["connect_args"] = {"connect_timeout": 10}
        self.engine = create_engine(url, **options)
        if self.is_sqlite:
            _prepare_sqlite(self.engine, "NORMAL" if durable else "OFF")
        self._writing = threading.local()
        self._turn = (
            threading.Lock()
        )  # SQLite only polls for its lock: threads of one process hand it on at once

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that is always rolled back: for reading one consistent state."""
        with _plain_errors(self.url), Session(self.engine) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session committed at the end, or rolled back whole when anything raises."""
        if getattr(self._writing, "open", False):
            raise RuntimeError("write() inside write(): pass the open session down instead")
        self._writing.open = True
        try:
            with self._in_turn(), _plain_errors(self.url), Session(self.engine) as session:
                self._lock(session.connection(execution_options={"foreshock_write": True}))
                yield session
                session.commit()
        finally:
            self._writing.open = False

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        if not self._turn.acquire(timeout=self.busy_timeout_s):
            raise TryLater("another write of this process goes on and on; nothing was written", after_s=5)
        try:
            yield
        finally:
            self._turn.release()

    def _lock(self, connection: Connection) -> None:
        """Wait until no other write is open; SQLite's BEGIN IMMEDIATE did that already."""
        if not self.is_sqlite:
            connection.execute(text(f"SET LOCAL lock_timeout = {int(1000 * self.busy_timeout_s)}"))
            connection.execute(text(f"SELECT pg_advisory_xact_lock({WRITERS})"))

    def migrate(self) -> None:
        """Bring the schema to this version; harmless when it already is, and when two do it at once."""
        for left in range(MIGRATION_TRIES, -1, -1):
            try:
                self._migrate()
            except TryLater:
                # Two processes that turn an empty file into a WAL database are refused without waiting.
                if not (self.is_sqlite and left):
                    raise
                time.sleep(MIGRATION_PAUSE_S)
            else:
                return

    def _migrate(self) -> None:
        with _plain_errors(self.url), self.engine.connect() as plain:
            connection = plain.execution_options(foreshock_write=True)
            # One transaction around all of it: left to itself, Alembic commits after each migration on
            # SQLite, and a second process would read a version that the first is about to leave.
            with connection.begin():
                self._lock(connection)
                config = Config()
                config.set_main_option("script_location", str(MIGRATIONS))
                config.attributes["connection"] = connection
                command.upgrade(config, "head")

    def pending_migration(self) -> str | None:
        """What the schema lacks, as "have -> need", or None when it is up to date."""
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        need = ScriptDirectory.from_config(config).get_current_head()
        with _plain_errors(self.url), self.engine.connect() as connection:
            have = MigrationContext.configure(connection).get_current_revision()
        return None if have == need else f"{have or 'empty'} -> {need}"

    def check(self) -> None:
        """Raise TryLater unless the database answers."""
        with self.read() as session:
            session.execute(text("SELECT 1"))

    def close(self) -> None:
        self.engine.dispose()


def _prepare_sqlite(engine: Engine, synchronous: str) -> None:
    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # SQLAlchemy's begin event below issues BEGIN itself
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={synchronous}")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA journal_size_limit=67108864")
        connection.execute("PRAGMA cache_size=-65536")

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        writes = connection.get_execution_options().get("foreshock_write")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def _plain_errors(url: str) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        raise _explain(error, url) or error from error


def _explain(error: DBAPIError, url: str) -> ForeshockError | None:
    cause = str(error.orig)
    if "NUL (0x00)" in cause:
        return Invalid("text must not hold the character NUL (U+0000): leave it out")
    if "locked" in cause or "busy" in cause or "lock timeout" in cause:
        return TryLater("the database is locked by another process; nothing was written", after_s=5)
    if "disk is full" in cause or "No space left" in cause or "disk I/O error" in cause:
        return TryLater("the disk that holds the database is full; free some space, nothing was written")
    if "unable to open database file" in cause:
        return Invalid(
            f"cannot open the database file {url.removeprefix('sqlite:///')}: does its folder exist, and may "
            "this user write there?"
        )
    if "readonly database" in cause:
        return Invalid(
            f"the database file {url.removeprefix('sqlite:///')} is read-only: let this user write it and its folder"
        )
    if "file is not a database" in cause:
        return Invalid(f"{url.removeprefix('sqlite:///')} is not a SQLite database")
    if "no such table" in cause or "UndefinedTable" in type(error.orig).__name__:
        return Invalid("the database has no tables yet: run `python -m app migrate`")
    if not url.startswith("sqlite") and (isinstance(error, OperationalError) or error.connection_invalidated):
        return TryLater(f"PostgreSQL does not answer: {cause.strip().splitlines()[0][:200]}", after_s=10)
    return None
