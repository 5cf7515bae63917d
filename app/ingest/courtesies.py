"""Removes what a mail carries besides its matter: greetings, signatures, disclaimers, bot notices.

Every rule works on whole lines and spares lines of evidence. What is not listed here but comes back in
every ticket is learned, see `boilerplate`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from app.ingest import evidence

_NAMEISH = (
    r"(?:[A-ZÀ-Þ][\w'’.-]{0,24}|team|all|there|support|everyone|everybody|guys|folks|sirs?|madam"
    r"|sir/madam|to whom|and|or|the|mr\.?|mrs\.?|ms\.?|dr\.?|zusammen|damen|herren|und"
    r"|madame|monsieur|señor(?:es|a)?|à|tous|equipo|a|todos)"
)
_GREETING = re.compile(
    r"(?P<word>(?i:hi|hiya|hello|hey|dear|greetings|good (?:morning|afternoon|evening|day)"
    r"|to whom it may concern"
    r"|hallo|guten (?:tag|morgen|abend)|liebe[rs]?|sehr geehrte[rs]?|moin|servus|bonjour|bonsoir|salut"
    r"|cher|chère|hola"
    r"|buen(?:os|as) (?:días|dias|tardes|noches)|estimad[oa]s?|ciao|buongiorno|gentile|salve|olá|oi"
    r"|bom dia|boa tarde|prezad[oa]s?"
    r"|beste|geachte|goedemorgen|goedemiddag|hej|hei|dzień dobry|witam|здравствуйте|добрый день|привет))"
    rf"(?P<names>(?:[ ]{_NAMEISH}){{0,4}})\s?(?P<end>[,!.:;-]{{1,3}}|$)\s*"
)
_GREETING_CJK = re.compile(r"^(?:您好|你好|お世話になっております|こんにちは|안녕하세요)[,，。!！、]?\s*")
_PLEASANTRY = re.compile(
    r"(?i)^(?:i )?(?:hope|trust)(?: that)? (?:you(?:'re| are)?|this (?:e-?mail|message)|all|everyone"
    r"|everything)\b.{0,60}[.!,]?$"
    r"|^(?:i hope you are (?:well|doing well)|hope you'?re (?:well|doing well)"
    r"|how are you(?: doing)?(?: today)?)[.!?,]*$"
)
_CLOSING = re.compile(
    r"(?i)^[\s*_]{0,4}(?:(?:(?:with )?(?:best|kind|kindest|warm|warmest|many"
    r"|my best)(?: and kind)? (?:regards?|wishes)|regards|best|cheers|sincerely"
    r"|yours(?: (?:sincerely|faithfully|truly))?|(?:very )?respectfully|rgds|br|thx|ty|thanks(?: (?:again"
    r"|a lot|so much|very much|in advance|and (?:best |kind )?regards|&(?:amp;)? regards|for (?:your|any"
    r"|the) (?:help|support|time|assistance|understanding)))?"
    r"|thank you(?: (?:again|so much|very much|in advance|and (?:best |kind )?regards|for (?:your|any"
    r"|the) (?:help|support|time|assistance|understanding)))?|many thanks|tia"
    r"|mit (?:freundlichen|besten|herzlichen) grüßen|mit freundlichem gruß|(?:viele|beste|liebe"
    r"|freundliche|schöne) grüße|gruß|grüße|vg|lg|mfg|danke(?: (?:im voraus|schön))?"
    r"|vielen dank(?: im voraus)?"
    r"|(?:bien )?cordialement|bien à vous|salutations(?: distinguées)?|merci(?: (?:d'avance|beaucoup"
    r"|par avance))?"
    r"|(?:un )?(?:cordial )?saludos?(?: cordiales)?|atentamente|(?:muchas )?gracias(?: de antemano)?"
    r"|un saludo"
    r"|(?:cordiali|distinti) saluti|saluti|grazie(?: mille)?|atenciosamente|cumprimentos|obrigad[oa]|att"
    r"|met vriendelijke groeten?|groeten|mvg|bedankt|(?:med )?v[äe]nlig(?:a|e)? h[äi]lsning(?:ar)?|mvh"
    r"|hälsningar|z poważaniem|pozdrawiam|с уважением|спасибо))"
    r"(?P<name>[\s,.!*_–-]{1,6}(?:[A-ZÀ-ÞА-Я<][\w'’.>-]{0,24}\s?){0,4})?[\s,.!:*_-]{0,4}$"
)
_POLITE_ONLY = re.compile(
    r"(?i)^(?:thx|ty|tia|thanks?|thank you|many thanks|danke|vielen dank|merci|gracias|muchas gracias"
    r"|grazie|obrigad[oa]|bedankt|спасибо|cheers)\b"
)
_DELIMITER = re.compile(r"^(?:--|—|__)\s*$")
_MAX_SIGNATURE = 15  # lines; what follows a delimiter or closing at greater length is matter, not a signature
_MAX_SIGNATURE_WIDTH = 100
_MAX_SIGNATURE_WORDS = 8
_SENT_FROM = re.compile(
    r"(?i)^\s*(?:(?:sent|written|typed) (?:from|via|with|using) (?:my |the |a )?[\w .'’-]{2,40}"
    r"|get outlook for (?:ios|android|mac).{0,80}|sent (?:from|with) (?:yahoo|proton|gmail|samsung"
    r"|outlook|mail).{0,60}"
    r"|von meinem [\w .-]{2,30} gesendet|gesendet (?:von|mit) [\w .-]{2,40}|envoyé (?:de"
    r"|depuis) (?:mon )?[\w .-]{2,40}|enviado desde (?:mi )?[\w .-]{2,40}"
    r"|enviado do meu [\w .-]{2,40}|inviato da(?:l mio)? [\w .-]{2,40}"
    r"|verstuurd vanaf (?:mijn )?[\w .-]{2,40}|skickat från (?:min )?[\w .-]{2,40}"
    r"|sendt fra (?:min )?[\w .-]{2,40}"
    r"|отправлено с [\w .-]{2,40}|发自我的.{1,20}|(?:excuse|please excuse|apologies for) (?:any "
    r"|my )?(?:typos|brevity).{0,80})[.!]?\s*$"
)
_CONTACT = re.compile(
    r"(?i)<(?:email|phone|name)>|^\s*(?:t|m|f|p|tel|phone|mobile|cell|fax|e-?mail|web|www|skype|linkedin"
    r"|twitter|office|direct)\s?[.:|]|^\s*(?:https?://|www\.)\S+\s*$"
    r"|@[\w-]+\.\w|\+?\d[\d ().-]{7,}\d"
)
_LEGAL_CUES = re.compile(
    r"(?i)(?P<a>\bconfidential|vertraulich|confidentiel|confidencial|riservat|vertrouwelijk|poufn)"
    r"|(?P<b>(?:intended|addressed) (?:only |solely |exclusively )?(?:for|to|recipient)"
    r"|intended recipient|sole use|solely for"
    r"|(?:bestimmt|adressat|empfänger)|destinataire|destinatari|geadresseerde)|(?P<c>(?:received"
    r"|receive) (?:this|it) (?:\S+ ){0,3}(?:in error|by mistake)|irrtümlich|par erreur|por error"
    r"|por engano|per errore|ten onrechte)"
    r"|(?P<d>notify (?:the sender|us)|(?:informieren|benachrichtigen) sie|avertir|avisez|notifi|avvisare)"
    r"|(?P<e>(?:delete|destroy)\b.{0,40}\b(?:e-?mail|message|copies|it\b)|vernichten|löschen sie|détrui"
    r"|supprim|elimin|borre)"
    r"|(?P<f>privileged|disclosure|dissemination|unauthori[sz]ed|strictly prohibited|copying or distribut"
    r"|unbefugt|diffusion|prohibid)|(?P<g>virus(?:es)?\b.{0,60}(?:scan|liab|check|free)|no liability"
    r"|liability|haftung|registered (?:in|office)|company (?:number|no\b))"
    r"|(?P<h>views (?:or opinions )?(?:expressed|presented)|opinions expressed|do not necessarily)"
    r"|(?P<i>this (?:e-?mail|message|communication|transmission)\b|diese (?:e-?mail|nachricht)"
    r"|ce (?:message|courriel|mail)|este (?:mensaje|correo|e-mail)|questo messaggio|deze e-?mail)"
)
_BANNER = re.compile(
    r"(?i)^\W{0,6}(?:\[?(?:external|extern|externe|ext)\b(?: e-?mail| sender| message)?\]?\W{0,4}$"
    r"|(?:caution|warning|attention|achtung|external|important|notice|be careful"
    r"|sicherheitshinweis)\b.{0,24}\b(?:this (?:e-?mail|message|mail)|e-?mail|courriel|mail"
    r"|sender)\b.{0,400}"
    r"|this (?:e-?mail|message) (?:originated|was sent|came|is) from (?:an? )?(?:outside"
    r"|external).{0,300}|(?:do not|don't|never) (?:click|open) (?:any |on )?(?:links?|attachments?).{0,300}"
    r"|you don'?t often get e-?mail from.{0,200}"
    r"|\[?some people who received this message don't often.{0,200}|diese (?:e-?mail|nachricht) (?:stammt"
    r"|kommt|wurde) von (?:extern|außerhalb).{0,300}|ce (?:courriel|message|mail) provient de l'ext.{0,300}"
    r"|(?:please )?consider the environment before printing.{0,80}|think before you print.{0,60})\s*$"
)
_BOT = re.compile(
    r"(?i)^\W{0,6}(?:(?:please )?(?:type|write|add) your reply above this line.{0,40}"
    r"|reply above this line.{0,40}|this is an? (?:automated|automatic|auto-?generated"
    r"|system[- ]generated) (?:e-?mail|message|reply|response|notification).{0,200}"
    r"|(?:please )?do not reply (?:directly )?to this (?:e-?mail|message).{0,160}|(?:this (?:mailbox"
    r"|inbox|e-?mail address) is (?:not monitored|unmonitored)).{0,120}|your (?:request|ticket"
    r"|case) (?:\(?#?\w{1,16}\)? )?(?:has been|was) (?:received|updated|created|solved|logged"
    r"|registered).{0,200}"
    r"|to (?:add|leave) (?:additional |a )?comments?,? (?:simply |please )?reply to this e-?mail.{0,120}"
    r"|(?:thank you|thanks) for (?:contacting|reaching out to) .{2,60} ?support\b.{0,200}|(?:view"
    r"|see) (?:this |the |your )?(?:ticket|request|case) (?:online|in your browser|here).{0,80}"
    r"|if you (?:no longer wish|don't want) to receive.{0,160}|(?:click here to )?unsubscribe\b.{0,80}"
    r"|(?:automatic reply|out of (?:the )?office|autoreply|abwesenheitsnotiz|réponse automatique"
    r"|respuesta automática|risposta automatica)\s?:?.{0,80}"
    r"|created attachment \d+.{0,40})\s*$"
)
_SUBJECT_PREFIX = re.compile(
    r"(?i)^\s*(?:(?:re|fwd?|aw|wg|tr|rv|sv|vs|vb|antw|odp|enc|res|i|r|rif|ynt|回复|转发"
    r"|答复)\s?(?:\[\d{1,3}\])?\s?[:：]"
    r"|\[?(?:external|extern|externe|ext)(?: e-?mail| sender)?\]?\s?[:：]|\[(?:external|extern|externe|ext"
    r"|caution)(?: e-?mail| sender)?\])\s*"
)


def strip_subject(subject: str) -> str:
    """`subject` on one line without reply, forward and "external" prefixes."""
    subject = " ".join(subject.split())
    while match := _SUBJECT_PREFIX.match(subject):
        subject = subject[match.end() :]
    return subject


def strip(lines: Sequence[str]) -> list[str]:
    """`lines` without the courtesies; the order of the rest is kept."""
    fenced = evidence.in_fences(lines)
    kept = [line for line, is_code in zip(lines, fenced, strict=True) if is_code or not _is_notice(line)]
    return _without_signature(_without_greeting(_without_disclaimers(kept)))


def _is_notice(line: str) -> bool:
    return len(line) <= 600 and bool(_BANNER.match(line) or _BOT.match(line) or _SENT_FROM.match(line))


def _without_greeting(lines: Sequence[str]) -> list[str]:
    """Take the greeting off the first line that has words, and a pleasantry off the next."""
    rest = list(lines)
    for index, line in enumerate(rest):
        if not line.strip():
            continue
        text = line.strip()
        match = _GREETING.match(text) or _GREETING_CJK.match(text)
        if match:
            rest[index] = text[match.end() :]
        elif not _PLEASANTRY.match(text):
            break
        else:
            rest[index] = ""
        if rest[index]:
            rest[index] = re.sub(r"^(?:I hope|Hope|Trust)[^.!?]{0,60}\bwell[.!,]\s*", "", rest[index])
            break
    return rest


def _without_disclaimers(lines: Sequence[str]) -> list[str]:
    """Drop paragraphs that give at least two different cues of a legal footer and carry no evidence."""
    fenced = evidence.in_fences(lines)
    kept: list[str] = []
    start = 0
    while start < len(lines):
        end = start + 1
        if lines[start].strip() and not fenced[start]:
            while end < len(lines) and lines[end].strip() and not fenced[end]:
                end += 1
            if _is_disclaimer(lines[start:end]):
                start = end
                continue
        kept += lines[start:end]
        start = end
    return kept


def _is_disclaimer(paragraph: Sequence[str]) -> bool:
    text = " ".join(paragraph)[:4000]
    if len(text) < 60 or any(evidence.is_evidence(line[:400]) for line in paragraph[:40]):
        return False
    cues = {match.lastgroup for match in _LEGAL_CUES.finditer(text)}
    return len(cues) >= 3 or ("a" in cues and len(cues) >= 2 and bool(cues & {"b", "c", "e", "i"}))


def _without_signature(lines: Sequence[str]) -> list[str]:
    """Cut from the delimiter or the closing phrase on, as long as what follows looks like a signature."""
    rest = list(lines)
    fenced = evidence.in_fences(rest)
    for index in range(max(0, len(rest) - 2 * _MAX_SIGNATURE), len(rest)):
        if fenced[index]:
            continue
        tail = [line for line in rest[index + 1 :] if line.strip()]
        if _DELIMITER.match(rest[index]) and _is_signature(tail) and not any(map(_is_prose, tail)):
            return rest[:index]
        if _is_closing(rest[index]) and _is_signature(tail) and _is_parting(rest[index], tail):
            return rest[:index]
    return rest


def _is_closing(line: str) -> bool:
    return len(line) <= 90 and _CLOSING.match(line) is not None


def _is_signature(tail: Sequence[str]) -> bool:
    return len(tail) <= _MAX_SIGNATURE and all(
        (
            len(line) <= _MAX_SIGNATURE_WIDTH
            and not evidence.is_evidence(line)
            and not evidence.is_source(line)
        )
        or _CONTACT.search(line) is not None
        for line in tail
    )


def _is_parting(closing: str, tail: Sequence[str]) -> bool:
    """Thanks may stand in the middle of a message: what follows must then be short or give contacts."""
    if any(_is_prose(line) and not _CONTACT.search(line) for line in tail):
        return False
    return len(tail) <= 3 or not _POLITE_ONLY.match(closing.strip()) or any(map(_CONTACT.search, tail))


def _is_prose(line: str) -> bool:
    return len(line.split()) > _MAX_SIGNATURE_WORDS
