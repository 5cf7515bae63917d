"""Who is asking, and whether the page they look at really sent the form.

As soon as a key or a user exists a page needs a session. Before that only loopback may ask, by a
loopback name, so that no other site's page can reach the desk through the reader's browser. Every form
carries a token either way.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import quote, urlsplit

from fastapi import Depends, Form, Request

from app.errors import Forbidden
from app.pipeline import access
from app.runtime import Runtime
from app.settings import LOOPBACK
from app.store.users import User

COOKIE = "foreshock_session"
ACCOUNT = "/account"  # where people with a temporary password are sent


class SignInFirst(Exception):
    """Nobody is signed in: go to the sign-in page and come back to `then`."""

    def __init__(self, then: str) -> None:
        super().__init__(then)
        self.url = f"/sign-in?then={quote(then)}"


class ChoosePasswordFirst(SignInFirst):
    """Somebody else made this user's password: choose another one before anything else."""

    def __init__(self) -> None:
        super().__init__("/")
        self.url = ACCOUNT


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who looks at a page; `token` must come back with every form."""

    name: str
    token: str
    scopes: tuple[str, ...]
    signed_in: bool
    user: User | None = None  # None: an API key's session, or nobody needs to sign in

    @property
    def may_write(self) -> bool:
        return access.allows(self, "write")

    @property
    def is_admin(self) -> bool:
        return access.allows(self, "admin")


def runtime_of(request: Request) -> Runtime:
    found: Runtime = request.app.state.runtime
    return found


def current(request: Request) -> Runtime:
    """The runtime, with the settings as they stand now."""
    found = runtime_of(request)
    found.refresh()
    return found


Run = Annotated[Runtime, Depends(current)]


def visitor(request: Request, run: Run) -> Visitor:
    """The visitor, who may read; SignInFirst when nobody is signed in."""
    if not access.keys_are_on(run):
        check_host(request, run)
        return Visitor("local", keyless_token(run), ("admin",), signed_in=False)
    held = access.session_of(run, request.cookies.get(COOKIE, ""))
    if held is None:
        raise SignInFirst(_path(request))
    user = held.holder if isinstance(held.holder, User) else None
    if user is not None and user.is_temporary and not request.url.path.startswith((ACCOUNT, "/sign-out")):
        raise ChoosePasswordFirst
    return Visitor(held.holder.name, held.csrf, held.holder.scopes, signed_in=True, user=user)


Reader = Annotated[Visitor, Depends(visitor)]


def sender(request: Request, run: Run, found: Reader, token: Annotated[str, Form()] = "") -> Visitor:
    """The visitor, who sent a form of ours."""
    check_origin(request, run)
    if not hmac.compare_digest(token.encode(), found.token.encode()):
        raise Forbidden("this form is out of date: go back, reload the page and send it again")
    return found


Sender = Annotated[Visitor, Depends(sender)]


def _sender_with(scope: str) -> Callable[..., Visitor]:
    def check(found: Sender) -> Visitor:
        access.require(found, scope)
        return found

    return check


def _admin_reader(found: Reader) -> Visitor:
    access.require(found, "admin")
    return found


Writer = Annotated[Visitor, Depends(_sender_with("write"))]
Admin = Annotated[Visitor, Depends(_sender_with("admin"))]
AdminReader = Annotated[Visitor, Depends(_admin_reader)]


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
