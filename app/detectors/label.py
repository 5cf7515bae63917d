"""Names people would have given: the error signature first, then the phrase that sets a pattern apart.

Phrases are scored by class-based TF-IDF (Grootendorst 2022, BERTopic) times the share of members that
say them, and made different from each other by maximal marginal relevance (Carbonell & Goldstein 1998).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import log

from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

MAX_WORDS = 4
LEAST_SHARE = 0.2  # phrases fewer members say are dropped
PHRASES = 3
BODY_CHARS = 200
REMEMBERED = (
    1 << 13
)  # texts whose phrases are kept: one pattern after the other is held against the same tickets
TITLE_CHARS = 70
MOST_TITLE_WORDS = 12
TRAILS = 0.5  # worth of a subject that trails off, as mail programs cut them
OWN_NUMBER = 4.0  # words that a number or name of one ticket's own costs a title
_WORD = re.compile(r"[^\W_](?:[\w.+#'’-]*[^\W_])?")
_PREFIX = re.compile(r"(?i)^\s*(?:(?:re|fwd?|aw|wg|tr|rv)\s*:\s*)+")
_MARK = re.compile(r"<[a-z][^<>\n]{0,40}>")
_CLAUSE = re.compile(r"[.!?;:,()\[\]{}\"“”|\n<>]+(?:\s|$)|[\n<>|]")
_WORDS = """
    hi hello hey dear thanks thank please pls kindly regards best cheers sincerely sorry help support team
    need needs needed want wanted wants like would could should just also still already really getting get gets got
    using use used try tried trying issue issues problem problems question questions ticket case urgent asap
    today yesterday morning afternoon evening week monday tuesday wednesday thursday friday saturday sunday
    january february march april june july august september october november december
    der die das und ist nicht mit ein eine für auf von wir ich sie bei nach seit wird werden den dem bitte hallo danke
    le la les un une des et est pas dans pour avec sur depuis nous vous je bonjour merci que qui
    el los las una con por para desde que hola gracias como del al se en es no
    don doesn didn isn wasn can couldn won wouldn im ive re fwd fw aw wg ok yes
"""
_STOP = frozenset(ENGLISH_STOP_WORDS) | frozenset(_WORDS.split())


@dataclass(frozen=True, slots=True)
class Name:
    """A title, and the phrases it was chosen from, best first."""

    title: str
    phrases: tuple[str, ...]


class Background:
    """How often the whole desk says each phrase; `words` is its mean number of phrases a ticket."""

    def __init__(self, texts: Iterable[tuple[str, str]] = ()) -> None:
        self.counts: Counter[str] = Counter()
        tickets = 0
        for subject, body in texts:
            self.counts.update(phrases_of(subject, body))
            tickets += 1
        self.words = sum(self.counts.values()) / max(tickets, 1)


def phrases_of(subject: str, body: str) -> frozenset[str]:
    """Distinct phrases of one to four words, lower case, that neither begin nor end with a stop word."""
    return _phrases(f"{subject}\n{body[:BODY_CHARS]}")


@lru_cache(maxsize=REMEMBERED)
def _phrases(text: str) -> frozenset[str]:
    return frozenset(phrase for phrase, _ in _spoken(text))


def forget() -> None:
    """Keep no text in memory: what is erased elsewhere must not live on here."""
    _phrases.cache_clear()


def _spoken(text: str) -> Iterator[tuple[str, str]]:
    """(phrase in lower case, as it was written)"""
    for clause in _CLAUSE.split(_MARK.sub("\n", text)):
        words = _WORD.findall(clause)
        low = [word.lower() for word in words]
        weak = [_is_weak(word) for word in low]
        for start in range(len(words)):
            for last in range(start, min(start + MAX_WORDS, len(words))):
                if not (weak[start] or weak[last]):
                    yield " ".join(low[start : last + 1]), " ".join(words[start : last + 1])


def _is_weak(word: str) -> bool:
    return word in _STOP or len(word) < 2 or word.replace(".", "").replace("-", "").isdigit()


def name(members: Sequence[tuple[str, str]], *, signature: str, background: Background) -> Name:
    """Name a pattern by its members' (subject, body), oldest first; `signature` leads when given."""
    said: Counter[str] = Counter()
    written: dict[str, Counter[str]] = {}
    for subject, body in members:
        forms = dict(_spoken(f"{body[:BODY_CHARS]}")) | dict(_spoken(subject))  # a subject's form wins
        said.update(forms.keys())
        for phrase, form in forms.items():
            written.setdefault(phrase, Counter())[form] += 1
    most = max(2, LEAST_SHARE * len(members))
    scores = {
        phrase: _score(phrase, count, len(members), background)
        for phrase, count in said.items()
        if count >= most and phrase not in signature.lower()
    }
    chosen = _diverse(scores)
    shown = tuple(_form(written[phrase]) for phrase in chosen)
    return Name(_title(signature, shown, [subject for subject, _ in members], scores), shown)


