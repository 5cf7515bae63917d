"""Who may do what: API keys with scopes, and the page sessions they open."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import timedelta

from app.errors import Invalid
from app.runtime import Runtime
from app.store import keys
from app.store.keys import SCOPES, Key, WebSession

PREFIX = "fsk_"
SESSION_KEPT = timedelta(hours=12)
USED_GRAIN = timedelta(minutes=1)


def make_key(runtime: Runtime, name: str, scopes: Sequence[str]) -> tuple[str, Key]:
    """A new key; its secret is returned once and never stored."""
    unknown = [s for s in scopes if s not in SCOPES]
    if unknown or not scopes:
        raise Invalid(f"scopes are {', '.join(SCOPES)}", pointer="scopes")
    if not name.strip():
        raise Invalid("a key needs a name, so that it can be told from others", pointer="name")
    secret = PREFIX + secrets.token_urlsafe(32)
    with runtime.store.write() as session:
        return secret, keys.add(session, secret, name=name.strip(), scopes=scopes, at=runtime.now())


def revoke_key(runtime: Runtime, id_: str) -> Key:
    with runtime.store.write() as session:
        return keys.revoke(session, id_, at=runtime.now())


def keys_are_on(runtime: Runtime) -> bool:
    """Whether a key must be shown: as soon as one exists, or when listening beyond loopback."""
    if not runtime.settings.is_loopback:
        return True
    with runtime.store.read() as session:
        return keys.any_active(session)


def check_exposure(runtime: Runtime) -> None:
    """Raise Invalid rather than listen beyond loopback while anyone could do anything."""
    if runtime.settings.is_loopback:
        return
    with runtime.store.read() as session:
        if not keys.any_active(session):
            raise Invalid(
                f"refusing to listen on {runtime.settings.host} without an API key: "
                "make one with `foreshock key create NAME --scope admin`, or use host 127.0.0.1"
            )


def key_of(runtime: Runtime, secret: str) -> Key | None:
    with runtime.store.read() as session:
        key = keys.find(session, secret)
    if key and (key.used_at is None or runtime.now() - key.used_at > USED_GRAIN):
        with runtime.store.write() as session:
            keys.touch(session, key.id, at=runtime.now())
    return key


def allows(key: Key, scope: str) -> bool:
    """Admin may do all; write may read."""
    return any(SCOPES.index(held) >= SCOPES.index(scope) for held in key.scopes)


def sign_in(runtime: Runtime, secret: str) -> tuple[str, WebSession] | None:
    """Open a page session with an API key; None when the key is unknown."""
    key = key_of(runtime, secret)
    if key is None:
        return None
    token, csrf, now = secrets.token_urlsafe(32), secrets.token_urlsafe(24), runtime.now()
    with runtime.store.write() as session:
        keys.sign_in(session, token, key, csrf=csrf, at=now, until=now + SESSION_KEPT)
    return token, WebSession(key, csrf, now + SESSION_KEPT)


def session_of(runtime: Runtime, token: str) -> WebSession | None:
    with runtime.store.read() as session:
        return keys.web_session(session, token, at=runtime.now())


def sign_out(runtime: Runtime, token: str) -> None:
    with runtime.store.write() as session:
        keys.sign_out(session, token)
