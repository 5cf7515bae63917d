"""Log-line templates: mask what varies, then join lines whose constant words agree.

A template is founded by one line and its id never changes; positions at which later lines differ
turn into `<*>`. Bucketing by token count and first word follows Drain (He et al. 2017). Unlike
there only constants are compared, so that values cannot outvote words, and a plain word counts as a
value only after several alternatives have been seen in its place: "stored as bytes" and "stored as
values" stay two templates, "removing echo", "removing time", "removing chargen" ... become one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

WILDCARD = "<*>"
_LINE_LIMIT = 4_000  # characters of a line that are read
_CACHE_ENTRIES = 200_000  # masked words, and masked lines, remembered before the memory is emptied
_MESSAGE_LIMIT = 90  # characters: the longest message still read as a name
_SOURCE_POSITION = re.compile(r"^[\w./\\-]{1,200}:\d+(?::\d+)?:\s*")
_OPEN_BRACKET = re.compile(r"\s*(?:\{[^}]*|\([^)]*|\[[^\]]*)$")
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
    | (?<![\w.-])[A-Za-z_.-]{0,200}+\d[\w.-]*
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
    constant = _LOOSE_END.sub("", _OPEN_BRACKET.sub("", masked.partition(WILDCARD)[0]))
    constant += "`" * (constant.count("`") % 2)
    name = constant if constant.count(" ") else masked.rstrip(" .,:;\"'`")
    return name if len(name) <= _MESSAGE_LIMIT else name[:_MESSAGE_LIMIT].rsplit(" ", 1)[0]


_CALENDAR = frozenset(
    "Mon Tue Wed Thu Fri Sat Sun Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec"  # noqa: SIM905
    " AM PM UTC GMT EST EDT CST CDT MST MDT PST PDT CET CEST".split()
)
_UNITS = frozenset(
    "b kb mb gb tb kib mib gib byte bytes us ms ns s sec secs second seconds min mins minute minutes"  # noqa: SIM905
    " h hour hours day days".split()
)
_PLAIN_WORD = re.compile(r"[A-Za-z]+[.,:;]?$")
_HAS_VALUE = re.compile(r"[\d/\\@=:]|\(\)")  # a word without one of these is masked by nothing
_Hole = tuple[int, tuple[str, ...], tuple[str, ...]]  # a position with the tokens before and after it


@dataclass(frozen=True, slots=True)
class Template:
    """A kind of line: `tokens` with `<*>` where lines differ; `heir` is the id it was joined to, or ""."""

    id: str
    founder: tuple[str, ...]  # the masked line that founded it: what its id is made from
    tokens: tuple[str, ...]
    lines: int
    heir: str = ""

    @property
    def text(self) -> str:
        return " ".join(self.tokens)


class _Kind:
    """A template while it is being learned."""

    __slots__ = ("founder", "heir", "id", "lines", "tokens")

    def __init__(self, founder: tuple[str, ...]) -> None:
        self.id = "t_" + hashlib.sha256(" ".join(founder).encode()).hexdigest()[:16]
        self.founder = founder
        self.tokens = list(founder)
        self.lines = 0
        self.heir: _Kind | None = None

    def root(self) -> _Kind:
        kind = self
        while kind.heir is not None:
            kind = kind.heir
        return kind

    def frozen(self) -> Template:
        heir = self.root().id if self.heir else ""
        return Template(self.id, self.founder, tuple(self.tokens), self.lines, heir)


class TemplateMiner:
    """Sorts lines into templates one at a time; the same lines in the same order give the same templates.

    A line joins the best template of its bucket with at least `share` of the constant tokens equal.
    Where all that differs is one plain word, it founds a template of its own; with the `siblings`-th
    template that differs only there they become one, the oldest (`few_words_siblings` where the other
    words alone are less than `share` of the line).
    """

    def __init__(self, *, share: float = 0.8, siblings: int = 4, few_words_siblings: int = 10) -> None:
        self._share = share
        self._siblings = siblings
        self._few_words_siblings = few_words_siblings
        self._kinds: dict[str, _Kind] = {}
        self._buckets: dict[tuple[int, str], list[_Kind]] = {}
        self._holes: dict[_Hole, list[_Kind]] = {}
        self._known: dict[tuple[str, ...], _Kind] = {}  # most lines are repeats
        self._masked: dict[str, str] = {}  # and most words

    @classmethod
    def restore(cls, templates: Iterable[Template]) -> TemplateMiner:
        """A miner that continues where the one that exported `templates` stopped."""
        miner = cls()
        rows = list(templates)
        for row in rows:
            kind = miner._kinds[row.id] = _Kind(row.founder)
            kind.tokens, kind.lines = list(row.tokens), row.lines
            miner._bucket(row.founder).append(kind)
            for hole in _holes(row.founder):
                miner._holes.setdefault(hole, []).append(kind)
        for row in rows:
            miner._kinds[row.id].heir = miner._kinds[row.heir] if row.heir else None
        return miner

    def add(self, line: str) -> Template:
        """The template of the line as it is now, founded when no earlier one fits."""
        kind = self._of(line)
        kind.lines += 1
        return kind.frozen()

    def add_all(self, lines: Iterable[str]) -> list[str]:
        """The template id of every line once all are in: what `resolve` says at the end."""
        kinds = []
        for line in lines:
            kind = self._of(line)
            kind.lines += 1
            kinds.append(kind)
        return [kind.root().id for kind in kinds]

    def resolve(self, template_id: str) -> str:
        """The id under which a template lives on: its own, or that of the one it was joined to."""
        return self._kinds[template_id].root().id

    def templates(self) -> list[Template]:
        """All templates, joined ones too, oldest first: the state that `restore` takes."""
        return [kind.frozen() for kind in self._kinds.values()]

    def _of(self, line: str) -> _Kind:
        words = line[:_LINE_LIMIT].split()
        remembered = self._masked
        if len(remembered) >= _CACHE_ENTRIES:
            remembered.clear()
        for word in words:
            if word not in remembered:
                remembered[word] = _masked_word(word)
        seen = tuple([remembered[word] for word in words])
        kind = self._known.get(seen)
        if kind is None:
            if len(self._known) >= _CACHE_ENTRIES:
                self._known.clear()
            kind = self._known[seen] = self._place(_joined(seen))
        return kind.root() if kind.heir else kind

    def _place(self, tokens: tuple[str, ...]) -> _Kind:
        bucket = self._bucket(tokens)
        best, best_share = None, 0.0
        for kind in bucket:
            share = 0.0 if kind.heir else _agreement(kind.tokens, tokens)
            if share >= self._share and share > best_share:
                best, best_share = kind, share
        if best is None:
            return self._found(tokens, bucket)
        best.tokens = [
            ours if ours == theirs else WILDCARD for ours, theirs in zip(best.tokens, tokens, strict=True)
        ]
        return best

    def _bucket(self, tokens: Sequence[str]) -> list[_Kind]:
        first = next((token for token in tokens if WILDCARD not in token), "")
        return self._buckets.setdefault((len(tokens), first), [])

    def _found(self, tokens: tuple[str, ...], bucket: list[_Kind]) -> _Kind:
        kind = _Kind(tokens)
        if kind.id in self._kinds:
            return self._kinds[kind.id].root()
        self._kinds[kind.id] = kind
        bucket.append(kind)
        constants = sum(WILDCARD not in token for token in tokens)
        needed = self._siblings if constants - 1 >= self._share * constants else self._few_words_siblings
        for hole in _holes(tokens):
            alike = self._holes.setdefault(hole, [])
            alike.append(kind)
            if len(alike) >= needed:
                return _join(alike, hole[0])
        return kind


def _joined(masked: Iterable[str]) -> tuple[str, ...]:
    """Runs of values, and a value with its unit, as one value."""
    tokens: list[str] = []
    for token in masked:
        after_value = bool(tokens) and tokens[-1] == WILDCARD
        unit = token.rstrip(".,;:)")
        if after_value and unit.lower() in _UNITS:
            tokens[-1] = WILDCARD + token[len(unit) :]
        elif not (after_value and token == WILDCARD):
            tokens.append(token)
    return tuple(tokens)


def _holes(tokens: tuple[str, ...]) -> list[_Hole]:
    """Every constant position that leaves another constant, as what surrounds it."""
    constant = [position for position, token in enumerate(tokens) if WILDCARD not in token]
    if len(constant) < 2:
        return []
    return [(position, tokens[:position], tokens[position + 1 :]) for position in constant]


def _join(kinds: Sequence[_Kind], position: int) -> _Kind:
    """Make one template of several that differ only at `position`; the oldest keeps its id."""
    root = kinds[0].root()
    root.tokens[position] = WILDCARD
    for kind in kinds[1:]:
        other = kind.root()
        if other is not root:
            other.heir = root
            root.lines += other.lines
    return root


def _agreement(template: Sequence[str], tokens: Sequence[str]) -> float:
    """Share of positions constant in both that are equal; 0 when one plain word is all that differs."""
    same = different = plain = 0
    for ours, theirs in zip(template, tokens, strict=True):
        if ours == theirs:
            same += WILDCARD not in ours
        elif WILDCARD not in ours and WILDCARD not in theirs:
            different += 1
            plain += _PLAIN_WORD.match(ours) is not None and _PLAIN_WORD.match(theirs) is not None
    if different == plain == 1:
        return 0.0
    return same / (same + different) if same + different else 1.0


def _masked_word(word: str) -> str:
    if word.isdigit() or word.strip("[](),;") in _CALENDAR:
        return WILDCARD
    if not _HAS_VALUE.search(word):
        return word
    masked = mask(word)
    if masked == "()":
        return f"({WILDCARD})"
    return masked + WILDCARD if masked.endswith("=") else masked
