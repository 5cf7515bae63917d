"""Who may do what: API keys and users, one question for both, and the page sessions they open."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

from app.errors import Forbidden, Invalid, NotFound
from app.runtime import Runtime
from app.store import audit, keys, users
from app.store.keys import SCOPES, Key, WebSession
from app.store.users import User

PREFIX = "fsk_"
SESSION_KEPT = timedelta(hours=12)
USED_GRAIN = timedelta(minutes=1)
NEEDS = {"read": "viewer", "write": "lead", "admin": "admin"}
"""The least role that has each scope."""


class Holder(Protocol):
    """Whoever asks: a key or a user."""

    @property
    def name(self) -> str: ...
    @property
    def scopes(self) -> tuple[str, ...]: ...


def allows(holder: Holder, scope: str) -> bool:
    """Admin may do all; write may read."""
    return any(SCOPES.index(held) >= SCOPES.index(scope) for held in holder.scopes)


def require(holder: Holder, scope: str) -> None:
    """Raise Forbidden unless `holder` may do what needs `scope`: pages and API alike ask here."""
    if not allows(holder, scope):
        raise Forbidden(
            f"{holder.name} lacks the scope {scope}: this needs a key that has it, or the role {NEEDS[scope]}"
        )


def make_key(
    runtime: Runtime, name: str, scopes: Sequence[str], *, actor: str = "command line"
) -> tuple[str, Key]:
    """A new key; its secret is returned once and never stored."""
    unknown = [s for s in scopes if s not in SCOPES]
    if unknown or not scopes:
        raise Invalid(f"scopes are {', '.join(SCOPES)}", pointer="scopes")
    if not name.strip():
        raise Invalid("a key needs a name, so that it can be told from others", pointer="name")
    secret, at = PREFIX + secrets.token_urlsafe(32), runtime.now()
    with runtime.store.write() as session:
        key = keys.add(session, secret, name=name.strip(), scopes=scopes, at=at)
        told = {"name": key.name, "scopes": list(key.scopes)}
        audit.write(session, "key.created", key.id, told, at=at, actor=actor)
    return secret, key


def revoke_key(runtime: Runtime, id_: str, *, actor: str = "command line") -> Key:
    """Revoke a key at once, and close the page sessions it opened."""
    at = runtime.now()
    with runtime.store.write() as session:
        key = next((k for k in keys.every(session) if k.id == id_), None)
        if key is None:
            raise NotFound(f"there is no key {id_}")
        if key.revoked_at is None:
            key = keys.revoke(session, id_, at=at)
            audit.write(session, "key.revoked", id_, {"name": key.name}, at=at, actor=actor)
    return key


def keys_are_on(runtime: Runtime) -> bool:
    """Whether callers must say who they are: a key or user exists, or others than this machine may ask."""
    if not runtime.settings.is_loopback:
        return True
    with runtime.store.read() as session:
        return keys.any_active(session) or users.any_active(session)


def check_exposure(runtime: Runtime) -> None:
    """Raise Invalid rather than listen beyond loopback while anyone could do anything."""
    if runtime.settings.is_loopback:
        return
    with runtime.store.read() as session:
        if not (keys.any_active(session) or users.any_active(session)):
            raise Invalid(
                f"refusing to listen on {runtime.settings.host} without a user or an API key: "
                "make one with `foreshock user add NAME --role admin` or "
                "`foreshock key create NAME --scope admin`, or use host 127.0.0.1"
            )


def key_of(runtime: Runtime, secret: str) -> Key | None:
    with runtime.store.read() as session:
        key = keys.find(session, secret)
    if key and (key.used_at is None or runtime.now() - key.used_at > USED_GRAIN):
        with runtime.store.write() as session:
            keys.touch(session, key.id, at=runtime.now())
    return key


def sign_in(runtime: Runtime, secret: str) -> tuple[str, WebSession] | None:
    """Open a page session with an API key; None when the key is unknown."""
    key = key_of(runtime, secret)
    return open_session(runtime, key) if key else None


def open_session(runtime: Runtime, holder: Key | User) -> tuple[str, WebSession]:
    """A page session of a key or user that was checked; its token goes into a cookie and nowhere else."""
    token, csrf, now = secrets.token_urlsafe(32), secrets.token_urlsafe(24), runtime.now()
    with runtime.store.write() as session:
        opened = keys.sign_in(session, token, holder, csrf=csrf, at=now, until=now + SESSION_KEPT)
        if isinstance(holder, User):
            users.change(session, holder.id, signed_in_at=now)
        audit.write(session, "session.opened", holder.id, {}, at=now, actor=holder.name)
    return token, opened


def session_of(runtime: Runtime, token: str) -> WebSession | None:
    with runtime.store.read() as session:
        return keys.web_session(session, token, at=runtime.now())


def sign_out(runtime: Runtime, token: str) -> None:
    with runtime.store.write() as session:
        keys.sign_out(session, token)
