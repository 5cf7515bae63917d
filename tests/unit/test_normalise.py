"""Cleaning keeps the customer's own words and the evidence, and a draft holds no person."""
# ruff: noqa: ISC004 - tables of whole mails

import time
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain import RawTicket, Status, TicketDraft
from app.ingest import html
from app.ingest.boilerplate import Boilerplate
from app.ingest.normalise import MAX_BODY_BYTES, clean, content_hash, draft

KEY = b"a key for tests"
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
RAW = RawTicket(
    source="desk", external_id="1", created_at=AT, subject="Export fails", body="The export fails with E-4031"
)


def drafted(
    raw: RawTicket, *, keep_account_names: bool = False, boilerplate: Boilerplate | None = None
) -> TicketDraft:
    return draft(raw, key=KEY, boilerplate=boilerplate, keep_account_names=keep_account_names, backfill=False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hi team,\n\nThe export fails.\n\nBest regards,\nJane Doe\nHead of Ops | Acme\nTel: 020 7946 0958", "The export fails."),
        ("Hello, the export fails.", "the export fails."),
        ("Sehr geehrte Damen und Herren,\nDer Export geht nicht.\n\nMit freundlichen Grüßen\nJens", "Der Export geht nicht."),
        ("Bonjour,\nL'export échoue.\nCordialement,\nLuc", "L'export échoue."),
        ("Still broken.\n\nOn Tue, 3 Mar 2026 at 10:02, Support <help@acme.test> wrote:\n> Did you restart?\n> Thanks", "Still broken."),
        ("Still broken.\n\nOn Tuesday 3 March 2026 at 10:02,\nSupport <help@acme.test> wrote:\nDid you restart?", "Still broken."),
        ("Immer noch.\n\nAm 03.03.2026 um 10:02 schrieb Support <help@acme.test>:\n> Neustart?", "Immer noch."),
        ("Encore.\n\nLe mar. 3 mars 2026 à 10:02, Support <a@b.test> a écrit :\n> Redémarrer ?", "Encore."),
        ("Still broken.\n\n-----Original Message-----\nFrom: Support\nSent: Tuesday\nTo: Jane\nSubject: RE: x\n\nold", "Still broken."),
        ("Noch da.\n________________________________\nVon: Support\nGesendet: Dienstag\nAn: Jens\nBetreff: x\n\nalt", "Noch da."),
        ("On 3 Mar 2026 Support <a@b.test> wrote:\n> Which version?\n4.2.1\n> Which browser?\nFirefox", "4.2.1\nFirefox"),
        ("It crashes.\n\n-- \nJane Doe\nAcme Ltd", "It crashes."),
        ("It crashes.\n\nSent from my iPhone", "It crashes."),
        ("CAUTION: This email originated from outside of the organization. Do not click links.\n\nIt crashes.", "It crashes."),
        ("##- Please type your reply above this line -##\nYour request (123) has been updated.\nIt crashes.", "It crashes."),
        (
            "It crashes.\n\nThis e-mail and any attachments are confidential and intended solely for the addressee. If you have "
            "received this e-mail in error, please notify the sender and delete it.",
            "It crashes.",
        ),
        ("a\x00b\u200bc\r\n\r\n\r\n\r\nd\u00a0e", "abc\n\nd e"),
        ("Cafe\u0301", "Café"),
    ],
)  # fmt: skip
def test_mail_furniture_goes_and_the_matter_stays(text: str, expected: str) -> None:
    assert clean(text, is_html=False) == expected


