"""Tables as CSV and XLSX that open in a spreadsheet without running anything."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from textwrap import shorten

import xlsxwriter
from xlsxwriter.format import Format

Cell = str | int | float | datetime | None
STARTS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""First characters (full-width forms too) that a spreadsheet reads as a formula when it opens a CSV file."""
MOST_TEXT = 32_000  # characters of a cell; a spreadsheet refuses more than 32,767
MOST_WIDTH = 48  # characters of a column
MOST_NAME = 31  # characters of a sheet's name
SHOWN = {"count": "#,##0", "share": "0.0 %", "change": "+0 %;-0 %;0 %", "hours": '0.0 "h"'}
"""How numbers of a kind are shown; the cell holds the number itself."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A named table: a head, and rows of plain values. Shares are numbers from 0 to 1."""

    name: str
    head: tuple[str, ...]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    kinds: tuple[str, ...] = ()  # of the columns, as a report's panel has them: how their numbers are shown


def csv_lines(head: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Iterator[str]:
    """RFC 4180 lines, the first with a byte order mark so that spreadsheets read UTF-8.

    A text that a spreadsheet would run as a formula gets an apostrophe before it (OWASP, CSV injection).
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    buffer.write("\N{ZERO WIDTH NO-BREAK SPACE}")
    for row in chain([head], rows):
        writer.writerow([_text(cell) for cell in row])
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()


def _text(cell: Cell) -> Cell:
    if isinstance(cell, datetime):
        return cell.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(cell, str) and cell.lstrip(" ").startswith(STARTS_A_FORMULA):
        return f"'{cell}"
    return cell


def xlsx(sheets: Sequence[Sheet], *, made: datetime) -> bytes:
    """A workbook, dated `made`; every text is a text: no formula, no link, whatever it begins with."""
    buffer = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False,
               "strings_to_numbers": False, "default_date_format": "yyyy-mm-dd hh:mm"}  # fmt: skip
    with xlsxwriter.Workbook(buffer, options) as book:
        book.set_properties({"created": made.astimezone(UTC).replace(tzinfo=None), "author": "Foreshock"})
        bold = book.add_format({"bold": True, "bottom": 1, "text_wrap": True, "valign": "top"})
        shown = {kind: book.add_format({"num_format": form}) for kind, form in SHOWN.items()}
        for sheet in sheets:
            page = book.add_worksheet(shorten(sheet.name, MOST_NAME, placeholder="…"))
            _write(page, sheet, bold, [shown.get(kind) for kind in sheet.kinds])
    return buffer.getvalue()


def _write(
    page: xlsxwriter.worksheet.Worksheet, sheet: Sheet, bold: Format, shown: Sequence[Format | None]
) -> None:
    top = 2 if sheet.note else 0
    if sheet.note:
        page.write_string(0, 0, sheet.note)
    page.write_row(top, 0, sheet.head, bold)
    page.freeze_panes(top + 1, 0)
    for column, title in enumerate(sheet.head):
        widest = max([len(title), *(len(str(row[column])) for row in sheet.rows[:200])])
        page.set_column(column, column, min(MOST_WIDTH, widest + 2))
    for number, row in enumerate(sheet.rows, start=top + 1):
        for column, cell in enumerate(row):
            if isinstance(cell, str):
                page.write_string(number, column, cell[:MOST_TEXT])
            elif isinstance(cell, datetime):
                page.write_datetime(number, column, cell.astimezone(UTC).replace(tzinfo=None))
            elif cell is not None:
                page.write_number(number, column, cell, shown[column] if column < len(shown) else None)
