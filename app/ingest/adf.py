"""Atlassian Document Format to plain text."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

DEEPEST = 100
BLOCKS = frozenset(
    {"paragraph", "heading", "blockquote", "panel", "expand", "nestedExpand", "layoutColumn", "caption"}
)
LISTS = frozenset({"bulletList", "orderedList", "taskList", "decisionList"})
CARDS = frozenset({"inlineCard", "blockCard", "embedCard"})


def to_text(document: Any) -> str:
    """The text of a document, code blocks verbatim; "" for null. A plain string is returned as it is."""
    if isinstance(document, str):
        return document.strip()
    return _text(document, 0).strip()


def _text(node: Any, depth: int) -> str:
    if not isinstance(node, dict) or depth > DEEPEST:
        return ""
    kind, attrs = str(node.get("type") or ""), _attrs(node)
    if kind == "text":
        return _linked(node)
    if kind in ("hardBreak", "rule"):
        return "\n"
    if kind == "mention":
        return "@user"
    if kind == "emoji":
        return str(attrs.get("shortName") or "")
    if kind in CARDS:
        return str(attrs.get("url") or "")
    if kind == "date":
        return _day(attrs.get("timestamp"))
    if kind == "status":
        return str(attrs.get("text") or "")
    if kind.startswith("media"):
        return "[attachment]"
    children = [_text(child, depth + 1) for child in _list(node, "content")]
    if kind in LISTS:
        return "".join(f"- {child.strip()}\n" for child in children)
    if kind == "codeBlock":
        return "\n" + "".join(children) + "\n"
    if kind == "tableRow":
        return "\t".join(child.strip() for child in children) + "\n"
    return "".join(children) + ("\n" if kind in BLOCKS else "")


def _attrs(node: Mapping[str, Any]) -> Mapping[str, Any]:
    attrs = node.get("attrs")
    return attrs if isinstance(attrs, dict) else {}


def _list(node: Mapping[str, Any], key: str) -> list[Any]:
    found = node.get(key)
    return found if isinstance(found, list) else []


def _linked(node: Mapping[str, Any]) -> str:
    """A text node, with the address of its link when the text does not show it."""
    text = str(node.get("text") or "")
    for mark in _list(node, "marks"):
        href = str(_attrs(mark).get("href") or "") if isinstance(mark, dict) else ""
        if href and mark.get("type") == "link" and href != text:
            return f"{text} ({href})"
    return text


def _day(milliseconds: Any) -> str:
    try:
        return datetime.fromtimestamp(int(milliseconds) / 1000, UTC).date().isoformat()
    except (TypeError, ValueError, OverflowError, OSError):
        return ""
