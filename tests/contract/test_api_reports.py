"""Reports and trends over HTTP: any period, as JSON, CSV and XLSX, on both databases."""

from __future__ import annotations

import csv
import io

import openpyxl
import pytest
from fastapi.testclient import TestClient

from app.pipeline.digest import digest
from app.pipeline.intake import accept
from app.runtime import Runtime
from tests.fakes import raw

DAYS = "since=2026-03-02&until=2026-03-03"


@pytest.fixture
def desk(runtime: Runtime) -> Runtime:
    """Eight tickets of two products, one of them hostile, over the first two days of March."""
    accept(runtime, [
        raw(n, attributes={"product": "=1+1" if n == 3 else "Reports", "plan": "plus"}, escalated=n == 0,
            articles=("kb/1",) if n == 1 else ())
        for n in range(8)
    ], source_kind="push")  # fmt: skip
    while digest(runtime):
        pass
    return runtime


def test_a_report_compares_a_period_with_the_one_before(api: TestClient, desk: Runtime) -> None:
    told = api.get(f"/v1/reports?{DAYS}").json()
    assert (told["before_since"], told["before_until"]) == ("2026-02-28", "2026-03-01")
    tables = {t["key"]: t for t in told["tables"]}
    assert tables["volume"]["rows"][0][:4] == ["All", 8, 8, 0]
    assert tables["escalation"]["rows"][1][:3] == ["plus", 8, 0.125]
    assert set(tables) == {
        "volume", "escalation", "resolution", "satisfaction", "articles", "handed-over", "quality"
    }  # fmt: skip
    assert all(len(r) == len(t["columns"]) for t in tables.values() for r in t["rows"])


def test_files_of_a_report_run_nothing(api: TestClient, desk: Runtime) -> None:
    made = api.get(f"/v1/reports?{DAYS}&format=csv&panel=volume").text
    rows = list(csv.reader(io.StringIO(made.removeprefix("\ufeff"))))
    assert "'=1+1" in {row[0] for row in rows}
    book = openpyxl.load_workbook(io.BytesIO(api.get(f"/v1/reports?{DAYS}&format=xlsx").content))
    cells = {cell.value: cell.data_type for row in book["Volume by product"] for cell in row}
    assert cells["=1+1"] == "s"


def test_trends_give_counts_expectation_and_q(api: TestClient, desk: Runtime) -> None:
    told = api.get("/v1/trends?since=2026-03-02&until=2026-03-02&kind=product").json()
    assert told["data"] == []  # nothing came before: nothing to compare with
    later = api.get("/v1/trends?since=2026-03-03&until=2026-03-03&kind=product").json()
    assert (later["since"], later["before_since"]) == ("2026-03-03", "2026-03-02")


@pytest.mark.parametrize(("path", "pointer"), [
    ("reports?since=soon", "since"), ("reports?by=mood", "by"), ("reports?format=doc", "format"),
    ("reports?format=csv&panel=x", "panel"), ("trends?kind=mood", "kind"),
    ("trends?since=2026-03-09&until=2026-03-02", "since"),
])  # fmt: skip
def test_what_cannot_be_is_a_problem_that_names_it(api: TestClient, path: str, pointer: str) -> None:
    answer = api.get(f"/v1/{path}")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"].strip("/") == pointer
