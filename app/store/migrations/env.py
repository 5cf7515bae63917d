"""Runs the migrations over the connection `Store.migrate` hands in."""

from alembic import context
from sqlmodel import SQLModel

import app.store.tables  # noqa: F401 - importing the tables fills the metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=SQLModel.metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
