"""Standard Webhooks 1.0.0 signatures: `v1,` + base64 HMAC-SHA256 over "id.timestamp.body"."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from datetime import datetime

from app.errors import Invalid

PREFIX = "whsec_"


def new_secret() -> str:
    """32 random bytes, as the specification writes them."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def checked_secret(secret: str) -> str:
    """The secret itself; raises Invalid unless it is `whsec_` and 24 to 64 bytes in base64."""
    try:
        size = len(base64.b64decode(secret.removeprefix(PREFIX), validate=True))
    except binascii.Error:
        size = 0
    if not secret.startswith(PREFIX) or not 24 <= size <= 64:
        raise Invalid(f"secret must be {PREFIX} followed by 24 to 64 bytes in base64", pointer="/secret")
    return secret


def signature(secret: str, id_: str, timestamp: int, body: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(PREFIX))
    content = f"{id_}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()


def headers(secrets_: Sequence[str], id_: str, at: datetime, body: bytes) -> dict[str, str]:
    """The three headers of one attempt, signed with every secret that is valid now."""
    timestamp = int(at.timestamp())
    return {
        "webhook-id": id_,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signature(s, id_, timestamp, body) for s in secrets_),
    }
