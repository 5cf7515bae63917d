"""Tells network addresses from version numbers and times, and puts `<ip>` in place of the addresses."""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address

IP = "<ip>"

_V4 = re.compile(r"(?<![\w.])(?<!\w-)\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}(?!\w|\.\d|-\w)")
_V6 = re.compile(
    r"(?<![\w:.])(?=[0-9A-Fa-f]{0,4}:)[0-9A-Fa-f:]{3,40}+(?:(?<=:)(?:\d{1,3}\.){3}\d{1,3})?(?![\w:])"
)
_V6_GLOBAL = re.compile(r"(?i)(?:[23][0-9a-f]{3}|fe80|f[cd][0-9a-f]{2}|64:ff9b)?:")
_CONTEXT = re.compile(
    r"(?i)(?P<address>\bips?\b|\bipv4\b|\binet|\baddr|\bhost|\bserver|\bgateway\b|\bdns\b|\bping|\bpeer\b|\bremote"
    r"|\bsubnet\b|\bnetwork|\bconnect|\bnode\b|\brouter\b|\bproxy\b|\bvpn\b|\blisten|\bbind\b|\bclient\b|\bforward"
    r"|\bfirewall|://$|@$)"
    r"|(?P<version>version|\bver\b|\bv$|release|\bbuild|updat|upgrad|downgrad|install|\brev|\bsdk\b|assembly"
    r"|firmware|driver|hotfix|\bpatch|/$)"
)
_NAMED = re.compile(
    r"(?i)(?:\bip|\bipv4|address|addr|\bhost|\bping|\bdns|\bgateway|://|@)\W{0,3}(?:is|at|to|was)?\s?$"
)
_PRODUCT = re.compile(r"(?:\b[A-Z][\w.+#-]*+|\b[a-z]++[A-Z]\w*+)\s?[:=(]?\s?$")
_PORT_OR_NETWORK = re.compile(r":\d|/(?:[12]?\d|3[0-2])\b")
_REACH = 48  # characters before an address that may say what it is


def redact(text: str) -> str:
    """`text` with IPv4 and IPv6 addresses replaced; loopback and unspecified ones tell of no one and stay."""
    if "." in text:
        text = _V4.sub(_v4, text)
    if ":" in text:
        text = _V6.sub(_v6, text)
    return text


def _v4(match: re.Match[str]) -> str:
    before = match.string[max(0, match.start() - _REACH) : match.start()].rpartition("\n")[2]
    after = match.string[match.end() : match.end() + 6]
    return IP if _is_v4(match[0], before, after) else match[0]


def _is_v4(text: str, before: str, after: str) -> bool:
    try:
        address = IPv4Address(text)
    except AddressValueError:
        return False
    if address.is_loopback or address.is_unspecified or text.startswith("255."):
        return False
    if _is_versionlike(address):
        return _NAMED.search(before) is not None
    if context := _nearest(before):
        return context == "address"
    if _PORT_OR_NETWORK.match(after) or (address.is_private and not _PRODUCT.search(before)):
        return True
    return address.packed[0] >= 24 and not _PRODUCT.search(before)


def _nearest(before: str) -> str:
    kinds = [match.lastgroup or "" for match in _CONTEXT.finditer(before)]
    return kinds[-1] if kinds else ""


def _is_versionlike(address: IPv4Address) -> bool:
    """Small numbers throughout, as in 4.2.1.0: an address only when the text calls it one."""
    return max(address.packed) < 32 and address.packed[0] != 10


def _v6(match: re.Match[str]) -> str:
    text = match[0].rstrip(":") if not match[0].endswith("::") else match[0]
    return IP + match[0][len(text) :] if _is_v6(text) else match[0]


def _is_v6(text: str) -> bool:
    """Full form with a group of three or more digits, or a global, local or mapped prefix before `::`.

    So times, MAC addresses, fingerprints and `a::b` paths of C++ and Rust are left alone.
    """
    try:
        address = IPv6Address(text)
    except AddressValueError:
        return False
    if address.is_loopback or address.is_unspecified:
        return False
    groups = [group for group in text.split(":") if group]
    if "::" not in text:
        return max(map(len, groups)) >= 3
    return bool(_V6_GLOBAL.match(text)) and len(groups) >= 2 and any(map(str.isdigit, text))
