"""A page from its template, the headers every page carries, and errors as pages."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.routing import APIRoute
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from app.errors import ForeshockError, TryLater
from app.pipeline import feeds
from app.pipeline.feeds import About
from app.runtime import Runtime
from app.web import charts, shown
from app.web.guard import SignInFirst, Visitor, local_path, runtime_of

HERE = Path(__file__).parent
STATIC = HERE / "static"
NOTICE = "foreshock_notice"
UNDOABLE = 100  # alerts one notice can take back: a cookie holds no more
NOTICES = {
    "acknowledged": "Acknowledged. It is yours now and left “Needs review”.",
    "dismissed": "Dismissed. This stays quiet for two weeks unless it gets much worse.",
    "snoozed": "Snoozed. It returns by itself.",
    "resolved": "Resolved.",
    "assigned": "Assigned. The pattern it is about has the same owner.",
    "unassigned": "Nobody owns it now.",
    "renamed": "Renamed. The name is kept for ever.",
    "linked": "Noted: it came with that release.",
    "unlinked": "Noted: it came with no release.",
    "noted": "Noted: in the timeline, and on the chart.",
    "merged": "Merged. Tickets that arrive later follow; the old address leads here.",
    "split": "Split off. The two are never put together again by the engine.",
    "remove": "Taken out. It does not come back here.",
    "move": "Moved.",
    "link": "Noted: they stay together.",
    "separate": "Noted: the two stay apart.",
    "pin": "Pinned.",
    "dismiss": "Noted: no pattern. It goes on silently.",
    "undo": "Taken back.",
    "accepted": "Done, as suggested.",
    "rejected": "Noted. It is not suggested again.",
    "undone": "Taken back.",
    "backtest": "Asked for. The worker replays it as soon as it can.",
    "halts": "It stops at its next tick.",
    "goes on": "It goes on where it was.",
    "applied": "In force from now on, and in the audit log.",
    "report-asked": "It is sent from the next period on.",
    "report-stopped": "Stopped. Nothing more is sent there.",
    "view": "Saved. Everybody finds it on the inbox.",
    "forgotten": "Forgotten.",
    "fix": "Fix recorded. Whether it worked is judged every day from now on.",
    "password": "Your password is changed. Other browsers were signed out.",
    "first-admin": "You are the first admin. Sign in; from now on everybody does.",
    "role": "The role is changed. It counts from the next click on.",
    "user-disabled": "Disabled. All their sessions are closed.",
    "user-enabled": "Enabled. They may sign in again.",
    "key-revoked": "Revoked. It is refused from now on.",
    "settings": "Saved. The worker follows with its next step; nothing needs a restart.",
    "erased": "Erased, for good. The audit log says who did it.",
    "paused": "Paused. What it delivered stays; nothing new is read.",
    "resumed": "Resumed. It goes on from where it stopped.",
    "history-held": "On hold. What is new is read all the same.",
    "history-goes-on": "It is read on from where it was.",
    "asked": "Asked for. The worker reads it within seconds; reload to see.",
    "webhook": "Saved.",
    "enabled": "Enabled. What waited is sent now; replay what was missed.",
    "disabled": "Switched off. What it is owed keeps waiting.",
    "test-sent": "A test event is on its way; reload to see the answer.",
    "replayed": "On its way again, under its first id; reload to see the answer.",
    "removed": "Removed. Nothing more is sent to it.",
}
NAVIGATION = (
    ("/", "Inbox", ("/patterns", "/alerts")),
    ("/trends", "Trends", ()),
    ("/reports", "Reports", ()),
    ("/similar", "Similar", ()),
    ("/backtests", "Backtest", ()),
    ("/sources", "Sources", ()),
    ("/webhooks", "Webhooks", ()),
    ("/settings", "Settings", ("/users", "/keys", "/audit")),
)
"""The pages the head leads to: address, name, and other addresses that belong to each."""
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.filters |= shown.FILTERS
    made.globals |= {"asset": asset, "spark": charts.spark, "chart": charts.chart}
    return made


def compile_templates() -> None:
    """Compile every template now: a first visitor would wait half a second for the inbox's."""
    for name in _environment().list_templates():
        _environment().get_template(name)


@cache
def asset(name: str) -> str:
    """The address of a static file, which changes with its content."""
    return f"/static/{name}?v={hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:10]}"


def page(
    request: Request,
    visitor: Visitor | None,
    template: str,
    *,
    status: int = 200,
    about: About | None = None,
    **values: Any,
) -> HTMLResponse:
    """The template as a page; the notice a form left behind is shown once.

    `about` says which tickets the page counts: it names the sources whose tickets it may miss.
    """
    runtime = runtime_of(request)
    words = shown.Words(runtime.settings.zone)
    name, *undo = request.cookies.get(NOTICE, "").split(":")
    notice = NOTICES.get(name, "")
    content = _environment().get_template(template).render(
        visitor=visitor, words=words, now=runtime.now(), zone=runtime.settings.time_zone, notice=notice, undo=undo,
        path=request.url.path, here=_here(request), incomplete=_incomplete(runtime, about),
        navigation=_navigation(request.url.path), **values,
    )  # fmt: skip
    response = HTMLResponse(content, status)
    if notice:
        response.delete_cookie(NOTICE)
    return response


def _incomplete(runtime: Runtime, about: About | None) -> tuple[str, ...]:
    """Why numbers on a page may be too low, a sentence a source; nothing on a page without numbers."""
    return tuple(trouble.says for trouble in feeds.touching(runtime, about).values()) if about else ()


def _navigation(path: str) -> list[tuple[str, str, bool]]:
    """(address, name, whether `path` is in it) of the head's links."""
    return [
        (address, name, path == address or path.startswith((f"{address.rstrip('/')}/", *beneath))
         if address != "/" else path == "/" or path.startswith(beneath))
        for address, name, beneath in NAVIGATION
    ]  # fmt: skip


def _here(request: Request) -> str:
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")


def done(then: str, notice: str, *, undo: Sequence[str] = ()) -> Response:
    """Back to a page of ours after a form, saying what was done; decisions about alerts `undo` can be taken back."""
    response = RedirectResponse(local_path(then), 303)
    left = ":".join((notice, *undo[:UNDOABLE]))
    response.set_cookie(NOTICE, left, max_age=60, httponly=True, samesite="lax")
    return response


class PageRoute(APIRoute):
    """A route whose errors are pages too, and whose answers carry the security headers."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            try:
                response = await handle(request)
            except SignInFirst as first:
                response = RedirectResponse(first.url, 303)
            except RequestValidationError as error:
                response = failed(request, 422, "The form is incomplete", _missing(error))
            except ForeshockError as error:
                response = failed(request, error.status, error.title, str(error))
                if isinstance(error, TryLater):
                    response.headers["Retry-After"] = str(max(1, round(error.after_s)))
            response.headers.update(self.headers(request))
            return response

        return guarded

    def headers(self, request: Request) -> Mapping[str, str]:  # noqa: ARG002 - a page of another kind may ask
        """What every answer of this kind carries."""
        return HEADERS


def _missing(error: RequestValidationError) -> str:
    return "; ".join(f"{problem['loc'][-1]}: {problem['msg'].lower()}" for problem in error.errors())


def failed(request: Request, status: int, title: str, detail: str) -> HTMLResponse:
    return page(request, None, "error.html", status=status, title=title, detail=detail)
