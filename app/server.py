"""One process that listens: API and pages, and the worker when asked; refuses to be open to the world."""

from __future__ import annotations

import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import uvicorn
from fastapi import FastAPI
from threadpoolctl import threadpool_limits

from app import web, worker
from app.api.app import create_app
from app.errors import Invalid, TryLater
from app.pipeline import access, cases, lease
from app.runtime import Runtime

SWITCH_S = 0.001  # a caller's next step waits no longer for another's; five times less than Python's own
WARM_S = 60.0  # between two looks at what pages would wait for
BACKLOG = 2048  # connections that may wait; what uvicorn itself asks for


def service(runtime: Runtime) -> FastAPI:
    """The API with the pages beside it."""
    app = create_app(runtime)
    web.mount(app, runtime)
    return app


def serve(runtime: Runtime, *, work: bool, say: Callable[[str], None]) -> None:
    """Listen until interrupted. Raises Invalid for a taken port, an altered model, or an open door."""
    access.check_exposure(runtime)
    sys.setswitchinterval(SWITCH_S)
    threadpool_limits(1)  # callers share the cores; a scan split between them only waits for itself
    _ = runtime.embedder  # a missing or altered model is an error now, not at the first ticket
    listener = _listen(runtime.settings.host, runtime.settings.port)
    host, port = listener.getsockname()[:2]
    scheduler = worker.schedule(runtime) if work else None
    app = service(runtime)
    threading.Thread(target=_keep_warm, args=(app, runtime), daemon=True, name="warm pages and index").start()
    say(f"listening on http://{host}:{port} (Ctrl-C stops)")
    config = uvicorn.Config(app, log_level="warning", server_header=False)
    try:
        uvicorn.Server(config).run(sockets=[listener])
    finally:
        if scheduler is not None:
            scheduler.shutdown()
            lease.release(runtime)
        listener.close()


def _keep_warm(app: FastAPI, runtime: Runtime) -> None:
    """Have pages and index ready after the start, and the pages again after every tick that changed them."""
    web.warm(app)
    cases.ready(runtime)
    while True:
        time.sleep(WARM_S)
        with suppress(TryLater):  # a store that does not answer is told of by who asks for a page
            web.warm(app)


def work(runtime: Runtime) -> None:
    """Work until interrupted or terminated."""
    _ = runtime.embedder
    ended = threading.Event()
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, lambda *_: ended.set())
    scheduler = worker.schedule(runtime)
    try:
        ended.wait()
    finally:
        scheduler.shutdown()
        lease.release(runtime)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)  # from here a caller waits for an answer and is never refused
    except OSError as error:
        listener.close()
        raise Invalid(
            f"cannot listen on {host}:{port}: {error.strerror}; choose another with --port", pointer="port"
        ) from error
    return listener
