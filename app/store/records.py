"""Rows to records and back: column names equal field names, so one function maps them all."""

from __future__ import annotations

import dataclasses
from enum import StrEnum
from functools import cache
from typing import Any, TypeVar, get_type_hints

from sqlalchemy import Engine, Row, Table, inspect
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, SQLModel

Record = TypeVar("Record")


@cache
def _shape(cls: type) -> tuple[tuple[str, type[StrEnum] | None], ...]:
    hints = get_type_hints(cls)
    enums = {n: h for n, h in hints.items() if isinstance(h, type) and issubclass(h, StrEnum)}
    return tuple((field.name, enums.get(field.name)) for field in dataclasses.fields(cls))


def record(cls: type[Record], row: SQLModel | Row[Any], **others: Any) -> Record:
    """The row, an object or a line of a result, as a frozen record; `others` gives the fields that are not columns."""
    values: dict[str, Any] = dict(others)
    for name, enum in _shape(cls):  # type: ignore[arg-type]
        if name not in values:
            value = getattr(row, name)
            values[name] = enum(value) if enum else tuple(value) if isinstance(value, list) else value
    return cls(**values)


def columns(value: Any) -> dict[str, Any]:
    """A record's fields as column values."""
    plain: dict[str, Any] = {}
    for field in dataclasses.fields(value):
        item = getattr(value, field.name)
        if isinstance(item, tuple):
            item = list(item)
        elif isinstance(item, StrEnum):
            item = item.value
        elif hasattr(item, "items"):
            item = dict(item)
        plain[field.name] = item
    return plain


def table(row: type[SQLModel]) -> Table:
    found = inspect(row).local_table
    assert isinstance(found, Table)
    return found


def says(column: Any, words: str) -> Any:
    """Whether a text column holds these words as typed, in any case: % and _ are characters like others."""
    return column.icontains(words, autoescape=True)


def insert_ignoring(session: Session, row: type[SQLModel], values: list[dict[str, Any]]) -> None:
    """Insert the rows whose key is not there yet; one statement for all."""
    if values:
        session.execute(_dialect_insert(session, row).on_conflict_do_nothing(), values)


def upsert(session: Session, row: type[SQLModel], values: list[dict[str, Any]], *, key: list[str]) -> None:
    """Insert the rows, or overwrite those that have the same `key`."""
    if not values:
        return
    statement = _dialect_insert(session, row)
    changed = {name: statement.excluded[name] for name in values[0] if name not in key}
    session.execute(statement.on_conflict_do_update(index_elements=key, set_=changed), values)


def _dialect_insert(session: Session, row: type[SQLModel]) -> Any:
    bind = session.get_bind()
    assert isinstance(bind, Engine)
    return _insert(bind.dialect.name, row)


@cache
def _insert(dialect: str, row: type[SQLModel]) -> Any:
    module: Any = sqlite if dialect == "sqlite" else postgresql
    return module.insert(table(row))
