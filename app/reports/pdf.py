"""A document as PDF: A4, selectable text in an embedded font (Latin, Cyrillic, Greek), the same bytes every time."""

from __future__ import annotations

import logging
from datetime import datetime
from functools import cache
from importlib.resources import files

from fpdf import FPDF
from fpdf.enums import XPos, YPos

from app.reports.document import Bars, Block, Bullets, Document, Facts, Item, Quote, Table, Text

FONT = "Roboto"
INK, SOFT, LINE, BAR = (26, 30, 34), (82, 90, 99), (205, 205, 200), (53, 113, 127)
MARGIN, LEADING = 18.0, 4.5  # millimetres
BODY, SMALL, HEAD, TITLE = 9.0, 7.5, 10.5, 16.0  # points
BAR_HEIGHT = 18.0  # millimetres of the tallest bar
WIDTHS = (24.0, 20.0, 30.0, 62.0, 38.0)  # of the columns of evidence, millimetres: 174 in all
logging.getLogger("fontTools").setLevel(logging.WARNING)
logging.getLogger("fpdf").setLevel(logging.ERROR)  # it names every glyph a font lacks, that is, ticket text


class _Page(FPDF):
    """Every page ends with the document's name and its number."""

    def __init__(self, name: str) -> None:
        super().__init__(unit="mm", format="A4")
        self.name = name

    def footer(self) -> None:
        self.set_y(-12)
        self.set_font(FONT, size=SMALL)
        self.set_text_color(*SOFT)
        self.cell(0, 5, f"{self.name} · {self.page_no()}/{{nb}}", align="R")


@cache
def _font(style: str) -> str:
    return str(files("font_roboto") / "files" / f"Roboto-{style}.ttf")


def render(document: Document, *, made: datetime) -> bytes:
    """The document as PDF bytes, dated `made` (its state's time, never the clock's)."""
    pdf = _Page(_shown(document.title)[:90])
    pdf.set_creation_date(made)
    pdf.set_title(_shown(document.title))
    pdf.set_creator("Foreshock")
    pdf.set_lang("en")
    pdf.add_font(FONT, "", _font("Regular"))
    pdf.add_font(FONT, "B", _font("Bold"))
    pdf.set_margins(MARGIN, MARGIN - 2, MARGIN)
    pdf.set_auto_page_break(True, 16)
    pdf.add_page()
    _line(pdf, document.title, size=TITLE, style="B", url=document.url, leading=7.5)
    _line(pdf, document.line, colour=SOFT)
    main = [section for section in document.sections if not section.is_appendix]
    for section in document.sections:
        if section.is_appendix:
            pdf.add_page()
        _heading(pdf, section.title)
        for block in section.blocks:
            _block(pdf, block)
        if section is main[-1]:
            _foot(pdf, document.foot)
    return bytes(pdf.output())


def _foot(pdf: FPDF, text: str) -> None:
    """What the first page rests on, at its end: the appendix follows on pages of its own."""
    pdf.ln(2)
    _rule(pdf)
    _line(pdf, text, size=SMALL, colour=SOFT, leading=3.9)


def _shown(text: str) -> str:
    """Without characters outside the font's plane, which a reader would see as boxes or not at all."""
    return "".join(c if c.isprintable() and ord(c) < 0x3000 else "\N{WHITE SQUARE}" for c in text)


def _line(
    pdf: FPDF, text: str, *, size: float = BODY, style: str = "", colour: tuple[int, int, int] = INK,
    url: str = "", leading: float = LEADING, indent: float = 0.0,
) -> None:  # fmt: skip
    pdf.set_font(FONT, style, size)
    pdf.set_text_color(*colour)
    pdf.set_x(MARGIN + indent)
    pdf.multi_cell(0, leading, _shown(text), align="L", link=url, new_x=XPos.LMARGIN, new_y=YPos.NEXT)


def _heading(pdf: FPDF, text: str) -> None:
    if pdf.will_page_break(18):
        pdf.add_page()
    pdf.ln(2.5)
    _rule(pdf)
    _line(pdf, text, size=HEAD, style="B", leading=5.6)
    pdf.ln(0.6)


