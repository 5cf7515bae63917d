"""Exported files are read row by row, and every bad row is named with its line and reason."""

import gzip
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from app.domain import RawTicket, Status
from app.errors import Invalid
from app.ingest import dates
from app.ingest.columns import Mapping, Reading, read_mapping, status_of, to_raw
from app.ingest.files import Rejected, columns, open_rows

NOW = datetime(2026, 6, 1, tzinfo=UTC)
READING = Reading(source="desk", now=NOW)
CSV = 'Ticket ID,Created At,Subject,Description,Status\n7,2026-05-01 10:00,Crash,"two\nlines, one cell",Closed\n'


def written(folder: Path, content: str | bytes, name: str = "export.dat") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read(path: Path, explicit: dict[str, str] | None = None) -> list[RawTicket | Rejected]:
    mapping = Mapping.recognise(columns(path), explicit)
    return [
        row.values
        if isinstance(row.values, Rejected)
        else to_raw(row.values, mapping, READING, line=row.line)
        for row in open_rows(path)
    ]


def only(path: Path) -> RawTicket:
    (ticket,) = read(path)
    assert isinstance(ticket, RawTicket)
    return ticket


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lambda text: b"\xef\xbb\xbf" + text])
def test_csv_is_recognised_by_content_plain_packed_or_with_a_byte_order_mark(tmp_path: Path, pack) -> None:  # type: ignore[no-untyped-def]
    ticket = only(written(tmp_path, pack(CSV.encode())))
    assert (ticket.external_id, ticket.subject, ticket.body) == ("7", "Crash", "two\nlines, one cell")
    assert ticket.created_at == datetime(2026, 5, 1, 10, tzinfo=UTC)
    assert ticket.status is Status.CLOSED


def test_json_lines_with_lists_and_objects_are_read(tmp_path: Path) -> None:
    row = {"key": "A-1", "created": 1_746_000_000, "summary": "Crash", "reporter": {"displayName": "Jane"},
           "labels": ["a", "b"], "csat": "80%", "escalated": "yes", "reopen_count": 2, "plan": "annual", "resolution": "FIXED"}  # fmt: skip
    ticket = only(written(tmp_path, gzip.compress(json.dumps(row).encode())))
    assert (ticket.requester, ticket.tags, ticket.attributes) == ("Jane", ("a", "b"), {"plan": "annual"})
    assert (ticket.satisfaction, ticket.escalated, ticket.reopened, ticket.resolution) == (
        0.8,
        True,
        True,
        "FIXED",
    )


def test_a_history_of_statuses_is_read_from_lists_and_from_their_text(tmp_path: Path) -> None:
    row = {"id": "A-1", "created": "2026-05-01", "summary": "Crash"}
    steps = [{"at": "2026-05-01 10:00", "status": "In Progress"}, {"at": "2026-05-02", "status": "Resolved"}]
    for told in (steps, json.dumps(steps)):
        history = only(written(tmp_path, json.dumps(row | {"status_history": told}))).history
        assert [(c.at, c.status, c.told) for c in history] == [
            (datetime(2026, 5, 1, 10, tzinfo=UTC), Status.OPEN, "In Progress"),
            (datetime(2026, 5, 2, tzinfo=UTC), Status.SOLVED, "Resolved"),
        ]
    (rejected,) = read(written(tmp_path, json.dumps(row | {"history": [{"status": "open"}]})))
    assert isinstance(rejected, Rejected)
    assert rejected.reason == 'history: each change needs "at" and "status"'


def test_semicolons_separate_too(tmp_path: Path) -> None:
    assert only(written(tmp_path, "id;date;text\n1;02.05.2026;Absturz, oft\n")).body == "Absturz, oft"


def test_bad_rows_are_rejected_with_their_line_and_the_rest_is_read(tmp_path: Path) -> None:
    rows = ["id,created_at,body", "1,2026-05-01,a", "2,2026-05-01", "3,yesterday,c", "4,2027-05-01,d", ",2026-05-01,e",
            "6,2026-05-01,", "7,2026-05-01,g"]  # fmt: skip
    result = read(written(tmp_path, "\n".join(rows)))
    assert [row.external_id for row in result if isinstance(row, RawTicket)] == ["1", "7"]
    assert [(row.line, row.reason) for row in result if isinstance(row, Rejected)] == [
        (3, "2 fields where the header has 3"),
        (4, "created_at: 'yesterday' is not a date"),
        (5, "created_at: 2027-05-01 00:00 UTC is in the future"),
        (6, "no id"),
        (7, "neither subject nor body"),
    ]


