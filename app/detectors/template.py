"""Log-line templates: mask what varies, then join lines whose constant words agree.

A template is founded by one line and never changes its id; the positions at which later lines
differ turn into `<*>`. The method follows Drain (He et al. 2017) in bucketing by token count, but
compares constants only, so that values cannot outvote words.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

WILDCARD = "<*>"
_CACHE_ENTRIES = 200_000  # masked words, and masked lines, remembered before the memory is emptied
_MESSAGE_LIMIT = 90  # characters: the longest message still read as a name
_SOURCE_POSITION = re.compile(r"^[\w./\\-]{1,200}:\d+(?::\d+)?:\s*")
_LOOSE_END = re.compile(
    r"(?:\s+(?:is|are|was|of|with|at|for|by|the|a|id|in|has|got|to)|\s+[`'\"(\[{]\w*|[\s.,:;\"'`(\[{=#<-]+)+$"
)
_VALUES = re.compile(
    r"""(?i:https?|ftp|wss?|hdfs|s3|file|jdbc|tcp|udp|unix)://[^\s,;"'\])]+
    | [\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,5}
    | \b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b
    | \b\d{4}[-/.]\d\d[-/.]\d\d(?:[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?)?
    | \b\d{1,2}:\d\d(?::\d\d(?:[.,]\d{1,9})?)?\b
    | \b(?:[0-9a-fA-F]{2}[:-]){5}[0-9a-fA-F]{2}\b
    | (?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?\b
    | \b0[xX][0-9a-fA-F]+\b
    | (?<![\w/])(?:[A-Za-z]:)?[/\\][\w.@$+-]+(?:[/\\][\w.@$%+:-]*)+
    | \b[\w-]{1,63}(?:\.[\w-]{1,63}){1,6}:\d{2,5}\b
    | (?<![A-Za-z0-9])[A-Za-z_.-]*\d[\w.-]*
    """,
    re.VERBOSE,
)


def mask(line: str) -> str:
    """The line with every value (link, address, time, path, number, id ...) written as `<*>`."""
    return _VALUES.sub(WILDCARD, line)


def mask_message(message: str) -> str:
    """A short name from an error message: what stands before the first value, cut at a word.

    >>> mask_message("index out of range [5] with length 3")
    'index out of range'
    """
    masked = " ".join(mask(_SOURCE_POSITION.sub("", message)).split())
    constant = _LOOSE_END.sub("", masked.partition(WILDCARD)[0])
    name = constant if constant.count(" ") else masked.rstrip(" .,:;\"'`")
    return name if len(name) <= _MESSAGE_LIMIT else name[:_MESSAGE_LIMIT].rsplit(" ", 1)[0]


@dataclass(frozen=True, slots=True)
class Template:
    """A kind of line: `tokens` with `<*>` where lines differ; `id` is fixed when the first line founds it."""

    id: str
    tokens: tuple[str, ...]
    lines: int = 1

    @property
    def text(self) -> str:
        return " ".join(self.tokens)


@dataclass(slots=True)
class _Kind:
    """A template while it is being learned."""

    id: str
    tokens: list[str]
    lines: int = 0


class TemplateMiner:
    """Sorts lines into templates, one at a time; the same lines in the same order give the same templates.

    A line joins the most similar template of its bucket (number of tokens, first constant token) when
    at least `share` of the constant tokens of both agree.
    """

    def __init__(self, *, share: float = 0.8) -> None:
        self._share = share
        self._buckets: dict[tuple[int, str], list[_Kind]] = {}
        self._known: dict[str, _Kind] = {}  # masked line -> its template: most lines are repeats
        self._masked: dict[str, str] = {}  # word -> masked word

    def add(self, line: str) -> Template:
        """The template of the line, founded when no earlier one fits."""
        masked = self._mask(line)
        kind = self._known.get(masked)
        if kind is None:
            if len(self._known) >= _CACHE_ENTRIES:
                self._known.clear()
            kind = self._known[masked] = self._place(masked.split(" "))
        kind.lines += 1
        return Template(kind.id, tuple(kind.tokens), kind.lines)

    def templates(self) -> list[Template]:
        """All templates, oldest first."""
        kinds = (kind for bucket in self._buckets.values() for kind in bucket)
        return [Template(kind.id, tuple(kind.tokens), kind.lines) for kind in kinds]

    def _mask(self, line: str) -> str:
        masked = self._masked
        words = []
        for word in line.split():
            known = masked.get(word)
            if known is None:
                if len(masked) >= _CACHE_ENTRIES:
                    masked.clear()
                known = masked[word] = mask(word)
            if known != WILDCARD or not words or words[-1] != WILDCARD:
                words.append(known)
        return " ".join(words)

    def _place(self, tokens: list[str]) -> _Kind:
        first = next((token for token in tokens if WILDCARD not in token), "")
        bucket = self._buckets.setdefault((len(tokens), first), [])
        best, best_share = None, self._share
        for kind in bucket:
            share = _shared(kind.tokens, tokens)
            if share >= best_share and (best is None or share > best_share):
                best, best_share = kind, share
        if best is None:
            best = _Kind(_template_id(tokens), tokens)
            bucket.append(best)
        else:
            best.tokens = [ours if ours == theirs else WILDCARD for ours, theirs in zip(best.tokens, tokens, strict=True)]
        return best


def _shared(template: list[str], tokens: list[str]) -> float:
    """Share of the template's constant tokens that the line has at the same place."""
    same = total = 0
    for ours, theirs in zip(template, tokens, strict=True):
        if ours != WILDCARD:
            total += 1
            same += ours == theirs
    return same / total if total else 1.0


def _template_id(tokens: Iterable[str]) -> str:
    return "t_" + hashlib.sha256(" ".join(tokens).encode()).hexdigest()[:16]
