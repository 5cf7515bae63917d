"""`signatures` and its two companions for the neighbourhood scan, `frames` and `error_lines`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from string import ascii_lowercase, ascii_uppercase

from app.detectors.signature.families import FAMILIES, Family
from app.detectors.signature.generic import GENERIC, NOT_EXCEPTIONS
from app.detectors.signature.stack import Stack, Trace, read_stack
from app.detectors.signature.traps import TRAPS, hide_opaque
from app.detectors.template import mask
from app.domain import Signature

TEXT_LIMIT = 50_000  # characters read: a longer text is an attachment pasted whole
_LINE_LIMIT = 400  # characters of an error line that are kept
_MOST_FRAMES = 200
_MOST_ERROR_LINES = 50
_FRAME_RANK = next(rank for rank, family in enumerate(FAMILIES) if family.name == "errno") - 0.5
_EXCEPTION_RANK, _EXCEPTION = next((r, f) for r, f in enumerate(FAMILIES) if f.name == "exception")
_TRACE_HINT = re.compile(
    r'^[ \t]*+(?:at[ \t]|File "|#\d|\d+:?\s|from )|\.rb:\d|\.go:\d|^[^\n@]{1,100}@(?:http|file|res)',
    re.MULTILINE,
)
_ERROR_LINE = re.compile(
    r"\b(?:error|err|exception|fail(?:ed|ure|s|ing)?|fatal|panic(?:ked)?|critical|severe|assert(?:ion)?"
    r"|abort(?:ed|ing)?|crash(?:ed)?|denied|refused|timed?[ -]?out|unable to|cannot|could not|can't|invalid"
    r"|undefined|unresolved|unexpected|segfault|corrupt(?:ed)?|warn(?:ing)?)\b|Exception\b|Error\b|\bE/[A-Z]",
    re.IGNORECASE,
)
_LOG_SHAPE = re.compile(
    r"\s*(?:\[?\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d|\[?\d\d:\d\d:\d\d|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d"
    r"|[EWIDVF]/[\w.-]+|\[?(?:ERROR|WARN(?:ING)?|FATAL|INFO|DEBUG|TRACE|SEVERE|CRITICAL)\]?[ :\t(\[]"
    r"|npm ERR!|error(?:\[E\d+\])?: |[\w./\\-]+[:(]\d+[:,]\d+)"
)


def signatures(subject: str, body: str, *, ticket_prefixes: tuple[str, ...] = ()) -> tuple[Signature, ...]:
    """What identifies the error a ticket tells of, most specific first; equal input gives equal output.

    `ticket_prefixes` are the keys of the reporter's own tracker ("SUP" for SUP-1182), never codes.
    """
    text = _readable(f"{subject}\n{body}")
    lines = text.split("\n")
    stack = _stack(text, lines)
    ranked = list(_from_stack(stack))
    prose = text
    if stack.frame_lines:
        prose = "\n".join("" if number in stack.frame_lines else line for number, line in enumerate(lines))
    ranked += _from_prose(hide_opaque(prose, ticket_prefixes), stack.wrappers)
    ranked.sort(key=lambda entry: (entry[0].generic, entry[1], entry[2]))
    return tuple({entry[0].key: entry[0] for entry in reversed(ranked)}.values())[::-1]


def frames(body: str) -> list[str]:
    """Names of the reporter's own frames in all traces ("CartService.total"), innermost first."""
    text = _readable(body)
    names = (name for trace in _stack(text, text.split("\n")).traces for name in trace.own_frames())
    return list(dict.fromkeys(names))[:_MOST_FRAMES]


def error_lines(body: str) -> list[str]:
    """Masked log and error lines, stack frames and prose left out, repeats removed."""
    text = _readable(body)
    lines = text.split("\n")
    stack = _stack(text, lines)
    found: dict[str, None] = {}
    for number, line in enumerate(lines):
        if number not in stack.frame_lines and is_error_line(line):
            found[mask(line.strip()[:_LINE_LIMIT])] = None
    return list(found)[:_MOST_ERROR_LINES]


