"""A brief says the same in every dialect, twice the same bytes, and what customers wrote stays text."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, date, datetime
from html.parser import HTMLParser

import pypdf
import pytest
from markdown_it import MarkdownIt

from app.reports import dialects, html, pdf
from app.reports.brief import Answer, Brief, Customer, Feed, Fix, Member, Said, Signal, Week, document
from app.reports.document import one_line, web_address

AT = datetime(2026, 3, 18, 15, 20, tzinfo=UTC)
HOSTILE = (
    "<script>alert(1)</script> ![x](javascript:alert(1)) [a](http://evil.example) <!channel> {html}*b*{html}"
)
GREEK = "Η εξαγωγή αποτυγχάνει · Экспорт не работает · Żółć"

BRIEF = Brief(
    pattern="pat_1",
    name=f"Export fails {HOSTILE}",
    state="escalating",
    signature="E-4031",
    description="",
    phrases=("renamed field", HOSTILE),
    url="https://desk.example.com/patterns/pat_1",
    zone="Europe/Berlin",
    as_of=AT,
    first_at=datetime(2026, 3, 2, 8, tzinfo=UTC),
    last_at=AT,
    tickets=12,
    customers=9,
    products=(("Reports", 11),),
    came_with="Reports 4.2",
    weeks=(Week(date(2026, 3, 5), 1, 1), Week(date(2026, 3, 12), 11, 8)),
    usual=1.0,
    usual_weeks=1,
    signals=(Signal("12 tickets from 9 customers; 1.2 expected.", AT, None, ""),),
    affected=(Customer(f"Textiles {HOSTILE}", 3), Customer("Acme", 1)),
    threads=("8 of 9 customers (89%) have version 4.2; elsewhere 12%",),
    quotes=(Said("Most typical", f"{GREEK}\n{HOSTILE}", "desk 1", "javascript:alert(1)", AT, "Acme"),),
    fixes=(Fix("Rolled back 4.2", AT, "https://ci.example.com/1", "Not yet: 3 customers since the fix."),),
    answers=(Answer("Rename the field back", 4, 1),),
    evidence=tuple(
        Member(
            f"tkt_{n}",
            f"desk {n}",
            f"https://desk.example.com/{n}",
            HOSTILE,
            AT,
            "Acme",
            "open",
            "Founding ticket",
        )
        for n in range(12)
    ),
    feeds=(Feed("zendesk", AT), Feed("mail", None)),
    version=4,
)


class _Tags(HTMLParser):
    """The elements and addresses of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.links: set[str] = set()
        self.said: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.links |= {value or "" for name, value in attrs if name in ("href", "src")}

    def handle_data(self, data: str) -> None:
        self.said.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.said).split())


def pdf_text(made: bytes) -> str:
    return " ".join(" ".join(p.extract_text() for p in pypdf.PdfReader(io.BytesIO(made)).pages).split())


def markdown() -> str:
    return dialects.render(document(BRIEF), dialects.MARKDOWN)


def test_every_dialect_tells_the_numbers_the_thread_the_fix_and_what_it_rests_on() -> None:
    doc = document(BRIEF)
    told = {
        "html": _Tags(html.page(doc)).text,
        "markdown": _Tags(MarkdownIt().enable("table").render(markdown())).text,
        "pdf": pdf_text(pdf.render(doc, made=AT)),
    }
    for name, text in told.items():
        for words in (
            "12 tickets from 9 customers",
            "1.0 customers a week",
            "8 of 9 customers (89%) have version 4.2",
            "Not yet: 3 customers since the fix",
            "Rename the field back",
            "18 Mar 2026, 16:20 CET",
            "newest ticket",
            "mail (no ticket yet)",
        ):
            assert words in text, (name, words)


def test_what_customers_wrote_stays_text_in_html_and_markdown() -> None:
    for page in (html.page(document(BRIEF)), MarkdownIt("js-default").enable("table").render(markdown())):
        found = _Tags(page)
        assert found.names.isdisjoint({"script", "img", "iframe"})
        assert not any("evil" in link or link.startswith("javascript") for link in found.links)
        assert "<script>alert(1)</script>" in found.text
        assert "[a](http://evil.example)" in found.text


def test_a_mention_or_a_macro_stays_text_in_slack_and_jira() -> None:
    slack = dialects.render(document(BRIEF), dialects.SLACK)
    assert "<!channel>" not in slack
    assert "&lt;!channel&gt;" in slack
    assert "<https://desk.example.com/patterns/pat_1|" in slack
    jira = dialects.render(document(BRIEF), dialects.JIRA)
    assert "{html}" not in jira
    assert "[desk 3|https://desk.example.com/3]" in jira


def test_the_same_brief_is_the_same_bytes_and_another_one_is_not() -> None:
    made = [pdf.render(document(BRIEF), made=AT) for _ in range(2)]
    assert made[0] == made[1]
    assert pdf.render(document(replace(BRIEF, tickets=13)), made=AT) != made[0]
    assert html.page(document(BRIEF)) == html.page(document(BRIEF))


def test_the_text_of_a_pdf_can_be_selected_in_greek_cyrillic_and_latin_and_its_links_lead_to_tickets() -> (
    None
):
    made = pdf.render(document(BRIEF), made=AT)
    assert GREEK in pdf_text(made)
    pages = pypdf.PdfReader(io.BytesIO(made)).pages
    links = {str(a.get_object()["/A"]["/URI"]) for page in pages for a in page.get("/Annots", [])}
    assert "https://desk.example.com/3" in links
    assert not any(link.startswith("javascript") for link in links)


def test_a_page_of_its_own_asks_nobody_and_allows_its_one_style_only() -> None:
    page = html.page(document(BRIEF))
    assert "unsafe" not in html.policy()
    assert html.policy().partition("'sha256-")[2].partition("'")[0] in page
    assert "src=" not in page


def test_an_emptied_pattern_and_a_comparison_that_still_runs_are_said_in_words() -> None:
    empty = replace(BRIEF, tickets=0, weeks=(), quotes=(), evidence=(), affected=(), threads=None, fixes=())
    text = dialects.render(document(empty), dialects.MARKDOWN)
    assert "No ticket is in this pattern any more" in text
    assert "Still being compared" in text
    assert "No fix is recorded yet" in text


def test_a_long_list_says_how_many_it_leaves_out() -> None:
    text = dialects.render(document(BRIEF, most_evidence=5), dialects.MARKDOWN)
    assert "The newest 5 of 12" in text
    assert text.count("Founding ticket") == 5


@pytest.mark.parametrize(("url", "kept"), [
    ("https://a.example/x", True), ("javascript:alert(1)", False), ("https://a.example/ x", False), ("", False),
])  # fmt: skip
def test_only_web_addresses_become_links(url: str, kept: bool) -> None:
    assert (web_address(url) == url) is (kept or not url)


def test_a_line_has_no_breaks_and_an_end() -> None:
    assert one_line("a\n\tb\x00c") == "a b c"
    assert one_line("word " * 100, 20) == "word word word word…"
