"""Which addresses a webhook may reach: the public internet, and hosts the operator allowed."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import httpx

from app.errors import Invalid, TryLater

Resolve = Callable[[str, int], list[str]]
"""Host and port to numeric addresses; raises OSError when the name does not resolve."""


def resolve(host: str, port: int) -> list[str]:
    return sorted({str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)})


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect: the checked `address`, never the name again (a name can change between two looks)."""

    url: httpx.URL
    address: str


def is_public(address: str) -> bool:
    """Whether an address lies on the public internet, through every way of writing a private one."""
    ip = ipaddress.ip_address(address.split("%", maxsplit=1)[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None) or _embedded(ip)
        if inner is not None:
            return is_public(str(inner))
    return ip.is_global and not ip.is_multicast and not any(ip in network for network in _NEVER)


_NEVER = (
    ipaddress.IPv6Network("64:ff9b:1::/48"),  # local NAT64, RFC 8215
    ipaddress.IPv4Network("192.0.0.0/24"),  # protocol assignments; a cloud's metadata is at .192
)
_EMBEDDING = tuple(ipaddress.IPv6Network(n) for n in ("64:ff9b::/96", "::ffff:0:0:0/96", "::/96"))
"""NAT64 (RFC 6052), IPv4-translated (RFC 2765) and IPv4-compatible (RFC 4291): the last 32 bits are IPv4."""


def _embedded(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if any(ip in network for network in _EMBEDDING):
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return None


def check_form(url: str, *, allow: Sequence[str]) -> httpx.URL:
    """The parsed address; raises Invalid for what no endpoint may look like."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise Invalid(f"url is not an address: {error}", pointer="/url") from error
    if parsed.userinfo:
        raise Invalid("url must not hold a user name or password", pointer="/url")
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise Invalid("url must begin with https:// and name a host", pointer="/url")
    if parsed.scheme == "http" and not is_allowed(parsed, allow):
        raise Invalid("url must use https (http only for hosts in webhook_allow)", pointer="/url")
    return parsed


def is_allowed(url: httpx.URL, allow: Sequence[str]) -> bool:
    host = url.host.strip("[]").lower()
    return host in allow or f"{host}:{_port(url)}" in allow


def target(url: str, *, allow: Sequence[str], look_up: Resolve = resolve) -> Target:
    """Resolve and check every address of an endpoint; Invalid when one is private and not allowed."""
    parsed = check_form(url, allow=allow)
    try:
        addresses = look_up(parsed.host.strip("[]"), _port(parsed))
    except UnicodeError as error:
        raise Invalid(f"{parsed.host} is not a host name", pointer="/url") from error
    except (OSError, OverflowError) as error:
        raise TryLater(f"the host name {parsed.host} does not resolve") from error
    if not addresses:
        raise TryLater(f"the host name {parsed.host} does not resolve")
    if not is_allowed(parsed, allow) and not all(is_public(a) for a in addresses):
        raise Invalid(
            f"{parsed.host} is in a private network; add it to webhook_allow to permit it", pointer="/url"
        )
    return Target(parsed, addresses[0])


def _port(url: httpx.URL) -> int:
    return url.port or (443 if url.scheme == "https" else 80)
