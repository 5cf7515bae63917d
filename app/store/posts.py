"""Who gets the report by e-mail, how often, and up to which day they have it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import delete, or_, select, update
from sqlmodel import Session

from app.errors import NotFound
from app.store.records import record, table
from app.store.tables import ReportPostRow

_P = table(ReportPostRow).c


@dataclass(frozen=True, slots=True)
class Post:
    """One recipient of one rhythm; `sent_until` is the last day of the newest report that was sent."""

    id: str
    recipient: str
    every: str
    by: str
    at: datetime
    actor: str
    sent_until: str
    error: str = ""


def every(session: Session) -> Sequence[Post]:
    """All of them, in the order they were made."""
    return [record(Post, row) for row in session.scalars(select(ReportPostRow).order_by(_P.id))]


def save(session: Session, post: Post) -> None:
    """Keep it; the same one again changes nothing."""
    if session.get(ReportPostRow, post.id) is None:
        values = {name: getattr(post, name) for name in Post.__dataclass_fields__}
        session.add(ReportPostRow(**values))


def forget(session: Session, id_: str) -> None:
    done: Any = session.execute(delete(ReportPostRow).where(_P.id == id_))
    if not done.rowcount:
        raise NotFound(f"there is no report by e-mail {id_}")


def claim(session: Session, post: Post, *, at: datetime, lease: timedelta) -> bool:
    """Whether the caller may send this one now: nobody else does, and nobody has."""
    free = or_(_P.claimed_until.is_(None), _P.claimed_until <= at)
    unsent = (_P.id == post.id, _P.sent_until == post.sent_until, free)
    done: Any = session.execute(update(ReportPostRow).where(*unsent).values(claimed_until=at + lease))
    return bool(done.rowcount)


def sent(session: Session, id_: str, until: date) -> None:
    values = {"sent_until": until.isoformat(), "claimed_until": None, "error": ""}
    session.execute(update(ReportPostRow).where(_P.id == id_).values(**values))


def failed(session: Session, id_: str, error: str) -> None:
    """Remember why; the claim stands until its end, and then it is tried again."""
    session.execute(update(ReportPostRow).where(_P.id == id_).values(error=error))
