"""Tickets from a SQL warehouse: the operator's own query, bound to a keyset and checked row by row.

The query must keep this contract, with the names in brackets replaced:

    SELECT ... FROM ...
    WHERE ([ts] > :since_ts OR ([ts] = :since_ts AND [id] > :since_id)) AND [ts] <= :until_ts
    ORDER BY [ts], [id] LIMIT :limit
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy import exc

from app.domain import Checkpoint, RawTicket, Status
from app.errors import Invalid, TryLater
from app.ingest.http import AuthFailed, Misconfigured
from app.ingest.source import (
    Checkup,
    Column,
    Details,
    Line,
    Options,
    Outside,
    Quota,
    State,
    attributes,
    begin,
    finish,
    instant,
    iso,
    opened,
    outcomes,
    page,
    required,
    text,
    vanished,
)
from app.ports import Page

BINDS = frozenset({"since_ts", "since_id", "until_ts", "limit"})
SPAN = frozenset({"start_ts", "end_ts"})
WRITING = re.compile(
    r"\b(insert|update|delete|merge|drop|alter|create|truncate|grant|revoke|call|exec|execute|copy"
    r"|attach|pragma|vacuum|into)\b",
    re.IGNORECASE,
)
QUOTED = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"|--[^\n]*|/\*.*?\*/", re.DOTALL)
FIELDS = frozenset(
    {
        "subject", "body", "url", "requester", "account", "account_name", "tags", "status",
        "created_at", "resolved_at",
    }
)  # fmt: skip
REFUSALS = ("password", "authentication", "permission denied", "access denied", "not authorized")

Row = Mapping[str, Any]
Key = tuple[Any, Any]


@dataclass(frozen=True, kw_only=True)
class WarehouseOptions(Options):
    """`columns` maps our names (subject, body, created_at, product ...) to columns of the query."""

    dsn: str  # name of the secret that holds the SQLAlchemy address
    query: str
    ts_column: str
    id_column: str
    columns: Mapping[str, str] = field(default_factory=dict)
    delete_column: str = ""
    id_is_text: bool = False
    ts_format: str = ""  # strftime form of timestamps kept as text; empty for a real timestamp
    tz: str = ""  # zone of timestamps without one; empty where the column has a zone (text: UTC)
    now_query: str = "SELECT CURRENT_TIMESTAMP"
    count_query: str = ""  # counts rows created from :start_ts to before :end_ts, to hold ours against
    lag_s: float = 300  # rows younger than this wait for the next poll
    lookback_s: float = 3600
    list_every_s: float = 0  # read all ids this often to find deleted rows; 0: only delete_column tells
    page_size: int = 1000


class Warehouse:
    """One query against one database."""

    def __init__(self, name: str, options: WarehouseOptions, outside: Outside) -> None:
        self.name, self.options = name, options
        self._known = outside.known
        self._query = _checked(name, "query", options.query, BINDS)
        self._count = _checked(name, "count_query", options.count_query, SPAN) if options.count_query else ""
        try:
            self._engine = sa.create_engine(outside.secret(options.dsn), pool_pre_ping=True)
        except (exc.ArgumentError, exc.NoSuchModuleError, ImportError) as error:
            raise Misconfigured(
                f"{name}: the database address cannot be used ({type(error).__name__}): check its form, "
                "and that the driver is installed",
                pointer="dsn",
            ) from None

    def pull(self, after: Checkpoint) -> Page:
        state = opened(after)
        if state.get("listing"):
            return self._list(after, state)
        position = state.get("pass")
        if position is None:
            until = self._now() - timedelta(seconds=self.options.lag_s)
            position = begin(state, self.options, until)
            since = required(position["since"], "since") - timedelta(
                seconds=1
            )  # the bound itself belongs to us
            position |= {"until": iso(until), "since": iso(since), "id": None}
        rows = self._read(position, self.options.page_size)
        gone = [
            row for row in rows if self.options.delete_column and _is_true(row[self.options.delete_column])
        ]
        tickets = [self._ticket(row) for row in rows if row not in gone]
        deleted = [text(row[self.options.id_column]) for row in gone]
        if len(rows) >= self.options.page_size:
            return page(
                after,
                state | {"pass": self._behind(position, rows)},
                more=True,
                tickets=tickets,
                deleted=deleted,
            )
        until = position["until"]
        done = {"listed_at": until, "suspects": []} | _kept(state) | finish(state, position, begun=until)
        age = required(until, "until") - required(done["listed_at"], "listed_at")
        due = 0 < self.options.list_every_s <= age.total_seconds()
        done |= {"listing": until} if due else {}
        return page(after, done, more=due, tickets=tickets, deleted=deleted)

    def fetch(self, ids: Sequence[str]) -> Page:
        raise Invalid(f"{self.name}: a warehouse is polled; it takes no hints, and got {len(ids)}")

    def details(self, ids: Sequence[str]) -> tuple[Details, ...]:  # noqa: ARG002
        """Whatever the query knows is already in its rows."""
        return ()

    def check(self) -> Checkup:
        now = self._now()
        lines = [Line(True, f"connected; the database's clock says {iso(now)}")]
        since = iso(self.options.start_at - timedelta(seconds=1))
        rows = self._read({"since": since, "id": None, "until": iso(now)}, 5)
        lines.append(Line(bool(rows), f"the query answers with {len(rows)} rows"))
        missing = sorted(set(self.options.columns.values()) - rows[0].keys()) if rows else []
        if missing:
            lines.append(Line(False, f"columns the query does not return: {', '.join(missing)}"))
        return Checkup(tuple(lines), tuple(self._ticket(row) for row in rows) if not missing else ())

    def inspect(self) -> tuple[Column, ...]:
        since = iso(self.options.start_at - timedelta(seconds=1))
        rows = self._read({"since": since, "id": None, "until": iso(self._now())}, 1)
        return tuple(Column(name, name, type(value).__name__) for row in rows for name, value in row.items())

    def counted(self, start: datetime, end: datetime) -> int | None:
        """What the operator's `count_query` says; the other query is bound to changes, not to creations."""
        if not self._count:
            return None
        rows = self._run(self._count, {"start_ts": self._bound(start), "end_ts": self._bound(end)})
        count = next(iter(rows[0].values()), None) if rows else None
        return int(count) if isinstance(count, int) else None

    def quotas(self) -> Mapping[str, Quota]:
        """A database counts no calls."""
        return {}

    def close(self) -> None:
        self._engine.dispose()

    def _now(self) -> datetime:
        (row,) = self._run(self.options.now_query, {})
        (at,) = row.values()
        found = instant(at if isinstance(at, str) else at.isoformat())
        return required(found and iso(found), "database clock")

    def _read(self, position: State, limit: int) -> list[Row]:
        """One page, held against the bounds and the order it must have."""
        bounds = self._bounds(position)
        rows = self._run(self._query, bounds | {"limit": limit})
        if len(rows) > limit:
            raise self._violated("does not keep LIMIT :limit")
        last: Key = (bounds["since_ts"], bounds["since_id"] if position["id"] is not None else None)
        for row in rows:
            key = (self._stamp(row), row.get(self.options.id_column))
            if key[1] is None:
                raise self._violated(f"returns no column {self.options.id_column}")
            if not _follows(key, last):
                raise self._violated("is not ordered by timestamp and id, or ignores :since_ts and :since_id")
            if key[0] > bounds["until_ts"]:
                raise self._violated("ignores :until_ts")
            last = key
        return rows

    def _bounds(self, position: State) -> dict[str, Any]:
        first: Any = "" if self.options.id_is_text else -(2**62)
        exact = position.get("ts")  # the very value the database returned, where it is text
        return {
            "since_ts": exact if exact is not None else self._bound(required(position["since"], "since")),
            "since_id": first if position["id"] is None else position["id"],
            "until_ts": self._bound(required(position["until"], "until")),
        }

    def _bound(self, at: datetime) -> Any:
        """An instant in the form the timestamp column has."""
        if self.options.ts_format:
            return at.astimezone(self._zone).strftime(self.options.ts_format)
        return at.astimezone(self._zone).replace(tzinfo=None) if self.options.tz else at

    def _behind(self, position: State, rows: Sequence[Row]) -> State:
        last = rows[-1]
        stamp = self._stamp(last)
        return position | {
            "since": iso(self._instant(stamp)),
            "ts": stamp if isinstance(stamp, str) else None,
            "id": last[self.options.id_column],
        }

    def _list(self, after: Checkpoint, state: State) -> Page:
        """Read all ids; a row missing twice running is deleted."""
        listed: set[str] = set()
        since = iso(self.options.start_at - timedelta(seconds=1))
        position: State = {"since": since, "id": None, "until": iso(self._now())}
        while rows := self._read(position, self.options.page_size):
            listed.update(text(row[self.options.id_column]) for row in rows)
            position = self._behind(position, rows)
        twice, once, warning = vanished(self._known(), frozenset(listed), state["suspects"])
        kept = {key: value for key, value in state.items() if key != "listing"}
        state = kept | {"listed_at": state["listing"], "suspects": once}
        return page(after, state, more=False, deleted=twice, notes=[warning] if warning else [])

    def _run(self, statement: str, binds: Mapping[str, Any]) -> list[Row]:
        """Run one statement in a transaction that is never committed, and read-only where that exists."""
        try:
            with self._engine.connect() as connection:
                if self._engine.dialect.name == "postgresql":
                    connection.execute(sa.text("SET TRANSACTION READ ONLY"))
                elif self._engine.dialect.name == "sqlite":
                    connection.execute(sa.text("PRAGMA query_only = ON"))
                result = connection.execute(sa.text(statement), dict(binds))
                return [dict(row) for row in result.mappings()]
        except exc.DBAPIError as error:
            raise self._explained(error) from None  # its text holds the statement and values of rows

    def _explained(self, error: exc.DBAPIError) -> Exception:
        kind = type(error.orig).__name__
        said = str(error.orig).lower()
        if any(word in said for word in REFUSALS):
            return AuthFailed(
                f"{self.name}: the database refuses this user ({kind}): check dsn and its grants"
            )
        if isinstance(error, exc.OperationalError | exc.InterfaceError) and "no such" not in said:
            return TryLater(f"{self.name}: the database cannot be reached or is busy ({kind})", after_s=60)
        return Misconfigured(
            f"{self.name}: the database does not accept the query ({kind}): run it by hand to see why",
            pointer="query",
        )

    def _violated(self, what: str) -> Misconfigured:
        return Misconfigured(
            f"{self.name}: the query {what}: see its contract in the README", pointer="query"
        )

    @property
    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self.options.tz or "UTC")

    def _stamp(self, row: Row) -> Any:
        """The row's timestamp as the database gave it; floats and nulls cannot be a bound."""
        stamp = row.get(self.options.ts_column)
        if not isinstance(stamp, str if self.options.ts_format else datetime):
            raise self._violated(
                f"returns {type(stamp).__name__} for {self.options.ts_column}; it must be a timestamp, "
                "or text with ts_format set"
            )
        return stamp

    def _instant(self, value: Any) -> datetime:
        """A timestamp of this database as aware UTC."""
        if isinstance(value, datetime):
            return (value.replace(tzinfo=self._zone) if value.tzinfo is None else value).astimezone(UTC)
        return required(iso(found) if (found := instant(value, self._zone)) else None, self.options.ts_column)

    def _ticket(self, row: Row) -> RawTicket:
        given = {name: row.get(column) for name, column in self.options.columns.items()}
        plain = {name: text(value) for name, value in given.items()}
        updated = self._instant(self._stamp(row))
        stated = self.options.status_map.get(plain.get("status", ""), plain.get("status", "").lower())
        status = Status(stated) if stated in set(Status) else Status.OPEN
        times = {
            name: self._instant(given[name]) for name in ("created_at", "resolved_at") if given.get(name)
        }
        rest = {name: value for name, value in plain.items() if name not in FIELDS}
        tags = tuple(filter(None, (tag.strip() for tag in plain.get("tags", "").split(","))))
        told = {name: value for name, value in rest.items() if value}
        extra: dict[str, Any] = outcomes(told, self.options, tags)
        return RawTicket(
            source=self.name,
            external_id=text(row[self.options.id_column]),
            created_at=times.get("created_at", updated),
            updated_at=updated,
            subject=plain.get("subject", ""),
            body=plain.get("body", ""),
            url=plain.get("url", ""),
            requester=plain.get("requester", ""),
            account=plain.get("account", ""),
            account_name=plain.get("account_name", ""),
            attributes=attributes(rest),
            tags=tags,
            status=status,
            resolved_at=times.get("resolved_at"),
            **extra,
        )


