"""Exports open in a spreadsheet as what they are: numbers as numbers, text as text that nothing runs."""

from __future__ import annotations

import csv
import io
import zipfile
from datetime import UTC, datetime

import openpyxl
import pytest

from app.reports.exports import Sheet, csv_lines, xlsx

AT = datetime(2026, 3, 18, 15, 20, tzinfo=UTC)
FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "＝1", " =cmd|' /C calc'!A0")


@pytest.mark.parametrize("text", FORMULAS)
def test_no_text_of_a_csv_begins_as_a_formula(text: str) -> None:
    written = "".join(csv_lines(("title", "n"), [(text, -5)]))
    _, (shown, number) = csv.reader(io.StringIO(written.removeprefix("\ufeff")))
    assert shown == f"'{text}"
    assert number == "-5"  # a number is no text: it stays one


def test_a_csv_tells_times_in_utc_and_keeps_quotes_and_lines() -> None:
    written = "".join(csv_lines(("a", "b", "c"), [('say "hi"\nthere', AT, None)]))
    assert written.startswith("\ufeffa,b,c\r\n")
    _, row = csv.reader(io.StringIO(written.removeprefix("\ufeff"), newline=""))
    assert row == ['say "hi"\nthere', "2026-03-18T15:20:00Z", ""]


def test_a_workbook_holds_numbers_dates_and_texts_but_no_formula_and_no_link() -> None:
    rows = [(text, 0.25, AT) for text in (*FORMULAS, "https://evil.example", "12")]
    made = xlsx([Sheet("Volume", ("title", "share", "at"), rows, note="What it rests on")], made=AT)
    book = openpyxl.load_workbook(io.BytesIO(made))
    page = book["Volume"]
    assert page["A1"].value == "What it rests on"
    shown = [[cell.value for cell in row] for row in page.iter_rows(min_row=4)]
    assert [row[0] for row in shown] == [row[0] for row in rows]
    assert shown[0][1:] == [0.25, datetime(2026, 3, 18, 15, 20)]  # noqa: DTZ001 - a cell has no zone
    with zipfile.ZipFile(io.BytesIO(made)) as parts:
        text = "".join(parts.read(name).decode() for name in parts.namelist())
    assert "<f>" not in text
    assert "<hyperlink" not in text


def test_a_workbook_shows_numbers_as_the_report_does_and_ends_a_long_name_at_a_word() -> None:
    sheet = Sheet("Articles with low use despite a common issue", ("who", "part", "took"), [("all", 0.057, 6.05)],
                  kinds=("text", "share", "hours"))  # fmt: skip
    page = openpyxl.load_workbook(io.BytesIO(xlsx([sheet], made=AT))).active
    assert page.title == "Articles with low use despite…"
    assert [cell.value for cell in page[2]] == ["all", 0.057, 6.05]
    assert [cell.number_format for cell in page[2]] == ["General", "0.0 %", '0.0 "h"']


def test_the_same_workbook_is_the_same_bytes() -> None:
    sheet = Sheet("Volume", ("a",), [("x",)])
    assert xlsx([sheet], made=AT) == xlsx([sheet], made=AT)
