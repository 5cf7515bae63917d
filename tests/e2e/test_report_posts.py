"""Reports by e-mail: whom they reach, when they are due, and that each is sent once, whatever restarts or fails."""

from __future__ import annotations

import email
import email.policy
import io
from datetime import UTC, date, datetime, timedelta
from email.message import EmailMessage
from zoneinfo import ZoneInfo

import openpyxl
import pytest

from app.backtest import Clock
from app.errors import Invalid
from app.pipeline import post
from app.runtime import Runtime
from app.store import posts
from app.web.visits import AWAY, Visits
from tests.e2e.test_delivery import Mailing, mail_server, mailing
from tests.e2e.test_pages import site, text_of, token_of

__all__ = ["mailing"]  # fixture
BERLIN = ZoneInfo("Europe/Berlin")


def read(content: str) -> EmailMessage:
    found = email.message_from_string(content, policy=email.policy.default)
    assert isinstance(found, EmailMessage)
    return found


@pytest.mark.parametrize(
    ("every", "at", "since", "until"),
    [
        ("daily", datetime(2026, 3, 30, 7, 59, tzinfo=BERLIN), date(2026, 3, 28), date(2026, 3, 28)),
        (
            "daily",
            datetime(2026, 3, 30, 8, 0, tzinfo=BERLIN),
            date(2026, 3, 29),
            date(2026, 3, 29),
        ),  # 23 hours long in Berlin
        ("weekly", datetime(2026, 3, 30, 7, 59, tzinfo=BERLIN), date(2026, 3, 16), date(2026, 3, 22)),
        ("weekly", datetime(2026, 3, 30, 8, 0, tzinfo=BERLIN), date(2026, 3, 23), date(2026, 3, 29)),
        ("monthly", datetime(2026, 3, 1, 8, 0, tzinfo=BERLIN), date(2026, 2, 1), date(2026, 2, 28)),
        ("monthly", datetime(2026, 3, 1, 7, 59, tzinfo=BERLIN), date(2026, 1, 1), date(2026, 1, 31)),
    ],
)
def test_a_report_is_of_the_last_whole_period_of_the_business_calendar(
    every: str, at: datetime, since: date, until: date
) -> None:
    found = post.due(every, at)
    assert (found.since, found.until) == (since, until)


def test_a_weekly_report_is_sent_once_across_restarts_with_its_workbook(
    mailing: Mailing, clock: Clock
) -> None:
    clock.at = datetime(2026, 3, 18, 12, tzinfo=UTC)
    with mail_server() as (port, kept):
        post.ask(mailing(port), recipient="lead@example.com", every="weekly", by="plan", actor="mara")
        assert not post.mail_reports(mailing(port))  # the week is not over
        clock.at = datetime(2026, 3, 23, 7, 1, tzinfo=UTC)  # Monday, 08:01 in Berlin
        assert post.mail_reports(mailing(port))
        assert not post.mail_reports(mailing(port))
        clock.at += timedelta(days=6)
        assert not post.mail_reports(mailing(port))
    (message,) = map(read, kept)
    assert message["to"] == "lead@example.com"
    assert message["subject"] == "Foreshock report, 16 Mar 2026 to 22 Mar 2026"
    (workbook,) = message.iter_attachments()
    content = workbook.get_content()
    assert openpyxl.load_workbook(io.BytesIO(content)).sheetnames


def test_a_refused_report_says_why_and_is_sent_later_under_one_message_id(
    mailing: Mailing, clock: Clock
) -> None:
    clock.at = datetime(2026, 3, 18, 12, tzinfo=UTC)
    with mail_server(refuses=True) as (port, kept):
        runtime = mailing(port)
        post.ask(runtime, recipient="lead@example.com", every="daily", by="region", actor="mara")
        clock.at += timedelta(days=1)
        assert not post.mail_reports(runtime)
        assert kept == []
        with runtime.store.read() as session:
            (held,) = posts.every(session)
        assert "SMTPRecipientsRefused" in held.error
    with mail_server() as (port, kept):
        runtime = mailing(port)
        assert not post.mail_reports(runtime)  # the first try still holds its claim
        clock.at += post.LEASE
        assert post.mail_reports(runtime)
        with runtime.store.write() as session:  # as if it had died before it could write that down
            posts.sent(session, held.id, date.fromisoformat(held.sent_until))
        assert post.mail_reports(runtime)
    first, again = map(read, kept)
    assert first["message-id"] == again["message-id"]


def test_two_processes_do_not_both_send(mailing: Mailing, clock: Clock) -> None:
    with mail_server() as (port, kept):
        runtime = mailing(port)
        made = post.ask(runtime, recipient="lead@example.com", every="daily", by="plan", actor="mara")
        clock.at += timedelta(days=1)
        with runtime.store.write() as session:
            assert posts.claim(session, made, at=clock.at, lease=post.LEASE)
        assert not post.mail_reports(runtime)
        assert kept == []


def test_what_cannot_be_sent_is_refused_when_it_is_asked_for(runtime: Runtime, mailing: Mailing) -> None:
    with pytest.raises(Invalid, match="smtp_host"):
        post.ask(runtime, recipient="lead@example.com", every="daily", by="plan", actor="mara")
    for wrong in ({"every": "hourly"}, {"by": "mood"}, {"recipient": "a@b.example,c@d.example"}):
        given = {"recipient": "lead@example.com", "every": "daily", "by": "plan"} | wrong
        with pytest.raises(Invalid):
            post.ask(mailing(25), actor="mara", **given)


def test_the_page_asks_for_it_shows_it_and_stops_it(mailing: Mailing) -> None:
    client = site(mailing(25))
    page = client.get("/reports")
    form = {"token": token_of(page), "recipient": "lead@example.com", "every": "monthly", "by": "plan"}
    assert client.post("/reports/posts", data=form | {"token": ""}).status_code == 403
    assert client.post("/reports/posts", data=form).status_code == 303
    page = client.get("/reports")
    assert "lead@example.com Every month, on the first plan" in text_of(page)
    id_ = page.text.split("/reports/posts/")[1].split("/")[0]
    client.post(f"/reports/posts/{id_}/stop", data=form)
    assert "Nobody gets this report by e-mail" in text_of(client.get("/reports"))


def test_looks_that_follow_one_another_are_one_visit() -> None:
    noon = datetime(2026, 3, 18, 12, tzinfo=UTC)
    assert Visits.of("", noon).before is None
    cookie = Visits(None).cookie(noon)
    assert Visits.of(cookie, noon + AWAY).before is None
    back = noon + AWAY + timedelta(minutes=1)
    assert Visits.of(cookie, back).before == noon
    later = Visits.of(Visits(noon).cookie(back), back + timedelta(minutes=5))
    assert later.before == noon
    for broken in ("x.y", "1", "99999999999999999999.1", f"0.{int(noon.timestamp()) + 9}"):
        assert Visits.of(broken, noon).before is None
