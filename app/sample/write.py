"""Writes a sample as files that the importer reads by usual column names, with its truth beside."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from app.domain import RawTicket, Release
from app.sample.queue import Sample

_NOTE = """This support queue is generated: no company, person or ticket in it is real.
Seed {seed}, {count} tickets, 120 days up to {end}.

tickets.jsonl.gz  one ticket a line, in order of arrival (received_at)
releases.jsonl    releases and fixes
truth.json        what was planted: stories, traps, test numbers that must not survive redaction
"""


def write(sample: Sample, folder: Path) -> None:
    """`tickets.jsonl.gz`, `releases.jsonl`, `truth.json` and `README.txt` in `folder`, made if missing."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "tickets.jsonl.gz").open("wb") as raw, gzip.GzipFile("", "wb", 6, raw, mtime=0) as out:
        for line in _ticket_lines(sample):
            out.write(line.encode())
    releases = "".join(_line(_release_row(release)) for release in sample.releases)
    (folder / "releases.jsonl").write_text(releases, "utf-8")
    (folder / "truth.json").write_text(json.dumps(sample.truth, indent=1, ensure_ascii=False) + "\n", "utf-8")
    note = _NOTE.format(seed=sample.seed, count=len(sample.tickets), end=sample.end.isoformat())
    (folder / "README.txt").write_text(note, "utf-8")


def _ticket_lines(sample: Sample) -> Iterator[str]:
    arrived = sorted(
        sample.tickets, key=lambda ticket: (sample.received[ticket.external_id], ticket.external_id)
    )
    for ticket in arrived:
        yield _line(_ticket_row(ticket) | {"received_at": _stamp(sample.received[ticket.external_id])})


def _line(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"


def _stamp(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def _ticket_row(ticket: RawTicket) -> dict[str, Any]:
    return {
        "id": ticket.external_id,
        "created_at": _stamp(ticket.created_at),
        "updated_at": _stamp(ticket.updated_at),
        "subject": ticket.subject,
        "body": ticket.body,
        "body_is_html": ticket.body_is_html,
        "requester": ticket.requester,
        "account": ticket.account,
        "account_name": ticket.account_name,
        **ticket.attributes,
        "tags": list(ticket.tags),
        "status": ticket.status.value,
        "resolution": ticket.resolution,
        "resolved_at": _stamp(ticket.resolved_at),
        "satisfaction": ticket.satisfaction,
        "escalated": ticket.escalated,
        "ai_handled": ticket.ai_handled,
        "reopened": ticket.reopened,
        "articles": list(ticket.articles),
        "duplicate_of": ticket.duplicate_of,
        "problem": ticket.problem,
        "url": ticket.url,
    }


def _release_row(release: Release) -> dict[str, Any]:
    return {
        "id": release.id,
        "at": _stamp(release.at),
        "kind": release.kind.value,
        "title": release.title,
        "product": release.product,
        "version": release.version,
    }