def is_error_line(line: str) -> bool:
    """True for a line a program wrote about something going wrong, rather than a person."""
    if not _ERROR_LINE.search(line[:_LINE_LIMIT]):
        return False
    return is_log_line(line) or "Exception:" in line or "Error:" in line or "panicked at" in line


def is_log_line(line: str) -> bool:
    """True for a line shaped like a program's output: a time, a level, a position in a file."""
    return _LOG_SHAPE.match(line) is not None


def _readable(text: str) -> str:
    return text[:TEXT_LIMIT].replace("\r\n", "\n")


def read_traces(text: str) -> tuple[Trace, ...]:
    """The stack traces of a text, causes resolved."""
    return _stack(text, text.split("\n")).traces


_ZEROS = str.maketrans("123456789", "000000000")
_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)  # for the few texts that str.lower makes longer
_NO_STACK = Stack((), frozenset(), frozenset())


def _stack(text: str, lines: Sequence[str]) -> Stack:
    return read_stack(lines) if _TRACE_HINT.search(text) else _NO_STACK


_Ranked = tuple[Signature, float, int]


def _from_stack(stack: Stack) -> Iterator[_Ranked]:
    for position, trace in enumerate(stack.traces):
        name = trace.exception
        if not name or name in NOT_EXCEPTIONS:
            continue
        if own := trace.own_frames():
            label = f"{name} at {own[0]}"
            yield Signature(f"{name}@{own[0]}".casefold(), "frame", label), _FRAME_RANK, position
        if trace.innermost_last:  # Python's exceptions need no suffix by which prose would show them
            yield _signature(_EXCEPTION, name), _EXCEPTION_RANK, position


def _from_prose(text: str, wrappers: frozenset[str]) -> Iterator[_Ranked]:
    shape = _shape(text)
    taken = bytearray(len(text))  # 1 where a character belongs to a code
    traps: bytearray | None = None
    starts: dict[tuple[str, ...], list[int]] = {}
    for rank, family in enumerate(FAMILIES):
        for match in _matches(family, text, shape, starts):
            start, end = match.span(match.lastindex or 0)
            if taken.find(1, start, end) >= 0:
                continue
            if family.open_to_traps:
                traps = _trapped(text, taken) if traps is None else traps
                if traps.find(1, start, end) >= 0:
                    continue
            taken[start:end] = b"\1" * (end - start)
            label = family.label(match)
            if label not in NOT_EXCEPTIONS and label not in wrappers:
                yield _signature(family, label), rank, start


def _trapped(text: str, taken: bytearray) -> bytearray:
    """1 for every character inside a trap; a trap that would swallow a code already found is none."""
    trapped = bytearray(len(text))
    for trap in TRAPS.finditer(text):
        start, end = trap.span()
        if taken.find(1, start, end) < 0:
            trapped[start:end] = b"\1" * (end - start)
    return trapped


def _shape(text: str) -> str:
    """The text in lower case with every digit a zero, offsets unchanged."""
    lower = text.lower()
    return (lower if len(lower) == len(text) else text.translate(_LOWER)).translate(_ZEROS)


def _matches(
    family: Family, text: str, shape: str, starts: dict[tuple[str, ...], list[int]]
) -> Iterator[re.Match[str]]:
    """What the family's pattern finds; `starts` remembers where the hints of `at_hint` families are."""
    if not family.at_hint:
        if any(hint in shape for hint in family.hints):
            yield from family.pattern.finditer(text)
        return
    if family.hints not in starts:
        starts[family.hints] = sorted({start for hint in family.hints for start in _starts(hint, shape)})
    for start in starts[family.hints]:
        if match := family.pattern.match(text, start):
            yield match


def _starts(part: str, whole: str) -> Iterator[int]:
    start = whole.find(part)
    while start >= 0:
        yield start
        start = whole.find(part, start + 1)


def _signature(family: Family, label: str) -> Signature:
    generic = family.generic or label in GENERIC
    return Signature(label.casefold(), family.name, label, generic)
