"""People: made, given a role, signed in by password or by the identity provider, and kept from guessing.

Passwords are hashed with argon2id (RFC 9106, its low-memory profile). An attempt is counted before it is
looked at, so that many at once get no more looks than one after another; a name that does not exist is
treated, and timed, like one that does.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import secrets
from datetime import datetime, timedelta

from argon2 import PasswordHasher, profiles
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from sqlmodel import Session

from app.errors import Conflict, ForeshockError, Invalid
from app.oidc import Identity
from app.pipeline import access
from app.runtime import Runtime
from app.store import audit, keys, users
from app.store.keys import WebSession
from app.store.users import ROLES, User

LEAST_CHARACTERS, MOST_CHARACTERS = 12, 200
GUESSES = {"name": 5, "address": 30}
"""Attempts without a success before a name, or the address they come from, is shut for a while."""
GUESSES_KEPT = timedelta(hours=1)
FIRST_SHUT, LONGEST_SHUT = timedelta(seconds=30), timedelta(minutes=15)
_HASHER = PasswordHasher.from_parameters(profiles.RFC_9106_LOW_MEMORY)
_NOBODY = _HASHER.hash("the password of nobody")


class TooMany(ForeshockError):
    """Too many attempts went wrong: wait until `until`."""

    title = "Too many attempts"
    status = 429

    def __init__(self, until: datetime) -> None:
        super().__init__("too many attempts went wrong, so none is looked at for a while")
        self.until = until


def make_user(
    runtime: Runtime, name: str, role: str, *, password: str = "", actor: str = "command line"
) -> tuple[User, str]:
    """A new user and, when no password was given, a temporary one that is told this once."""
    name, chosen = _name(name), password or secrets.token_urlsafe(12)
    _check_role(role)
    check_password(chosen, name)
    made, at = _HASHER.hash(chosen), runtime.now()
    with runtime.store.write() as session:
        user = users.add(session, name=name, role=role, at=at, password_hash=made, is_temporary=not password)
        audit.write(session, "user.created", user.id, {"name": name, "role": role}, at=at, actor=actor)
    return user, "" if password else chosen


def make_first_admin(runtime: Runtime, name: str, password: str) -> User:
    """The first admin, made by whoever sits at this machine; Conflict as soon as anyone can sign in."""
    name = _name(name)
    check_password(password, name)
    made, at = _HASHER.hash(password), runtime.now()
    with runtime.store.write() as session:
        if not runtime.settings.is_loopback or keys.any_active(session) or users.any_active(session):
            raise Conflict("somebody can sign in already: ask an admin to add you")
        user = users.add(session, name=name, role="admin", at=at, password_hash=made)
        audit.write(session, "user.created", user.id, {"name": name, "role": "admin"}, at=at, actor="local")
    return user


def set_role(runtime: Runtime, id_: str, role: str, *, actor: str = "command line") -> User:
    _check_role(role)
    at = runtime.now()
    with runtime.store.write() as session:
        before = users.get(session, id_)
        user = users.change(session, id_, role=role)
        _keep_an_admin(session, before)
        audit.write(session, "user.changed", id_, {"from": before.role, "to": role}, at=at, actor=actor)
    return user


def disable(runtime: Runtime, id_: str, *, actor: str = "command line") -> User:
    """Keep a user out from now on; what they did keeps their name."""
    at = runtime.now()
    with runtime.store.write() as session:
        before = users.get(session, id_)
        user = users.change(session, id_, disabled_at=at)
        _keep_an_admin(session, before)
        keys.sign_out_user(session, id_)
        audit.write(session, "user.disabled", id_, {"name": user.name}, at=at, actor=actor)
    return user


def enable(runtime: Runtime, id_: str, *, actor: str = "command line") -> User:
    at = runtime.now()
    with runtime.store.write() as session:
        user = users.change(session, id_, disabled_at=None)
        audit.write(session, "user.enabled", id_, {"name": user.name}, at=at, actor=actor)
    return user


def reset_password(
    runtime: Runtime, id_: str, *, password: str = "", actor: str = "command line"
) -> tuple[User, str]:
    """Another password for somebody who lost theirs: the one given, or a temporary one told this once."""
    with runtime.store.read() as session:
        name = users.get(session, id_).name
    chosen = password or secrets.token_urlsafe(12)
    check_password(chosen, name)
    made, at = _HASHER.hash(chosen), runtime.now()
    with runtime.store.write() as session:
        user = users.change(session, id_, password_hash=made, is_temporary=not password)
        keys.sign_out_user(session, id_)
        users.forget_guesses(session, _who(runtime, "name", name))
        audit.write(session, "user.password_reset", id_, {"name": name}, at=at, actor=actor)
    return user, "" if password else chosen


def change_password(runtime: Runtime, user: User, old: str, new: str, *, token: str) -> None:
    """A password of one's own choice; every other session of the user is closed."""
    with runtime.store.read() as session:
        held = users.password_hash(session, user.id)
    _count(runtime, user.name)
    if not _fits(held, old):
        raise Invalid("the present password is another one", pointer="old")
    check_password(new, user.name)
    if new == old:
        raise Invalid("choose a password other than the present one", pointer="new")
    made, at = _HASHER.hash(new), runtime.now()
    with runtime.store.write() as session:
        users.change(session, user.id, password_hash=made, is_temporary=False)
        keys.sign_out_user(session, user.id, but=token)
        users.forget_guesses(session, _who(runtime, "name", user.name))
        audit.write(session, "user.password_changed", user.id, {}, at=at, actor=user.name)


