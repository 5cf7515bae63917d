"""People who sign in, their roles and password hashes, and how often somebody tried to be one of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, select
from sqlmodel import Session

from app.domain import sortable_id
from app.errors import Conflict, NotFound
from app.store.records import record, table
from app.store.tables import GuessRow, UserRow

_U, _G = table(UserRow).c, table(GuessRow).c
ROLES = {"viewer": ("read",), "lead": ("write",), "admin": ("admin",)}
"""What each role may do, in the words of the API keys' scopes."""


@dataclass(frozen=True, slots=True)
class User:
    """A person who may sign in; the password's hash stays in the store."""

    id: str
    name: str
    role: str
    is_temporary: bool  # must choose a password of their own first
    outside: str | None
    created_at: datetime
    disabled_at: datetime | None
    signed_in_at: datetime | None

    @property
    def scopes(self) -> tuple[str, ...]:
        return ROLES[self.role]


def add(
    session: Session,
    *,
    name: str,
    role: str,
    at: datetime,
    password_hash: str = "",
    is_temporary: bool = False,
    outside: str | None = None,
) -> User:
    if by_name(session, name):
        raise Conflict(f"there is a user {name!r} already: choose another name")
    row = UserRow(
        id=sortable_id("usr", at, name), name=name, role=role, password_hash=password_hash,
        is_temporary=is_temporary, outside=outside, created_at=at,
    )  # fmt: skip
    session.add(row)
    session.flush()
    return record(User, row)


def every(session: Session) -> list[User]:
    return [record(User, row) for row in session.scalars(select(UserRow).order_by(_U.created_at, _U.id))]


def get(session: Session, id_: str) -> User:
    return record(User, _row(session, id_))


def _row(session: Session, id_: str) -> UserRow:
    row = session.get(UserRow, id_)
    if row is None:
        raise NotFound(f"there is no user {id_}")
    return row


def active(session: Session, id_: str) -> User | None:
    row = session.get(UserRow, id_)
    return record(User, row) if row and row.disabled_at is None else None


def by_name(session: Session, name: str) -> User | None:
    row = session.scalars(select(UserRow).where(_U.name == name)).first()
    return record(User, row) if row else None


def by_outside(session: Session, outside: str) -> User | None:
    row = session.scalars(select(UserRow).where(_U.outside == outside)).first()
    return record(User, row) if row else None


def any_active(session: Session, *, role: str = "") -> bool:
    query = select(_U.id).where(_U.disabled_at.is_(None)).limit(1)
    return session.scalar(query.where(_U.role == role) if role else query) is not None


def password_hash(session: Session, id_: str) -> str:
    return _row(session, id_).password_hash


def change(session: Session, id_: str, **values: Any) -> User:
    row = _row(session, id_)
    for name, value in values.items():
        setattr(row, name, value)
    session.flush()
    return record(User, row)


# --- guesses ---------------------------------------------------------------------------------------


def shut_until(session: Session, who: str, *, at: datetime) -> datetime | None:
    """Until when no attempt of `who` is looked at; None when the next one is."""
    row = session.get(GuessRow, who)
    return row.shut_until if row and row.shut_until and row.shut_until > at else None


def count_guess(session: Session, who: str, *, at: datetime, kept: timedelta) -> int:
    """One more attempt of `who`; how many without a success. Those `kept` long ago are forgotten."""
    session.execute(delete(GuessRow).where(_G.at <= at - kept))
    row = session.get(GuessRow, who) or GuessRow(who=who, attempts=0, at=at)
    row.attempts, row.at = row.attempts + 1, at
    session.add(row)
    session.flush()
    return row.attempts


def shut(session: Session, who: str, *, until: datetime) -> None:
    row = session.get(GuessRow, who)
    if row is not None:
        row.shut_until = until


def forget_guesses(session: Session, who: str) -> None:
    session.execute(delete(GuessRow).where(_G.who == who))
