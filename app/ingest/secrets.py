"""Finds credentials pasted into a text and puts `<token>` in their place; the words around them stay.

Every repetition is bounded or possessive, so a hostile text costs linear time.
"""

from __future__ import annotations

import re

TOKEN = "<token>"  # noqa: S105 - the mark, not a secret

_PEM = re.compile(
    r"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----"
    r"(?:(?:[^-]|-(?!----))*+-----END (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----|[A-Za-z0-9+/=\s\\]*+)"
)
_KNOWN = re.compile(
    r"(?<![A-Za-z0-9_])(?:"
    r"eyJ[A-Za-z0-9_-]{8,}+(?:\.[A-Za-z0-9_-]*+){1,4}"  # JSON web token
    r"|A(?:KIA|SIA|GPA|IDA|ROA|NPA|NVA)[A-Z0-9]{16}(?![A-Za-z0-9])"  # AWS
    r"|gh[pousr]_[A-Za-z0-9]{20,}+|github_pat_\w{20,}+|gl(?:pat|ptt|dt|rt)-[\w-]{16,}+"
    r"|xox[abeoprs]-[A-Za-z0-9-]{8,}+|xapp-[A-Za-z0-9-]{8,}+"
    r"|T[A-Z0-9]{7,12}/B[A-Z0-9]{7,12}/[A-Za-z0-9]{16,}+"
    r"|[srp]k_(?:live|test)_[A-Za-z0-9]{8,}+|whsec_[A-Za-z0-9+/=]{16,}+"
    r"|AIza[\w-]{30,}+|ya29\.[\w-]{20,}+|GOCSPX-[\w-]{20,}+"
    r"|SG\.[\w-]{16,}+\.[\w-]{16,}+|npm_[A-Za-z0-9]{30,}+|pypi-[\w-]{30,}+|hf_[A-Za-z0-9]{24,}+"
    r"|sk-(?:ant-|proj-|or-)?(?=[\w-]{0,40}\d)[\w-]{20,}+|dop_v1_[0-9a-f]{32,}+|shp(?:at|ca|pa"
    r"|ss)_[0-9a-fA-F]{32}"
    r"|\d{8,10}:AA[\w-]{33}"  # Telegram bot
    r")"
)
_USERINFO = re.compile(r"(?<=://)(?!<)[^\s/@:<>]{0,128}+:[^\s/<>]{1,128}@")
_SCHEME = re.compile(
    r"\b(Bearer|Basic|Digest|Negotiate|Token|ApiKey)(\s{1,3})(?!0x)(?=[\w.~+/-]{0,64}\d"
    r"|[\w.~+/-]{24})[\w.~+/=-]{10,}+",
    re.IGNORECASE,
)
_COOKIE = re.compile(r"\b((?:Set-)?Cookie:[ \t]{0,3})(?!<token>)\S[^\r\n]{0,4096}", re.IGNORECASE)

_STRONG = (
    r"pass(?:word|wd|phrase|code)|pwd|kennwort|passwort|contrase(?:ñ|n)a|mot de passe|wachtwoord|senha"
    r"|secret(?:[ _-]?(?:access[ _-]?)?key)?|client[ _-]?secret|private[ _-]?key"
    r"|(?:shared[ _-]?)?access[ _-]?key|account[ _-]?key"
    r"|api[ _-]?(?:key|token|secret)|auth[ _-]?token|access[ _-]?token|refresh[ _-]?token|id[ _-]?token"
    r"|bearer[ _-]?token"
)
_WEAK = (
    r"(?<!publickey)token|sig|signature|session(?:[ _-]?(?:id|token|key))?|jsessionid|phpsessid|sid|auth"
    r"|authorization|credential|otp|pin"
)
_VALUE = r"[^\s\"'`&;,<>()\[\]{}]"
_QUOTED = re.compile(
    rf"(?i)((?:{_STRONG}|{_WEAK})[\"']?\s{{0,3}}(?::|=>?)\s{{0,3}}([\"']))(?!<token>|null\b|\$|%"
    rf"|\{{)[^\"'\r\n<>]{{3,1024}}(?=\2)"
)
_TIGHT = re.compile(
    rf"(?i)((?:{_STRONG})=)(?!null\b|none\b|true\b|false\b|\*\*"
    rf"|\$|%)"
    rf"{_VALUE}{{3,1024}}+(?!\()"
)
_LOOSE = re.compile(
    rf"(?i)((?<![a-z])(?:{_STRONG}|pin|otp)\s{{0,3}}(?::|=|\bis\b:?)\s{{1,3}}"
    rf"|(?:{_STRONG}):(?!:))"
    rf"(?=\S{{0,64}}[a-z])"
    rf"(?=\S{{0,64}}[\d!$%^*#])(?!https?:){_VALUE}{{4,1024}}+(?!\()"
)
_QUERY = re.compile(
    rf"(?i)([?&#;](?:{_STRONG}|{_WEAK}|key|[\w-]{{0,24}}[_-](?:token"
    rf"|signature|key|secret)|x-amz-[a-z-]{{3,20}})=)[^\s&#;\"'<>)]{{4,}}+"
)
_WEAK_TIGHT = re.compile(
    rf"(?i)((?<![a-z])(?:{_WEAK})=)(?!0x)(?=[\w.~+/-]{{0,64}}\d)[\w.~+/%-]{{10,}}+=*+(?!\()"
)
_NAMED = (
    "pass", "pwd", "kennwort", "contrase", "wachtwoord", "senha", "secret", "key", "token", "sig", "sess",
    "sid", "auth", "credential", "otp", "pin",
)  # fmt: skip
_SCHEMES = ("bearer ", "basic ", "digest ", "negotiate ", "token ", "apikey ")


def redact(text: str) -> str:
    """`text` with every credential replaced by `<token>`; names of headers and fields are kept."""
    if "-----BEGIN" in text:
        text = _PEM.sub(TOKEN, text)
    text = _KNOWN.sub(TOKEN, text)
    if "://" in text:
        text = _USERINFO.sub(f"{TOKEN}@", text)
    if "ookie:" in text:
        text = _COOKIE.sub(rf"\1{TOKEN}", text)
    lower = text.lower()
    if any(scheme in lower for scheme in _SCHEMES):
        text = _SCHEME.sub(rf"\1\2{TOKEN}", text)
    if any(name in lower for name in _NAMED):
        text = "\n".join(map(_assigned, text.split("\n")))
    return text


def _assigned(line: str) -> str:
    """`line` with the values given to secret names replaced; most lines have no such name and cost little."""
    if not ("=" in line or ":" in line or " is " in line):
        return line
    lower = line.lower()
    if not any(name in lower for name in _NAMED):
        return line
    if "=" in line:
        for pattern in (_QUERY, _TIGHT, _WEAK_TIGHT):
            line = pattern.sub(rf"\1{TOKEN}", line)
    if '"' in line or "'" in line:
        line = _QUOTED.sub(rf"\1{TOKEN}", line)
    return _LOOSE.sub(rf"\1{TOKEN}", line)
