"""What routes are handed: the runtime, who is asking, and the conventions of lists and changes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from fastapi import Depends, Header, Query, Request, Response
from fastapi.responses import JSONResponse

from app.api.problems import Problem
from app.errors import Invalid
from app.pipeline import access, feeds
from app.pipeline.feeds import About
from app.runtime import Runtime
from app.store.keys import Key
from app.store.paging import MOST


def runtime(request: Request) -> Runtime:
    """The runtime, with the settings as they stand now."""
    found: Runtime = request.app.state.runtime
    found.refresh()
    return found


Run = Annotated[Runtime, Depends(runtime)]


def _scope(scope: str) -> Callable[..., str]:
    def check(request: Request, run: Run, authorization: Annotated[str, Header()] = "") -> str:
        scheme, _, secret = authorization.partition(" ")
        key: Key | None = None
        if secret and scheme.lower() == "bearer":
            key = access.key_of(run, secret.strip())
            if key is None:
                raise Problem(401, "this API key is unknown or revoked", headers=_CHALLENGE)
        elif access.keys_are_on(run):
            raise Problem(401, "send an API key: Authorization: Bearer fsk_...", headers=_CHALLENGE)
        if key is not None:
            access.require(key, scope)
        request.state.actor = key.name if key else "local"
        return request.state.actor  # type: ignore[no-any-return]

    return check


_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="foreshock"'}
Reader = Annotated[str, Depends(_scope("read"))]
Writer = Annotated[str, Depends(_scope("write"))]
Admin = Annotated[str, Depends(_scope("admin"))]

Cursor = Annotated[str | None, Query(description="next_cursor of the page before")]
Limit = Annotated[int, Query(ge=1, le=MOST, description="rows on a page")]
IfMatch = Annotated[str | None, Header(description="ETag of the pattern as you read it")]


def filters(request: Request, allowed: tuple[str, ...]) -> dict[str, str]:
    """The query string's filters; Invalid names one that is not known, and those that are."""
    found = {k: v for k, v in request.query_params.items() if k not in ("cursor", "limit")}
    for name in found:
        if name not in allowed:
            raise Invalid(f"there is no filter {name!r}; filters are {', '.join(allowed)}", pointer=name)
    return found


def whole(value: str, name: str) -> str:
    """A filter's value that must be a whole number."""
    if not (value.isdecimal() and len(value) <= 9):
        raise Invalid(f"{name} must be a whole number of at most nine digits", pointer=name)
    return value


def one_of(value: str, name: str, allowed: tuple[str, ...]) -> str:
    """A filter's value that must be one of a few words."""
    if value not in allowed:
        raise Invalid(f"{name} must be one of {', '.join(allowed)}", pointer=name)
    return value


def etag(value: object) -> str:
    digest = hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
    return f'"{digest[:24]}"'


def matched(if_match: str | None, current: str) -> None:
    """Let a change pass only when the caller saw the current state."""
    if if_match is None:
        raise Problem(428, "send If-Match with the ETag of the pattern as you read it")
    if if_match.strip() not in (current, "*"):
        raise Problem(
            412, "the pattern has changed since you read it: read it again", headers={"ETag": current}
        )


def answer(
    request: Request, content: Any, *, tag: str | None = None, status: int = 200, about: About | None = None
) -> Response:
    """JSON with a strong ETag, or 304 when the caller has it already; `about` says which tickets it counts."""
    tag = tag or etag(content)
    held = [t.strip().removeprefix("W/") for t in request.headers.get("if-none-match", "").split(",")]
    headers = {"ETag": tag} | incomplete(request, about)
    if tag in held or held == ["*"]:
        return Response(status_code=304, headers=headers)
    return JSONResponse(content, status, headers=headers | {"Cache-Control": "no-cache"})


def incomplete(request: Request, about: About | None) -> dict[str, str]:
    """The header that names the late, silent or failing sources whose tickets an answer may miss."""
    missing = feeds.touching(request.app.state.runtime, about) if about else {}
    return {"Foreshock-Incomplete": ", ".join(sorted(missing))} if missing else {}


def listing(
    request: Request, data: list[dict[str, Any]], next_cursor: str | None, *, about: About | None = None
) -> Response:
    """One page of a list: body and Link header say where the next one is."""
    response = answer(request, {"data": data, "next_cursor": next_cursor}, about=about)
    if next_cursor:
        url = request.url.include_query_params(cursor=next_cursor)
        response.headers["Link"] = f'<{url.path}?{url.query}>; rel="next"'
    return response


def links(**paths: str) -> Mapping[str, str]:
    return paths
