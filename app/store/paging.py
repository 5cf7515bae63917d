"""Opaque cursors over a stable (time, id) order; a cursor is refused with another filter than its own."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, Select, and_, or_

from app.errors import Invalid

Item = TypeVar("Item")
MOST = 200


@dataclass(frozen=True, slots=True)
class Slice(Generic[Item]):
    """One page of a list; `next_cursor` is None on the last."""

    items: tuple[Item, ...]
    next_cursor: str | None


def _fingerprint(filters: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(filters, sort_keys=True, default=str).encode()).hexdigest()[:12]


def _encode(at: datetime, id_: str, filters: Mapping[str, Any]) -> str:
    content = json.dumps([at.astimezone(UTC).isoformat(), id_, _fingerprint(filters)])
    return base64.urlsafe_b64encode(content.encode()).decode().rstrip("=")


def _decode(cursor: str, filters: Mapping[str, Any]) -> tuple[datetime, str]:
    try:
        at, id_, made_for = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        moment = datetime.fromisoformat(at).astimezone(UTC)
        if not isinstance(id_, str):
            raise TypeError("the id is no text")
    except (ValueError, TypeError, OverflowError, RecursionError, binascii.Error) as error:
        raise Invalid("the cursor is damaged: use next_cursor exactly as given", pointer="cursor") from error
    if made_for != _fingerprint(filters):
        raise Invalid("the cursor belongs to another filter: start again without it", pointer="cursor")
    return moment, id_


def page(
    fetch: Callable[[Select[Any]], Sequence[Any]],
    query: Select[Any],
    by: tuple[Any, Any],
    *,
    filters: Mapping[str, Any],
    cursor: str | None,
    limit: int,
    key: Callable[[Any], tuple[datetime, str]],
) -> tuple[list[Any], str | None]:
    """Newest first by the two columns `by`: the rows after the cursor and the next cursor."""
    at_column, id_column = by
    if not 1 <= limit <= MOST:
        raise Invalid(f"limit must be between 1 and {MOST}", pointer="limit")
    if cursor:
        at, id_ = _decode(cursor, filters)
        before: ColumnElement[bool] = or_(at_column < at, and_(at_column == at, id_column < id_))
        query = query.where(before)
    rows = list(fetch(query.order_by(at_column.desc(), id_column.desc()).limit(limit + 1)))
    more = len(rows) > limit
    rows = rows[:limit]
    return rows, _encode(*key(rows[-1]), filters) if more else None
