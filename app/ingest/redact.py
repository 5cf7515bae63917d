"""Takes personal data and credentials out of a text and leaves a typed mark that keeps the meaning.

Marks: `<email>`, `<phone>`, `<card>`, `<iban>`, `<national-id>`, `<ip>`, `<token>`, `<user>`, `<name>`.
Redacting twice gives the same as once. Error codes, versions, dates, hashes, UUIDs, stack frames and
order numbers stay.
"""

from __future__ import annotations

import re

from app.ingest import addresses, identifiers, secrets

_EMAIL = re.compile(
    r"(?<![\w.+%-])(?!git@)\w[\w.+%'-]{0,95}@(?!\d(?:\.\d)?x[.~])(?:[\w-]{1,63}\.){1,8}"
    r"(?!(?:service|socket|target|timer|mount|png|jpe?g|gif|dll|jar)\b)[^\W\d_]{2,24}(?![\w-])"
)
_EMAIL_SPELT = re.compile(
    r"(?i)(?<![\w.+-])[\w.+-]{1,64} ?[\[({] ?at ?[\])}] ?[\w-]{1,63}(?: ?(?:\."
    r"|[\[({] ?dot ?[\])}]) ?[\w-]{1,63}){1,5}"
)
_HOME = re.compile(
    r"(?P<home>(?<![\w.])/(?:home|Users)/|(?i:[a-z]:[\\/]{1,2}(?:users|documents and settings)[\\/]{1,2}))"
    r"(?!(?:shared|public|default|all users)\b|<)(?P<user>[^\s\\/:;,\"'`<>|)(]{1,64}(?: [^\s\\/:;,\"'`<>"
    r"|)(]{1,32}){0,2}(?=[\\/])|[^\s\\/:;,\"'`<>|)(]{1,64})",
)
_SPELT_AT = ("at)", "at]", "at}", "AT)", "AT]", "at )", "at ]")
_HOMES = ("/home/", "sers/", "sers\\", "ettings\\", "ettings/", "USERS")
_DIGITS = re.compile(r"\d.{0,3}\d", re.DOTALL)
_ROUNDS = 8  # a replacement may bare another match beside it; two rounds settle all but contrived text


def redact(text: str) -> str:
    """`text` with personal data and credentials replaced by typed marks."""
    for _ in range(_ROUNDS):
        redacted = _once(text)
        if redacted == text:
            break
        text = redacted
    return text


def redact_name(text: str, name: str) -> str:
    """`text` with whole-word occurrences of a person's `name`, of any case, replaced by `<name>`."""
    if len(name) < 3 or name.casefold() not in text.casefold():
        return text
    return re.sub(rf"(?i)(?<!\w){re.escape(name)}(?!\w)", "<name>", text)


def _once(text: str) -> str:
    text = secrets.redact(text)
    if "@" in text:
        text = _EMAIL.sub("<email>", text)
    if any(at in text for at in _SPELT_AT):
        text = _EMAIL_SPELT.sub("<email>", text)
    if any(home in text for home in _HOMES):
        text = _HOME.sub(r"\g<home><user>", text)
    if not _DIGITS.search(text):
        return addresses.redact(text) if "::" in text else text
    return identifiers.redact(addresses.redact(text))
