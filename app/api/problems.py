"""Every error as RFC 9457 `application/problem+json`; never a stack trace."""

from __future__ import annotations

import logging
from html import escape
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.exceptions import HTTPException

from app.api.schemas import MANY, ONE
from app.errors import ForeshockError, Invalid, TryLater

log = logging.getLogger(__name__)


EXPLAINED = {
    400: "A header has a form that cannot be read. The detail says which form it takes.",
    401: "No API key was sent, or it is unknown or revoked. Send Authorization: Bearer fsk_...",
    403: "The key lacks the scope that is named, or the request came from another site's page.",
    404: "What the address names does not exist.",
    405: "The address exists, but does not take that method.",
    409: "The request contradicts what is stored; the detail names it. Read the current state and decide again.",
    412: "The pattern has changed since it was read. Read it again and send its new ETag as If-Match.",
    413: "The body is larger than body_limit_kb. Send less at a time.",
    415: "The body must be JSON, said so by Content-Type: application/json.",
    421: "The host name is not this machine's. Use 127.0.0.1, or set public_url.",
    422: "A value cannot be used. errors lists each with a JSON pointer to it.",
    428: "Changes to a pattern need If-Match with the ETag it was read with.",
    429: "Too many requests. Wait as long as Retry-After says.",
    500: "Something unexpected went wrong; the log has it under the request's id.",
    503: "The same request can succeed later. Wait as long as Retry-After says.",
}
"""Every status a problem can have, in words: the page that `type` points to."""


NO_OBJECT = {"model_attributes_type", "model_type", "dict_type"}
"""What pydantic calls a value that should have had named fields; its own words are about Python."""


class Problem(Exception):
    """An HTTP-only error: a status, a sentence, and headers that go with it."""

    def __init__(self, status: int, detail: str, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.headers = status, headers or {}


def _slug(status: int) -> str:
    return HTTPStatus(status).phrase.lower().replace(" ", "-")


def problem(request: Request | None, status: int, detail: str, **more: Any) -> JSONResponse:
    """A problem document; `title` is the status's own phrase, `type` the section that explains it."""
    title = HTTPStatus(status).phrase
    headers = more.pop("headers", None)
    content = {"type": f"/docs/problems#{_slug(status)}", "title": title, "status": status, "detail": detail}
    if request is not None:
        content["instance"] = request.url.path
    return JSONResponse(content | more, status, media_type="application/problem+json", headers=headers)


def install(app: FastAPI) -> None:
    """Answer every kind of error as a problem."""

    @app.get("/docs/problems", include_in_schema=False)
    def _pages() -> HTMLResponse:
        parts = [
            f'<h2 id="{_slug(status)}">{status} {HTTPStatus(status).phrase}</h2><p>{escape(text)}</p>'
            for status, text in EXPLAINED.items()
        ]
        head = '<!doctype html><html lang="en"><meta charset="utf-8"><title>Problems</title><h1>Problems</h1>'
        return HTMLResponse(head + "".join(parts) + "</html>")

    @app.exception_handler(Problem)
    def _problem(request: Request, error: Problem) -> Response:
        return problem(request, error.status, str(error), headers=error.headers)

    @app.exception_handler(ForeshockError)
    def _expected(request: Request, error: ForeshockError) -> Response:
        more: dict[str, Any] = {}
        if isinstance(error, Invalid) and error.pointer:
            more["errors"] = [{"detail": str(error), "pointer": error.pointer}]
        if isinstance(error, TryLater):
            more["headers"] = {"Retry-After": str(max(1, round(error.after_s)))}
        return problem(request, error.status, str(error), **more)

    @app.exception_handler(RequestValidationError)
    def _invalid(request: Request, error: RequestValidationError) -> Response:
        errors = [_said(e) for e in error.errors()]
        first = errors[0]
        detail = f"{first['pointer'] or 'body'}: {first['detail']}"
        return problem(request, 422, detail, errors=errors)

    @app.exception_handler(HTTPException)
    def _http(request: Request, error: HTTPException) -> Response:
        detail = {404: "there is no such address", 405: "this address does not take that method"}
        return problem(
            request, error.status_code, detail.get(error.status_code, str(error.detail)),
            headers=dict(error.headers or {}),
        )  # fmt: skip

    @app.exception_handler(Exception)
    def _unexpected(request: Request, error: Exception) -> Response:
        log.exception("unexpected error at %s %s", request.method, request.url.path, exc_info=error)
        return problem(request, 500, "an unexpected error; the log has it under this request's id")


def _said(error: dict[str, Any]) -> dict[str, str]:
    if error["type"] == "json_invalid":
        place = f"at character {error['loc'][-1]}"
        return {"detail": f"no JSON: {error['ctx']['error']} {place}", "pointer": ""}
    detail = error["msg"]
    if error["type"] in NO_OBJECT:
        is_list = isinstance(error["input"], list)
        found = "a list: name the field it belongs in" if is_list else "a single value"
        detail = f"must be an object, {{…}}, not {found}"
    return {"detail": detail, "pointer": _pointer(error["loc"])}


def _pointer(location: tuple[int | str, ...]) -> str:
    if location and location[0] == "body":
        return "".join(f"/{part}" for part in location[1:] if part not in (ONE, MANY))
    return ".".join(str(part) for part in location[1:])
