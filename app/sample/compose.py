"""Makes one ticket's text: what is wrong, wrapped in how that person writes over that channel."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import Any

from app.sample.customers import LEGAL_FOOTER_ACCOUNT, Account, Contact
from app.sample.words import capitalised, load, mistyped, render, reworded


@dataclass(frozen=True, slots=True)
class Issue:
    """Something customers write about, and the many ways they put it."""

    id: str
    product: str
    component: str
    subjects: tuple[str, ...]
    says: tuple[str, ...]
    fixed: tuple[str, ...] = ("Answered.",)
    translations: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    details: tuple[str, ...] = ()
    trace: str = ""
    tag: str = ""
    article: str = ""
    article_use: float = 0.25
    ai_share: float = 0.16
    facts: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Issue:
        """The issue a TOML table describes."""
        name = row.get("id") or row["name"]
        return cls(
            id=name,
            product=row["product"],
            component=row["component"],
            subjects=tuple(row["subjects"]),
            says=tuple(row.get("says") or row["once"]),
            fixed=tuple(row.get("fixed", ("Answered.",))),
            translations={code: tuple(row[code]) for code in ("de", "fr", "es") if code in row},
            trace=row.get("trace", ""),
            article=row.get("article", f"https://help.example.com/articles/{name}"),
            article_use=row.get("article_use", 0.25),
            ai_share=row.get("ai_share", 0.16),
        )


@dataclass(frozen=True, slots=True)
class Text:
    """What the customer sent, and the language it is in."""

    subject: str
    body: str
    is_html: bool
    language: str


def compose(
    rng: Random,
    issue: Issue,
    account: Account,
    contact: Contact,
    *,
    channel: str,
    at: datetime,
    facts: Mapping[str, str],
    say: str = "",
    note: str = "",
) -> Text:
    """One ticket about `issue`; `say` fixes the wording of the problem, `note` is put in front."""
    language = account.language if account.language in issue.translations and not say else "en"
    writer = _Writer(rng, {**facts, **issue.facts}, contact)
    problem = _problem(writer, issue, language, say)
    if issue.trace and rng.random() < 0.3:
        problem.append(writer.said(load("voice")["traces"][issue.trace].strip()))
    match channel:
        case "chat":
            body = _chat(writer, problem, language)
        case "phone":
            body = f"Call from {contact.name} ({account.name}), {contact.role}.\n" + "\n".join(problem)
        case "web":
            body = _web_form(writer, problem)
        case "api":
            body = "\n".join(problem)
        case _:
            body = _mail(writer, issue, problem, account, language, at)
    is_html = channel == "email" and contact.html
    body = f"{note}\n\n{body}" if note else body
    subject = _subject(writer, issue, language, problem)
    return Text(subject, _as_html(body, rng) if is_html else body, is_html, language)


@dataclass(frozen=True, slots=True)
class _Writer:
    rng: Random
    facts: Mapping[str, str]
    contact: Contact

    def said(self, template: str) -> str:
        return render(template, self.rng, self.facts)

    def one(self, table: str, language: str = "en") -> str:
        return self.said(self.rng.choice(load("voice")[table][language]))

    def chance(self, share: float) -> bool:
        return self.rng.random() < share

    def hand(self, text: str) -> str:
        """`text` as this person types it."""
        text = reworded(text, self.rng, share=0.35)
        if self.chance(self.contact.sloppy):
            text = mistyped(text, self.rng, slips=self.rng.randint(1, 2 + len(text) // 150))
        if self.contact.sloppy > 0.75:
            text = text.lower() if self.chance(0.5) else text.rstrip(".") + "!!"
        return text


def _subject(writer: _Writer, issue: Issue, language: str, problem: list[str]) -> str:
    if language != "en":
        words = problem[0].rstrip(".").split()
        return " ".join(words[: writer.rng.randint(4, 8)])
    subject = writer.said(writer.rng.choice(issue.subjects))
    style = writer.rng.random()
    if style < 0.18:
        words = problem[0].split()
        subject = " ".join(words[: writer.rng.randint(5, 9)]).rstrip(".,:;")
    elif style < 0.26:
        subject = f"{issue.product}: {subject}"
    elif style < 0.31:
        subject = f"{subject} - {writer.rng.choice(('urgent', 'question', 'please help', 'again', 'help needed'))}"
    elif style < 0.33:
        subject = subject.upper()
    elif style < 0.36:
        subject = f"Re: {subject}"
    return capitalised(subject) if writer.contact.sloppy < 0.6 else subject


def _problem(writer: _Writer, issue: Issue, language: str, say: str) -> list[str]:
    rng = writer.rng
    if language != "en":
        return [writer.said(rng.choice(issue.translations[language]))]
    lines = [writer.hand(capitalised(writer.said(say or rng.choice(issue.says))))]
    if not say and writer.chance(0.18):
        lines[0] = f"{writer.one('openings')} {lines[0]}"
    lines += [writer.hand(writer.said(detail)) for detail in issue.details]
    return lines


def _around(writer: _Writer, problem: list[str]) -> list[str]:
    """The problem with what people add to it: circumstances, attempts, urgency; as paragraphs."""
    rng = writer.rng
    lines = list(problem)
    for table, share in (("context", 0.5), ("context", 0.25), ("tried", 0.28), ("impact", 0.3)):
        if writer.chance(share):
            line = writer.hand(writer.one(table))
            if line not in lines:
                lines.insert(rng.randint(1, len(lines)), line)
    if rng.random() < 0.06:
        lines.insert(0, writer.one("replies"))
    return lines


def _paragraphs(rng: Random, lines: list[str]) -> str:
    text = lines[0]
    for line in lines[1:]:
        text += ("\n\n" if "\n" in line or rng.random() < 0.25 else " ") + line
    return text


def _mail(
    writer: _Writer, issue: Issue, problem: list[str], account: Account, language: str, at: datetime
) -> str:
    rng = writer.rng
    if issue.tag == "stray":
        lines = problem
    elif language == "en":
        lines = _around(writer, problem)
        if writer.chance(0.45):
            lines.append(writer.one("asks"))
    else:
        lines = [*problem, writer.one("asks", language)]
    parts = [_paragraphs(rng, lines)]
    if writer.chance(0.8):
        parts.insert(0, writer.one("greetings", language))
    if writer.chance(0.85):
        parts.append(f"{writer.one('closings', language)}\n{writer.contact.name}")
    if writer.contact.signs:
        parts.append(_signature(writer, account))
    elif writer.chance(0.12):
        parts.append(rng.choice(("Sent from my iPhone", "Sent from my mobile", "Get the mail app for Android")))
    if account.name == LEGAL_FOOTER_ACCOUNT:
        parts.append(load("voice")["legal"]["footer"].strip())
    if writer.chance(0.09):
        parts.append(_quoted(writer, at))
    return "\n\n".join(parts)


def _signature(writer: _Writer, account: Account) -> str:
    contact = writer.contact
    return f"--\n{contact.name}\n{capitalised(contact.role)}, {account.name}\nTel. {contact.phone} | {contact.email}"


def _quoted(writer: _Writer, at: datetime) -> str:
    agent = writer.rng.choice(load("company")["agents"])
    quoted = "\n".join(f"> {line}" for line in (f"Hello {writer.contact.name},", "", writer.one("quoted"), "", agent))
    return f"On {at:%a, %d %b %Y} at {at:%H:%M}, Support <support@tarnbeck.example.com> wrote:\n{quoted}"


def _web_form(writer: _Writer, problem: list[str]) -> str:
    form = load("voice")["form"]
    lines = _around(writer, problem)[:3]
    rows = (
        (form["happened"], _paragraphs(writer.rng, lines)),
        (form["expected"], writer.rng.choice(form["expectations"])),
        (form["urgent"], writer.rng.choice(form["urgency"])),
        (form["browser"], f"{writer.facts['browser_words']} on {writer.contact.platform}"),
    )
    return "\n\n".join(f"{label}\n{answer}" for label, answer in rows)


def _chat(writer: _Writer, problem: list[str], language: str) -> str:
    lines = [problem[0][:1].lower() + problem[0][1:].rstrip("."), *problem[1:]]
    if language == "en" and writer.chance(0.6):
        lines.insert(0, writer.one("chat"))
    if language == "en" and writer.chance(0.4):
        lines.append(writer.hand(writer.one("context")))
    if writer.chance(0.35):
        lines.append(writer.one("asks", language))
    return "\n".join(lines)


def _as_html(text: str, rng: Random) -> str:
    """`text` the way a mail program writes it."""
    paragraphs = [html.escape(part, quote=False).replace("\n", "<br>\n") for part in text.split("\n\n")]
    if rng.random() < 0.5:
        return '<div dir="ltr">' + "<br><br>\n".join(paragraphs) + "</div>"
    style = ' class="MsoNormal"' if rng.random() < 0.5 else ""
    return "<html><body>" + "\n".join(f"<p{style}>{part}</p>" for part in paragraphs) + "</body></html>"
