"""Brief, evidence, reports, trends and similar as a lead meets them: in plain HTTP and in a real browser."""

from __future__ import annotations

import csv
import html
import io
import re
import warnings

import openpyxl
import pypdf
import pytest

from app.pipeline import review
from app.runtime import Runtime
from tests.e2e._small_desk import HOSTILE
from tests.e2e.test_pages import address, browser, desk, open_alert, original, site, text_of, token_of

__all__ = ["address", "browser", "desk", "original"]  # fixtures
DAYS = "since=2026-03-01&until=2026-03-18"


def paths(runtime: Runtime) -> list[str]:
    """Every page of this chapter."""
    pattern = open_alert(runtime).pattern_id
    return [
        f"/patterns/{pattern}/brief", f"/patterns/{pattern}/evidence", f"/reports?{DAYS}", "/reports?by=region",
        f"/trends?{DAYS}", f"/trends?{DAYS}&kind=pattern", "/trends?kind=signature", "/similar",
    ]  # fmt: skip


def test_every_page_answers_without_markup_of_tickets_or_inline_code(desk: Runtime) -> None:
    review.rename(desk, open_alert(desk).pattern_id or "", HOSTILE, actor="lead")
    client = site(desk)
    for path in paths(desk):
        page = client.get(path)
        assert page.status_code == 200, path
        assert "unsafe" not in page.headers["content-security-policy"]
        assert not re.search(r"<style|\sstyle=|\son\w+=\"|<script(?! src=\"/static/)", page.text), path
        for mark in ("<script>document", "<img src=x", "javascript:"):
            assert mark not in page.text, path
        assert len(page.content) < 100_000


def test_the_brief_can_be_taken_along_in_every_form_and_stays_text(desk: Runtime) -> None:
    client, id_ = site(desk), open_alert(desk).pattern_id
    review.rename(desk, id_ or "", HOSTILE, actor="lead")
    page = client.get(f"/patterns/{id_}/brief")
    assert html.escape(HOSTILE, quote=False)[:12] in page.text
    assert open_alert(desk).sentence in text_of(page)
    for form in ("pdf", "md", "html", "jira", "slack"):
        taken = client.get(f"/patterns/{id_}/brief?format={form}")
        assert taken.status_code == 200
        assert "attachment" in taken.headers["content-disposition"]
        if form == "jira":  # its markup has no angle brackets: a tag is text there
            assert taken.headers["content-type"].startswith("text/plain")
        elif form != "pdf":
            assert "<script>document" not in taken.text
        assert taken.content == client.get(f"/patterns/{id_}/brief?format={form}").content
    made = client.get(f"/patterns/{id_}/brief?format=pdf").content
    shown = " ".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(made)).pages)
    assert "<script>" in shown
    assert client.get(f"/patterns/{id_}/brief?format=doc").status_code == 422


def test_the_evidence_file_holds_every_ticket_with_its_reason_and_nothing_that_runs(desk: Runtime) -> None:
    client, alert = site(desk), open_alert(desk)
    made = client.get(f"/patterns/{alert.pattern_id}/evidence.csv").text
    rows = list(csv.DictReader(io.StringIO(made.removeprefix("\ufeff"), newline="")))
    page = client.get(f"/patterns/{alert.pattern_id}/evidence")
    assert f"{len(rows)} tickets from" in text_of(page)
    assert page.text.count('class="what"') == len(rows)
    assert all(row["why"] and row["rule"] for row in rows)
    assert any(HOSTILE in row["subject"] for row in rows)
    assert not any(value.startswith(("=", "+", "@")) for row in rows for value in row.values())


