"""Guards: what happens to the whole desk at once is one notice, never many alerts.

Silent feed, mass event (bulk import, migration, mail loop), one customer. Backfilled rows need no rule:
they are never evidence.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from app.detectors.baseline import Desk, Ledger, Span
from app.detectors.calendar import DAY_S, HOUR_S, Ints
from app.detectors.scan import count, mid_p, moment, window
from app.domain import Finding, Series, Topic

NOTICES = frozenset({"silent_feed", "mass_event", "one_customer"})
MASS_TOPICS = 8
MASS_SHARE = 0.004  # of the active topics
MASS_TOUCHED = 0.05  # of the topics seen in the hour: a catch-up after an outage touches everything
MASS_P = 0.001
FLOOD_TICKETS = 10
FLOOD_CUSTOMERS = 2


def slot(topic: Topic, kind: str) -> tuple[str, str]:
    """What at most one open alert stands for: a topic, or one kind of notice about it."""
    return topic.id, kind if kind in NOTICES else ""


def jumped(ledger: Ledger, rows: Ints, desk: Desk, at: float) -> Ints:
    """Those of `rows` that jumped in the last hour by more than the desk's traffic explains."""
    rows = _twice(ledger, rows, desk, at)
    seen = count(ledger, rows, desk, at, np.array([1.0]))
    mean = np.maximum(seen.mean, seen.mean / np.maximum(seen.factor, 1e-9))  # never below the forecast
    p = mid_p(seen.observed, mean, np.maximum(seen.variance, mean * 1.000001))
    return rows[(p < MASS_P)[:, 0]]


def _twice(ledger: Ledger, rows: Ints, desk: Desk, at: float) -> Ints:
    """Those of `rows` with two live customers or more in the last hour."""
    begin = desk.back_over_gaps(np.array([at - HOUR_S]), at)
    hour = ledger.between(rows, begin, np.array([at]), live=True)
    return np.asarray(rows[hour.sum((1, 2)) >= 2.0])


def mass_event(ledger: Ledger, rows: Ints, desk: Desk, at: float, *, active_topics: int) -> Span | None:
    """The hour (begin, end] to void when implausibly many topics jumped together in it, else None.

    A real outage makes one or a few topics jump; an import or a mail loop makes dozens. Needs two weeks of
    history to know what a jump is.
    """
    if desk.age_days(at) < 14 or not len(rows):
        return None
    needed = max(MASS_TOPICS, MASS_SHARE * active_topics, MASS_TOUCHED * len(rows))
    if len(_twice(ledger, rows, desk, at)) < needed or len(jumped(ledger, rows, desk, at)) < needed:
        return None
    return (at - HOUR_S, at)


def desk_notices(
    topics: Sequence[Series], desk: Desk, desk_topic: Topic, at: float, *, active_topics: int
) -> list[Finding]:
    """What to say about the desk as a whole: at most one notice of each kind.

    `topics` are those with a ticket in the last hour. A `mass_event` notice carries its hour as `since`
    and `at`: rebuild the desk with it among `voids` before scanning, now and on every later tick.
    """
    notices = []
    silent = desk.silent_since(at)
    if silent is not None:
        due = float(desk.forecast_between(np.array([silent]), np.array([at])).sum())
        notices.append(_notice(desk, desk_topic, "silent_feed", silent, at, expected=due))
    if topics:
        ledger = Ledger.build(topics, desk)
        rows = np.arange(len(topics))
        span = mass_event(ledger, rows, desk, at, active_topics=active_topics)
        if span is not None:
            hit = [topics[i] for i in jumped(ledger, rows, desk, at).tolist()]
            notices.append(_mass_notice(desk, desk_topic, hit, span))
    return notices


def one_customer(series: Series, desk: Desk, at: float) -> Finding | None:
    """The low-severity notice when one or two customers file ten or more tickets of a topic in a day."""
    rows = window(series, at - DAY_S, at)
    codes, tickets = np.unique(series.customer[rows], return_counts=True)
    if len(rows) < FLOOD_TICKETS or len(codes) > FLOOD_CUSTOMERS:
        return None
    return Finding(
        topic=series.topic,
        rule="one_customer",
        kind="one_customer",
        at=moment(at),
        since=moment(float(series.at[rows[0]])),
        tickets=len(rows),
        customers=len(codes),
        expected=0.0,
        spread=0.0,
        strength=0.0,
        ticket_ids=tuple(series.ticket_ids[j] for j in rows),
        notes={"zone": desk.clock.zone, "most_by_one": int(tickets.max())},
    )


def _notice(
    desk: Desk, topic: Topic, kind: str, begin: float, end: float, *, expected: float, tickets: int = 0
) -> Finding:
    return Finding(
        topic=topic,
        rule=kind,
        kind=kind,
        at=moment(end),
        since=moment(begin),
        tickets=tickets,
        customers=0,
        expected=expected,
        spread=0.0,
        strength=0.0,
        ticket_ids=(),
        notes={"zone": desk.clock.zone},
    )


def _mass_notice(desk: Desk, topic: Topic, hit: Sequence[Series], span: Span) -> Finding:
    begin, end = span
    rows = [window(series, begin, end) for series in hit]
    tickets = sorted({s.ticket_ids[j] for s, r in zip(hit, rows, strict=True) for j in r.tolist()})
    customers = {int(s.customer[j]) for s, r in zip(hit, rows, strict=True) for j in r.tolist()}
    due = float(desk.forecast_between(np.array([begin]), np.array([end])).sum())
    return Finding(
        topic=topic,
        rule="mass_event",
        kind="mass_event",
        at=moment(end),
        since=moment(begin),
        tickets=len(tickets),
        customers=len(customers),
        expected=due,
        spread=0.0,
        strength=0.0,
        ticket_ids=tuple(tickets),
        notes={"zone": desk.clock.zone, "topics": len(hit)},
    )
