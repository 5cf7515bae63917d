"""People who may sign in to the pages."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from app.api import schemas
from app.api.deps import Admin, Run, answer
from app.pipeline import accounts
from app.store import users

router = APIRouter(prefix="/v1/users", tags=["users"])


@router.get("", operation_id="listUsers")
def list_(request: Request, run: Run, actor: Admin) -> Response:
    """Everybody who may or might sign in; never their passwords."""
    with run.store.read() as session:
        found = users.every(session)
    return answer(request, {"data": [schemas.user(u) for u in found], "next_cursor": None})


@router.post("", operation_id="createUser", status_code=201)
def create(request: Request, run: Run, actor: Admin, content: schemas.UserIn) -> Response:
    """Add somebody. The answer holds a temporary password, this once; they choose another at first sign-in."""
    found, password = accounts.make_user(run, content.name, content.role, actor=actor)
    return answer(request, schemas.user(found) | {"password": password}, status=201)


@router.patch("/{id}", operation_id="changeUser")
def change(request: Request, run: Run, actor: Admin, id: str, content: schemas.UserChange) -> Response:
    """Give another role, or keep somebody out; the last admin stays one."""
    if content.role is not None:
        accounts.set_role(run, id, content.role, actor=actor)
    if content.disabled is not None:
        (accounts.disable if content.disabled else accounts.enable)(run, id, actor=actor)
    with run.store.read() as session:
        return answer(request, schemas.user(users.get(session, id)))


@router.post("/{id}/password", operation_id="resetPassword")
def reset(request: Request, run: Run, actor: Admin, id: str) -> Response:
    """A temporary password, shown this once; every session of the user is closed."""
    return answer(request, {"password": accounts.reset_password(run, id, actor=actor)[1]})
