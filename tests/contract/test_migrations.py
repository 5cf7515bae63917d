"""A database of an earlier version is brought up to this one with everything that is in it."""

from __future__ import annotations

from datetime import UTC, datetime

from alembic import command
from alembic.config import Config
from sqlalchemy import inspect
from sqlmodel import SQLModel

from app.store import posts
from app.store.core import MIGRATIONS, Store
from app.store.posts import Post

AT = datetime(2026, 3, 18, 12, tzinfo=UTC)


def at_version(store: Store, version: str) -> None:
    """The schema as that version made it."""
    with store.engine.connect() as plain:
        connection = plain.execution_options(foreshock_write=True)
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        command.downgrade(config, version)
        connection.commit()


def test_the_first_schema_is_brought_up_to_date_and_keeps_its_rows(store: Store) -> None:
    at_version(store, "0001")
    assert str(store.pending_migration()).startswith("0001 -> ")
    with store.write() as session:
        session.connection().exec_driver_sql(
            "INSERT INTO view (name, query, actor, at) VALUES ('mine', 'tab=all', 'mara', '2026-03-18 12:00:00')"
        )
    store.migrate()
    assert store.pending_migration() is None
    assert {t.name for t in SQLModel.metadata.sorted_tables} <= set(inspect(store.engine).get_table_names())
    with store.write() as session:
        kept = session.connection().exec_driver_sql("SELECT name FROM view").scalar_one()
        posts.save(session, Post("rep_1", "lead@example.com", "daily", "plan", AT, "mara", "2026-03-17"))
    assert kept == "mine"
