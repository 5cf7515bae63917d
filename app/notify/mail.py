"""E-mail: the digest of what happened to a subscription's area, and the server that takes it."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from hashlib import sha256
from zoneinfo import ZoneInfo

from app.errors import Invalid
from app.notify.formats import Telling
from app.notify.webhook import Answer, Took

AT_ONCE, DAILY, WEEKLY = RHYTHMS = ("at_once", "daily", "weekly")
HOUR = 8  # of the business day at which a digest closes: read with the first coffee
TIMEOUT_S = 30.0
XLSX = "vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mail is handed in; `security` is tls (from the start), starttls, or none (for a relay nearby)."""

    host: str
    port: int
    sender: str
    user: str = ""
    password: str = ""
    security: str = "starttls"

    def send(self, message: EmailMessage) -> Answer:
        """Hand a message in; the answer's status is that of HTTP: 250 becomes 200, a refusal 500."""
        took = Took()
        try:
            with self._open() as server:
                if self.user:
                    server.login(self.user, self.password)
                server.send_message(message)
        except (OSError, smtplib.SMTPException) as error:
            return Answer(None, took.ms, f"{type(error).__name__} from the mail server {self.host}")
        return Answer(200, took.ms, "accepted")

    def _open(self) -> smtplib.SMTP:
        if self.security == "tls":
            return smtplib.SMTP_SSL(
                self.host, self.port, timeout=TIMEOUT_S, context=ssl.create_default_context()
            )
        server = smtplib.SMTP(self.host, self.port, timeout=TIMEOUT_S)
        if self.security == "starttls":
            server.starttls(context=ssl.create_default_context())
        return server


def checked_recipient(url: str) -> str:
    """The address of a `mailto:` URL; Invalid for anything that is not one plain address."""
    address = url.removeprefix("mailto:")
    if not url.startswith("mailto:") or parseaddr(address)[1] != address or address.count("@") != 1:
        raise Invalid("url of an e-mail subscription must be mailto:name@host", pointer="/url")
    if not address.isascii() or any(c in address for c in " \r\n,;?%<>"):
        raise Invalid("url of an e-mail subscription must name one plain address", pointer="/url")
    return address


def closing(rhythm: str, at: datetime, zone: ZoneInfo) -> datetime:
    """The latest closing of a digest at or before `at`: events before it are in; at once: now."""
    if rhythm == AT_ONCE:
        return at + timedelta(microseconds=1)
    local = at.astimezone(zone)
    day = local.replace(hour=HOUR, minute=0, second=0, microsecond=0, fold=0)
    if rhythm == WEEKLY:
        day -= timedelta(days=day.weekday())
    if day.astimezone(at.tzinfo) > at:
        day -= timedelta(days=7 if rhythm == WEEKLY else 1)
    return day.astimezone(at.tzinfo)


def digest(
    told: Sequence[Telling],
    *,
    sender: str,
    recipient: str,
    identity: str,
    at: datetime,
    zone: ZoneInfo,
    rhythm: str,
) -> EmailMessage:
    """One plain-text message of all events, oldest first; sent twice it has the same Message-ID."""
    count = len(told)
    subject = told[0].title if count == 1 else f"{count} things happened"
    message = _message(f"Foreshock: {subject}", sender=sender, recipient=recipient, identity=identity, at=at)
    intro = {DAILY: "The last day", WEEKLY: "The last week"}.get(rhythm, "Just now")
    parts = [f"{intro}, times in {zone.key}:", *(_entry(one, zone) for one in told)]
    message.set_content("\n\n".join(parts) + "\n")
    return message


def report(
    subject: str,
    text: str,
    *,
    workbook: tuple[str, bytes],
    sender: str,
    recipient: str,
    identity: str,
    at: datetime,
) -> EmailMessage:
    """A report's text with its workbook, (name, content); sent twice it has the same Message-ID."""
    message = _message(subject, sender=sender, recipient=recipient, identity=identity, at=at)
    message.set_content(text)
    name, content = workbook
    message.add_attachment(content, maintype="application", subtype=XLSX, filename=name)
    return message


def _message(subject: str, *, sender: str, recipient: str, identity: str, at: datetime) -> EmailMessage:
    message = EmailMessage()
    message["Subject"] = " ".join(subject.split())[:200]
    message["From"], message["To"] = sender, recipient
    message["Date"] = format_datetime(at)
    domain = parseaddr(sender)[1].partition("@")[2] or "foreshock.invalid"
    message["Message-ID"] = f"<{sha256(identity.encode()).hexdigest()[:40]}@{domain}>"
    message["Auto-Submitted"] = "auto-generated"
    return message


def _entry(told: Telling, zone: ZoneInfo) -> str:
    lines = [f"{told.event.at.astimezone(zone):%a %d %b %H:%M}  {told.title}"]
    if told.event.data.get("sentence"):
        lines.append(f"  {told.event.data['sentence']}")
    if told.facts:
        lines.append("  " + ", ".join(f"{label.lower()} {value}" for label, value in told.facts))
    lines += [f"  > {subject}: {' '.join(body.split())}" for _, subject, body in told.quotes or ()]
    return "\n".join([*lines, f"  {told.link}"])