@pytest.mark.parametrize(
    "text",
    [
        "It fails:\n  at Foo.Bar (Foo.cs:12)\n  at Foo.Main ()\nSystem.NullReferenceException: oops",
        "Steps:\n```\n--\nOn 3 Mar 2026 Bob wrote:\n> x\nThanks,\n```\ndone",
        "Prompt:\n> npm install\n> npm ERR! code E404\nfails",
        "--\nThe child process I run is described in the manual and it never comes back to me",
        "2026-03-01 10:00:00 ERROR From: parser To: sink\n2026-03-01 10:00:01 INFO Sent: 3",
        "Thanks to the update we cannot open anything. After the update the window shows the error twice.",
        "Why is the confidential flag ignored when I share a document with my colleague from the other team?",
        "Raw headers:\nFrom: a\nTo: b\nSubject: c\nMIME-Version: 1.0\nMessage-Id: d",
    ],
)
def test_evidence_code_and_prose_are_left_alone(text: str) -> None:
    assert clean(text, is_html=False) == text


def test_a_bare_forward_keeps_what_was_forwarded() -> None:
    text = "---------- Forwarded message ---------\nFrom: Ann\nDate: Tue\nSubject: x\nTo: b\n\nThe invoice page is blank."
    assert clean(text, is_html=False) == "The invoice page is blank."


@pytest.mark.parametrize("text", ["Thanks!", "Hi", "> quoted only", "-- \nJane", "[EXTERNAL]"])
def test_a_text_of_furniture_only_is_kept(text: str) -> None:
    assert clean(text, is_html=False)


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=200))
def test_cleaning_never_empties_a_text_that_has_words(text: str) -> None:
    if any(char.isalnum() for char in text):
        assert any(char.isalnum() for char in clean(text, is_html=False))


def test_a_long_body_is_cut_at_32_kb_between_characters() -> None:
    cleaned = clean("é" * 40_000, is_html=False)
    assert len(cleaned.encode()) <= MAX_BODY_BYTES
    assert set(cleaned) == {"é"}


