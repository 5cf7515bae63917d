"""The text that is embedded: what the customer says, with traces, logs, code and ids cut to one token."""

from __future__ import annotations

import re
from itertools import groupby

from app.detectors.signature.extract import is_log_line, read_traces

BODY_LIMIT = 600  # characters of the body that are embedded
_READ_LIMIT = 12_000  # characters of the body looked at: cutting a trace shortens the text by far
_FENCE = re.compile(r"```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)", re.DOTALL)
_INDENTED = re.compile(r"(?:^(?: {4}|\t)[ \t]*+\S[^\n]*\n?){3,}", re.MULTILINE)
_REPEATED = re.compile(r"(<(?:code|log|id|link)>)(?:\s*\1)+")
_LINK = re.compile(r"(?i:https?|ftp)://[^\s<>\"')\]]+(?<![.,;:!?])")
_ID = re.compile(
    r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b"
    r"|\b0x[0-9a-fA-F]{9,16}\b"
    r"|\b(?=[a-f\d]{0,40}\d)(?=[\dA-F]{0,40}[a-fA-F])[0-9a-fA-F]{10,64}\b"
    r"|(?<![\w.-])\d{7,}(?![\w.-])"
)


def embedding_text(subject: str, body: str) -> str:
    """Subject, line break, and the first 600 characters of the body without its machine-made parts."""
    prose = without_code(body[:_READ_LIMIT].replace("\r\n", "\n")).strip()
    if len(prose) > BODY_LIMIT:
        prose = prose[:BODY_LIMIT].rsplit(None, 1)[0]
    return f"{_ID.sub('<id>', subject.strip())}\n{prose}".strip()


def without_code(text: str) -> str:
    """The text with each trace, run of log lines, code block and id replaced by one short token.

    A log line that stands alone is a quoted message, and stays.

    >>> without_code("Fails:\\n10:00:00 ERROR db: gone\\n10:00:01 ERROR db: still gone\\nPlease help")
    'Fails:\\n<log>\\nPlease help'
    """
    text = _logs_cut(_traces_cut(text))
    text = _INDENTED.sub("<code>\n", _FENCE.sub("<code>", text))
    text = _ID.sub("<id>", _LINK.sub("<link>", text))
    return _REPEATED.sub(r"\1", re.sub(r"\n\s*\n+", "\n", text))


def _traces_cut(text: str) -> str:
    lines = text.split("\n")
    for trace in reversed(read_traces(text)):
        token = f"<stack {trace.exception}>" if trace.exception else "<stack>"
        lines[trace.first : trace.last + 1] = [token]
    return "\n".join(lines)


def _logs_cut(text: str) -> str:
    kept: list[str] = []
    for is_log, lines in groupby(text.split("\n"), key=is_log_line):
        run = list(lines)
        kept += ["<log>"] if is_log and len(run) > 1 else run
    return "\n".join(kept)
