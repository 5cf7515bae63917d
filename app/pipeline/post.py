"""Reports by e-mail: every day, week or month of the business calendar, once each, whatever restarts meanwhile.

What is due follows from the calendar and the last day that was sent, so that nothing is scheduled. A report is
claimed before it is handed in and marked afterwards: one that a crash hides is sent again under its Message-ID.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta

from app.domain import sortable_id
from app.errors import ForeshockError, Invalid
from app.notify import mail
from app.pipeline import feeds, figures
from app.pipeline.figures import Report, Span
from app.reports.exports import xlsx
from app.reports.post import subject, text
from app.runtime import Runtime
from app.store import events, posts, reports
from app.store.posts import Post

RHYTHMS = {"daily": "Every day", "weekly": "Every week, on Monday", "monthly": "Every month, on the first"}
LEASE = timedelta(minutes=10)  # for sending one; also the pause before a failed one is tried again


def ask(runtime: Runtime, *, recipient: str, every: str, by: str, actor: str) -> Post:
    """Have the report sent to an address; the first one is of the first period that ends from now on."""
    settings = runtime.settings
    if every not in RHYTHMS:
        raise Invalid(f"every must be one of {', '.join(RHYTHMS)}", pointer="/every")
    if by not in reports.POPULATIONS:
        raise Invalid(f"by must be one of {', '.join(reports.POPULATIONS)}", pointer="/by")
    if not (settings.smtp_host and settings.smtp_sender):
        raise Invalid("set smtp_host and smtp_sender before sending reports by e-mail", pointer="/recipient")
    address, now = mail.checked_recipient(f"mailto:{recipient.strip()}"), runtime.now()
    last = due(every, now.astimezone(settings.zone))
    made = Post(
        sortable_id("rep", now, address, every, by), address, every, by, now, actor, last.until.isoformat()
    )
    with runtime.store.write() as session:
        posts.save(session, made)
        data = {"every": every, "by": by}
        events.write(session, "report.asked", made.id, data, at=now, actor=actor, owed=False)
    return made


def stop(runtime: Runtime, id_: str, *, actor: str) -> None:
    with runtime.store.write() as session:
        posts.forget(session, id_)
        events.write(session, "report.stopped", id_, {}, at=runtime.now(), actor=actor, owed=False)


def due(every: str, local: datetime) -> Span:
    """The newest whole day, week or month that ended before `local`, a time of the business clock.

    A period is reported from 08:00 on, when what came late in the night is in and people come to work.
    """
    today = (local.replace(tzinfo=None) - timedelta(hours=mail.HOUR)).date()
    match every:
        case "daily":
            since, after = today - timedelta(days=1), today
        case "weekly":
            after = today - timedelta(days=today.weekday())
            since = after - timedelta(days=7)
        case _:
            after = today.replace(day=1)
            since = (after - timedelta(days=1)).replace(day=1)
    return Span(since, after - timedelta(days=1))


def mail_reports(runtime: Runtime, at: datetime | None = None) -> bool:
    """Send what is due and was not sent; True when any was."""
    now = at or runtime.now()
    with runtime.store.read() as session:
        held = posts.every(session)
    return any(_send(runtime, post, now) for post in held)


def _send(runtime: Runtime, post: Post, now: datetime) -> bool:
    span = due(post.every, now.astimezone(runtime.settings.zone))
    if span.until <= date.fromisoformat(post.sent_until):
        return False
    with runtime.store.write() as session:
        if not posts.claim(session, post, at=now, lease=LEASE):
            return False
    error = _hand_in(runtime, post, figures.report(runtime, span, by=post.by), now)
    with runtime.store.write() as session:
        if error:
            posts.failed(session, post.id, error)
        else:
            posts.sent(session, post.id, span.until)
    return not error


def _hand_in(runtime: Runtime, post: Post, report: Report, now: datetime) -> str:
    """Why the mail server did not take it; "" when it did."""
    s, span = runtime.settings, report.span
    link = f"{s.base_url}/reports?since={span.since}&until={span.until}&by={post.by}"
    missing = feeds.touching(runtime, figures.about(runtime, span))
    lacking = [f"Numbers may be too low: {name} is {found.state}." for name, found in sorted(missing.items())]
    told = text(report.panels, span.since, span.until, zone=s.time_zone, link=link)
    name = f"report-{span.since}-{span.until}.xlsx"
    try:
        message = mail.report(
            subject(span.since, span.until), "\n".join([*lacking, told]),
            workbook=(name, xlsx(report.sheets(), made=report.made)), sender=s.smtp_sender, recipient=post.recipient,
            identity=f"{post.id} {span.until}", at=now,
        )  # fmt: skip
        answer = runtime.mail_server.send(message)
    except ForeshockError as refused:
        return str(refused)
    return "" if answer.status == 200 else answer.text
