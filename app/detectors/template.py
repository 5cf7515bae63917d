"""Log-line templates: mask what varies, then join lines whose constant words agree.

A template is founded by one line and never changes its id; the positions at which later lines
differ turn into `<*>`. The method follows Drain (He et al. 2017) in bucketing by token count, but
compares constants only, so that values cannot outvote words.
"""

from __future__ import annotations

import re

WILDCARD = "<*>"
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
