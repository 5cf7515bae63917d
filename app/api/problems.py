"""Every error as RFC 9457 `application/problem+json`; never a stack trace."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from app.errors import ForeshockError, Invalid, TryLater

log = logging.getLogger(__name__)


class Problem(Exception):
    """An HTTP-only error: a status, a sentence, and headers that go with it."""

    def __init__(self, status: int, detail: str, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.headers = status, headers or {}


def problem(request: Request | None, status: int, detail: str, **more: Any) -> JSONResponse:
    """A problem document; `title` is the status's own phrase, `type` the section that explains it."""
    title = HTTPStatus(status).phrase
    slug = title.lower().replace(" ", "-")
    headers = more.pop("headers", None)
    content = {"type": f"/docs/problems#{slug}", "title": title, "status": status, "detail": detail}
    if request is not None:
        content["instance"] = request.url.path
    return JSONResponse(content | more, status, media_type="application/problem+json", headers=headers)


def install(app: FastAPI) -> None:
    """Answer every kind of error as a problem."""

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
        errors = [{"detail": e["msg"], "pointer": _pointer(e["loc"])} for e in error.errors()]
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


def _pointer(location: tuple[int | str, ...]) -> str:
    if location and location[0] == "body":
        return "".join(f"/{part}" for part in location[1:])
    return ".".join(str(part) for part in location[1:])
