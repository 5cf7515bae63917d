"""Inbound webhooks: whose they are, and which tickets they hint at.

A webhook is never believed, only followed: its signature is checked over the raw bytes, the ids it
names are fetched again through the API, and polling stays the truth.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from app.errors import ForeshockError, Invalid
from app.ingest.source import dig, text

LARGEST = 1024 * 1024  # bytes
OLDEST_S = 300.0  # a signed request older than this may be a replay
MOST_HINTS = 500


class BadSignature(ForeshockError):
    """The request does not prove that it comes from the ticketing tool."""

    title = "Bad signature"
    status = 401


class TooLarge(ForeshockError):
    """The body is larger than any webhook of these tools: send less."""

    title = "Too large"
    status = 413


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A request as it arrived. `headers` has lower-case names; `url` is the public address it was sent to."""

    headers: Mapping[str, str]
    body: bytes
    method: str = "POST"
    url: str = ""

    def header(self, name: str) -> str:
        return self.headers.get(name.lower(), "")


@dataclass(frozen=True, slots=True)
class Hints:
    """Ids to fetch again; `key` is the same for a repeated delivery."""

    ids: tuple[str, ...] = ()
    key: str = ""


Verify = Callable[[Delivery, str, datetime], bool]
Read = Callable[[Any, str], Sequence[str]]


def hints(kind: str, delivery: Delivery, *, secret: str, now: datetime, id_path: str = "") -> Hints:
    """What a verified webhook of this kind of source hints at.

    `id_path` is where a customer's own template keeps the ticket's id. Raise TooLarge, BadSignature,
    or Invalid when the body is not what the tool sends.
    """
    if len(delivery.body) > LARGEST:
        raise TooLarge("a webhook may have at most 1 MiB")
    verify, read, key_header = VENDORS.get(kind, (None, None, ""))
    if verify is None or read is None:
        raise Invalid(f"sources of kind {kind} take no webhooks", pointer="source")
    if not secret or not verify(delivery, secret, now):
        raise BadSignature("the signature, the token or the timestamp of this webhook is not valid")
    try:
        body = json.loads(delivery.body) if delivery.body.strip() else {}
    except (ValueError, RecursionError):
        raise Invalid("the body of this webhook is not JSON") from None
    ids = read(body, id_path)
    key = delivery.header(key_header) or hashlib.sha256(delivery.body).hexdigest()
    return Hints(_distinct(ids), key)


def _distinct(ids: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(each for each in ids if each))[:MOST_HINTS]


# --- whose it is -----------------------------------------------------------------------------------


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())


def _digest(secret: str, message: bytes) -> bytes:
    return hmac.new(secret.encode(), message, hashlib.sha256).digest()


def _is_fresh(at: datetime | None, now: datetime) -> bool:
    return at is not None and abs((now - at).total_seconds()) <= OLDEST_S


def _zendesk(delivery: Delivery, secret: str, now: datetime) -> bool:
    """base64(HMAC-SHA256(secret, timestamp + body)), without a separator."""
    stamp = delivery.header("X-Zendesk-Webhook-Signature-Timestamp")
    expected = base64.b64encode(_digest(secret, stamp.encode() + delivery.body)).decode()
    return _is_fresh(_time(stamp), now) and _same(delivery.header("X-Zendesk-Webhook-Signature"), expected)


def _jira(delivery: Delivery, secret: str, _now: datetime) -> bool:
    """sha256=hex HMAC of the raw body; webhooks registered without a secret are not accepted."""
    expected = f"sha256={_digest(secret, delivery.body).hex()}"
    return _same(delivery.header("X-Hub-Signature"), expected)


def _hubspot(delivery: Delivery, secret: str, now: datetime) -> bool:
    """base64(HMAC-SHA256(secret, method + public URI + body + timestamp)), version 3."""
    stamp = delivery.header("X-HubSpot-Request-Timestamp")
    message = f"{delivery.method}{_decoded(delivery.url)}".encode() + delivery.body + stamp.encode()
    expected = base64.b64encode(_digest(secret, message)).decode()
    at = datetime.fromtimestamp(int(stamp) / 1000, UTC) if re.fullmatch(r"\d{10,14}", stamp) else None
    return _is_fresh(at, now) and _same(delivery.header("X-HubSpot-Signature-v3"), expected)


def _token(delivery: Delivery, secret: str, _now: datetime) -> bool:
    """A fixed token in a header, for tools that sign nothing."""
    return _same(delivery.header("X-Ingest-Token"), secret)


def signed(delivery: Delivery, secret: str, now: datetime) -> bool:
    """Our own scheme: X-Signature is sha256=hex(HMAC-SHA256(secret, X-Timestamp + "." + body))."""
    stamp = delivery.header("X-Timestamp")
    expected = f"sha256={_digest(secret, stamp.encode() + b'.' + delivery.body).hex()}"
    at = datetime.fromtimestamp(int(stamp), UTC) if re.fullmatch(r"\d{9,11}", stamp) else _time(stamp)
    return _is_fresh(at, now) and _same(delivery.header("X-Signature"), expected)


def _time(stamp: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(stamp)
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _decoded(url: str) -> str:
    """The address with the characters decoded that HubSpot decodes before it signs."""
    codes = ("3A", "2F", "3F", "40", "21", "24", "27", "28", "29", "2A", "2C", "3B")
    return re.sub(f"%({'|'.join(codes)})", lambda found: unquote(found[0]), url, flags=re.IGNORECASE)


# --- what it hints at ------------------------------------------------------------------------------


def _read_zendesk(body: Any, id_path: str) -> Sequence[str]:
    """An event names its ticket in `detail.id`; a trigger's template is the customer's own."""
    if not isinstance(body, dict):
        return ()
    paths = [id_path] if id_path else ["detail.id", "ticket_id", "ticket.id", "id"]
    return [next(filter(None, (text(dig(body, path)) for path in paths)), "")]


def _read_jira(body: Any, _id_path: str) -> Sequence[str]:
    """The issue's id; that a deleted one is gone shows itself when it is fetched."""
    return [text(dig(body, "issue.id"))]


def _read_hubspot(body: Any, _id_path: str) -> Sequence[str]:
    """A list of events; deletions and merges show themselves when the ids are fetched."""
    events = body if isinstance(body, list) else [body]
    mine = [
        e for e in events if isinstance(e, dict) and text(e.get("subscriptionType")).startswith("ticket.")
    ]
    merges = [event["mergedObjectIds"] for event in mine if isinstance(event.get("mergedObjectIds"), list)]
    merged = [text(loser) for losers in merges for loser in losers]
    return [*(text(event.get("objectId")) for event in mine), *merged]


def _read_any(body: Any, id_path: str) -> Sequence[str]:
    """Whatever automation rule or flow was written: the id at `id_path`, or under a usual name."""
    rows = body if isinstance(body, list) else [body]
    paths = [id_path] if id_path else ["ticket_id", "Id", "id", "sys_id", "freshdesk_webhook.ticket_id"]
    return [next(filter(None, (text(dig(row, path)) for path in paths)), "") for row in rows]


VENDORS: Mapping[str, tuple[Verify, Read, str]] = {
    "zendesk": (_zendesk, _read_zendesk, "X-Zendesk-Webhook-Invocation-Id"),
    "jira": (_jira, _read_jira, "X-Atlassian-Webhook-Identifier"),
    "hubspot": (_hubspot, _read_hubspot, ""),
    "freshdesk": (_token, _read_any, ""),
    "salesforce": (_token, _read_any, ""),
    "servicenow": (_token, _read_any, ""),
}
"""For each kind of source: how it signs, what it says, and the header that is constant over retries."""
