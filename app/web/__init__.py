"""The review pages: server-rendered, readable without JavaScript."""

from __future__ import annotations

from fastapi import FastAPI, Response
from fastapi.staticfiles import StaticFiles
from starlette.types import Scope

from app.runtime import Runtime
from app.web import audit, edit, inbox, pattern, settings, signin, sources, users, webhooks
from app.web.render import STATIC
from app.web.threads import Threads
from app.web.traffic import Traffic


class _Assets(StaticFiles):
    """Stylesheet and script; an address with a version in it never changes its content."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        versioned = scope.get("query_string", b"").startswith(b"v=")
        lasting = "public, max-age=31536000, immutable"
        response.headers["Cache-Control"] = lasting if versioned else "no-cache"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response


def mount(app: FastAPI, runtime: Runtime) -> None:
    """Add the pages and their files to `app`."""
    app.state.runtime = runtime
    app.state.traffic = Traffic(runtime)
    app.state.threads = Threads()
    app.mount("/static", _Assets(directory=STATIC), name="static")
    for part in (inbox, edit, pattern, sources, webhooks, settings, users, audit, signin):
        app.include_router(part.router)
