"""Spans that are never error codes, although they look like them: links, order numbers, dates, versions."""

from __future__ import annotations

import re

_OPAQUE = tuple(
    (hint, re.compile(pattern))
    for hint, pattern in (
        ("://", r"://[^\s<>\"']+"),
        ("www.", r"www\.[^\s<>\"']+"),
        ("@", r"(?<![\w.+-])[\w.+-]{1,64}+@[\w-]{1,63}(?:\.[\w-]{1,63}){1,5}"),
        ("-", r"-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b"),
    )
)
"""Links, addresses and the tails of UUIDs: nothing inside them is read at all."""

_BUSINESS = """
    order invoice tracking account serial reference ref customer client contract policy part model flight
    purchase_order rma booking reservation confirmation voucher coupon sku article item product device
    licen[cs]e member membership shipment parcel package asset batch lot vendor supplier quote transaction
    payment card iban ticket bug issue jira delivery_note request incident bestellung rechnung kunden
    auftrags? vertrags? facture commande pedido factura ordine fattura bestelling factuur employee student
    patient claim project commit revision pull_request pr
"""
_PLACES = """
    case room zip postcode postal plz page line lines step version level row column col port build release
    chapter section figure fig slide floor suite building apartment apt gate platform track extension ext
    pin otp year seite zeile schritt zimmer ligne étape página línea paso pagina riga stap regel windows
    office chrome firefox timeout retries limit size width height quantity qty total count number top last
    first next about over up_to
"""
_STANDARDS = """
    AC AES ANSI AS ASCII ATX BASE BCP BIG BS CAT CET COBOL COVID CP CRC CVE CWE DDR DES DIN EBCDIC EC
    ECDSA ECMA EIA EN ES EST EU FIPS FORTRAN GB GDPR GHSA GMT GPT HDMI HTTP HX IEC IEEE IPV ISO ITU JEP
    JIS JSR KB KOI KW LATIN MD MP MPEG NIST OAUTH PCI PEP PST RAID RFC RJ RSA SAML SAS SHA SOC SSL TH TLS
    UCS USB UTC UTF VT WEP WINDOWS WPA X
"""
_REFERENCES = """
    AA ACC ACCT AF BA BOOKING BUG CASE CHG CONTRACT CUST DL DN EPIC EXT FAX ID INC INV ISSUE JIRA KLM LH
    MODEL MR ORD ORDER PART PIN PN PO PR QUOTE RE REF REQ RITM RMA ROOM SKU SN SO SR STORY TASK TAX TEL
    TEST TICKET TKT UA US VAT ZIP
"""
_LINEAGE = """
    duplicate duplicates duplicate_of duplicates_of dup_of dupe_of fix fixes fixed fix_for fixed_by
    fixed_in introduced_in introduced_by introduced_with follow-up_of follow-up_to follow-up_for
    followup_of followup_to backport backports backported backport_of regression_of regression_from
    depends_on blocked_by blocks related_to relates_to part_of subtask_of sub-task_of revert reverts
    reverted revert_of patch patch_for merge merged branch umbrella discussed_in similar_to clone_of
    split_from tracked_in tracked_by described_in done_in added_in added_by changed_in changed_by
    according_to
"""
_DAYS = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC MON TUE WED THU FRI SAT SUN"


def _any(words: str) -> str:
    """An alternation of words; "_" stands for a space."""
    return "|".join(words.split()).replace("_", "[ ]")


_TRAPS = (
    # a business label with its value: "order no. 4031", "the part number is AB-1234"
    rf"""(?i:\b(?:{_any(_BUSINESS)})(?:['’]?s)?
        (?:[ -]?(?:no|nr|n°|num|number|nummer|id|ids|code|key)(?!\w)\.?(?:[ ](?:is|are|was|ist))?[ :\#]{{0,3}}
          |[ ](?:is|ist)[ ]|[ ]\#?|\#)
        (?=[A-Z/_(\#-]{{0,20}}\d)[\#(]?[A-Z0-9]{{0,20}}(?:[-/_][A-Z0-9]{{1,20}}){{0,4}})""",
    # a place or quantity with its number: "line 40", "step 4", "timeout to 500"
    rf"(?i:\b(?:{_any(_PLACES)})(?:[ ](?:no|nr|number|to|is|of))?\.?[ :\#=]{{1,3}}\d{{1,12}})\b",
    # telephone number
    r"(?<![\w.])\+?\d{1,4}[ ]?(?:\(\d{1,5}\)|\d{2,5})[ ./-]\d{2,5}(?:[ ./-]\d{2,5}){0,4}\b",
    # date, time, version, money
    r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?)?\b",
    r"\b\d{1,2}[./]\d{1,2}[./]\d{2,4}\b",
    r"\b\d\d?:\d\d(?::\d\d)?\b",
    r"\bv?\d{1,4}(?:\.\d{1,5}){2,4}\b",
    r"[$€£¥]\s?\d[\d.,]{0,20}",
    r"\b\d[\d.,]{0,20}\s?(?:EUR|USD|GBP|CHF|JPY|€|\$|£|%)",
    # another tracker's key: "duplicate of PLAT-2231", "introduced by HDFS-123"
    rf"(?i:\b(?:{_any(_LINEAGE)})[ :\#(\[]{{1,3}})[A-Z][A-Z0-9]{{1,12}}-\d{{1,6}}\b",
    # quarter, standard, business reference, month
    r"\b(?:Q[1-4]|H[12]|FY|CY|KW|CW|W)-?\d{2,4}\b",
    rf"\b(?:{_any(_STANDARDS)}|{_any(_REFERENCES)}|{_any(_DAYS)})(?:-[A-Z]{{1,4}})?-?\d{{1,8}}\b",
)
TRAPS = re.compile("|".join(_TRAPS), re.VERBOSE)
"""Label and number, phone, date, time, version, money, quarter, standard, business reference."""


def hide_opaque(text: str, ticket_prefixes: tuple[str, ...]) -> str:
    """The text with links, addresses, UUIDs and our own ticket keys blanked out, offsets unchanged."""
    if "/browse/" in text:  # a link to another tracker tells which keys are its own
        ticket_prefixes += tuple(sorted(set(_BROWSE.findall(text))))
    for hint, pattern in _OPAQUE:
        if hint in text:
            text = pattern.sub(_blank, text)
    if ticket_prefixes:
        prefixes = "|".join(re.escape(prefix) for prefix in ticket_prefixes)
        text = re.sub(rf"\b(?i:{prefixes})-?\d+\b", _blank, text)
    return text


_BROWSE = re.compile(r"/browse/([A-Z][A-Z0-9]{1,12})-\d")


def _blank(match: re.Match[str]) -> str:
    return " " * len(match[0])
