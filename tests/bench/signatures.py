"""Precision and recall of the signatures read from hand-labelled support texts, tuning and held-out half."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Any

from app.detectors.signature import signatures
from tests.bench._signature_texts import HELD_OUT, TICKET_PREFIXES, TUNING, Text

HELP = "error signatures against hand-labelled texts of all families and traps"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--misses", action="store_true", help="print every text of the tuning half read wrongly"
    )


def run(options: argparse.Namespace) -> dict[str, Any]:
    print(f"{'half':<10}{'texts':>7}{'precision':>11}{'recall':>9}{'primary':>9}{'texts/s':>9}")
    for name, texts in (("tuning", TUNING), ("held out", HELD_OUT), ("both", TUNING + HELD_OUT)):
        figures = score(texts)
        print(
            f"{name:<10}{len(texts):>7}{figures['precision']:>11.3f}{figures['recall']:>9.3f}"
            f"{figures['primary']:>9.3f}{figures['texts_per_s']:>9.0f}"
        )
    if options.misses:
        print_misses(TUNING)
    held_out = score(HELD_OUT)
    return {
        "precision": round(figures["precision"], 4),
        "recall": round(figures["recall"], 4),
        "texts": len(TUNING) + len(HELD_OUT),
        "held_out_precision": round(held_out["precision"], 4),
        "held_out_recall": round(held_out["recall"], 4),
        "primary": round(figures["primary"], 4),
    }


def score(texts: Sequence[Text]) -> dict[str, float]:
    """Micro precision and recall over (text, label), share with the right primary, texts a CPU second."""
    began = time.process_time()
    read = [labels(text) for text, _ in texts]
    seconds = time.process_time() - began
    expected = [[label.casefold() for label in wanted] for _, wanted in texts]
    hits = sum(len(set(got) & set(wanted)) for got, wanted in zip(read, expected, strict=True))
    primary = sum(got[:1] == wanted[:1] for got, wanted in zip(read, expected, strict=True))
    return {
        "precision": hits / max(1, sum(map(len, read))),
        "recall": hits / max(1, sum(map(len, expected))),
        "primary": primary / max(1, len(texts)),
        "texts_per_s": len(texts) / seconds if seconds else 0.0,
    }


def labels(text: str) -> list[str]:
    found = signatures("", text, ticket_prefixes=TICKET_PREFIXES)
    return [signature.label.casefold() for signature in found]


def print_misses(texts: Sequence[Text]) -> None:
    for text, wanted in texts:
        got = labels(text)
        if set(got) != {label.casefold() for label in wanted}:
            print(f"wanted {list(wanted)}\n   got {got}\n  text {text[:160]!r}")
