"""Turns the HTML of a mail or a ticketing tool into the plain text a reader would see, without its history.

One pass with an explicit stack: mail may nest deeper than Python recurses, and a hostile page must
cost no more than its length.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from itertools import takewhile

from bs4 import BeautifulSoup, MarkupResemblesLocatorWarning, Tag
from bs4.element import NavigableString, PageElement, PreformattedString

_MAX_CHARS = 1_000_000  # beyond this the tail of a page is not read: parsing is the slowest step
_HIDDEN = frozenset(["script", "style", "head", "template", "noscript", "svg", "iframe", "object", "title"])
_HIDDEN_STYLE = re.compile(
    r"display:\s*none|mso-hide:\s*all|font-size:\s*0(?:px)?\s*(?:;"
    r"|$)",
    re.IGNORECASE,
)
_HISTORY_CLASSES = frozenset(
    [
        "gmail_quote",
        "gmail_attr",
        "yahoo_quoted",
        "moz-cite-prefix",
        "protonmail_quote",
        "tutanota_quote",
        "zmail_extra",
    ]
)
_HISTORY_STARTS = frozenset(
    [
        "divRplyFwdMsg",
        "appendonsend",
        "OLK_SRC_BODY_SECTION",
        "stopSpelling",
        "mail-editor-reference-message-container",
    ]
)
_OUTLOOK_BORDER = re.compile(
    r"border-top:\s*solid #(?:E1E1E1"
    r"|B5C4DF)",
    re.IGNORECASE,
)  # the desktop program
_LINES = frozenset(
    [
        "div",
        "tr",
        "ol",
        "dl",
        "dt",
        "dd",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "hr",
        "header",
        "footer",
        "address",
        "form",
        "fieldset",
        "main",
        "aside",
        "nav",
    ]
)
_PARAGRAPHS = frozenset(["p", "table", "ul", "blockquote", "section", "article"])
_FENCE_OPEN, _FENCE_SHUT = "\n```\n", "\n```\n\n"


def to_text(html: str) -> str:
    """The visible text of `html`: links as their text, rows and items as lines, quoted history left out.

    When history is all there is, the message is a forward and its text is kept.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MarkupResemblesLocatorWarning)  # a body may be just an address
        soup = BeautifulSoup(html[:_MAX_CHARS], "html.parser")
    text = "".join(_words(soup, with_history=False))
    return text if text.strip() else "".join(_words(soup, with_history=True))


def _words(soup: BeautifulSoup, *, with_history: bool) -> Iterator[str]:
    """Text and line breaks in reading order."""
    stack: list[PageElement | str] = [soup]
    in_pre = 0
    while stack:
        node = stack.pop()
        if isinstance(node, Tag):
            if _is_shown(node) and (with_history or not _is_history(node)):
                stack.extend(reversed(_parts(node, with_history=with_history)))
        elif isinstance(node, PreformattedString):
            continue  # a comment or a declaration
        elif isinstance(node, NavigableString):
            yield str(node) if in_pre else re.sub(r"[ \t\r\n\f]+", " ", node)
        else:
            in_pre += (node == _FENCE_OPEN) - (node == _FENCE_SHUT)
            yield str(node)


def _is_shown(tag: Tag) -> bool:
    return tag.name not in _HIDDEN and not _HIDDEN_STYLE.search(str(tag.get("style") or ""))


def _is_history(tag: Tag) -> bool:
    classes = tag.get("class") or ()
    return not _HISTORY_CLASSES.isdisjoint(classes) or (
        tag.name == "blockquote" and tag.get("type") == "cite"
    )


def _begins_history(node: PageElement) -> bool:
    """Whether `node` and all that follows it under the same parent is the message replied to."""
    return isinstance(node, Tag) and (
        _id_of(node) in _HISTORY_STARTS or bool(_OUTLOOK_BORDER.search(str(node.get("style") or "")))
    )


def _id_of(tag: Tag) -> str:
    """The id without the prefix that webmail puts before the ids of a mail it shows."""
    return str(tag.get("id") or "").removeprefix("x_")


def _parts(tag: Tag, *, with_history: bool) -> list[PageElement | str]:
    """The children of `tag` between the breaks it stands for."""
    children: list[PageElement | str] = list(tag.children)
    if not with_history:
        children = list(takewhile(lambda node: isinstance(node, str) or not _begins_history(node), children))
    match tag.name:
        case "br":
            return ["\n", *children]
        case "pre":
            return [_FENCE_OPEN, *children, _FENCE_SHUT]
        case "img":
            return [str(tag.get("alt") or "")]
        case "a":
            return children or [str(tag.get("href") or "")]
        case "td" | "th":
            return [*children, "\t"]
        case "li":
            return ["\n- ", *children, "\n"]
        case name if name in _PARAGRAPHS:
            return ["\n", *children, "\n\n"]
        case name if name in _LINES:
            return ["\n", *children, "\n"]
    return children
