"""Takes what people wrote out of every table that holds it; what stays are numbers and ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import String, cast, delete, select, tuple_, update
from sqlmodel import Session

from app.domain import Status
from app.store import histories
from app.store.records import table
from app.store.tables import AlertRow, AttemptRow, EventRow, FeedbackRow, MessagesRow, QueryRow, TicketRow
from app.store.tickets import ERASED, chunks

_T, _Q, _F, _A, _E, _N, _M = (
    table(r).c for r in (TicketRow, QueryRow, FeedbackRow, AlertRow, EventRow, AttemptRow, MessagesRow)
)
WRITTEN = {"subject": "", "body": "", "resolution": "", "url": "", "account_name": "", "requester": ""}
"""What people wrote, and who they are: emptied."""


def of_requesters(session: Session, hashes: Sequence[str]) -> list[str]:
    """Ids of tickets these people filed, by keyed hash, oldest first; erased ones are not among them."""
    query = select(_T.id).where(_T.requester.in_(hashes)).order_by(_T.created_at, _T.id)
    return list(session.scalars(query))


def erase(session: Session, ticket_ids: Sequence[str], *, at: datetime) -> None:
    """Leave of a ticket its id, its source's number and its times: enough not to take it again."""
    _forget_messages(session, ticket_ids)
    histories.forget(session, ticket_ids)
    values: dict[str, Any] = WRITTEN | {
        "account": "", "customer": "unknown", "attributes": {}, "tags": [], "machine_tags": [],
        "articles": [], "status": Status.DELETED.value, "content_hash": ERASED, "digested_at": at,
    }  # fmt: skip
    for some in chunks(ticket_ids):
        session.execute(update(TicketRow).where(_T.id.in_(some)).values(**values))
        session.execute(delete(FeedbackRow).where(_F.ticket_id.in_(some)))
    for id_ in ticket_ids:
        _forget_in_answers(session, id_)


def _forget_messages(session: Session, ticket_ids: Sequence[str]) -> None:
    for some in chunks(ticket_ids):
        these = select(_T.source, _T.external_id).where(_T.id.in_(some))
        session.execute(delete(MessagesRow).where(tuple_(_M.source, _M.external_id).in_(these)))


def _forget_in_answers(session: Session, ticket_id: str) -> None:
    session.execute(delete(QueryRow).where(_Q.ticket_id == ticket_id))
    for row in session.scalars(select(QueryRow).where(cast(_Q.answer, String).contains(ticket_id))):
        row.answer = [a for a in row.answer if a.get("ticket") != ticket_id]


def replace_name(session: Session, pattern_id: str, old: str, new: str) -> None:
    """Where alerts and events told a pattern's name, tell another one."""
    told = list(session.scalars(select(AlertRow).where(_A.pattern_id == pattern_id)))
    for alert in told:
        alert.sentence = alert.sentence.replace(old, new)
        alert.finding = _replaced(alert.finding, old, new)
    subjects = [pattern_id, *(alert.id for alert in told)]
    for some in chunks(subjects):
        for event in session.scalars(select(EventRow).where(_E.subject.in_(some))):
            event.data = _replaced(event.data, old, new)


def _replaced(value: Any, old: str, new: str) -> Any:
    if isinstance(value, str):
        return value.replace(old, new)
    if isinstance(value, Mapping):
        return {name: _replaced(item, old, new) for name, item in value.items()}
    return [_replaced(item, old, new) for item in value] if isinstance(value, list) else value


def expired(session: Session, before: datetime, *, limit: int) -> list[str]:
    """Ids of tickets created before then that still hold what people wrote, oldest first."""
    holds = (_T.subject != "") | (_T.body != "") | (_T.requester != "")
    query = select(_T.id).where(_T.created_at < before, holds).order_by(_T.created_at, _T.id).limit(limit)
    return list(session.scalars(query))


def expire(session: Session, ticket_ids: Sequence[str]) -> None:
    """Take text and names out; product, times, pattern and the customer's keyed hash stay to be counted."""
    _forget_messages(session, ticket_ids)
    histories.forget(session, ticket_ids)
    for some in chunks(ticket_ids):
        session.execute(update(TicketRow).where(_T.id.in_(some)).values(**WRITTEN, tags=[], articles=[]))


def expire_logs(session: Session, before: datetime) -> None:
    """Forget what was asked, and what endpoints answered, before then."""
    session.execute(delete(FeedbackRow).where(_F.at < before))
    session.execute(delete(QueryRow).where(_Q.at < before))
    session.execute(update(AttemptRow).where(_N.at < before).values(answer=""))
