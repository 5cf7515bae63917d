"""The grammar of the sample's texts: `[a|b]` picks one, `{slot}` is filled in from the TOML files."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from random import Random
from typing import Any

_CHOICE = re.compile(r"\[([^\[\]]*\|[^\[\]]*)\]")
_SLOT = re.compile(r"\{(\w+)\}")
_WORD = re.compile(r"\b[a-z]{4,}\b")


@cache
def load(name: str) -> Mapping[str, Any]:
    """One of the package's TOML files, by its stem."""
    return tomllib.loads(resources.files("app.sample").joinpath(f"{name}.toml").read_text("utf-8"))


def _number(rng: Random) -> str:
    return str(rng.choice((rng.randint(3, 19), rng.randint(20, 99))))


def _generated(slot: str, rng: Random) -> str:
    match slot:
        case "n":
            return _number(rng)
        case "n2":
            return str(rng.randint(100, 480))
        case "doc":
            return rng.choice(("RE-{}-{:04d}", "{}-{:05d}", "INV-{}-{:04d}")).format(
                rng.choice((2024, 2025)), rng.randint(1, 9999)
            )
        case "money":
            return rng.choice(("{},{:02d} €", "€{}.{:02d}", "${}.{:02d}", "{}.{:02d} EUR")).format(
                rng.randint(8, 990), rng.randint(0, 99)
            )
        case "hex":
            return f"{rng.getrandbits(64):016x}"
        case "hex8":
            return f"{rng.getrandbits(32):08x}"
        case "wsid":
            return f"ws-{rng.getrandbits(24):06x}"
        case "turns":
            return str(rng.randint(2, 9))
        case _:
            raise KeyError(slot)


def render(template: str, rng: Random, facts: Mapping[str, str]) -> str:
    """`template` with its choices made and its slots filled from `facts`, the word lists, or made up."""
    while match := _CHOICE.search(template):
        picked = rng.choice(match[1].split("|"))
        template = template[: match.start()] + picked + template[match.end() :]
    slots = load("voice")["slots"]
    parts, last = [], 0
    for match in _SLOT.finditer(template):
        name = match[1]
        value = facts.get(name) or (rng.choice(slots[name]) if name in slots else _generated(name, rng))
        parts += [template[last : match.start()], value]
        last = match.end()
    return "".join(parts) + template[last:]


def capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


def reworded(text: str, rng: Random, *, share: float) -> str:
    """`text` with about `share` of its replaceable phrases put another way."""
    synonyms: Mapping[str, Sequence[str]] = load("voice")["synonyms"]
    for phrase, others in synonyms.items():
        if phrase in text and rng.random() < share:
            text = re.sub(rf"\b{phrase}\b", rng.choice(others), text, count=1)
    return text


def mistyped(text: str, rng: Random, *, slips: int) -> str:
    """`text` with `slips` longer lower-case words misspelt: two letters swapped or one dropped."""
    for _ in range(slips):
        words = list(_WORD.finditer(text))
        if not words:
            return text
        word = rng.choice(words)
        at = word.start() + rng.randint(1, len(word[0]) - 2)
        slip = rng.choice((text[at + 1] + text[at], text[at]))
        text = text[:at] + slip + text[at + 2 :]
    return text
