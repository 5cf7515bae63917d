"""Recognises lines of technical evidence, which no cleaning step may drop or learn as boilerplate."""

from __future__ import annotations

import re
from collections.abc import Sequence

_FRAME = re.compile(
    r"^\s*(?:at\s+[\w$.<>`\[\]/+]+[\s(:]|File \"[^\"]+\", line \d|#\d+\s+0x|#\d+\s+\S|\d+:\s+0x[0-9a-f]+"
    r"|\d+\s+\S+\s+0x[0-9a-f]{6,}"
    r"|Caused by:|Traceback \(most|goroutine \d+|thread '|panic:|\.\.\. \d+ more|\S+\.\w{1,5}:\d+:\d+"
    r"|from \S+:\d+:in )"
)
_LOG = re.compile(
    r"^\s*[\[(<]?(?:\d{4}-\d\d-\d\d[T ]|\d\d[:.]\d\d[:.]\d\d|\w{3} +\d{1,2} \d\d:\d\d:\d\d"
    r"|\d\d/\w{3}/\d{4}:)"
    r"|^\s*\[?(?:TRACE|DEBUG|INFO|WARN(?:ING)?|ERROR|FATAL|CRITICAL|E|W|I|D)\]?[:/ ](?=\S*\W)"
)
_CODE = re.compile(
    r"\b(?:[A-Z]{2,}[-_]?\d{2,}\w*|[A-Z]+-\d+|0x[0-9A-Fa-f]{3,}|E\d{4,}|[A-Z][A-Z0-9]+_[A-Z0-9_]*[A-Z]"
    r"|[A-Za-z_.]+(?:Exception|Error)\b"
    r"|(?i:(?:error|err|exit|status|code|http|errno|msg|bugcheck|fehler|erreur)[ :#=(]{1,3}-?\d+)"
    r"|SIG[A-Z]{3,4})"
)
_SOURCE = re.compile(
    r"^\s*(?:[{}()\[\];,]+|.*[{;]\s*|\s*(?:fn|def|class|import|using|#include|return|public|private)\b.*)$"
)
_FENCE = re.compile(r"^\s*(?:```|~~~|\{code|\{noformat|</?pre>|\[/?code\])")


def has_code(line: str) -> bool:
    """Whether `line` names an error code, an exception or a signal."""
    return _CODE.search(line) is not None


def is_frame_or_log(line: str) -> bool:
    """Whether `line` is a stack frame or a log line."""
    return bool(_FRAME.match(line) or _LOG.match(line))


def is_evidence(line: str) -> bool:
    """Whether `line` is a stack frame, a log line or one that names an error code."""
    return is_frame_or_log(line) or has_code(line)


def is_source(line: str) -> bool:
    """Whether `line` reads as program source rather than prose."""
    return _SOURCE.match(line) is not None


def in_fences(lines: Sequence[str]) -> list[bool]:
    """For each line whether it is, or is inside, a fenced code block; a fence never closed fences nothing."""
    marks = [index for index, line in enumerate(lines) if _FENCE.match(line)]
    fenced = [False] * len(lines)
    for start, end in zip(marks[::2], marks[1::2], strict=False):
        fenced[start : end + 1] = [True] * (end + 1 - start)
    return fenced
