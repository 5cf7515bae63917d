"""Who may come in: people with their roles, and API keys; a secret is shown once."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response

from app.errors import Conflict, Invalid
from app.pipeline import access, accounts
from app.runtime import Runtime
from app.store import keys, users
from app.web.guard import Admin, AdminReader, Run, Sender, Visitor
from app.web.render import PageRoute, done, page

router = APIRouter(route_class=PageRoute, include_in_schema=False)
Field = Annotated[str, Form(max_length=400)]
ROLES = {
    "viewer": "reads everything",
    "lead": "also decides about alerts and patterns, and manages webhooks",
    "admin": "also manages sources, settings, users and keys",
}
SCOPES = {"read": "Read", "write": "Read and change", "admin": "Everything, users and settings too"}


@router.get("/users")
def list_(request: Request, run: Run, visitor: AdminReader) -> Response:
    """Everybody who may sign in."""
    return _users(request, run, visitor)


def _users(
    request: Request,
    run: Runtime,
    visitor: Visitor,
    *,
    problem: str = "",
    made: tuple[str, str] | None = None,
    status: int = 200,
) -> Response:
    with run.store.read() as session:
        found = users.every(session)
    return page(
        request, visitor, "users.html", status=status, users=found, roles=ROLES, problem=problem, made=made,
        is_open=not access.keys_are_on(run), has_provider=bool(run.settings.oidc_issuer),
        oidc_role=run.settings.oidc_role,
    )  # fmt: skip


@router.post("/users")
def add(request: Request, run: Run, visitor: Admin, name: Field = "", role: Field = "viewer") -> Response:
    """Somebody new, with a temporary password shown on this answer only."""
    try:
        user, secret = accounts.make_user(run, name, role, actor=visitor.name)
    except (Invalid, Conflict) as error:
        return _users(request, run, visitor, problem=str(error), status=error.status)
    return _users(request, run, visitor, made=(user.name, secret))


@router.post("/users/first")
def add_first(
    request: Request, run: Run, visitor: Sender, name: Field = "", new: Field = "", again: Field = ""
) -> Response:
    """The first admin; from then on everybody signs in."""
    try:
        if new != again:
            raise Invalid("the two passwords are not the same")
        accounts.make_first_admin(run, name, new)
    except Invalid as error:
        return _users(request, run, visitor, problem=str(error), status=error.status)
    return done("/sign-in", "first-admin")


@router.post("/users/{id_}/role")
def set_role(run: Run, visitor: Admin, id_: str, role: Field = "") -> Response:
    accounts.set_role(run, id_, role, actor=visitor.name)
    return done("/users", "role")


@router.post("/users/{id_}/disable")
def disable(run: Run, visitor: Admin, id_: str) -> Response:
    accounts.disable(run, id_, actor=visitor.name)
    return done("/users", "user-disabled")


@router.post("/users/{id_}/enable")
def enable(run: Run, visitor: Admin, id_: str) -> Response:
    accounts.enable(run, id_, actor=visitor.name)
    return done("/users", "user-enabled")


@router.post("/users/{id_}/password")
def reset(request: Request, run: Run, visitor: Admin, id_: str) -> Response:
    """A temporary password, shown on this answer only."""
    user, secret = accounts.reset_password(run, id_, actor=visitor.name)
    return _users(request, run, visitor, made=(user.name, secret))


# --- API keys ---------------------------------------------------------------------------------------


@router.get("/keys")
def list_keys(request: Request, run: Run, visitor: AdminReader) -> Response:
    """Every key; secrets are not stored, so none can be shown."""
    return _keys(request, run, visitor)


def _keys(
    request: Request,
    run: Runtime,
    visitor: Visitor,
    *,
    problem: str = "",
    made: tuple[str, str] | None = None,
    status: int = 200,
) -> Response:
    with run.store.read() as session:
        found = keys.every(session)
    return page(
        request, visitor, "keys.html", status=status, problem=problem, made=made, scopes=SCOPES,
        active=[k for k in found if not k.revoked_at], revoked=[k for k in found if k.revoked_at],
        is_open=not access.keys_are_on(run),
    )  # fmt: skip


@router.post("/keys")
def add_key(request: Request, run: Run, visitor: Admin, name: Field = "", scope: Field = "read") -> Response:
    """A new key, its secret shown on this answer only."""
    try:
        was_open = not access.keys_are_on(run)
        secret, key = access.make_key(run, name, [scope], actor=visitor.name)
    except Invalid as error:
        return _keys(request, run, visitor, problem=str(error), status=error.status)
    if was_open:  # from here on everybody signs in: this browser with the key it was just shown
        return page(request, None, "first-key.html", name=key.name, secret=secret)
    return _keys(request, run, visitor, made=(key.name, secret))


@router.post("/keys/{id_}/revoke")
def revoke(run: Run, visitor: Admin, id_: str) -> Response:
    access.revoke_key(run, id_, actor=visitor.name)
    return done("/keys", "key-revoked")