def _rule(pdf: FPDF) -> None:
    pdf.set_draw_color(*LINE)
    pdf.set_line_width(0.2)
    pdf.line(MARGIN, pdf.get_y(), pdf.w - MARGIN, pdf.get_y())
    pdf.ln(1.6)


def _block(pdf: FPDF, block: Block) -> None:
    match block:
        case Text(text):
            _line(pdf, text)
            pdf.ln(0.8)
        case Facts(rows):
            for term, value in rows:
                _fact(pdf, term, value)
        case Bullets(items):
            for item in items:
                _bullet(pdf, item)
        case Quote(label, text, by):
            _quote(pdf, label, text, by)
        case Bars(unit, rows):
            _bars(pdf, unit, rows)
        case Table():
            _table(pdf, block)


def _fact(pdf: FPDF, term: str, value: str) -> None:
    top = pdf.get_y()
    _line(pdf, term, colour=SOFT)
    if pdf.get_y() > top:  # not when the page was turned
        pdf.set_y(top)
    _line(pdf, value, indent=24)


def _bullet(pdf: FPDF, item: Item) -> None:
    top = pdf.get_y()
    _line(pdf, "–", indent=1)
    if pdf.get_y() > top:
        pdf.set_y(top)
    _line(pdf, item.text, url=item.url, indent=4.5)


def _quote(pdf: FPDF, label: str, text: str, by: Item) -> None:
    if pdf.will_page_break(16):
        pdf.add_page()
    top = pdf.get_y()
    _line(pdf, f"“{text}”", indent=4)
    _line(pdf, f"{label}: {by.text}", size=SMALL, colour=SOFT, url=by.url, indent=4, leading=4)
    if pdf.get_y() > top:
        pdf.set_draw_color(*LINE)
        pdf.set_line_width(0.7)
        pdf.line(MARGIN + 1, top + 0.6, MARGIN + 1, pdf.get_y() - 0.4)
    pdf.ln(1.8)


def _bars(pdf: FPDF, unit: str, rows: tuple[tuple[str, int], ...]) -> None:
    if pdf.will_page_break(BAR_HEIGHT + 12):
        pdf.add_page()
    step = min(14.0, (pdf.w - 2 * MARGIN) / max(len(rows), 1))
    highest, bottom = max([1, *(n for _, n in rows)]), pdf.get_y() + BAR_HEIGHT + 5
    pdf.set_fill_color(*BAR)
    pdf.set_font(FONT, "", 7)
    pdf.set_text_color(*SOFT)
    for i, (label, n) in enumerate(rows):
        left, height = MARGIN + i * step, BAR_HEIGHT * n / highest
        if n:
            pdf.rect(left + 0.8, bottom - height, step - 1.6, height, style="F")
        pdf.set_xy(left, bottom - height - 3.6)
        pdf.cell(step, 3.4, str(n), align="C")
        pdf.set_xy(left, bottom + 0.6)
        pdf.cell(step, 3.4, label, align="C")
    pdf.set_xy(MARGIN, bottom + 4.2)
    _line(pdf, f"{unit.capitalize()} by week, beginning on the day shown", size=SMALL, colour=SOFT, leading=4)
    pdf.ln(0.8)


def _table(pdf: FPDF, table: Table) -> None:
    pdf.set_font(FONT, "", SMALL)
    pdf.set_text_color(*INK)
    pdf.set_draw_color(*LINE)
    pdf.set_line_width(0.2)
    pdf.set_fill_color(255)
    with pdf.table(
        col_widths=WIDTHS, line_height=3.9, text_align="LEFT", borders_layout="HORIZONTAL_LINES", padding=0.7
    ) as made:
        head = made.row()
        for title in table.head:
            head.cell(title)
        for row in table.rows:
            shown = made.row()
            for cell in row:
                shown.cell(_shown(cell.text), link=cell.url or None)
