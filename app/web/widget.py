"""The sidebar page of a ticketing tool: earlier cases like this text or ticket, and nothing to press.

It is shown in a frame on another site, where cookies are not sent: with keys on, the address carries a
key, which may only read. Only origins in `widget_origins` may frame it. It holds no script and no form.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from app.errors import Forbidden, ForeshockError
from app.pipeline import access, similar
from app.pipeline.feeds import About
from app.runtime import Runtime
from app.web.guard import Run, check_host, runtime_of
from app.web.render import HEADERS, PageRoute, page

SHOWN = 5  # what fits beside a ticket
MOST_TEXT = 4000  # of an address


class WidgetRoute(PageRoute):
    """A page that the allowed origins may frame, and that tells nobody its address."""

    def headers(self, request: Request) -> Mapping[str, str]:
        """As every page's, but for who may frame it; it opens nothing that needs an opener of its own."""
        own = {n: v for n, v in HEADERS.items() if n != "Cross-Origin-Opener-Policy"}
        origins = runtime_of(request).settings.widget_origins
        return own | {"Content-Security-Policy": policy(origins), "Referrer-Policy": "no-referrer"}


router = APIRouter(route_class=WidgetRoute, include_in_schema=False)


def policy(origins: tuple[str, ...]) -> str:
    """The content policy: our stylesheet, no script, no form, and frames of these origins only."""
    ancestors = " ".join(origins) or "'none'"
    return (
        "default-src 'none'; style-src 'self'; img-src 'self'; font-src 'self'; form-action 'none'; base-uri 'none'; "
        f"frame-ancestors {ancestors}"
    )


@router.get("/widget")
def show(
    request: Request,
    run: Run,
    text: Annotated[str, Query(max_length=MOST_TEXT)] = "",
    ticket: Annotated[str, Query(max_length=100)] = "",
    key: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """Earlier cases like `text`, or like the stored ticket."""
    _check_reader(request, run, key)
    found, problem = None, ""
    if bool(text.strip()) != bool(ticket):
        try:
            found = similar.similar(
                run, text=text, ticket_id=ticket, k=SHOWN, include=("resolution", "pattern"), filters={}
            )
        except ForeshockError as error:
            problem = str(error)
    about = About(tickets=similar.cases(found))
    return page(request, None, "widget.html", about=about, found=found, problem=problem)


def _check_reader(request: Request, run: Runtime, secret: str) -> None:
    """Raise Forbidden unless keys are off and the caller is near, or the key may read and nothing else."""
    if not access.keys_are_on(run):
        check_host(request, run)
        return
    key = access.key_of(run, secret) if secret else None
    if key is None:
        raise Forbidden("give the widget's address a key that may read: /widget?key=fsk_...&text=...")
    if access.allows(key, "write"):
        raise Forbidden("an address is no place for a key that may write: make one with --scope read")