def test_a_malformed_json_line_is_rejected_not_fatal(tmp_path: Path) -> None:
    good = '{"id": 1, "created_at": "2026-05-01T00:00:00Z", "body": "x"}'
    first, second, third, fourth = read(written(tmp_path, f"{good}\n{{oops\n[1]\n{good}\n"))
    assert isinstance(first, RawTicket)
    assert isinstance(fourth, RawTicket)
    assert isinstance(second, Rejected)
    assert second.line == 2
    assert isinstance(third, Rejected)
    assert third.reason == "not a JSON object but a list"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"id,created_at,body\n1,2026-05-01,caf\xe9\n", "line 2, byte 17 (0xe9) is not UTF-8"),
        ("id;body\n".encode("utf-16"), "line 1, byte 1 (0xff) is not UTF-8"),
        (b"", "is empty"),
        (b"PK\x03\x04rest", "export it as CSV"),
        (b"[{}]", "JSON array"),
        (b"just words\nmore words\n", "neither CSV with a header nor JSON lines"),
        (gzip.compress(CSV.encode() * 500, mtime=0)[:60], "gzip data breaks"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(Invalid, match=re.escape(words)):
        list(open_rows(written(tmp_path, content)))


def test_a_missing_file_or_a_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="there is no file"):
        list(open_rows(tmp_path / "none.csv"))
    with pytest.raises(Invalid, match="is a folder"):
        list(open_rows(tmp_path))


def test_wrong_columns_list_what_was_found_and_how_to_map() -> None:
    with pytest.raises(
        Invalid, match=r"no column for created_at; found id, when_it_was, body\. .*created_at=COLUMN"
    ):
        Mapping.recognise(["id", "when_it_was", "body"])


def test_explicit_columns_come_first_and_must_exist(tmp_path: Path) -> None:
    path = written(tmp_path, 'created_at = "Opened"\nbody = "Notes"\n', "map.toml")
    mapping = Mapping.recognise(["id", "date", "Opened", "Notes", "colour", "group"], read_mapping(path))
    assert mapping.columns == {"external_id": "id", "created_at": "Opened", "body": "Notes"}
    assert "colour" in mapping.unknown
    assert "group" not in mapping.unknown
    with pytest.raises(Invalid, match="there is no column 'Nope'"):
        Mapping.recognise(["id"], {"body": "Nope"})
    with pytest.raises(Invalid, match="'colour' is not a field"):
        Mapping.recognise(["id"], {"colour": "id"})


def test_unknown_columns_become_attributes_when_wanted() -> None:
    mapping = Mapping.recognise(["id", "date", "text", "Cost Centre"], keep_unknown=True)
    ticket = to_raw(
        {"id": 1, "date": "2026-05-01", "text": "x", "Cost Centre": "9"}, mapping, READING, line=1
    )
    assert isinstance(ticket, RawTicket)
    assert ticket.attributes == {"cost_centre": "9"}


@pytest.mark.parametrize(
    "text",
    ["2026-03-29T10:00:00Z", "2026-03-29T12:00:00+0200", "2026-03-29 12:00", "2026-03-29 12:00:00", "1774778400", "1774778400000",
     1774778400, "Sun, 29 Mar 2026 10:00:00 +0000", "29.03.2026 12:00", "29/03/2026 12:00", "3/29/2026 12:00 PM", "29-Mar-2026 12:00"],
)  # fmt: skip
def test_dates_in_usual_forms_are_one_instant(text: str | int) -> None:
    at = dates.parse(text, now=NOW, naive_tz=ZoneInfo("Europe/Berlin"))
    assert at == datetime(2026, 3, 29, 10, tzinfo=UTC)


def test_day_first_decides_an_ambiguous_date() -> None:
    assert dates.parse("03/04/2026", now=NOW, day_first=True).month == 4
    assert dates.parse("03/04/2026", now=NOW).month == 3


@pytest.mark.parametrize("text", ["", "soon", "12", "2026-13-01", "0000-00-00", "99999999999999"])
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a date|future"):
        dates.parse(text, now=NOW)


@pytest.mark.parametrize(
    ("text", "status"),
    [("RESOLVED", Status.SOLVED), ("VERIFIED", Status.SOLVED), ("closed", Status.CLOSED), ("completed", Status.SOLVED),
     ("In Progress", Status.OPEN), ("NEEDINFO", Status.PENDING), ("6 - Resolved", Status.SOLVED), ("NEW", Status.NEW), ("?", Status.OPEN)],
)  # fmt: skip
def test_status_words_of_many_tools_map_to_one_vocabulary(text: str, status: Status) -> None:
    assert status_of(text) is status


def test_offsets_grow_and_end_at_the_size_of_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, CSV + "8,2026-05-02,x,y,New\n")
    offsets = [row.offset for row in open_rows(path)]
    assert offsets == sorted(set(offsets))
    assert offsets[-1] == path.stat().st_size