def sign_in(runtime: Runtime, name: str, password: str, *, address: str) -> tuple[str, WebSession] | None:
    """Open a page session; None when name or password is wrong. Raises TooMany."""
    name = " ".join(name.split())
    _count(runtime, name, address)
    with runtime.store.read() as session:
        user = users.by_name(session, name)
        held = users.password_hash(session, user.id) if user and user.disabled_at is None else ""
    if not _fits(held or _NOBODY, password[:MOST_CHARACTERS]) or not held or user is None:
        with runtime.store.write() as session:
            _count_one(session, _who(runtime, "address", address), GUESSES["address"], runtime.now())
        return None
    with runtime.store.write() as session:
        users.forget_guesses(session, _who(runtime, "name", name))
        if _HASHER.check_needs_rehash(held):
            users.change(session, user.id, password_hash=_HASHER.hash(password))
    return access.open_session(runtime, user)


def sign_in_from_outside(runtime: Runtime, who: Identity) -> tuple[str, WebSession]:
    """Open a session for somebody the identity provider vouches for; Invalid when no user is theirs.

    A user is known by issuer and subject. The first time it is the user whose name is the confirmed
    address, or a new one when `oidc_role` gives newcomers a role.
    """
    at, role = runtime.now(), runtime.settings.oidc_role
    with runtime.store.write() as session:
        user = users.by_outside(session, who.id) or _met_first(session, who, at, role)
    if user.disabled_at is not None:
        raise Invalid(f"{user.name} was disabled: ask an admin")
    return access.open_session(runtime, user)


def _met_first(session: Session, who: Identity, at: datetime, role: str) -> User:
    named = users.by_name(session, who.address) if who.address else None
    if named is not None and named.outside is None:
        user = users.change(session, named.id, outside=who.id)
        audit.write(session, "user.linked", user.id, {"name": user.name}, at=at, actor=user.name)
        return user
    if not role or named is not None or not who.address:
        raise Invalid(f"no user is called {who.address or 'that'}: ask an admin to add one by that name")
    user = users.add(session, name=who.address, role=role, at=at, outside=who.id)
    audit.write(session, "user.created", user.id, {"name": user.name, "role": role}, at=at, actor=user.name)
    return user


def check_password(password: str, name: str) -> None:
    """Raise Invalid for a password that is short, or is the name (NIST SP 800-63B asks for no more)."""
    if not LEAST_CHARACTERS <= len(password) <= MOST_CHARACTERS:
        raise Invalid(
            f"a password has {LEAST_CHARACTERS} to {MOST_CHARACTERS} characters: a few words are easily kept",
            pointer="password",
        )
    if password.casefold().strip() == name.casefold() or len(set(password)) < 4:
        raise Invalid("this password is too easily guessed: take a few words", pointer="password")


def _name(text: str) -> str:
    name = " ".join(text.split())
    if not name or len(name) > 100:
        raise Invalid("a user needs a name of at most 100 characters", pointer="name")
    return name


def _check_role(role: str) -> None:
    if role not in ROLES:
        raise Invalid(f"roles are {', '.join(ROLES)}", pointer="role")


def _keep_an_admin(session: Session, before: User) -> None:
    """Refuse to take the last admin away: the change is rolled back with the transaction."""
    if before.role == "admin" and not users.any_active(session, role="admin"):
        raise Conflict("this is the last admin: make another one first")


def _fits(held: str, password: str) -> bool:
    try:
        return _HASHER.verify(held, password)
    except (VerifyMismatchError, InvalidHashError):
        return False


def _count(runtime: Runtime, name: str, address: str = "") -> None:
    """Count an attempt before it is looked at; raise TooMany while its name or address is shut."""
    at = runtime.now()
    asked = [_who(runtime, "name", name), *([_who(runtime, "address", address)] if address else [])]
    with runtime.store.write() as session:
        until = max((s for who in asked if (s := users.shut_until(session, who, at=at))), default=None)
        if until is None:
            _count_one(session, asked[0], GUESSES["name"], at)
    if until is not None:
        raise TooMany(until)


def _count_one(session: Session, who: str, free: int, at: datetime) -> None:
    beyond = users.count_guess(session, who, at=at, kept=GUESSES_KEPT) - free
    if beyond >= 0:
        doublings = min(beyond, math.ceil(math.log2(LONGEST_SHUT / FIRST_SHUT)))
        users.shut(session, who, until=at + min(FIRST_SHUT * 2**doublings, LONGEST_SHUT))
        audit.write(session, "session.shut", who[:12], {"attempts": free + beyond}, at=at, actor="engine")


def _who(runtime: Runtime, kind: str, text: str) -> str:
    """Names and addresses are kept hashed: a password typed into the wrong field is a name too."""
    return hmac.new(runtime.key, f"guess {kind} {text.casefold()}".encode(), hashlib.sha256).hexdigest()
