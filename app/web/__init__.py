"""The review pages: server-rendered, readable without JavaScript."""

from __future__ import annotations

from fastapi import FastAPI, Response
from fastapi.staticfiles import StaticFiles
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import Scope

from app.reports import html
from app.runtime import Runtime
from app.web import (
    audit,
    backtests,
    brief,
    edit,
    evidence,
    inbox,
    pattern,
    reports,
    settings,
    signin,
    similar,
    sources,
    trends,
    users,
    webhooks,
    widget,
)  # fmt: skip
from app.web.made import KEPT, Made
from app.web.render import STATIC, compile_templates
from app.web.threads import Threads
from app.web.traffic import Traffic


class _Assets(StaticFiles):
    """Stylesheet, script and fonts; an address with a version in it never changes its content."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        versioned = scope.get("query_string", b"").startswith(b"v=") or path.endswith(".woff2")
        lasting = "public, max-age=31536000, immutable"
        response.headers["Cache-Control"] = lasting if versioned else "no-cache"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response


def warm(app: FastAPI) -> None:
    """Make ready what the next visitor would wait for: templates, charts, common threads, figures of the last weeks.

    Harmless to repeat, and cheap while nothing has changed.
    """
    state, run = app.state, app.state.runtime
    compile_templates()
    html.compile_templates()
    with run.store.read() as session:
        inbox.prepare(session, run, state.traffic, state.threads)
    reports.prepare(run, state.reports, younger=KEPT / 2)
    trends.prepare(run, state.moves, younger=KEPT / 2)


def mount(app: FastAPI, runtime: Runtime) -> None:
    """Add the pages and their files to `app`.

    Answers are packed. What a form's token is worth to a reader of sizes (the BREACH attack) is little: the
    session's cookie does not come with another site's requests.
    """
    app.add_middleware(GZipMiddleware, minimum_size=1000, compresslevel=5)
    app.state.runtime = runtime
    app.state.traffic = Traffic(runtime)
    app.state.threads = Threads()
    app.state.reports, app.state.moves, app.state.middles = Made(), Made(), Made()
    app.mount("/static", _Assets(directory=STATIC), name="static")
    for part in (
        inbox, edit, pattern, brief, evidence, trends, reports, similar, backtests, sources, webhooks, settings, users,
        audit, signin, widget,
    ):  # fmt: skip
        app.include_router(part.router)
