"""API keys (stored hashed), page sessions and idempotency keys."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlmodel import Session

from app.domain import sortable_id
from app.errors import NotFound
from app.store import users
from app.store.records import insert_ignoring, record, table
from app.store.tables import IdempotencyRow, KeyRow, WebSessionRow
from app.store.users import User

_K, _W, _I = (table(r).c for r in (KeyRow, WebSessionRow, IdempotencyRow))
SCOPES = ("read", "write", "admin")
IDEMPOTENCY_KEPT = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Key:
    """An API key as it can be listed: the secret itself is not stored."""

    id: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    revoked_at: datetime | None
    used_at: datetime | None


@dataclass(frozen=True, slots=True)
class WebSession:
    """A signed-in browser; `csrf` must come back with every form."""

    holder: Key | User
    csrf: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Answered:
    """What an idempotency key stands for; `status` is None while the first request is in flight."""

    request_hash: str
    status: int | None
    answer: str


def digest(secret: str) -> str:
    """Keys are long random strings, so one fast hash is enough."""
    return hashlib.sha256(secret.encode()).hexdigest()


def add(session: Session, secret: str, *, name: str, scopes: Sequence[str], at: datetime) -> Key:
    row = KeyRow(
        id=sortable_id("key", at, digest(secret)), name=name, hash=digest(secret), scopes=list(scopes),
        created_at=at,
    )  # fmt: skip
    session.add(row)
    session.flush()
    return record(Key, row)


def find(session: Session, secret: str) -> Key | None:
    """The key that has this secret, unless it was revoked."""
    query = select(KeyRow).where(_K.hash == digest(secret), _K.revoked_at.is_(None))
    row = session.scalars(query).first()
    return record(Key, row) if row else None


def any_active(session: Session) -> bool:
    return session.scalar(select(_K.id).where(_K.revoked_at.is_(None)).limit(1)) is not None


def every(session: Session) -> list[Key]:
    return [record(Key, row) for row in session.scalars(select(KeyRow).order_by(_K.created_at, _K.id))]


def revoke(session: Session, id_: str, *, at: datetime) -> Key:
    row = session.get(KeyRow, id_)
    if row is None:
        raise NotFound(f"there is no key {id_}")
    row.revoked_at = row.revoked_at or at
    session.execute(delete(WebSessionRow).where(_W.key_id == id_))
    session.flush()
    return record(Key, row)


def touch(session: Session, id_: str, *, at: datetime) -> None:
    row = session.get(KeyRow, id_)
    if row is not None:
        row.used_at = at


def sign_in(
    session: Session, token: str, holder: Key | User, *, csrf: str, at: datetime, until: datetime
) -> WebSession:
    session.execute(delete(WebSessionRow).where(_W.expires_at <= at))
    is_user = isinstance(holder, User)
    session.add(WebSessionRow(
        hash=digest(token), key_id=None if is_user else holder.id, user_id=holder.id if is_user else None,
        csrf=csrf, created_at=at, expires_at=until,
    ))  # fmt: skip
    return WebSession(holder, csrf, until)


def web_session(session: Session, token: str, *, at: datetime) -> WebSession | None:
    """The open session of this token, unless its key was revoked or its user disabled since."""
    row = session.get(WebSessionRow, digest(token))
    if row is None or row.expires_at <= at:
        return None
    holder = _key(session, row.key_id) if row.key_id else users.active(session, row.user_id or "")
    return WebSession(holder, row.csrf, row.expires_at) if holder else None


def _key(session: Session, id_: str) -> Key | None:
    row = session.get(KeyRow, id_)
    return record(Key, row) if row and not row.revoked_at else None


def sign_out_user(session: Session, id_: str, *, but: str = "") -> None:
    """Close every session of a user, except the one of token `but`."""
    session.execute(delete(WebSessionRow).where(_W.user_id == id_, _W.hash != digest(but)))


def sign_out(session: Session, token: str) -> None:
    session.execute(delete(WebSessionRow).where(_W.hash == digest(token)))


def begin_idempotent(session: Session, key: str, request_hash: str, *, at: datetime) -> Answered | None:
    """None when this request is the first with its key, else what the first one was."""
    session.execute(delete(IdempotencyRow).where(_I.created_at <= at - IDEMPOTENCY_KEPT))
    row = session.get(IdempotencyRow, key)
    if row is None:
        insert_ignoring(session, IdempotencyRow, [{
            "key": key, "request_hash": request_hash, "created_at": at, "status": None, "answer": "",
        }])  # fmt: skip
        return None
    return record(Answered, row)


def end_idempotent(session: Session, key: str, *, status: int | None, answer: str) -> None:
    """Keep the answer for repeats, or forget the key when the request failed on our side."""
    row = session.get(IdempotencyRow, key)
    if row is not None and status is None:
        session.delete(row)
    elif row is not None:
        row.status, row.answer = status, answer
