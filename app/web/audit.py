"""Who did what, when: the audit log."""

from __future__ import annotations

from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response

from app.store import audit
from app.web.guard import AdminReader, Run
from app.web.render import PageRoute, page

router = APIRouter(route_class=PageRoute, include_in_schema=False)
AREAS = {
    "alert.": "Alerts", "pattern.": "Patterns", "release.": "Releases and fixes", "subscription.": "Webhooks",
    "webhook.": "Webhook tests", "source.": "Sources", "report.": "Reports by e-mail", "settings.": "Settings", "tickets.": "Erasure",
    "user.": "Users", "key.": "API keys", "session.": "Signing in",
}  # fmt: skip
ON_A_PAGE = 50


@router.get("/audit")
def log(
    request: Request, run: Run, visitor: AdminReader, actor: str = "", area: str = "", cursor: str = ""
) -> Response:
    """What people did, newest first."""
    wanted = {n: v for n, v in {"actor": actor, "type": area if area in AREAS else ""}.items() if v}
    with run.store.read() as session:
        found = audit.search(session, wanted, cursor=cursor or None, limit=ON_A_PAGE)
        actors = audit.actors(session)
    kept = {"actor": actor, "area": area}
    following = urlencode({n: v for n, v in (kept | {"cursor": found.next_cursor or ""}).items() if v})
    return page(
        request, visitor, "audit.html", acts=found.items, actors=actors, areas=AREAS, actor=actor, area=area,
        following=f"/audit?{following}" if found.next_cursor else "",
    )  # fmt: skip
