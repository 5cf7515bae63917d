"""Signing in with an API key, and out again."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from app.pipeline import access
from app.web.guard import COOKIE, Run, check_origin, is_https, local_path, visitor
from app.web.render import PageRoute, page

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/sign-in")
def ask(request: Request, run: Run, then: str = "/") -> Response:
    if not access.keys_are_on(run):
        return RedirectResponse(local_path(then), 303)
    return page(request, None, "sign-in.html", then=local_path(then), failed=False)


@router.post("/sign-in")
def sign_in(
    request: Request, run: Run, key: Annotated[str, Form(max_length=200)] = "", then: Annotated[str, Form()] = "/"
) -> Response:  # fmt: skip
    """Open a session; an unknown key is told so and nothing more."""
    check_origin(request, run)
    opened = access.sign_in(run, key.strip()) if key.strip() else None
    if opened is None:
        return page(request, None, "sign-in.html", status=403, then=local_path(then), failed=True)
    token, held = opened
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
