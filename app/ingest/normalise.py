"""Makes a stored ticket from a raw one: cleaned, redacted, and with keyed hashes in place of people.

The text that leaves this module holds the customer's own words and the technical evidence, and
neither personal data nor mail boilerplate. Cleaning never empties a text that had words.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from app.domain import RawTicket, Status, StatusChange, TicketDraft, came_back
from app.ingest import courtesies, html, quotes, secrets
from app.ingest.boilerplate import Boilerplate
from app.ingest.freemail import is_company_domain
from app.ingest.redact import redact, redact_name

MAX_BODY_BYTES = 32_768
_MAX_SUBJECT_CHARS = 500
_MAX_VALUE_CHARS = 120  # of an attribute or a tag
_MAX_CHANGES = 200  # of a ticket's status: more come from an automation at odds with itself
_MAX_RAW_CHARS = 262_144  # eight times what is kept: more is an attachment pasted into the body
_HASH_CHARS = 24  # 96 bits: no collision among a billion customers

_CONTROL = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2064\ufeff\ufffe\uffff\ud800-\udfff\u00ad]"
)
_BLANK_LINES = re.compile(r"\n{3,}")
_NAME = re.compile(r"[^\W\d_][\w.'’-]*(?: [^\W\d_][\w.'’-]*){1,4}")
_SCRUBBED = ("SCRUBBED", "X")  # what Zendesk leaves of a ticket whose data was erased


def clean(text: str, *, is_html: bool) -> str:
    """The customer's own words and evidence in `text`: NFC, at most 32 kB, no history, courtesies or banners.

    If cleaning would leave no words, the text comes back only tidied.
    """
    plain = _tidy(html.to_text(text) if is_html else text)
    lines = plain.split("\n")
    cleaned = "\n".join(courtesies.strip(quotes.strip(lines)))
    kept = cleaned if any(map(str.isalnum, cleaned)) else plain
    return _cap(_BLANK_LINES.sub("\n\n", kept).strip("\n"))


def _tidy(text: str) -> str:
    text = text[:_MAX_RAW_CHARS].replace("\r\n", "\n").replace("\r", "\n").replace("\xa0", " ")
    text = unicodedata.normalize("NFC", _CONTROL.sub("", text))
    return "\n".join(line.rstrip() for line in text.split("\n")).strip("\n")


def _cap(text: str) -> str:
    encoded = text.encode()
    if len(encoded) <= MAX_BODY_BYTES:
        return text
    return encoded[:MAX_BODY_BYTES].decode(errors="ignore").rstrip()


def content_hash(raw: RawTicket, *, key: bytes) -> str:
    """Keyed HMAC-SHA256 over every field of `raw`: tells an unchanged ticket before any cleaning.

    A history that is not told does not count, so that tickets stored before there were any are still known.
    """
    values = {field.name: getattr(raw, field.name) for field in fields(raw)}
    values = values if raw.history else {n: v for n, v in values.items() if n != "history"}
    canonical = json.dumps(values, default=_canonical, sort_keys=True, ensure_ascii=True)
    return hmac.new(key, canonical.encode(), hashlib.sha256).hexdigest()


def _canonical(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, StatusChange):
        return [value.at, value.status, value.told]
    return dict(value) if isinstance(value, Mapping) else list(value)


def identity(source: str, vendor_id: str, *, key: bytes) -> str:
    """Keyed hash of a person or an organisation of one source; "" stays ""."""
    known = " ".join(vendor_id.split())
    if not known:
        return ""
    if "@" in known or " " in known:
        known = known.casefold()  # addresses and names are typed in any case; vendors' ids are exact
    return hmac.new(key, f"{source}:{known}".encode(), hashlib.sha256).hexdigest()[:_HASH_CHARS]


def account(raw: RawTicket, *, key: bytes) -> str:
    """Keyed hash of the customer organisation: the account, else the requester's company mail domain."""
    named = raw.account or raw.account_name
    if not named:
        domain = raw.requester.rpartition("@")[2].strip(" >").lower() if "@" in raw.requester else ""
        named = f"@{domain}" if is_company_domain(domain) else ""
    return identity(raw.source, named, key=key)


def draft(
    raw: RawTicket,
    *,
    key: bytes,
    boilerplate: Boilerplate | None,
    keep_account_names: bool,
    backfill: bool,
) -> TicketDraft:
    """The ticket to store. `boilerplate` takes known footers and labels off, then counts this body."""
    ticket = tidied(raw, key=key, keep_account_names=keep_account_names, backfill=backfill)
    return ticket if boilerplate is None else without_boilerplate(ticket, boilerplate)


