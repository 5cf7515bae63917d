"""Finds phone numbers, payment cards, bank accounts and national ids among the other numbers of a ticket.

A number is taken for personal only on a checksum, a distinctive layout or a word next to it; order,
invoice and ticket numbers, dates, versions, hashes and error codes stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

import phonenumbers
from stdnum import iban, luhn, verhoeff
from stdnum.br import cpf
from stdnum.es import dni, nie
from stdnum.fr import nir
from stdnum.it import codicefiscale
from stdnum.mx import curp
from stdnum.nl import bsn
from stdnum.pl import pesel

CARD, IBAN, NATIONAL_ID, PHONE = "<card>", "<iban>", "<national-id>", "<phone>"

_CARD = re.compile(r"(?<![\w.,/:=-])(?<![\w.]\+)\d(?:[ -]?\d){13,18}(?![\w/]|[.,-]\d)")
_CARD_NETWORK = re.compile(
    r"4\d{15}(?:\d{3})?|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}|3[47]\d{13}"
    r"|3(?:0[0-5]|[68]\d)\d{11}|(?:6011|65\d\d|64[4-9]\d)\d{12}|35(?:2[89]|[3-8]\d)\d{12}|62\d{14,17}"
)
_IBAN = re.compile(r"(?<![\w-])[A-Za-z]{2}\d\d(?:[ -]?[A-Za-z0-9]{2,4}){3,8}[ -]?[A-Za-z0-9]{1,4}(?!\w)")

_LABELS = re.compile(
    r"(?i)(?P<phone>\bphone|\btele?(?:ph|f)|\btel\b|\bmobil|\bcell\b|\bcall|\bfax\b|\bwhatsapp\b|\bsms\b"
    r"|\bcontact\b"
    r"|\breach\b|\bdial|\bhandy\b|\brufnummer\b|\bportable\b|\bm[oó]vil\b|\bcelular\b|\bext\b)"
    r"|(?P<trap>\border|\binvoice|\btracking|\bticket|\bcase\b|\bref|\bserial|\bpart\b|\baccount|\bsku\b"
    r"|\bpo\b|\brma\b"
    r"|\bimei\b|\bbarcode|\bisbn|\bcommand|\bversion|\bbuild|\berror|\bcode\b|\bbug\b|\bissue\b|\bparcel"
    r"|\bshipment"
    r"|\btransaction|\bbooking|\bbestell|\brechnung|\bcommande\b|\bfacture|\bpedido|\bid\b)"
)
_PHONE = re.compile(
    r"(?<![\w.,:/#=<-])(?<![\w.]\+)(?:\+|\(\+)?\(?\d(?:[ ()./\u2011\u2013-]{0,3}\d){6,14}(?![\w%/:]"
    r"|[.,-]\d|-\w)"
)
_NANP = re.compile(
    r"\(\d{3}\) ?\d{3}-\d{4}|(?:\+?1[ .-]?)?(?:\([2-9]\d\d\) ?|[2-9]\d\d[ .-])[2-9]\d\d[ .-]\d{4}"
)
_DATE = re.compile(
    r"(?:19|20)\d\d[-./ ]?[01]\d[-./ ]?[0-3]\d|[0-3]?\d([-./])[0-3]?\d\1(?:19|20)\d\d|(?:19"
    r"|20)\d\d ?- ?(?:19|20)\d\d"
)
_TRUNK_REGIONS = ("GB", "DE", "FR", "IT", "NL", "AU", "IN", "JP", "BE", "CH")  # national numbers begin with 0
_REACH = 32  # characters before a number that may say what it is

_NATIONAL_LABEL = re.compile(
    r"(?i)\b(?P<label>ssn|social security|sin|social insurance|nino|ni number|national insurance|aadhaa?r"
    r"|pan"
    r"|dni|nie|nif|nir|s[eé]curit[eé] sociale|bsn|burgerservicenummer|steuer-?id(?:entifikationsnummer)?"
    r"|idnr|pesel"
    r"|personnummer|cpr|hetu|tfn|tax file|rut|cpf|codice fiscale|curp|passport|passeport|reisepass"
    r"|national id|id card|personalausweis)\b"
    r"(?P<between>(?:\s?(?:number|num|nummer|no|nr|is|ist|est|es)\b|[\s.:#=(]){0,6})"
    r"(?P<value>(?=[A-Za-z0-9 .-]{0,20}\d)[A-Za-z0-9](?:[ .-]?[A-Za-z0-9]){5,18})(?![\w-])"
)
_LONG_NUMBER = re.compile(r"\d[ .-]?\d[ .-]?[A-Za-z]?\d[ .-]?\d")
_NATIONAL_HINTS = (
    "ssn", "social", "sin", "nino", "ni number", "national", "aadha", "pan", "dni", "nie", "nif", "nir",
    "sociale", "bsn", "burger", "steuer", "idnr", "pesel", "personn", "cpr", "hetu", "tfn", "tax file", "rut",
    "cpf", "codice", "curp", "pass", "id card", "personala",
)  # fmt: skip
_SHAPED: tuple[tuple[re.Pattern[str], Callable[[str], bool]], ...] = (
    (re.compile(r"(?<![\w.-])\d{3}\.\d{3}\.\d{3}-\d{2}(?![\w-])"), cpf.is_valid),
    (re.compile(r"(?<!\w)[A-Z]{6}\d\d[A-EHLMPRST]\d\d[A-Z]\d{3}[A-Z](?!\w)"), codicefiscale.is_valid),
    (re.compile(r"(?<!\w)[A-Z]{4}\d{6}[HM][A-Z]{5}[A-Z0-9]\d(?!\w)"), curp.is_valid),
    (re.compile(r"(?<![\w-])[12] \d\d \d\d \d[\dAB] \d{3} \d{3} \d\d(?![\w-])"), nir.is_valid),
)


def _us_ssn(value: str) -> bool:
    return re.fullmatch(r"(?!000|666|9)\d{3}[ -]?\d\d[ -]?\d{4}", value) is not None


def _ca_sin(value: str) -> bool:
    return re.fullmatch(r"\d{3}[ -]?\d{3}[ -]?\d{3}", value) is not None and luhn.is_valid(
        re.sub(r"\D", "", value)
    )


def _gb_nino(value: str) -> bool:
    return re.fullmatch(r"(?i)[a-z]{2} ?\d\d ?\d\d ?\d\d ?[a-d]", value) is not None


def _aadhaar(value: str) -> bool:
    return re.fullmatch(r"\d{4}[ -]?\d{4}[ -]?\d{4}", value) is not None and verhoeff.is_valid(
        re.sub(r"\D", "", value)
    )


def _in_pan(value: str) -> bool:
    return re.fullmatch(r"[A-Z]{5}\d{4}[A-Z]", value) is not None


def _spanish(value: str) -> bool:
    return dni.is_valid(value) or nie.is_valid(value)


def _plain(value: str) -> bool:
    """An unambiguous label in front is evidence enough: at least six digits, or letters then six."""
    return re.fullmatch(r"[A-Za-z]{0,3}[\d .-]{6,20}[A-Za-z]?", value) is not None


_BY_LABEL: dict[str, Callable[[str], bool]] = {
    "ssn": _us_ssn, "social security": _us_ssn, "sin": _ca_sin, "social insurance": _ca_sin,
    "nino": _gb_nino, "ni number": _gb_nino, "national insurance": _gb_nino,
    "aadhaar": _aadhaar, "aadhar": _aadhaar, "pan": _in_pan,
    "dni": _spanish, "nie": _spanish, "nif": _spanish, "nir": nir.is_valid,
    "bsn": bsn.is_valid, "pesel": pesel.is_valid, "cpf": cpf.is_valid,
    "codice fiscale": codicefiscale.is_valid, "curp": curp.is_valid,
}  # fmt: skip


def redact(text: str) -> str:
    """`text` with `<iban>`, `<card>`, `<national-id>` and `<phone>` in place of such numbers."""
    text = _IBAN.sub(_iban, text)
    text = _CARD.sub(_card, text)
    lower = text.lower()
    if any(hint in lower for hint in _NATIONAL_HINTS):
        text = "\n".join(map(_labelled, text.split("\n")))
    for pattern, is_valid in _SHAPED:
        text = pattern.sub(_Shaped(is_valid), text)
    return _PHONE.sub(_phone, text)


def _label_before(match: re.Match[str]) -> str:
    """ "phone" or "trap" by the nearest telling word in front of the match on its line, else ""."""
    before = match.string[max(0, match.start() - _REACH) : match.start()].rpartition("\n")[2]
    kinds = [found.lastgroup or "" for found in _LABELS.finditer(before)]
    return kinds[-1] if kinds else ""


def _iban(match: re.Match[str]) -> str:
    """The longest prefix that is an IBAN; a word may have been read along after it."""
    words = re.split(r"([ -])", match[0])
    for end in range(len(words), 0, -2):
        if iban.is_valid("".join(words[:end])):
            return IBAN + "".join(words[end:])
    return match[0]


def _card(match: re.Match[str]) -> str:
    digits = re.sub(r"\D", "", match[0])
    if not _CARD_NETWORK.fullmatch(digits) or not luhn.is_valid(digits) or len(set(digits)) == 1:
        return match[0]
    is_bare = digits == match[0]
    return match[0] if is_bare and _label_before(match) == "trap" else CARD


def _labelled(line: str) -> str:
    if not _LONG_NUMBER.search(line):
        return line
    return _NATIONAL_LABEL.sub(_national, line)


def _national(match: re.Match[str]) -> str:
    is_valid = _BY_LABEL.get(match["label"].lower(), _plain)
    for value in _prefixes(match["value"]):
        if is_valid(value):
            return match["label"] + match["between"] + NATIONAL_ID + match["value"][len(value) :]
    return match[0]


def _prefixes(value: str) -> list[str]:
    """`value` and its prefixes up to a space: words after a number may have been read along."""
    return [value, *(value[: gap.start()] for gap in reversed(list(re.finditer(" ", value))))]


class _Shaped:
    """A replacement for `re.sub` that asks the checksum first."""

    def __init__(self, is_valid: Callable[[str], bool]) -> None:
        self._is_valid = is_valid

    def __call__(self, match: re.Match[str]) -> str:
        return NATIONAL_ID if self._is_valid(match[0]) else match[0]


def _phone(match: re.Match[str]) -> str:
    text = match[0]
    is_version = "." in text and "-" in text  # 0.76.0-2013070106
    if is_version or _DATE.match(text.lstrip("(")):
        return text
    label = _label_before(match)
    return PHONE if label != "trap" and _is_phone(text, is_named=label == "phone") else text


@lru_cache(maxsize=4096)
def _is_phone(text: str, *, is_named: bool) -> bool:
    if is_named and 7 <= sum(map(str.isdigit, text)) <= 15:
        return True
    if text.startswith(("+", "(+", "00")):
        return _is_international(
            re.sub(r"^\(?(?:\+|00)", "+", text), is_spaced=not text.lstrip("+").isdigit()
        )
    if _NANP.fullmatch(text):
        return True
    digits = re.sub(r"\D", "", text)
    is_layout = text.startswith(("0", "(0")) and re.search(r"\d[ ()/-]+\d{2,}", text) is not None
    is_dump = len(set(digits)) < 4  # bytes in a hex dump: 01 00 00 00
    return (
        is_layout
        and len(digits) >= 10
        and not is_dump
        and any(_is_valid(text, region) for region in _TRUNK_REGIONS)
    )


def _is_international(text: str, *, is_spaced: bool) -> bool:
    if sum(map(str.isdigit, text)) < 8:
        return False
    try:
        number = phonenumbers.parse(text)
    except phonenumbers.NumberParseException:
        return False
    return phonenumbers.is_valid_number(number) or (is_spaced and phonenumbers.is_possible_number(number))


def _is_valid(text: str, region: str) -> bool:
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(text, region))
    except phonenumbers.NumberParseException:
        return False
