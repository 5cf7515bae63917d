"""Tells a company's mail domain from those where anyone can have an address."""

from __future__ import annotations

import re

_PUBLIC = re.compile(
    r"(?:.*\.)?(?:gmail|googlemail|yahoo|ymail|rocketmail|hotmail|outlook|live|msn|aol|icloud|gmx|web"
    r"|mail|yandex|zoho|fastmail|proton"
    r"|protonmail|tutanota|tuta|hushmail|hey|comcast|verizon|btinternet|t-online|freenet|orange|wanadoo"
    r"|free|laposte|sfr|libero|virgilio"
    r"|uol|bol|terra|rediffmail|naver|daum|qq|163|126|sina|foxmail|seznam|wp|onet|o2|inbox|rambler"
    r"|bigpond|xs4all|ziggo|telenet|bluewin"
    r"|me|mac|pm|att|sbcglobal|cox|charter|earthlink|juno|optonline|shaw|rogers|sky|ntlworld|virginmedia"
    r"|talktalk|interia|abv|ukr)"
    r"\.(?:com|net|org|de|at|ch|fr|it|es|nl|be|se|dk|no|fi|pl|cz|ru|ua|in|cn|jp|kr|br|ar|mx|me|ca|au|uk"
    r"|ie|co|pt|gr|hu|ro|bg"
    r"|(?:co|com)\.(?:uk|jp|in|nz|za|kr|id|th|br|ar|mx|au|tr|sg|hk|my|ph|vn|tw))"
)


def is_company_domain(domain: str) -> bool:
    """Whether people with an address at `domain` belong to one organisation."""
    return "." in domain and not domain.endswith(".invalid") and _PUBLIC.fullmatch(domain) is None
