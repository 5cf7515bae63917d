"""Signing in by password, API key or identity provider, out again, and one's own account."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from app import oidc
from app.errors import ForeshockError, Invalid
from app.pipeline import access, accounts
from app.pipeline.accounts import TooMany
from app.runtime import Runtime
from app.settings import OIDC_VARIABLE, secret
from app.store import users
from app.store.keys import WebSession
from app.web.guard import ACCOUNT, COOKIE, Reader, Run, Sender, check_origin, is_https, local_path, visitor
from app.web.render import PageRoute, done, page

router = APIRouter(route_class=PageRoute, include_in_schema=False)
ERRAND = "foreshock_errand"  # what a browser keeps while it is at the identity provider
ERRAND_KEPT_S = 600
Field = Annotated[str, Form(max_length=400)]


@router.get("/sign-in")
def ask(request: Request, run: Run, then: str = "/") -> Response:
    if not access.keys_are_on(run):
        return RedirectResponse(local_path(then), 303)
    return _form(request, run, then)


@router.post("/sign-in")
def sign_in(
    request: Request, run: Run, name: Field = "", password: Field = "", key: Field = "", then: Field = "/"
) -> Response:
    """Open a session; what is wrong is not told apart."""
    check_origin(request, run)
    try:
        opened = _opened(request, run, name, password, key.strip())
    except TooMany as error:
        return _form(request, run, then, status=429, too_many=error)
    if opened is None:
        return _form(request, run, then, status=403, failed="key" if key.strip() else "name", name=name)
    return _welcome(request, run, *opened, then=then)


def _opened(
    request: Request, run: Runtime, name: str, password: str, key: str
) -> tuple[str, WebSession] | None:
    if key:
        return access.sign_in(run, key)
    if not (name.strip() and password):
        return None
    address = request.client.host if request.client else ""
    return accounts.sign_in(run, name, password, address=address)


def _form(
    request: Request,
    run: Runtime,
    then: str,
    *,
    status: int = 200,
    failed: str = "",
    name: str = "",
    too_many: TooMany | None = None,
    refused: str = "",
) -> Response:
    with run.store.read() as session:
        has_users = users.any_active(session)
    return page(
        request, None, "sign-in.html", status=status, then=local_path(then), failed=failed, name=name,
        has_users=has_users, has_provider=bool(run.settings.oidc_issuer), refused=refused,
        shut_until=too_many.until if too_many else None,
    )  # fmt: skip


def _welcome(request: Request, run: Runtime, token: str, held: WebSession, *, then: str) -> Response:
    response = RedirectResponse(local_path(then), 303)
    response.set_cookie(
        COOKIE,
        token,
        max_age=int((held.expires_at - run.now()).total_seconds()),
        httponly=True,
        samesite="lax",
        secure=is_https(request, run),
    )
    return response


@router.post("/sign-out")
def sign_out(request: Request, run: Run, token: Annotated[str, Form()] = "") -> Response:
    """Close the session; a reader may do that too."""
    check_origin(request, run)
    found = visitor(request, run)
    response = RedirectResponse("/sign-in", 303)
    if found.signed_in and token == found.token:
        access.sign_out(run, request.cookies.get(COOKIE, ""))
        response.delete_cookie(COOKIE, httponly=True, samesite="lax", secure=is_https(request, run))
    return response


# --- the identity provider --------------------------------------------------------------------------


@router.get("/sign-in/provider")
def leave(request: Request, run: Run, then: str = "/") -> Response:
    """Off to the identity provider."""
    url, errand = oidc.begin(_provider(run))
    response = RedirectResponse(url, 303)
    response.set_cookie(
        ERRAND, _sealed(run, asdict(errand) | {"then": local_path(then)}), max_age=ERRAND_KEPT_S,
        httponly=True, samesite="lax", secure=is_https(request, run), path="/sign-in",
    )  # fmt: skip
    return response


@router.get("/sign-in/return")
def come_back(request: Request, run: Run, state: str = "", code: str = "", error: str = "") -> Response:
    """Back from the identity provider, with a code or with an error."""
    kept = _opened_seal(run, request.cookies.get(ERRAND, ""))
    then = kept.pop("then", "/")
    try:
        if error or not kept:
            raise Invalid(
                "the identity provider did not sign you in" if error else "this sign-in is out of date"
            )
        who = oidc.finish(_provider(run), oidc.Errand(**kept), state=state, code=code, at=run.now())
        response = _welcome(request, run, *accounts.sign_in_from_outside(run, who), then=then)
    except ForeshockError as problem:
        response = _form(request, run, then, status=403, refused=str(problem))
    response.delete_cookie(ERRAND, path="/sign-in")
    return response


def _provider(run: Runtime) -> oidc.Provider:
    s = run.settings
    if not s.oidc_issuer:
        raise Invalid("no identity provider is set up: oidc_issuer and oidc_client_id name one")
    back = f"{s.base_url}/sign-in/return"
    return oidc.Provider(s.oidc_issuer, s.oidc_client_id, secret(OIDC_VARIABLE), back, run.transport)


def _sealed(run: Runtime, values: dict[str, str]) -> str:
    content = base64.urlsafe_b64encode(json.dumps(values).encode()).decode()
    return f"{content}.{_seal(run, content)}"


def _opened_seal(run: Runtime, cookie: str) -> dict[str, str]:
    """What `_sealed` held; {} when it is not ours."""
    content, _, seal = cookie.partition(".")
    if not hmac.compare_digest(seal.encode(), _seal(run, content).encode()):
        return {}
    try:
        found: dict[str, str] = json.loads(base64.urlsafe_b64decode(content))
    except (ValueError, binascii.Error):
        return {}
    return found


def _seal(run: Runtime, content: str) -> str:
    return hmac.new(run.key, f"errand {content}".encode(), hashlib.sha256).hexdigest()


# --- one's own account ------------------------------------------------------------------------------


@router.get(ACCOUNT)
def account(request: Request, visitor: Reader) -> Response:
    """Who you are here, and a password of your own."""
    return page(request, visitor, "account.html", problem="")


@router.post(f"{ACCOUNT}/password")
def change_password(
    request: Request, run: Run, visitor: Sender, old: Field = "", new: Field = "", again: Field = ""
) -> Response:
    """Choose another password; other browsers are signed out."""
    if visitor.user is None:
        raise Invalid("an API key has no password")
    try:
        if new != again:
            raise Invalid("the two new passwords are not the same")
        accounts.change_password(run, visitor.user, old, new, token=request.cookies.get(COOKIE, ""))
    except (Invalid, TooMany) as problem:
        return page(request, visitor, "account.html", status=problem.status, problem=str(problem))
    return done("/" if visitor.user.is_temporary else ACCOUNT, "password")
