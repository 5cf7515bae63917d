"""Reads exported tickets from CSV or JSON lines, plain or gzip, row by row and in constant memory.

What a file is follows from its content, not its name. A bad row is reported with its line and reason
and the rest goes on; only a file that cannot be read as text at all is an error.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from app.errors import Invalid

_BOM = b"\xef\xbb\xbf"
_GZIP = b"\x1f\x8b"
_MAX_LINE_BYTES = 16_777_216  # a longer line is no ticket but a file of another kind
_DELIMITERS = ",;\t|"


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that cannot be a ticket, and why; `line` counts from 1."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Row:
    """One row as read; `line` is where it begins, `offset` the byte after it in the unpacked text."""

    line: int
    offset: int
    values: Mapping[str, Any] | Rejected


@dataclass(slots=True)
class _Lines:
    """The lines of a byte stream as strict UTF-8 text, with the count of lines and bytes handed out."""

    stream: io.BufferedIOBase
    path: Path
    line: int = 0
    offset: int = 0

    def __iter__(self) -> Iterator[str]:
        while raw := self._read():
            self.line += 1
            self.offset += len(raw)
            if len(raw) >= _MAX_LINE_BYTES:
                raise Invalid(
                    f"{self.path.name}: line {self.line} is longer than 16 MB; one ticket goes on one line"
                )
            yield self._text(raw)

    def _read(self) -> bytes:
        try:
            return self.stream.readline(_MAX_LINE_BYTES)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise Invalid(
                f"{self.path.name}: the gzip data breaks after line {self.line} ({error}); copy it again"
            ) from error

    def _text(self, raw: bytes) -> str:
        if self.line == 1:
            raw = raw.removeprefix(_BOM)
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise Invalid(
                f"{self.path.name}: line {self.line}, byte {error.start + 1} "
                f"(0x{raw[error.start]:02x}) is not UTF-8; save the file as UTF-8 and import it again"
            ) from error


def open_rows(path: Path) -> Iterator[Row]:
    """Every row of `path` in file order. Raises `Invalid` when there is no such file or it is no UTF-8."""
    with closing(_open(path)) as stream:
        lines = _Lines(stream, path)
        first = _first_line(lines)
        if first.lstrip().startswith("{"):
            yield from _json_rows(first, lines)
        elif first.lstrip().startswith("["):
            raise Invalid(f"{path.name} is a JSON array; write one object per line (jq -c '.[]' does it)")
        else:
            yield from _csv_rows(first, lines)


def columns(path: Path) -> tuple[str, ...]:
    """The names of the columns: the CSV header, or the keys of the first 200 JSON rows as they appear."""
    rows = [row.values for row in islice(open_rows(path), 200)]
    if not rows:
        raise Invalid(f"{path.name} has a header and no rows")
    return tuple(dict.fromkeys(name for values in rows if isinstance(values, Mapping) for name in values))


def _open(path: Path) -> io.BufferedIOBase:
    if not path.exists():
        raise Invalid(f"there is no file {path}; check the name")
    if path.is_dir():
        raise Invalid(f"{path} is a folder; name one file")
    try:
        with path.open("rb") as raw:
            head = raw.read(4)
    except OSError as error:
        raise Invalid(f"{path} cannot be read: {error.strerror}") from error
    if head.startswith((b"PK\x03\x04", b"%PDF")):
        raise Invalid(f"{path.name} is a ZIP, a spreadsheet or a PDF; export it as CSV or JSON lines")
    return gzip.open(path, "rb") if head.startswith(_GZIP) else path.open("rb")


def _first_line(lines: _Lines) -> str:
    for line in lines:
        if line.strip():
            return line
    raise Invalid(f"{lines.path.name} is empty")


def _json_rows(first: str, lines: _Lines) -> Iterator[Row]:
    yield Row(lines.line, lines.offset, _json_values(first, lines.line))
    for line in lines:
        if line.strip():
            yield Row(lines.line, lines.offset, _json_values(line, lines.line))


def _json_values(line: str, number: int) -> Mapping[str, Any] | Rejected:
    try:
        values = json.loads(line)
    except (json.JSONDecodeError, RecursionError) as error:
        return Rejected(number, f"not valid JSON: {error}")
    if not isinstance(values, dict):
        return Rejected(number, f"not a JSON object but a {type(values).__name__}")
    return values


def _csv_rows(first: str, lines: _Lines) -> Iterator[Row]:
    """Rows after the header. A quoted field may span lines; the row's line is where it began."""
    reader = csv.reader(_with_first(first, lines), delimiter=_delimiter(first), strict=False)
    csv.field_size_limit(_MAX_LINE_BYTES)
    header = [name.strip() for name in next(reader)]
    if len(header) < 2:
        raise Invalid(
            f"{lines.path.name} has one column, {header[0][:40]!r}: neither CSV with a header nor JSON lines"
        )
    start = lines.line + 1
    while True:
        try:
            fields = next(reader, None)
        except csv.Error as error:
            yield Row(start, lines.offset, Rejected(start, f"not valid CSV: {error}"))
            start = lines.line + 1
            continue
        if fields is None:
            return
        if any(fields):
            yield Row(start, lines.offset, _csv_values(header, fields, start))
        start = lines.line + 1


def _with_first(first: str, lines: _Lines) -> Iterator[str]:
    yield first
    yield from lines


def _csv_values(header: list[str], fields: list[str], line: int) -> Mapping[str, Any] | Rejected:
    if len(fields) != len(header):
        return Rejected(line, f"{len(fields)} fields where the header has {len(header)}")
    return dict(zip(header, fields, strict=True))


def _delimiter(header: str) -> str:
    """The separator found most often outside quotes in the header."""
    unquoted = "".join(header.split('"')[::2])
    return max(_DELIMITERS, key=unquoted.count)