def _score(phrase: str, count: int, members: int, background: Background) -> float:
    """c-TF-IDF of the phrase times the share of members, favouring phrases over lone words."""
    share = count / members
    rarity = log(1.0 + max(background.words, 1.0) * 5.0 / (1.0 + background.counts[phrase]))
    return share * share * (rarity + 0.5) * (1.0 + 0.35 * (len(phrase.split()) - 1))


def _diverse(scores: dict[str, float]) -> list[str]:
    ranked = sorted(scores, key=lambda p: (-scores[p], p))[:40]
    chosen: list[str] = []
    while ranked and len(chosen) < PHRASES:
        best = max(ranked, key=lambda p: (scores[p] * (1.0 - _overlap(p, chosen)), p))
        if _overlap(best, chosen) >= 0.99:
            break
        chosen.append(best)
        ranked.remove(best)
    return chosen


def _overlap(phrase: str, chosen: Sequence[str]) -> float:
    words = set(phrase.split())
    return max((len(words & set(other.split())) / len(words) for other in chosen), default=0.0)


def _form(forms: Counter[str]) -> str:
    """The spelling used most; a tie goes to the one with fewer capitals."""
    return min(forms, key=lambda f: (-forms[f], sum(map(str.isupper, f)), f))


def _title(signature: str, shown: Sequence[str], subjects: Sequence[str], scores: dict[str, float]) -> str:
    words = _best_subject(subjects, scores, without=signature) or (shown[0] if shown else "")
    words = words or next((s for s in subjects if s.strip()), "" if signature else "Unnamed pattern")
    words = _shortened(words)
    if signature:
        return f"{signature} · {words}" if words else signature
    return words[:1].upper() + words[1:]


def _best_subject(subjects: Sequence[str], scores: dict[str, float], *, without: str) -> str:
    """The member's subject that says most of what the members share in the fewest words."""
    best, most = "", 0.0
    for subject in subjects:
        text = _tidied(subject, without)
        phrases = {phrase for phrase, _ in _spoken(text)}
        words = len(_WORD.findall(text))
        if not 2 <= words <= MOST_TITLE_WORDS:
            continue
        own = sum(_is_own(word, scores) for word in _WORD.findall(text))
        said = sum(scores.get(phrase, 0.0) for phrase in phrases) / (words + 2.0 + OWN_NUMBER * own)
        if subject.rstrip().endswith(("...", "…")):
            said *= TRAILS
        if said > most * (1.0 + 1e-9):
            best, most = text, said
    return best


def _is_own(word: str, scores: dict[str, float]) -> bool:
    """Whether a word holds a digit or an underscore and is not what members share: an amount, a field, an id."""
    return any(c.isdigit() or c == "_" for c in word) and word.lower() not in scores


def _tidied(subject: str, without: str) -> str:
    """A subject without marks, reply prefixes and the signature that stands before it anyway."""
    text = _PREFIX.sub("", _MARK.sub("", subject))
    if without:
        text = re.sub(re.escape(without), "", text, flags=re.IGNORECASE)
    text = re.sub(r"\s+", " ", text).strip(" \t.,:;!?-–—·…\"'()[]")
    letters = [c for c in text if c.isalpha()]
    shouted = len(letters) > 8 and sum(map(str.isupper, letters)) > 0.7 * len(letters)
    return text.capitalize() if shouted else text


def _shortened(words: str) -> str:
    return words if len(words) <= TITLE_CHARS else words[:TITLE_CHARS].rsplit(" ", 1)[0] + "…"
