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

_BUSINESS = (
    r"order|invoice|tracking|account|serial|reference|ref|customer|client|contract|policy|part|model|flight"
    r"|purchase[ ]order|rma|booking|reservation|confirmation|voucher|coupon|sku|article|item|product|device|licen[cs]e"
    r"|member|membership|shipment|parcel|package|asset|batch|lot|vendor|supplier|quote|transaction|payment|card|iban"
    r"|ticket|bug|issue|jira|delivery[ ]note|request|incident|bestellung|rechnung|kunden|auftrags?|vertrags?|facture|commande|pedido"
    r"|factura|ordine|fattura|bestelling|factuur|employee|student|patient|claim|project|commit|revision|pull[ ]request|pr"
)
_PLACES = (
    r"case|room|zip|postcode|postal|plz|page|line|lines|step|version|level|row|column|col|port|build|release"
    r"|chapter|section|figure|fig|slide|floor|suite|building|apartment|apt|gate|platform|track|extension|ext|pin|otp|year"
    r"|seite|zeile|schritt|zimmer|ligne|étape|página|línea|paso|pagina|riga|stap|regel|windows|office|chrome|firefox"
    r"|timeout|retries|limit|size|width|height|quantity|qty|total|count|number|top|last|first|next|about|over|up[ ]to"
)
TRAPS = re.compile(
    rf"""(?i:\b(?:{_BUSINESS})(?:['’]?s)?(?:[ -]?(?:no|nr|n°|num|number|nummer|id|ids|code|key)(?!\w)\.?(?:[ ](?:is|are|was|ist))?[ :#]{{0,3}}
          |[ ](?:is|ist)[ ]|[ ]\#?|\#)(?=[A-Z/_(\#-]{{0,20}}\d)[\#(]?[A-Z0-9]{{0,20}}(?:[-/_][A-Z0-9]{{1,20}}){{0,4}})
    | (?i:\b(?:{_PLACES})(?:[ ](?:no|nr|number|to|is|of))?\.?[ :#=]{{1,3}}\d{{1,12}})\b
    | (?<![\w.])\+?\d{{1,4}}[ ]?(?:\(\d{{1,5}}\)|\d{{2,5}})[ ./-]\d{{2,5}}(?:[ ./-]\d{{2,5}}){{0,4}}\b
    | \b\d{{4}}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?)?\b | \b\d{{1,2}}[./]\d{{1,2}}[./]\d{{2,4}}\b | \b\d\d?:\d\d(?::\d\d)?\b
    | \bv?\d{{1,4}}(?:\.\d{{1,5}}){{2,4}}\b
    | [$€£¥]\s?\d[\d.,]* | \b\d[\d.,]*\s?(?:EUR|USD|GBP|CHF|JPY|€|\$|£|%)
    | \b(?:Q[1-4]|H[12]|FY|CY|KW|CW|W)-?\d{{2,4}}\b
    | \b(?:ISO|IEC|EN|DIN|ANSI|IEEE|RFC|NIST|FIPS|PCI|SOC|SHA|MD|AES|RSA|DES|ECDSA|TLS|SSL|UTF|UCS|WPA|WEP|CVE|CWE|GHSA|BASE
        |COVID|USB|HDMI|DDR|RJ|PEP|JSR|JEP|HTTP|OAUTH|SAML|CP|WINDOWS|LATIN|KOI|MPEG|MP|ATX|AC|CAT|VT|GPT|COBOL|FORTRAN
        |IPV|SAS|RAID|ASCII|EBCDIC|GB|BIG|EC|EU|ES|GDPR|KB|HX|TH|BCP|ECMA|ITU|EIA|JIS|BS|AS|X|CRC|FIPS|KW|GMT|UTC|CET|EST|PST
        |INV|DN|RE|ORD|ORDER|PO|SO|RMA|TKT|TICKET|REQ|RITM|INC|CHG|CASE|SR|SKU|REF|CUST|ACC|ACCT|SN|PN|PR|MR|JIRA|BUG|ISSUE|ID
        |US|STORY|EPIC|TASK|QUOTE|CONTRACT|BOOKING|LH|BA|AF|KLM|UA|AA|DL|MODEL|ROOM|ZIP|TEL|FAX|EXT|PIN|VAT|TAX|PART|TEST
        |JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC|MON|TUE|WED|THU|FRI|SAT|SUN)-?[A-Z]{{0,4}}-?\d{{1,8}}\b""",
    re.VERBOSE,
)
"""Label and number, phone, date, time, version, money, quarter, standard, business reference."""


def hide_opaque(text: str, ticket_prefixes: tuple[str, ...]) -> str:
    """The text with links, addresses, UUIDs and our own ticket keys blanked out, offsets unchanged."""
    for hint, pattern in _OPAQUE:
        if hint in text:
            text = pattern.sub(_blank, text)
    if ticket_prefixes:
        prefixes = "|".join(re.escape(prefix) for prefix in ticket_prefixes)
        text = re.sub(rf"\b(?i:{prefixes})-?\d+\b", _blank, text)
    return text


def _blank(match: re.Match[str]) -> str:
    return " " * len(match[0])
