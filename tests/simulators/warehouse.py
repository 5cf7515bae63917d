"""A warehouse table that a loader rewrites while it is read: late rows, plateaus, deletions."""

from __future__ import annotations

from collections import deque
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from tests.simulators.world import Row, World

QUERY = """
    SELECT id, changed, subject, body, status, gone, opened FROM tickets
    WHERE (changed > :since_ts OR (changed = :since_ts AND id > :since_id)) AND changed <= :until_ts
    ORDER BY changed, id LIMIT :limit
"""
TEXT_FORM = "%Y-%m-%d %H:%M:%S"


class WarehouseSimulator:
    """The table as it looks at the virtual time; `turn` brings it up to date."""

    def __init__(self, world: World, engine: sa.Engine, *, as_text: bool) -> None:
        self.world, self.clock, self.engine, self.as_text = world, world.clock, engine, as_text
        self.faulty_calls = self.turned_away = self.calls = 0
        self.loaded: list[dict[str, Any]] = []
        self.log: deque[str] = deque(maxlen=20)
        kind = sa.Text() if as_text else sa.DateTime(timezone=True)
        columns = [sa.Column(name, sa.Text) for name in ("subject", "body", "status")]
        times = [sa.Column("changed", kind), sa.Column("opened", kind)]
        self.table = sa.Table(
            "tickets",
            sa.MetaData(),
            sa.Column("id", sa.BigInteger),
            *times,
            *columns,
            sa.Column("gone", sa.Boolean),
        )
        self.now = sa.Table("clock", sa.MetaData(), sa.Column("at", kind))
        with engine.begin() as connection:
            for table in (self.table, self.now):
                table.drop(connection, checkfirst=True)
                table.create(connection)

    def turn(self) -> None:
        """One call: time passes, something may happen, the loader runs."""
        self.calls += 1
        self.log.append("query")
        self.clock.sleep(0.5)
        self.world.between_requests()
        rows = [self.record(row) for row in self.world.index(lambda row: not row.purged)]
        with self.engine.begin() as connection:
            connection.execute(sa.delete(self.now))
            connection.execute(sa.insert(self.now), [{"at": self.told(self.clock.now())}])
            if rows != self.loaded:
                connection.execute(sa.delete(self.table))
                connection.execute(sa.insert(self.table), rows)
                self.loaded = rows

    def told(self, at: datetime) -> Any:
        return at.strftime(TEXT_FORM) if self.as_text else at

    def record(self, row: Row) -> dict[str, Any]:
        return {
            "id": row.id,
            "changed": self.told(row.stamp),
            "opened": self.told(row.created),
            "subject": row.subject or None,
            "body": row.body or None,
            "status": row.status,
            "gone": row.deleted,
        }
