"""Makes one ticket's text: what is wrong, wrapped in how that person writes over that channel."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

from app.sample.customers import LEGAL_FOOTER_ACCOUNT, Account, Contact
from app.sample.words import capitalised, load, mistyped, render, reworded

LOWER_CASE = 0.85  # sloppiness from which a person writes no capitals
_NO_SCREEN = {
    "Delivery",
    "API",
    "Subscription",
    "Members",
    "Security",
    "Provisioning",
    "Leave balance",
    "Training",
}
_WISHES = ("we want", "we'd like", "we would like", "please", "i need", "we need", "i want", "what we need")
_FROM_A_BUG = ("", "bug")  # tags of tickets in which something is broken


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
    is_translated = account.language in issue.translations and not say and channel in ("email", "web", "chat")
    language = account.language if is_translated else "en"
    writer = _Writer(rng, {**facts, **issue.facts}, contact)
    is_free = language == "en" and not say and issue.tag != "stray"
    said = say or rng.choice(issue.translations[language] if language != "en" else issue.says)
    problem = _problem(writer, issue, language, said)
    if issue.trace and rng.random() < 0.3:
        problem.append(writer.said(load("voice")["traces"][issue.trace].strip()))
    match channel:
        case "chat":
            body = _chat(writer, _around(writer, issue, problem)[:3] if is_free else problem, language)
        case "phone":
            body = f"Call from {contact.name} ({account.name}), {contact.role}.\n" + "\n".join(problem)
        case "web":
            body = _web_form(writer, _around(writer, issue, problem) if is_free else problem)
        case "api":
            body = "\n".join(problem)
        case _:
            body = _mail(
                writer, _around(writer, issue, problem) if is_free else problem, account, language, at
            )
    is_html = channel == "email" and contact.html
    body = f"{note}\n\n{body}" if note else body
    subject = _subject(writer, issue, language, said, problem)
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
        text = reworded(text, self.rng, share=0.4)
        if self.chance(self.contact.sloppy * 0.5):
            text = mistyped(text, self.rng, slips=1)
        return text.lower() if self.contact.sloppy > LOWER_CASE else text


def _subject(writer: _Writer, issue: Issue, language: str, said: str, problem: list[str]) -> str:
    if language != "en":
        return _opening_words(writer, problem[0])
    subject = writer.said(_matching(writer.rng, issue.subjects, issue.says, said))
    style = writer.rng.random()
    if style < 0.2:
        subject = _opening_words(writer, problem[0])
    elif style < 0.28 and issue.product:
        subject = f"{issue.product}: {subject}"
    elif style < 0.33 and issue.tag in _FROM_A_BUG:
        subject += writer.rng.choice((" - urgent", " - please help", ", again", " - help needed", "!"))
    elif style < 0.34:
        subject = subject.upper()
    elif style < 0.37:
        subject = f"Re: {subject}"
    return subject.lower() if writer.contact.sloppy > LOWER_CASE else capitalised(subject)


def _matching(rng: Random, choices: tuple[str, ...], says: tuple[str, ...], said: str) -> str:
    """The subject listed beside what is `said` where the two lists run in parallel, else any."""
    if len(choices) == len(says) and said in says and rng.random() < 0.85:
        return choices[says.index(said)]
    return rng.choice(choices)


def _opening_words(writer: _Writer, sentence: str) -> str:
    """The first sentence when it is short, else its first words as people let a subject line trail off."""
    first = sentence.split(". ", maxsplit=1)[0].rstrip(".")
    words = first.split()
    return first if len(words) <= 10 else " ".join(words[: writer.rng.randint(6, 9)]).rstrip(",:;(") + "..."


def _problem(writer: _Writer, issue: Issue, language: str, said: str) -> list[str]:
    if language != "en":
        return [writer.said(said)]
    lines = [writer.hand(capitalised(writer.said(said)))]
    return lines + [writer.hand(writer.said(detail)) for detail in issue.details]


def _around(writer: _Writer, issue: Issue, problem: list[str]) -> list[str]:
    """The problem with what people add to it: circumstances, attempts, urgency."""
    is_request = problem[0].endswith("?") or problem[0].lower().startswith(_WISHES)
    is_trouble = issue.tag in _FROM_A_BUG and not is_request
    on_screen = is_trouble and issue.component not in _NO_SCREEN
    tables = [("context", 0.35)]
    if is_trouble:
        tables += [("symptom", 0.5), ("impact", 0.25)]
    if on_screen:
        tables += [("screen", 0.2), ("tried", 0.28)]
    lines = list(problem)
    for table, share in tables:
        if writer.chance(share):
            lines.insert(writer.rng.randint(1, len(lines)), writer.hand(writer.one(table)))
    if is_trouble and writer.chance(0.3):
        lines.append(writer.one("asks"))
    if is_trouble and writer.chance(0.12):
        lines.insert(0, writer.one("openings"))
    if is_trouble and writer.chance(0.03):
        lines.insert(0, writer.one("replies"))
    return lines


def _paragraphs(rng: Random, lines: list[str]) -> str:
    text = lines[0]
    for line in lines[1:]:
        text += ("\n\n" if "\n" in line or rng.random() < 0.25 else " ") + line
    return text


def _mail(writer: _Writer, lines: list[str], account: Account, language: str, at: datetime) -> str:
    rng = writer.rng
    lines = list(lines)
    is_free = len(lines) > 1
    if language == "en" and is_free and writer.chance(0.09):
        lines.append("\n" + writer.one("background"))
    if language != "en":
        lines.append(writer.one("asks", language))
    parts = [_paragraphs(rng, lines)]
    if writer.chance(0.8):
        parts.insert(0, writer.one("greetings", language))
    if writer.chance(0.85):
        name = "" if writer.contact.signs and writer.chance(0.7) else f"\n{writer.contact.name}"
        parts.append(writer.one("closings", language) + name)
    if writer.contact.signs:
        parts.append(_signature(writer, account))
    elif writer.chance(0.12):
        parts.append(
            rng.choice(("Sent from my iPhone", "Sent from my mobile", "Get the mail app for Android"))
        )
    if account.name == LEGAL_FOOTER_ACCOUNT:
        parts.append(load("voice")["legal"]["footer"].strip())
    if writer.chance(0.09):
        parts.append(_quoted(writer, at))
    return "\n\n".join(parts)


def _signature(writer: _Writer, account: Account) -> str:
    contact = writer.contact
    position = f"{capitalised(contact.role)}, {account.name}"
    return f"--\n{contact.name}\n{position}\nTel. {contact.phone} | {contact.email}"


def _quoted(writer: _Writer, at: datetime) -> str:
    at -= timedelta(minutes=writer.rng.randint(20, 3000))
    agent = writer.rng.choice(load("company")["agents"])
    quoted = "\n".join(
        f"> {line}" for line in (f"Hello {writer.contact.name},", "", writer.one("quoted"), "", agent)
    )
    return f"On {at:%a, %d %b %Y} at {at:%H:%M}, Support <support@tarnbeck.example.com> wrote:\n{quoted}"


def _web_form(writer: _Writer, lines: list[str]) -> str:
    form = load("voice")["form"]
    rows = (
        (form["happened"], _paragraphs(writer.rng, lines)),
        (form["expected"], writer.rng.choice(form["expectations"])),
        (form["urgent"], writer.rng.choice(form["urgency"])),
        (form["browser"], f"{writer.facts['browser_words']} on {writer.contact.platform}"),
    )
    return "\n\n".join(f"{label}\n{answer}" for label, answer in rows)


def _chat(writer: _Writer, lines: list[str], language: str) -> str:
    lines = [lines[0][:1].lower() + lines[0][1:].rstrip("."), *lines[1:]]
    if language == "en" and writer.chance(0.6):
        lines.insert(0, writer.one("chat"))
    if language != "en":
        lines.append(writer.one("asks", language))
    return "\n".join(lines)


def _as_html(text: str, rng: Random) -> str:
    """`text` the way a mail program writes it."""
    paragraphs = [html.escape(part, quote=False).replace("\n", "<br>\n") for part in text.split("\n\n")]
    if rng.random() < 0.5:
        return '<div dir="ltr">' + "<br><br>\n".join(paragraphs) + "</div>"
    style = ' class="MsoNormal"' if rng.random() < 0.5 else ""
    return "<html><body>" + "\n".join(f"<p{style}>{part}</p>" for part in paragraphs) + "</body></html>"
