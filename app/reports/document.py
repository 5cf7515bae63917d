"""A short document as values: sections of paragraphs, facts, lists, quotes, bars and tables.

What is said is composed once; every dialect (HTML, Markdown, Slack, Jira, PDF) only says it in its own marks,
so that no two of them can tell a different story.
"""

from __future__ import annotations

from dataclasses import dataclass

MOST_CELL = 160  # characters of a table's cell


@dataclass(frozen=True, slots=True)
class Item:
    """A line of a list or a cell of a table; `url` is "" or a web address."""

    text: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Facts:
    """Terms with their values."""

    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Bullets:
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Quote:
    """What a customer wrote, already redacted, and whose case it is."""

    label: str
    text: str
    by: Item


@dataclass(frozen=True, slots=True)
class Bars:
    """A small chart: a label and a count each, oldest first."""

    unit: str
    rows: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Table:
    head: tuple[str, ...]
    rows: tuple[tuple[Item, ...], ...]


Block = Text | Facts | Bullets | Quote | Bars | Table


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    blocks: tuple[Block, ...]
    is_appendix: bool = False


@dataclass(frozen=True, slots=True)
class Document:
    """A title, a line under it, sections, and a foot that says what all of it rests on."""

    title: str
    url: str
    line: str
    sections: tuple[Section, ...]
    foot: str


def web_address(url: str) -> str:
    """`url` when it leads to a web page; "" for anything a reader's program would run or not open."""
    return url if url.startswith(("https://", "http://")) and not any(c.isspace() for c in url) else ""


def one_line(text: str, most: int = MOST_CELL) -> str:
    """`text` on one line of at most `most` characters, without characters that show nothing."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"
