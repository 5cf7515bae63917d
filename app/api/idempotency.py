"""Idempotency-Key on POST (IETF draft -07): the first answer is kept 24 hours and given again."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool

from app.api.problems import Problem
from app.pipeline import access
from app.runtime import Runtime
from app.store import keys

_KEY = re.compile(r'("?)([\x21\x23-\x5b\x5d-\x7e]{1,255})\1')


class Idempotent(APIRoute):
    """Routes whose POSTs may be sent again without harm when they carry an Idempotency-Key."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def once(request: Request) -> Response:
            given = request.headers.get("idempotency-key")
            if given is None or request.method != "POST":
                return await handle(request)
            who = request.headers.get("authorization", "")
            if not await run_in_threadpool(_may_ask, request.app.state.runtime, who):
                return await handle(request)  # refuses it; a revoked key gets no kept answer
            match = _KEY.fullmatch(given.strip())
            if match is None:
                raise Problem(400, "Idempotency-Key must be 1 to 255 visible characters")
            run: Runtime = request.app.state.runtime
            body = await request.body()
            key = hashlib.sha256(f"{who}\n{request.url.path}\n{match[2]}".encode()).hexdigest()
            asked = hashlib.sha256(body).hexdigest()
            first = await run_in_threadpool(_begin, run, key, asked)
            if first is not None:
                return _repeat(first, asked)
            try:
                response = await handle(request)
            except BaseException:
                await run_in_threadpool(_end, run, key, None, "")
                raise
            kept = response.status_code if response.status_code < 500 else None
            await run_in_threadpool(_end, run, key, kept, bytes(response.body).decode())
            return response

        return once


def _may_ask(run: Runtime, authorization: str) -> bool:
    secret = authorization.partition(" ")[2].strip()
    return access.key_of(run, secret) is not None if secret else not access.keys_are_on(run)


def _begin(run: Runtime, key: str, asked: str) -> keys.Answered | None:
    with run.store.write() as session:
        return keys.begin_idempotent(session, key, asked, at=run.now())


def _end(run: Runtime, key: str, status: int | None, answer: str) -> None:
    with run.store.write() as session:
        keys.end_idempotent(session, key, status=status, answer=answer)


def _repeat(first: keys.Answered, asked: str) -> Response:
    if first.request_hash != asked:
        raise Problem(422, "this Idempotency-Key was used with another body: use a new key")
    if first.status is None:
        raise Problem(409, "the first request with this Idempotency-Key is still in flight",
                      headers={"Retry-After": "1"})  # fmt: skip
    return Response(first.answer, first.status, media_type="application/json",
                    headers={"Idempotent-Replayed": "true"})  # fmt: skip
