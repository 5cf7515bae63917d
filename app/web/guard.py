"""Who is asking, and whether the page they look at really sent the form.

With keys on, a page needs a session opened with an API key. Without keys only loopback may ask, by a
loopback name, so that no other site's page can reach the desk through the reader's browser. Every form
carries a token either way.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import quote, urlsplit

from fastapi import Depends, Form, Request

from app.errors import ForeshockError
from app.pipeline import access
from app.runtime import Runtime
from app.settings import LOOPBACK

COOKIE = "foreshock_session"


class Forbidden(ForeshockError):
    """The caller may not do this: sign in with another key, or send the form again from its page."""

    title = "Not allowed"
    status = 403


class SignInFirst(Exception):
    """Nobody is signed in: go to the sign-in page and come back to `then`."""

    def __init__(self, then: str) -> None:
        super().__init__(then)
        self.url = f"/sign-in?then={quote(then)}"


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who looks at a page; `token` must come back with every form."""

    name: str
    token: str
    may_write: bool
    signed_in: bool


def runtime_of(request: Request) -> Runtime:
    found: Runtime = request.app.state.runtime
    return found


Run = Annotated[Runtime, Depends(runtime_of)]


def visitor(request: Request, run: Run) -> Visitor:
    """The visitor, who may read; SignInFirst when nobody is signed in."""
    if not access.keys_are_on(run):
        check_host(request, run)
        return Visitor("local", keyless_token(run), may_write=True, signed_in=False)
    held = access.session_of(run, request.cookies.get(COOKIE, ""))
    if held is None:
        raise SignInFirst(_path(request))
    return Visitor(held.key.name, held.csrf, access.allows(held.key, "write"), signed_in=True)


Reader = Annotated[Visitor, Depends(visitor)]


def writer(request: Request, run: Run, found: Reader, token: Annotated[str, Form()] = "") -> Visitor:
    """The visitor, who may write and sent a form of ours."""
    check_origin(request, run)
    if not hmac.compare_digest(token.encode(), found.token.encode()):
        raise Forbidden("this form is out of date: go back, reload the page and send it again")
    if not found.may_write:
        raise Forbidden(f"the key {found.name!r} may read but not write: sign in with one that may")
    return found


Writer = Annotated[Visitor, Depends(writer)]


def keyless_token(run: Runtime) -> str:
    """What forms carry while no keys exist: known to this installation's own pages only."""
    return hmac.new(run.key, b"page forms", hashlib.sha256).hexdigest()[:32]


def check_host(request: Request, run: Runtime) -> None:
    """Refuse a foreign name for this machine: that is how other sites reach into a loopback service."""
    allowed = {*LOOPBACK, urlsplit(run.settings.public_url).hostname}
    if (request.url.hostname or "").strip("[]") not in allowed:
        raise Forbidden(
            f"this desk has no keys yet, so it answers on this machine only, not as {request.url.hostname!r}: "
            "make a key with `foreshock key create NAME --scope admin`, or open http://127.0.0.1"
        )


def check_origin(request: Request, run: Runtime) -> None:
    """Refuse a form that another site's page sent, as far as the browser says where it was."""
    site = request.headers.get("sec-fetch-site", "same-origin")
    origin = request.headers.get("origin")
    own = {request.headers.get("host", ""), urlsplit(run.settings.public_url).netloc} - {""}
    if site not in ("same-origin", "none") or (origin is not None and urlsplit(origin).netloc not in own):
        raise Forbidden("this form was sent from another site's page, so nothing was changed")


def is_https(request: Request, run: Runtime) -> bool:
    return request.url.scheme == "https" or run.settings.public_url.startswith("https:")


def local_path(path: str) -> str:
    """`path` when it stays on this site, else the inbox."""
    inside = path.startswith("/") and not path.startswith(("//", "/\\")) and "\n" not in path
    return path if inside else "/"


def _path(request: Request) -> str:
    if request.method != "GET":
        return "/"
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")
