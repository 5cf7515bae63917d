"""A document as HTML: the part a page holds, and a page of its own that can be saved, mailed and printed."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from app.reports.document import Bars, Bullets, Document, Facts, Quote, Table, Text

KINDS = {Text: "text", Facts: "facts", Bullets: "bullets", Quote: "quote", Bars: "bars", Table: "table"}
STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem;color:#1a1e22;"
    "background:#fff;overflow-wrap:anywhere}h1{font-size:1.5rem;line-height:1.25;margin:0}h2{font-size:1.05rem;"
    "margin:1.4rem 0 .3rem;border-top:1px solid #dfdfda;padding-top:.7rem}p{margin:.3rem 0}ul{margin:.3rem 0;"
    "padding-left:1.2rem}dl{display:grid;grid-template-columns:8rem 1fr;margin:.4rem 0}dt,.brief-line,figcaption,"
    ".brief-foot{color:#525a63}dd{margin:0}blockquote{margin:.6rem 0;border-left:3px solid #dfdfda;padding-left:1rem}"
    "table{border-collapse:collapse;width:100%;font-size:.85rem}th,td{text-align:left;vertical-align:top;"
    "padding:.3rem .6rem .3rem 0;border-bottom:1px solid #dfdfda}svg{max-width:100%;height:auto}"
    "svg rect{fill:#35717f}svg text{font:11px system-ui,sans-serif;fill:#525a63;text-anchor:middle}"
    ".brief-foot{font-size:.85rem;border-top:1px solid #dfdfda;padding-top:.7rem;margin-top:1.4rem}"
    "@page{size:A4;margin:16mm}@media print{body{font-size:10pt;margin:0;max-width:none}tr,blockquote{break-inside:avoid}}"
)
BAR_STEP, BAR_HEIGHT = 52, 90  # pixels


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True,
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.filters["kind"] = lambda block: KINDS[type(block)]
    made.filters["bars"] = bars
    return made


def compile_templates() -> None:
    """Compile them now rather than for who asks first."""
    for name in _environment().list_templates():
        _environment().get_template(name)


def body(document: Document) -> Markup:
    """What a page holds of the document, from its heading to its foot."""
    found = _environment().get_template("document.html").render(document=document)
    return Markup(found)  # noqa: S704 - the template escapes


def policy() -> str:
    """The content security policy of the page of its own: nothing but its one style sheet."""
    digest = b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def page(document: Document) -> str:
    """The document as a page of its own, which asks nobody for anything."""
    values = {"style": Markup(STYLE), "policy": policy(), "body": body(document)}  # noqa: S704 - a constant
    return _environment().get_template("page.html").render(document=document, **values)


def bars(block: Bars) -> Markup:
    """The chart of a block; its numbers stand over its bars, so that it needs no scale."""
    highest = max([1, *(n for _, n in block.rows)])
    label = f"{block.unit.capitalize()} by week: " + ", ".join(f"{day} {n}" for day, n in block.rows)
    width = BAR_STEP * len(block.rows)
    parts = [
        Markup('<svg class="weeks" viewBox="0 0 {} 130" width="{}" height="130" role="img" aria-label="{}">')
        .format(width, width, label)
    ]  # fmt: skip
    for i, (day, n) in enumerate(block.rows):
        left, height = i * BAR_STEP, BAR_HEIGHT * n / highest
        parts.append(
            Markup(
                '<rect x="{}" y="{}" width="{}" height="{}"/><text x="{}" y="{}">{}</text><text x="{}" y="124">{}</text>'
            ).format(left + 5, f"{108 - height:.1f}", BAR_STEP - 10, f"{height:.1f}", left + BAR_STEP // 2,
                     f"{103 - height:.1f}", n, left + BAR_STEP // 2, day)
        )  # fmt: skip
    return Markup("").join(parts) + Markup("</svg>")
