"""Paste a text and see whether it happened before, what fixed it, and how sure that is."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request, Response

from app.errors import Forbidden, Invalid
from app.pipeline import learning, similar
from app.pipeline.feeds import About
from app.web.guard import Reader, Run, Visitor, check_origin
from app.web.render import PageRoute, page

router = APIRouter(route_class=PageRoute, include_in_schema=False)
SHOWN = 10
MOST_TEXT = 20_000
VERDICTS = {"right": "Same problem", "wrong": "Another problem", "helped": "It helped"}
Text = Annotated[str, Form(max_length=MOST_TEXT)]


def asker(request: Request, run: Run, found: Reader, token: Annotated[str, Form()] = "") -> Visitor:
    """Whoever may read and sent a form of ours: asking changes nothing on the desk."""
    check_origin(request, run)
    if not hmac.compare_digest(token.encode(), found.token.encode()):
        raise Forbidden("this form is out of date: go back, reload the page and send it again")
    return found


Asker = Annotated[Visitor, Depends(asker)]


@router.get("/similar")
def ask(request: Request, visitor: Reader) -> Response:
    return _page(request, visitor, "", None, {})


@router.post("/similar")
def answer(request: Request, run: Run, visitor: Asker, text: Text = "") -> Response:
    """The answer to a pasted text; the text is redacted before it is searched, and is not kept."""
    return _page(request, visitor, text, _found(run, text), {})


@router.post("/similar/feedback")
def judge(
    request: Request, run: Run, visitor: Asker, text: Text, query: Annotated[str, Form()],
    verdict: Annotated[str, Form()], judged: Annotated[Sequence[str], Form()] = (),
) -> Response:  # fmt: skip
    """Keep what a person said of one case ("right tkt_..."), and show the answer again."""
    said, _, ticket = verdict.partition(" ")
    if said not in VERDICTS:
        raise Invalid(f"the verdict must be one of {', '.join(VERDICTS)}")
    learning.judge(run, query, ticket=ticket, verdict=said, actor=visitor.name)
    earlier = {of: what for what, _, of in (j.partition(" ") for j in judged) if what in VERDICTS}
    return _page(request, visitor, text, _found(run, text), earlier | {ticket: said})


def _found(run: Run, text: str) -> dict[str, Any] | None:
    if not text.strip():
        return None
    return similar.similar(run, text=text, filters={}, k=SHOWN, include=("resolution", "pattern"))


def _page(
    request: Request, visitor: Visitor, text: str, found: dict[str, Any] | None, judged: Mapping[str, str]
) -> Response:
    about = About(tickets=similar.cases(found))
    return page(
        request, visitor, "similar.html", about=about, text=text, found=found, judged=judged, verdicts=VERDICTS, most=MOST_TEXT
    )  # fmt: skip