@pytest.mark.parametrize(
    "line", ["On \n", "-----Original Message-----\n", "From: x\n", "Hi \n", "thanks\n", "> \n", "```\n", "confidential ", "-- \n"]
)  # fmt: skip
def test_a_megabyte_of_hostile_mail_costs_linear_time(line: str) -> None:
    start = time.process_time()
    clean(line * (1_000_000 // len(line)), is_html=False)
    assert time.process_time() - start < 20


def test_html_becomes_the_text_a_reader_sees() -> None:
    page = (
        "<html><head><style>p{}</style></head><body><p>Export <b>fails</b> with&nbsp;E-4031.<br>See <a href='http://x'>log</a></p>"
        "<table><tr><td>a</td><td>b</td></tr></table><ul><li>one</li></ul><pre>  at X\n  at Y</pre><script>x()</script>"
        "<div class='gmail_quote'>On Tue wrote: old</div></body></html>"
    )
    assert (
        clean(page, is_html=True)
        == "Export fails with E-4031.\nSee log\n\na\tb\n\n- one\n\n```\n  at X\n  at Y\n```"
    )


def test_outlook_history_goes_with_all_that_follows_it() -> None:
    page = "<div>Still broken</div><div id='divRplyFwdMsg'>From: Support</div><div>old text</div>"
    assert html.to_text(page).strip() == "Still broken"


def test_html_that_is_only_history_is_a_forward() -> None:
    assert "the matter" in html.to_text("<blockquote type='cite'>the matter</blockquote>")


def test_deeply_nested_html_is_read() -> None:
    assert html.to_text("<div>" * 5_000 + "deep" + "</div>" * 5_000).strip() == "deep"


def test_a_draft_names_no_one() -> None:
    raw = replace(
        RAW,
        requester="Jane Doe <jane.doe@acme.test>",
        account="Acme",
        account_name="Acme Ltd",
        subject="RE: [EXTERNAL] Jane Doe cannot export",
        body="Hi,\nmail jane.doe@acme.test about E-4031, says Jane Doe\n\nJane",
        resolution="Called +1 415 555 0100, cleared the cache",
        tags=("vip", "jane.doe@acme.test"),
        attributes={"agent": "bob@desk.test", "version": "4.2.1.0", "plan": ""},
    )
    ticket = drafted(raw)
    assert ticket.subject == "<name> cannot export"
    assert ticket.body == "mail <email> about E-4031, says <name>"
    assert ticket.resolution == "Called <phone>, cleared the cache"
    assert ticket.tags == ("vip", "<email>")
    assert ticket.attributes == {"agent": "<email>", "version": "4.2.1.0"}
    assert ticket.account_name == ""
    stored = repr([getattr(ticket, field.name) for field in fields(ticket)]).lower()
    assert "jane" not in stored
    assert "acme" not in stored


def test_the_account_name_is_kept_when_the_operator_allows() -> None:
    assert drafted(replace(RAW, account_name="Acme Ltd"), keep_account_names=True).account_name == "Acme Ltd"


def test_people_are_keyed_hashes_within_one_source() -> None:
    one = drafted(replace(RAW, requester="Jane@Acme.test"))
    assert len(one.requester) == 24
    assert one.requester == drafted(replace(RAW, requester="jane@acme.test ")).requester
    assert one.requester != drafted(replace(RAW, requester="jane@acme.test", source="other")).requester
    assert drafted(RAW).requester == ""


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [("a@acme.test", "b@acme.test", True), ("a@gmail.com", "b@gmail.com", False), ("a@acme.test", "b@globex.test", False)],
)  # fmt: skip
def test_colleagues_of_a_company_domain_are_one_customer(first: str, second: str, *, same: bool) -> None:
    accounts = [drafted(replace(RAW, requester=requester)).account for requester in (first, second)]
    assert (accounts[0] == accounts[1] != "") is same


def test_free_mail_gives_no_account() -> None:
    assert drafted(replace(RAW, requester="jane@gmail.com")).account == ""


def test_the_content_hash_follows_every_raw_field() -> None:
    changes = {"subject": "x", "tags": ("x",), "attributes": {"plan": "x"}, "status": Status.CLOSED, "escalated": False,
               "resolved_at": AT, "machine_tags": ("x",), "problem": "x", "satisfaction": 0.5, "articles": ("x",)}  # fmt: skip
    hashes = {content_hash(replace(RAW, **{name: value}), key=KEY) for name, value in changes.items()}  # type: ignore[arg-type]
    assert len(hashes | {content_hash(RAW, key=KEY)}) == len(changes) + 1
    assert (
        content_hash(RAW, key=KEY) == content_hash(replace(RAW), key=KEY) != content_hash(RAW, key=b"other")
    )


def test_one_instant_in_another_zone_is_the_same_content() -> None:
    elsewhere = AT.astimezone(timezone(timedelta(hours=9)))
    assert content_hash(replace(RAW, created_at=elsewhere), key=KEY) == content_hash(RAW, key=KEY)
    assert drafted(replace(RAW, created_at=elsewhere)).created_at.tzinfo is UTC


def test_updated_at_defaults_to_created_at() -> None:
    assert drafted(RAW).updated_at == AT


@pytest.mark.parametrize("change", [{"status": Status.DELETED}, {"subject": "SCRUBBED", "body": "X"}])
def test_a_deleted_or_scrubbed_ticket_carries_no_text(change: dict[str, object]) -> None:
    ticket = drafted(replace(RAW, tags=("x",), resolution="r", **change))  # type: ignore[arg-type]
    assert ticket.status is Status.DELETED
    assert (ticket.subject, ticket.body, ticket.resolution, ticket.tags) == ("", "", "", ())


def test_a_draft_loses_footers_known_before_it_and_teaches_its_own() -> None:
    boilerplate = Boilerplate()
    bodies = [
        drafted(
            replace(RAW, account="acme", created_at=AT + timedelta(days=number), body=f"Case {chr(97 + number) * 3}\nAcme makes widgets"),
            boilerplate=boilerplate,
        ).body
        for number in range(7)
    ]  # fmt: skip
    assert bodies[4] == "Case eee\nAcme makes widgets"
    assert bodies[5:] == ["Case fff", "Case ggg"]
