"""Atlassian documents: what a person would read, stack traces untouched, and no document that breaks it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.ingest.adf import to_text


def doc(*content: dict[str, Any]) -> dict[str, Any]:
    return {"type": "doc", "version": 1, "content": list(content)}


def said(text: str, *marks: dict[str, Any]) -> dict[str, Any]:
    return {"type": "text", "text": text, "marks": list(marks)}


def block(kind: str, *content: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "content": list(content)}


TRACE = "Traceback:\n    at Foo.bar(Foo.java:3)\n\n  caused by: x"


@pytest.mark.parametrize(
    ("document", "text"),
    [
        (None, ""),
        ("h1. old wiki text ", "h1. old wiki text"),
        (doc(block("heading", said("A")), block("paragraph", said("b"), said("c"))), "A\nbc"),
        (doc(block("paragraph", said("a"), {"type": "hardBreak"}, said("b"))), "a\nb"),
        (doc(block("codeBlock", said(TRACE))), TRACE),
        (
            doc(
                block(
                    "bulletList",
                    block("listItem", block("paragraph", said("x"))),
                    block("listItem", said("y")),
                )
            ),
            "- x\n- y",
        ),
        (
            doc(
                block(
                    "table",
                    block(
                        "tableRow",
                        block("tableHeader", block("paragraph", said("k"))),
                        block("tableCell", said("v")),
                    ),
                    block("tableRow", block("tableCell", said("1")), block("tableCell", said("2"))),
                )
            ),
            "k\tv\n1\t2",
        ),
        (
            doc(block("paragraph", said("here", {"type": "link", "attrs": {"href": "https://a.example"}}))),
            "here (https://a.example)",
        ),
        (
            doc(
                block(
                    "paragraph",
                    said("https://a.example", {"type": "link", "attrs": {"href": "https://a.example"}}),
                )
            ),
            "https://a.example",
        ),
        (doc(block("paragraph", {"type": "mention", "attrs": {"id": "1", "text": "@Jane Doe"}})), "@user"),
        (doc(block("paragraph", {"type": "emoji", "attrs": {"shortName": ":fire:"}})), ":fire:"),
        (doc({"type": "blockCard", "attrs": {"url": "https://b.example"}}), "https://b.example"),
        (doc({"type": "date", "attrs": {"timestamp": "1795255203000"}}), "2026-11-21"),
        (doc({"type": "date", "attrs": {"timestamp": "never"}}), ""),
        (doc({"type": "status", "attrs": {"text": "DONE"}}), "DONE"),
        (doc(block("mediaSingle", {"type": "media", "attrs": {"id": "1"}})), "[attachment]"),
        (doc(block("madeUpNextYear", block("paragraph", said("still read")))), "still read"),
    ],
)
def test_every_kind_of_node_reads_as_a_person_would(document: Any, text: str) -> None:
    assert to_text(document) == text


def test_a_document_nested_without_end_is_cut_not_followed() -> None:
    document = block("paragraph", said("deep"))
    for _ in range(5000):
        document = block("blockquote", document)
    assert to_text(document) == ""


SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
KINDS = st.sampled_from(
    ["doc", "text", "paragraph", "bulletList", "table", "date", "mention", "media", "codeBlock"]
)
NODES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.fixed_dictionaries(
            {"type": KINDS | SCALARS}, optional=dict.fromkeys(("content", "attrs", "marks", "text"), inner)
        )
    ),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(NODES)
@example({"type": "paragraph", "content": 5, "marks": 5, "attrs": 5})
@example({"type": "text", "text": "a", "marks": 5})
def test_no_document_whatever_its_shape_breaks_it(document: Any) -> None:
    assert isinstance(to_text(document), str)
