"""A document in Markdown (CommonMark with tables), Slack's mrkdwn and Jira's wiki markup.

What people wrote is escaped for the dialect it goes to: a stored script, link, heading or mention stays text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

from app.reports.document import Bars, Block, Bullets, Document, Facts, Item, Quote, Table, Text

FULL_BAR = 24  # characters of the longest bar
_MARKDOWN = re.compile(r"([\\`*_{}\[\]#|~!])")
_LINE_START = re.compile(r"^(\s*)([-+=]|\d+[.)])")
_JIRA = re.compile(r"([\\{}\[\]*_?^~|!+#-])")


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one dialect marks things up; every text passes through `escape` first."""

    escape: Callable[[str], str]
    heading: Callable[[int, str], str]
    strong: Callable[[str], str]
    link: Callable[[str, str], str]
    bullet: str
    quoted: Callable[[str], str]
    has_tables: bool


def _markdown_text(text: str) -> str:
    plain = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # a bare address would become a link of its own
    return _LINE_START.sub(r"\1\\\2", _MARKDOWN.sub(r"\\\1", plain)).replace("://", ":&#47;&#47;")


def _slack_text(text: str) -> str:
    plain = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # Slack knows no escape for its marks: a zero-width space keeps them from pairing
    return re.sub(r"([*_~`])", "\\1\N{ZERO WIDTH SPACE}", plain)


def _jira_text(text: str) -> str:
    return _JIRA.sub(r"\\\1", text)


def _address(url: str) -> str:
    return quote(url, safe=":/?#@!$&'*+,;=%~-._")


MARKDOWN = Dialect(
    escape=_markdown_text,
    heading=lambda level, text: f"{'#' * level} {text}",
    strong=lambda text: f"**{text}**",
    link=lambda text, url: f"[{text}]({_address(url)})",
    bullet="-",
    quoted=lambda text: f"> {text}",
    has_tables=True,
)
SLACK = Dialect(
    escape=_slack_text,
    heading=lambda _, text: f"*{text}*",
    strong=lambda text: f"*{text}*",
    link=lambda text, url: f"<{_address(url).replace('&', '&amp;')}|{text.replace('|', '/')}>",
    bullet="•",
    quoted=lambda text: f"> {text}",
    has_tables=False,
)
JIRA = Dialect(
    escape=_jira_text,
    heading=lambda level, text: f"h{level}. {text}",
    strong=lambda text: f"*{text}*",
    link=lambda text, url: f"[{text}|{_address(url).replace('|', '%7C')}]",
    bullet="*",
    quoted=lambda text: f"bq. {text}",
    has_tables=True,
)


def render(document: Document, dialect: Dialect) -> str:
    """The whole document; ends with a newline."""
    title = dialect.escape(document.title)
    lines = [dialect.heading(1, _linked(title, document.url, dialect)), dialect.escape(document.line)]
    for section in document.sections:
        lines.append(dialect.heading(2, dialect.escape(section.title)))
        lines += [_block(block, dialect) for block in section.blocks]
    return "\n\n".join([*lines, dialect.escape(document.foot)]) + "\n"


def _block(block: Block, dialect: Dialect) -> str:
    match block:
        case Text(text):
            return dialect.escape(text)
        case Facts(rows):
            pairs = [f"{dialect.strong(term)}: {dialect.escape(value)}" for term, value in rows]
            return "\n".join(f"{dialect.bullet} {pair}" for pair in pairs)
        case Bullets(items):
            return "\n".join(f"{dialect.bullet} {_item(item, dialect)}" for item in items)
        case Quote(label, text, by):
            return dialect.quoted(f"{dialect.escape(text)} ({dialect.escape(label)}: {_item(by, dialect)})")
        case Bars(unit, rows):
            head = f"{unit.capitalize()} by week, beginning on the day shown:"
            lines = [f"{dialect.bullet} {day}: {_bar(n, rows)} {n}" for day, n in rows]
            return "\n".join([head, "", *lines])
        case Table():
            return _table(block, dialect)


def _bar(n: int, rows: tuple[tuple[str, int], ...]) -> str:
    return "█" * round(FULL_BAR * n / max(1, *(value for _, value in rows)))


def _item(item: Item, dialect: Dialect) -> str:
    return _linked(dialect.escape(item.text), item.url, dialect)


def _linked(text: str, url: str, dialect: Dialect) -> str:
    return dialect.link(text, url) if url else text


def _table(table: Table, dialect: Dialect) -> str:
    rows = [[_item(cell, dialect) for cell in row] for row in table.rows]
    if not dialect.has_tables:
        return "\n".join(f"{dialect.bullet} {' · '.join(row)}" for row in rows)
    mark = "||" if dialect is JIRA else "|"
    head = [f"{mark}{mark.join(table.head)}{mark}"]
    rule = [] if dialect is JIRA else ["|" + " --- |" * len(table.head)]
    return "\n".join([*head, *rule, *(f"|{'|'.join(row)}|" for row in rows)])
