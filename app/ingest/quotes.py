"""Removes the history below a reply: attributions, forwarded headers and `>` lines, in many languages."""

from __future__ import annotations

import re
from collections.abc import Sequence

from app.ingest import evidence

_ATTRIBUTION = re.compile(
    r"(?i)^[\s>*_]{0,8}(?:"
    r"on\b.{4,200}\bwrote|le\b.{4,200}\ba écrit|am\b.{4,200}\b(?:schrieb|geschrieben)\b.{0,120}"
    r"|el\b.{4,200}\bescribi[óo]"
    r"|il\b.{4,200}\bha scritto|(?:em|a)\b.{4,200}\bescreveu|op\b.{4,200}\b(?:schreef|geschreven)\b.{0,120}"
    r"|(?:den|på)\b.{4,200}\b(?:skrev|skrifar)\b.{0,120}|.{4,200}\bkirjoitti|(?:w dniu"
    r"|dnia)\b.{4,200}\b(?:pisze|napisał\(?a?\)?)"
    r"|.{4,200}\b(?:пишет|написал\(?а?\)?)|.{4,200}(?:写道|寫道|のメール|님이 작성)"
    r"|(?=.{0,80}<?[\w.+-]{1,64}@|.{0,40}\d{4}|.{0,80}<email>).{4,160}\bwrote"
    r")\s?[:：][*_\s]*$"
)
_OPENS_ATTRIBUTION = re.compile(r"(?i)^[\s>]{0,4}(?:on|le|am|el|il|em|op|den|w dniu)\b.{4,160}\d.{0,160}$")
_SEPARATOR = re.compile(
    r"(?i)^[\s>]{0,4}(?:-{2,}|_{2,}|={2,}|\*{2,})\s?(?:"
    r"(?:begin )?(?:original|forwarded|reply) ?(?:message|mail|e-mail)?(?: follows)?|(?:ursprüngliche"
    r"|original|weitergeleitete) ?nachricht"
    r"|message (?:d'origine|transféré|original)|mensaje (?:original|reenviado)|messaggio (?:originale"
    r"|inoltrato)"
    r"|mensagem (?:original|encaminhada)|(?:oorspronkelijk|doorgestuurd) bericht|ursprungligt meddelande"
    r"|oprindelig meddelelse"
    r"|opprinnelig melding|пересылаемое сообщение|исходное сообщение|wiadomość oryginalna|原始邮件"
    r"|原邮件|元のメッセージ"
    r")\s?(?:-{2,}|_{2,}|={2,}|\*{2,})?\s*$"
    r"|^\s*(?:begin forwarded message|anfang der weitergeleiteten nachricht"
    r"|début du message réexpédié)\s?:\s*$"
)
_HEADER_FROM = re.compile(
    r"(?i)^[\s>*_]{0,6}(?:from|von|de|da|van|från|fra|od|от|发件人|差出人)\s?[*_]{0,2}\s?[:：][*_]{0,2}\s*\S"
)
_HEADER_NEXT = re.compile(
    r"(?i)^[\s>*_]{0,6}(?:sent|date|to|cc|subject|gesendet|datum|an|betreff|envoyé|à|objet"
    r"|enviado(?: el)?|fecha|para|asunto"
    r"|inviato|data|a|oggetto|enviada(?: em)?|assunto|verzonden|aan|onderwerp|skickat|till|ämne|sendt|til"
    r"|emne|wysłano|do|temat"
    r"|отправлено|кому|тема|发送时间|收件人|主题|送信日時|宛先|件名)\s?[*_]{0,2}\s?[:：]"
)
_MAX_FORWARDS = 20  # a message forwarded more often than this is taken as it is
_MIME = re.compile(r"(?i)\s*(?:mime-version|message-id|received|content-type|x-[a-z-]+):")
_RULE = re.compile(r"^\s*[_-]{10,}\s*$")
_QUOTED = re.compile(r"^\s{0,3}>(?!>>)(?:[ >]|$|(?=\w))")


