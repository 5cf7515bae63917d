"""API keys: made, listed, revoked; a secret is shown once."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from app.api import schemas
from app.api.deps import Admin, Run, answer
from app.pipeline import access
from app.store import keys

router = APIRouter(prefix="/v1/keys", tags=["keys"])


@router.get("", operation_id="listKeys")
def list_(request: Request, run: Run, actor: Admin) -> Response:
    """Every key with when it was last used; never its secret."""
    with run.store.read() as session:
        found = keys.every(session)
    return answer(request, {"data": [schemas.key(k) for k in found], "next_cursor": None})


@router.post("", operation_id="createKey", status_code=201)
def create(request: Request, run: Run, actor: Admin, content: schemas.KeyIn) -> Response:
    """A new key. The answer holds its secret, this once."""
    secret, key = access.make_key(run, content.name, content.scopes, actor=actor)
    return answer(request, schemas.key(key) | {"secret": secret}, status=201)


@router.delete("/{id}", operation_id="revokeKey", status_code=204)
def revoke(run: Run, actor: Admin, id: str) -> Response:
    """Refuse a key from now on, and close the page sessions it opened."""
    access.revoke_key(run, id, actor=actor)
    return Response(status_code=204)
