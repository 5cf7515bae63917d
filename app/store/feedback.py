"""Similar-case queries as answered, and what people said of the answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlmodel import Session

from app.store.records import insert_ignoring, record, table, upsert
from app.store.tables import FeedbackRow, QueryRow, RankerRow

_Q, _F, _R = table(QueryRow).c, table(FeedbackRow).c, table(RankerRow).c


@dataclass(frozen=True, slots=True)
class Judged:
    """One shown case a person judged, with the numbers it was ranked by."""

    query_id: str
    at: datetime
    verdict: str
    row: Mapping[str, Any]

    @property
    def is_right(self) -> bool:
        return self.verdict != "wrong"

    @property
    def probability(self) -> float:
        return float(self.row["probability"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One fit of the ranker to the desk's own links, adopted or not; `version` None: not stored yet."""

    version: int | None
    at: datetime
    links: int
    adopted: bool
    figures: Mapping[str, Any]
    model: Mapping[str, Any] = field(default_factory=dict)


def keep_query(
    session: Session, id_: str, *, at: datetime, ticket_id: str | None, answer: Sequence[dict[str, Any]],
    degraded: bool = False, ranker: int | None = None,
) -> None:  # fmt: skip
    values = {"id": id_, "at": at, "ticket_id": ticket_id, "answer": list(answer), "degraded": degraded,
              "ranker": ranker}  # fmt: skip
    insert_ignoring(session, QueryRow, [values])


def query(session: Session, id_: str) -> list[dict[str, Any]] | None:
    """The answer a query got; None when there was no such query."""
    row = session.get(QueryRow, id_)
    return list(row.answer) if row else None


def keep(session: Session, query_id: str, ticket_id: str, *, verdict: str, at: datetime, actor: str) -> None:
    values = {"query_id": query_id, "ticket_id": ticket_id, "verdict": verdict, "at": at, "actor": actor}
    upsert(session, FeedbackRow, [values], key=["query_id", "ticket_id"])


def judged(session: Session) -> list[Judged]:
    """Every judged case, by (time of its query, ticket)."""
    query = select(_F.query_id, _F.ticket_id, _F.verdict, _Q.at, _Q.answer).join(
        QueryRow, _Q.id == _F.query_id
    )
    found = []
    for query_id, ticket_id, verdict, at, answer in session.execute(
        query.order_by(_Q.at, _Q.id, _F.ticket_id)
    ):
        row = next((row for row in answer if row["ticket"] == ticket_id), None)
        if row is not None:
            found.append(Judged(query_id, at, verdict, row))
    return found


def counts(session: Session, *, since: datetime) -> dict[str, int]:
    """Queries answered since then, with nothing similar, and in a degraded way."""
    rows = session.execute(select(_Q.degraded, _Q.answer).where(_Q.at >= since)).all()
    return {
        "asked": len(rows),
        "nothing_similar": sum(not answer for _, answer in rows),
        "degraded": sum(bool(degraded) for degraded, _ in rows),
    }


def keep_attempt(session: Session, attempt: Attempt) -> None:
    session.add(
        RankerRow(at=attempt.at, links=attempt.links, adopted=attempt.adopted, figures=dict(attempt.figures),
                  model=dict(attempt.model))
    )  # fmt: skip


def attempts(session: Session, *, limit: int) -> list[Attempt]:
    """The newest attempts, newest first."""
    rows = session.scalars(select(RankerRow).order_by(_R.version.desc()).limit(limit))
    return [record(Attempt, row) for row in rows]


def last_attempt(session: Session) -> Attempt | None:
    return next(iter(attempts(session, limit=1)), None)


def newest_version(session: Session) -> int | None:
    """Of the attempts to fit the ranker; None before the first."""
    version: int | None = session.scalar(select(func.max(_R.version)))
    return version