def test_a_report_shows_the_tables_and_gives_them_as_files(desk: Runtime) -> None:
    client = site(desk)
    text = text_of(client.get(f"/reports?{DAYS}"))
    for words in ("Volume by product", "Escalation rate by plan", "Time to resolution", "Satisfaction",
                  "Articles with low use", "AI agent handed over", "Our own alerts", "1 Mar 2026 to 18 Mar 2026",
                  "compared with 11 Feb to 28 Feb 2026"):  # fmt: skip
        assert words in text
    made = client.get(f"/reports.csv?{DAYS}&panel=volume").text
    rows = list(csv.DictReader(io.StringIO(made.removeprefix("\ufeff"), newline="")))
    assert int(rows[0]["Tickets"]) == sum(int(r["Tickets"]) for r in rows[1:])
    book = openpyxl.load_workbook(io.BytesIO(client.get(f"/reports.xlsx?{DAYS}").content))
    assert book["Volume by product"]["B4"].value == int(rows[0]["Tickets"])
    assert client.get(f"/reports.csv?{DAYS}&panel=none").status_code == 422


@pytest.mark.parametrize(("query", "words"), [
    ("since=2026-03-09&until=2026-03-02", "ends (2026-03-02) before it begins"), ("since=soon", "is not a day"),
    ("since=2020-01-01&until=2026-01-01", "366 days long at most"), ("by=mood", "By must be one of plan"),
])  # fmt: skip
def test_a_period_that_cannot_be_is_told_in_words(desk: Runtime, query: str, words: str) -> None:
    page = site(desk).get(f"/reports?{query}")
    assert page.status_code == 422
    assert words in text_of(page)


def test_trends_tell_what_rose_and_draw_the_topic_that_was_chosen(desk: Runtime) -> None:
    client = site(desk)
    page = client.get(f"/trends?{DAYS}&kind=pattern")
    assert "compared by distinct customers" in text_of(page)
    assert "release Projects 5.2.0" in page.text
    id_ = open_alert(desk).pattern_id
    chosen = client.get(f"/trends?{DAYS}&kind=pattern&topic={id_}")
    assert "day by day" in text_of(chosen)
    assert client.get("/trends?kind=mood").status_code == 422


def test_a_pasted_text_gets_cases_or_an_honest_nothing_and_takes_what_people_say(desk: Runtime) -> None:
    client = site(desk)
    token = token_of(client.get("/similar"))
    found = client.post(
        "/similar", data={"token": token, "text": "Board is blank, PRJ-5027 after the update"}
    )
    assert "likely the same" in text_of(found)
    assert "<script>document" not in found.text
    query, verdict = (re.search(rf'name="{n}" value="([^"]+)"', found.text) for n in ("query", "verdict"))
    assert query
    assert verdict
    said = client.post("/similar/feedback", data={
        "token": token, "text": "Board is blank, PRJ-5027 after the update", "query": query[1], "verdict": verdict[1],
    })  # fmt: skip
    assert "Noted: same problem" in text_of(said)
    nothing = client.post("/similar", data={"token": token, "text": "zxqv wpllk mnrrt"})
    assert "Nothing similar" in text_of(nothing)
    assert client.post("/similar", data={"token": "x", "text": "a"}).status_code == 403


@pytest.mark.browser
@pytest.mark.parametrize("width", [320, 1360, 3840])
def test_no_page_is_wider_than_the_screen(browser, address: str, desk: Runtime, width: int) -> None:  # type: ignore[no-untyped-def]
    page = browser.new_page(viewport={"width": width, "height": 900})
    for path in paths(desk):
        page.goto(address + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
    page.close()


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_against_wcag_2_2_aa(browser, address: str, desk: Runtime, scheme: str) -> None:  # type: ignore[no-untyped-def]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
    rules = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}}
    context = browser.new_context(color_scheme=scheme, java_script_enabled=True)
    page = context.new_page()
    for path in [*paths(desk), "asked"]:
        if path == "asked":
            page.goto(f"{address}/similar")
            page.get_by_label("A ticket's text").fill("Board is blank, PRJ-5027 after the update")
            page.get_by_role("button", name="Look").click()
            page.wait_for_selector("text=likely the same")
        else:
            page.goto(address + path)
        page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
        found = Axe().run(page, options=rules)
        assert found.violations_count == 0, (path, found.generate_report())
    context.close()
