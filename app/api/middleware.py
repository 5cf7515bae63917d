"""Around every request: an id, a limit on its size, a limit on its rate, and who may ask without a key."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import MutableMapping
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.problems import problem
from app.errors import ForeshockError
from app.pipeline import access
from app.runtime import Runtime
from app.settings import LOOPBACK
from app.store import keys

WINDOW_S = 60
UNLIMITED = ("/healthz", "/readyz", "/metrics", "/static/")


def install(app: FastAPI, runtime: Runtime) -> None:
    app.add_middleware(JsonOnly)
    app.add_middleware(BodyLimit, most=runtime.settings.body_limit_kb * 1024)
    app.add_middleware(RateLimit, runtime=runtime)
    if runtime.settings.is_loopback:
        app.add_middleware(LocalHost, public=urlsplit(runtime.settings.public_url).hostname or "")
    app.add_middleware(RequestId)


class RequestId:
    """Echo X-Request-Id, or make one."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        id_ = given if given.isascii() and given.isprintable() and 0 < len(given) <= 100 else uuid.uuid4().hex

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["X-Request-Id"] = id_
            await send(message)

        await self.app(scope, receive, answer)


class BodyLimit:
    """Refuse a body larger than `most` bytes, announced or not, before it is held in memory."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        self.app, self.most = app, most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        length = Headers(scope=scope).get("content-length", "0")
        if length.isdecimal() and int(length) > self.most:
            await self._refuse(scope, receive, send)
            return
        if length != "0" or "transfer-encoding" not in Headers(scope=scope):
            await self.app(scope, receive, send)
            return
        messages, size = [], 0
        while True:
            message = await receive()
            messages.append(message)
            size += len(message.get("body", b""))
            if size > self.most:
                await self._refuse(scope, receive, send)
                return
            if not message.get("more_body"):
                break
        waiting = iter(messages)

        async def again() -> Message:
            return next(waiting, None) or await receive()

        await self.app(scope, again, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        text = f"the body is larger than {self.most // 1024} kB: send less at a time"
        await problem(None, 413, text, instance=scope["path"])(scope, receive, send)


class LocalHost:
    """Only this machine may ask, by its own name or by `public`: no web page elsewhere by a name it made up.

    A bearer key may be shown under any name; it is checked further in.
    """

    def __init__(self, app: ASGIApp, public: str) -> None:
        self.app, self.hosts = app, {*LOOPBACK, *filter(None, [public])}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            host = headers.get("host", "").rsplit(":", 1)[0].strip("[]") if "host" in headers else ""
            has_key = headers.get("authorization", "").lower().startswith("bearer ")
            if host not in self.hosts and not has_key:
                text = f"the host {host!r} is not this machine: use 127.0.0.1, or set public_url"
                await problem(None, 421, text, instance=scope["path"])(scope, receive, send)
                return
            if scope["method"] not in ("GET", "HEAD", "OPTIONS") and _is_foreign(headers):
                text = "this request was sent by another site's page, so nothing was changed"
                await problem(None, 403, text, instance=scope["path"])(scope, receive, send)
                return
        await self.app(scope, receive, send)


def _is_foreign(headers: Headers) -> bool:
    """Whether a browser says that a page of another site sent this."""
    origin = headers.get("origin")
    site = headers.get("sec-fetch-site", "same-origin")
    return site not in ("same-origin", "none") or (
        origin is not None and urlsplit(origin).netloc != headers.get("host", "")
    )


class JsonOnly:
    """The API takes JSON bodies and no others; 415 says so before the body is read."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith("/v1/"):
            headers = Headers(scope=scope)
            kind = headers.get("content-type", "").partition(";")[0].strip().lower()
            has_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
            if has_body and kind != "application/json":
                text = f"send the body as application/json, not as {kind or 'nothing in particular'}"
                await problem(None, 415, text, instance=scope["path"])(scope, receive, send)
                return
        await self.app(scope, receive, send)


class RateLimit:
    """At most so many requests a minute for each key or address, told by the RateLimit headers (draft -11).

    Only a key that exists has a count of its own: whoever makes keys up is counted by their address.
    """

    def __init__(self, app: ASGIApp, runtime: Runtime) -> None:
        self.app, self.runtime, self.most = app, runtime, runtime.settings.requests_per_minute
        self._lock = threading.Lock()
        self._counts: MutableMapping[str, int] = {}
        self._keys: MutableMapping[str, str] = {}  # ids of keys seen in this window, by the secret's hash
        self._window = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(UNLIMITED):
            await self.app(scope, receive, send)
            return
        now = time.time()
        used, left_s = self._use(await self._who(scope), now)
        told = {
            "RateLimit-Policy": f'"default";q={self.most};w={WINDOW_S}',
            "RateLimit": f'"default";r={max(0, self.most - used)};t={left_s}',
        }
        if used > self.most:
            text = f"more than {self.most} requests in a minute: wait {left_s} s"
            headers = told | {"Retry-After": str(left_s)}
            await problem(None, 429, text, instance=scope["path"], headers=headers)(scope, receive, send)
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(told)
            await send(message)

        await self.app(scope, receive, answer)

    async def _who(self, scope: Scope) -> str:
        scheme, _, secret = Headers(scope=scope).get("authorization", "").partition(" ")
        if secret and scheme.lower() == "bearer":
            key = await run_in_threadpool(self._key_id, secret.strip())
            if key is not None:
                return key
        client: Any = scope.get("client") or ("",)
        return f"address {client[0]}"

    def _key_id(self, secret: str) -> str | None:
        """The id of the key that has this secret; None when there is none, or when the store does not say."""
        hashed = keys.digest(secret)
        if hashed not in self._keys:
            try:
                found = access.key_of(self.runtime, secret)
            except ForeshockError:
                return None
            if found is None:
                return None
            self._keys[hashed] = found.id
        return self._keys[hashed]

    def _use(self, who: str, now: float) -> tuple[int, int]:
        with self._lock:
            window = int(now // WINDOW_S)
            if window != self._window:
                self._window, self._counts, self._keys = window, {}, {}
            self._counts[who] = self._counts.get(who, 0) + 1
            return self._counts[who], int((window + 1) * WINDOW_S - now) + 1