def _checked(name: str, option: str, query: str, binds: frozenset[str]) -> str:
    """The query without a closing semicolon; Invalid unless it is one reading statement with all binds."""
    bare = QUOTED.sub(" ", query).strip().rstrip(";")
    missing = [bind for bind in sorted(binds) if not re.search(rf"(?<!:):{bind}\b", bare)]
    problem = ""
    if ";" in bare or not re.match(r"(select|with)\b", bare, re.IGNORECASE):
        problem = "must be one SELECT (or WITH) statement"
    elif found := WRITING.search(bare):
        problem = f"must only read, but says {found[0].upper()}"
    elif missing:
        problem = f"must use :{', :'.join(missing)}"
    if problem:
        raise Invalid(f"source {name}: option {option} {problem}", pointer=option)
    return query.strip().rstrip(";")


def _follows(key: Key, last: Key) -> bool:
    """Whether a row stands behind another; text ids are ordered by the database's collation, not by ours."""
    if key[0] != last[0]:
        return bool(key[0] > last[0])
    if last[1] is None or isinstance(key[1], int):
        return last[1] is None or bool(key[1] > last[1])
    return bool(key[1] != last[1])


def _is_true(value: Any) -> bool:
    return text(value).lower() not in ("", "0", "false", "f", "n", "no")


def _kept(state: State) -> State:
    return {key: state[key] for key in ("listed_at", "suspects") if key in state}
