"""Hand edits of a pattern: what each will do is shown first, then it is done and holds for ever."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response
from sqlmodel import Session

from app.detectors.grouping import EditKind
from app.detectors.sentence import plural
from app.domain import Pattern, Ticket
from app.errors import Invalid, NotFound
from app.pipeline import review, suggest
from app.store import patterns, tickets
from app.store.patterns import Edit
from app.web.guard import Reader, Run, Writer
from app.web.render import PageRoute, done, page

router = APIRouter(prefix="/patterns", route_class=PageRoute, include_in_schema=False)
OF_TICKETS = (EditKind.SPLIT, EditKind.REMOVE, EditKind.MOVE, EditKind.LINK)
OF_PAIRS = (EditKind.MOVE, EditKind.SEPARATE)
ONE_BY_ONE = (EditKind.REMOVE, EditKind.MOVE)
OFFERED = (*OF_TICKETS, EditKind.SEPARATE, EditKind.PIN, EditKind.DISMISS, EditKind.UNDO)
WORDS: Mapping[str, str] = {
    "merge": "Merged", "split": "Split off", "move": "Moved", "remove": "Taken out", "link": "Said to be the same",
    "separate": "Kept apart", "pin": "Pinned", "dismiss": "Said to be no pattern", "rename": "Renamed",
    "undo": "Taken back",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Effect:
    """What an edit will do, in words, before it is done."""

    title: str
    says: tuple[str, ...]
    button: str


@dataclass(frozen=True, slots=True)
class Asked:
    """An edit as a form names it: of tickets, with another pattern, or taking an earlier edit back."""

    kind: EditKind
    pattern: Pattern
    tickets: tuple[Ticket, ...] = ()
    other: Pattern | None = None
    undone: Edit | None = None


def read(session: Session, id_: str, *, kind: str, ticket: Sequence[str], other: str, edit: str) -> Asked:
    """What a form asks for; raises Invalid saying what is missing, NotFound for what does not exist."""
    if kind not in OFFERED:
        raise Invalid(f"there is no edit {kind!r}")
    chosen = EditKind(kind)
    pattern = patterns.resolve(session, patterns.heir(session, id_))
    named = tuple(tickets.get(session, t) for t in dict.fromkeys(ticket))
    if chosen in OF_TICKETS and not named:
        raise Invalid("select at least one ticket first")
    if chosen is EditKind.LINK and len(named) < 2:
        raise Invalid("select at least two tickets: what are they the same as?")
    if chosen in OF_PAIRS and not other.strip():
        raise Invalid("choose the other pattern first")
    with_ = (
        patterns.resolve(session, patterns.heir(session, other.strip().split(" ")[0]))
        if other.strip()
        else None
    )
    undone = next((e for e in patterns.edits(session) if e.id == edit), None)
    if chosen is EditKind.UNDO and undone is None:
        raise NotFound(f"there is no edit {edit}")
    return Asked(chosen, pattern, named, with_, undone)


def effect(asked: Asked) -> Effect:
    """The edit in the words a lead decides by."""
    count, name = plural(len(asked.tickets), "ticket"), f"“{asked.pattern.name}”"
    other = f"“{asked.other.name}”" if asked.other else ""
    rest = asked.pattern.tickets - len(asked.tickets)
    match asked.kind:
        case EditKind.SPLIT:
            return Effect(f"Split {count} off?", (
                f"{count} become a pattern of their own, with a new id that remembers where it came from.",
                f"{name} keeps its id, its name and {plural(rest, 'ticket')}.",
                "The engine never puts the two together again.",
            ), "Split off")  # fmt: skip
        case EditKind.REMOVE:
            return Effect(f"Take {count} out?", (
                f"{count} leave {name}, which keeps {plural(rest, 'ticket')}, and never come back to it.",
                "They may join or found another pattern.",
            ), "Take out")  # fmt: skip
        case EditKind.MOVE:
            return Effect(f"Move {count}?", (
                f"{count} leave {name} for {other} and stay there, whatever the engine thinks.",
            ), "Move")  # fmt: skip
        case EditKind.LINK:
            return Effect(f"Are these {count} the same problem?", (
                f"{count} stay in one pattern for ever, wherever they go.",
            ), "They are the same")  # fmt: skip
        case EditKind.SEPARATE:
            return Effect("Keep these two patterns apart?", (
                f"{name} and {other} are never merged by the engine, nor suggested for it.",
            ), "Keep apart")  # fmt: skip
        case EditKind.PIN:
            return Effect("Pin this pattern?", (
                f"{name} is never split, dissolved or merged into another one. It may still take in others.",
            ), "Pin")  # fmt: skip
        case EditKind.DISMISS:
            return Effect("Is this not a pattern?", (
                f"{name} goes on taking in its tickets silently, so that it is not found again tomorrow.",
                "Its open alerts are closed as noise.",
            ), "Not a pattern")  # fmt: skip
        case _:
            what = WORDS.get(asked.undone.kind, asked.undone.kind).lower() if asked.undone else ""
            return Effect("Take this decision back?", (
                f"“{what}” by {asked.undone.actor if asked.undone else ''} no longer binds the engine.",
                "What it changed is changed back where that is still possible.",
            ), "Take it back")  # fmt: skip


@router.get("/{id_}/edit")
def ask(
    request: Request, run: Run, visitor: Reader, id_: str, kind: str = "",
    ticket: Annotated[tuple[str, ...], Query()] = (), other: str = "", edit: str = "",
) -> Response:  # fmt: skip
    """What an edit would do, before it is done."""
    with run.store.read() as session:
        asked = read(session, id_, kind=kind, ticket=ticket, other=other, edit=edit)
    return page(request, visitor, "edit.html", asked=asked, effect=effect(asked))


@router.post("/{id_}/edit")
def carry_out(
    run: Run, visitor: Writer, id_: str, kind: Annotated[str, Form()],
    ticket: Annotated[tuple[str, ...], Form()] = (), other: Annotated[str, Form()] = "",
    edit: Annotated[str, Form()] = "",
) -> Response:  # fmt: skip
    """Do it; one that contradicts an earlier edit is refused, naming that one."""
    with run.store.read() as session:
        asked = read(session, id_, kind=kind, ticket=ticket, other=other, edit=edit)
    ids = tuple(t.id for t in asked.tickets)
    for some in [(one,) for one in ids] if asked.kind in ONE_BY_ONE else [ids]:
        review.edit(run, asked.kind, patterns_=_named(asked), tickets_=some, undoes=edit, actor=visitor.name)
    return done(f"/patterns/{asked.pattern.id}", asked.kind.value)


def _named(asked: Asked) -> tuple[str, ...]:
    match asked.kind:
        case EditKind.LINK | EditKind.UNDO:
            return ()
        case EditKind.MOVE if asked.other:
            return (asked.other.id,)
        case EditKind.SEPARATE if asked.other:
            return (asked.pattern.id, asked.other.id)
        case _:
            return (asked.pattern.id,)


@router.post("/{id_}/suggestions/{suggestion}/{answer}")
def decide(run: Run, visitor: Writer, id_: str, suggestion: str, answer: str) -> Response:
    """Accept a suggestion, which carries it out as a hand edit, or reject it for good."""
    match answer:
        case "accept":
            remaining = suggest.accept(run, suggestion, actor=visitor.name)
            return done(f"/patterns/{remaining}", "accepted")
        case "reject":
            suggest.reject(run, suggestion, actor=visitor.name)
            return done(f"/patterns/{id_}", "rejected")
        case _:
            raise Invalid("a suggestion is accepted or rejected")
