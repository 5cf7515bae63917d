"""Why a ticket is in its pattern, in words."""

from __future__ import annotations

from collections.abc import Mapping

from app.domain import Placement

RULES: Mapping[str, str] = {
    "signature": "Carries the error signature",
    "group": "Worded like the others",
    "founded": "Founding ticket",
    "alike among themselves": "Founding ticket, found at night",
    "two halves": "Came with the half that was split off",
    "the same problem": "Came with a merged pattern",
    "fits better": "Moved here at night: fits better",
    "fits": "Joined at night: worded like the others",
    "person": "Put here by hand",
    "merge by": "Came with a pattern merged",
    "split by": "Split off",
    "move by": "Moved here",
    "link by": "Tied to another ticket here",
}


def reason(why: Placement | None) -> str:
    """The stored decision in words; the rule itself where it has none of its own."""
    if why is None:
        return "placed before reasons were kept"
    text = next((text for rule, text in RULES.items() if why.rule.startswith(rule)), why.rule)
    _, by, actor = why.rule.partition(" by ")
    return f"{text} by {actor}" if by and text != why.rule else text
