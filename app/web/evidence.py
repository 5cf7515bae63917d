"""Every ticket of a pattern, why it belongs, and all of it as CSV."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse, StreamingResponse

from app.pipeline.feeds import About
from app.reports.exports import Cell, csv_lines
from app.reports.reasons import reason
from app.runtime import Runtime
from app.store import pages, patterns, reports, tickets
from app.web.guard import Reader, Run, visitor
from app.web.inbox import evidence_of, title
from app.web.render import PageRoute, page

router = APIRouter(prefix="/patterns", route_class=PageRoute, include_in_schema=False)
SHOWN = 50
HEAD = ("ticket", "source", "external_id", "created_at", "customer", "status", "subject", "url", "why",
        "rule", "score", "next_best_pattern", "next_best_score", "decided_at")  # fmt: skip


@router.get("/{id_}/evidence")
def evidence(request: Request, run: Run, reader: Reader, id_: str, cursor: str = "") -> Response:
    """The members, newest first; a merged pattern answers 308 to its heir's."""
    with run.store.read() as session:
        pattern = patterns.resolve(session, id_)
        if pattern.merged_into is not None:
            return RedirectResponse(f"/patterns/{patterns.heir(session, id_)}/evidence", 308)
        found = tickets.search(session, {"pattern": id_}, cursor=cursor or None, limit=SHOWN)
        reasons = patterns.placements(session, [t.id for t in found.items])
        shown = evidence_of(session, found.items, reasons)
        likeness = dict(pages.likeness(session, id_))
    return page(
        request, reader, "evidence.html", about=About(patterns=[id_]), pattern=pattern, title=title(pattern.name, pattern.signature),
        evidence=shown, likeness=likeness,
        following=found.next_cursor, is_later=bool(cursor),
    )  # fmt: skip


@router.get("/{id_}/evidence.csv", dependencies=[Depends(visitor)])
def download(run: Run, id_: str) -> Response:
    """Every member as CSV; a merged pattern gives its heir's."""
    with run.store.read() as session:
        heir = patterns.heir(session, id_)
    name = f'attachment; filename="evidence-{heir}.csv"'
    lines = csv_lines(HEAD, _rows(run, heir))
    return StreamingResponse(
        lines, media_type="text/csv; charset=utf-8", headers={"Content-Disposition": name}
    )


def _rows(run: Runtime, id_: str) -> Iterator[Sequence[Cell]]:
    with run.store.read() as session:
        for m in reports.members(session, id_):
            why = m.why
            yield (m.id, m.source, m.external_id, m.created_at, m.account_name or m.customer[:12], m.status,
                   m.subject, m.url, reason(why), why.rule if why else "", round(why.score, 4) if why else None,
                   why.runner_up if why else "", round(why.runner_up_score, 4) if why and why.runner_up else None,
                   why.at if why else None)  # fmt: skip