def without_boilerplate(ticket: TicketDraft, boilerplate: Boilerplate) -> TicketDraft:
    """`ticket` without the footers and labels known before it; its own lines are then counted."""
    body = boilerplate.strip(ticket.body, ticket.account, ticket.created_at)
    boilerplate.learn(ticket.body, ticket.account, ticket.created_at)
    return replace(ticket, body=body)


def tidied(raw: RawTicket, *, key: bytes, keep_account_names: bool, backfill: bool) -> TicketDraft:
    """The ticket to store but for learned boilerplate. A deleted or scrubbed one carries no text at all."""
    is_gone = raw.status is Status.DELETED or (raw.subject.strip(), raw.body.strip()) == _SCRUBBED
    shown = _without_text(raw) if is_gone else raw
    names = _names(raw.requester)
    return TicketDraft(
        source=raw.source,
        external_id=raw.external_id,
        created_at=raw.created_at.astimezone(UTC),
        updated_at=(raw.updated_at or raw.created_at).astimezone(UTC),
        content_hash=content_hash(raw, key=key),
        subject=_nameless(redact(courtesies.strip_subject(_tidy(shown.subject)))[:_MAX_SUBJECT_CHARS], names),
        body=_private(shown.body, names, is_html=shown.body_is_html),
        url=secrets.redact(raw.url),
        requester=identity(raw.source, raw.requester, key=key),
        account=account(raw, key=key),
        account_name=_value(shown.account_name) if keep_account_names else "",
        attributes={name: value for name, text in shown.attributes.items() if (value := _value(text))},
        tags=_values(shown.tags),
        machine_tags=_values(shown.machine_tags),
        status=Status.DELETED if is_gone else raw.status,
        resolution=_private(shown.resolution, names, is_html=False),
        resolved_at=raw.resolved_at.astimezone(UTC) if raw.resolved_at else None,
        articles=tuple(secrets.redact(article) for article in raw.articles),
        reopened=came_back(raw.history) if raw.reopened is None else raw.reopened,
        satisfaction=raw.satisfaction,
        escalated=raw.escalated,
        ai_handled=raw.ai_handled,
        duplicate_of=raw.duplicate_of,
        problem=raw.problem,
        backfill=backfill,
    )


def message(text: str, *, is_html: bool) -> str:
    """What somebody said in a ticket's conversation, cleaned and redacted like a ticket's own text."""
    return _private(text, (), is_html=is_html)


def history(changes: Sequence[StatusChange]) -> tuple[StatusChange, ...]:
    """The newest status changes of a ticket as they are kept: oldest first, in UTC, the words redacted."""
    ordered = sorted(changes, key=lambda change: change.at)[-_MAX_CHANGES:]
    return tuple(StatusChange(c.at.astimezone(UTC), c.status, _value(c.told)) for c in ordered)


def _without_text(raw: RawTicket) -> RawTicket:
    return replace(
        raw, subject="", body="", resolution="", account_name="", tags=(), machine_tags=(), attributes={}
    )


def _private(text: str, names: tuple[str, ...], *, is_html: bool) -> str:
    cleaned = clean(text, is_html=is_html)
    return _cap(_nameless(redact(_without_name_line(cleaned, names)), names))


def _names(requester: str) -> tuple[str, ...]:
    """What the requester may sign with, longest first: a display name, or the name an address spells."""
    display, _, address = requester.rpartition("<")
    name = " ".join((display if display.strip() else address.partition("@")[0]).strip(" \"'").split())
    if "@" in requester and not display.strip():
        name = re.sub(r"[._+-]+", " ", name)
    if not _NAME.fullmatch(name):
        return ()
    return (name, name.split()[0])


def _nameless(text: str, names: tuple[str, ...]) -> str:
    """`text` without the full name; a first name alone is too often a word to be taken out of prose."""
    return redact_name(text, names[0]) if names else text


def _without_name_line(text: str, names: tuple[str, ...]) -> str:
    """`text` without a last line that is only the requester's name or first name."""
    head, _, last = text.rpartition("\n")
    is_name = last.strip(" ,.-–~*").casefold() in {name.casefold() for name in names}
    return head.rstrip() if is_name and head.strip() else text


def _value(text: str) -> str:
    return redact(" ".join(_tidy(text).split()))[:_MAX_VALUE_CHARS]


def _values(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(value for text in texts if (value := _value(text)))
