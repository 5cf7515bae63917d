"""What httpx cannot promise of an exchange: when all of it is over, and which address it goes to.

It limits each read; a server that sends a byte every few seconds would hold a sender for ever. It looks a
name up by itself; an address that was checked must be the one that is connected to.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from ssl import SSLContext
from typing import Any

import httpcore
import httpx

_UNTIL: ContextVar[float] = ContextVar("until")  # of time.monotonic()
_ADDRESS: ContextVar[str] = ContextVar("address")
KEPT, KEPT_S = 64, 2.0  # connections that wait for another request, and how long: less than servers wait


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Whatever this thread sends and reads inside is over after `seconds`, or raises a timeout."""
    token = _UNTIL.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _UNTIL.reset(token)


@contextmanager
def connecting_to(address: str) -> Iterator[None]:
    """Whatever this thread connects to inside is `address`, whatever the name in the URL says."""
    token = _ADDRESS.set(address)
    try:
        yield
    finally:
        _ADDRESS.reset(token)


def _left(error: type[Exception], timeout: float | None) -> float:
    left = _UNTIL.get(float("inf")) - time.monotonic()
    if left <= 0:
        raise error("the answer took too long altogether")
    return min(left, timeout if timeout is not None else left)


class _Stream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _left(httpcore.ReadTimeout, timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, _left(httpcore.WriteTimeout, timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = _left(httpcore.ConnectTimeout, timeout)
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _Backend(httpcore.SyncBackend):
    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        left, address = _left(httpcore.ConnectTimeout, timeout), _ADDRESS.get(host)
        return _Stream(super().connect_tcp(address, port, left, local_address, socket_options))


class Transport(httpx.HTTPTransport):
    """httpx's own transport over connections that know `within` and `connecting_to`.

    A connection is kept for the next request to the same name, never to another name behind its address.
    """

    def __init__(self) -> None:
        super().__init__(trust_env=False)
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(trust_env=False), max_connections=None,
            max_keepalive_connections=KEPT, keepalive_expiry=KEPT_S, network_backend=_Backend(),
        )  # fmt: skip