def strip(lines: Sequence[str]) -> list[str]:
    """`lines` without quoted history; of a bare forward only its headers are removed."""
    for _ in range(_MAX_FORWARDS):
        fenced = evidence.in_fences(lines)
        cut = _first_cut(lines, fenced)
        if cut is None:
            return _without_quoted(lines, fenced, start=0, attributed=False)
        head, after = lines[: cut[0]], cut[1]
        rest = lines[after:]
        is_answered = any(map(_QUOTED.match, rest[:3])) and _has_words(
            [x for x in rest if not _QUOTED.match(x)]
        )
        if _has_words(head) or is_answered:
            if any(_QUOTED.match(line) for line in rest[:3]):
                return [*head, *_without_quoted(lines, fenced, start=after, attributed=True)]
            return list(head)
        lines = _unquoted(rest)
    return list(lines)


def _first_cut(lines: Sequence[str], fenced: Sequence[bool]) -> tuple[int, int] | None:
    """The first line of history and the first line after its header, or None."""
    for index, line in enumerate(lines):
        if fenced[index] or evidence.is_frame_or_log(line):
            continue
        if _is_attribution(line):
            return index, index + 1
        if index + 1 < len(lines) and _OPENS_ATTRIBUTION.match(line[:400]):
            joined = f"{line[:300].rstrip()} {lines[index + 1][:300].lstrip(' >')}"
            if _is_attribution(joined):
                return index, index + 2
        if _SEPARATOR.match(line[:200]):
            return index, _after_headers(lines, index + 1)
        if _HEADER_FROM.match(line[:200]) and _headers_follow(lines, index + 1):
            start = index - 1 if index and _RULE.match(lines[index - 1]) else index
            return start, _after_headers(lines, index)
    return None


def _is_attribution(line: str) -> bool:
    ends_in_colon = line.rstrip(" *_\t").endswith((":", "："))
    return ends_in_colon and len(line) <= 400 and _ATTRIBUTION.match(line) is not None


def _headers_follow(lines: Sequence[str], start: int) -> bool:
    near = [line for line in lines[start : start + 6] if line.strip()][:3]
    if any(_MIME.match(line) for line in lines[start : start + 10]):
        return False  # a dump of raw headers is what the message is about
    return sum(_HEADER_NEXT.match(line[:200]) is not None for line in near) >= 2


def _after_headers(lines: Sequence[str], start: int) -> int:
    index = start
    while index < len(lines) and (
        not lines[index].strip()
        or _HEADER_FROM.match(lines[index][:200])
        or _HEADER_NEXT.match(lines[index][:200])
    ):
        index += 1
    return index


def _without_quoted(
    lines: Sequence[str], fenced: Sequence[bool], *, start: int, attributed: bool
) -> list[str]:
    """Lines from `start` on without `>` lines; if nothing says who wrote them, only what reads as mail goes.

    Trackers and their users quote code, output and steps with the same sign: of 60 such blocks read in
    two public trackers, one was a reply.
    """
    kept: list[str] = []
    last = max((number for number, line in enumerate(lines) if any(map(str.isalnum, line))), default=0)
    index = start
    while index < len(lines):
        end = index
        while end < len(lines) and _QUOTED.match(lines[end]) and not fenced[end]:
            end += 1
        block = lines[index:end]
        if not attributed and not _is_mail(block, is_last=end > last):
            kept += block
        if end < len(lines):
            kept.append(lines[end])
        index = end + 1
    return kept if _has_words(kept) or attributed else list(lines[start:])


def _is_mail(block: Sequence[str], *, is_last: bool) -> bool:
    """Whether a block of `>` lines is a message replied to: it has mail headers, or is prose at the end."""
    words = [text for line in block if (text := line.lstrip(" >").rstrip())]
    if any(_is_attribution(text) or _SEPARATOR.match(text[:200]) for text in words):
        return True
    is_prose = all(text[0].isalpha() and not evidence.is_source(text) for text in words)
    is_free = not any(evidence.is_evidence(text) for text in words)
    return is_last and is_prose and is_free and any(text.endswith((".", "?", "!")) for text in words)


def _unquoted(lines: Sequence[str]) -> list[str]:
    if lines and all(_QUOTED.match(line) or not line.strip() for line in lines):
        return [re.sub(r"^\s{0,3}>\s?", "", line) for line in lines]
    return list(lines)


def _has_words(lines: Sequence[str]) -> bool:
    return any(any(map(str.isalnum, line)) for line in lines)
