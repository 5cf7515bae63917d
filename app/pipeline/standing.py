"""How the desk stands: the budget, how sure alerts are and were, what is active, the tickets behind a number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Literal

from sqlmodel import Session

from app.detectors.baseline import HISTORY_DAYS
from app.detectors.budget import confidence
from app.detectors.coldstart import ColdStart, Signal, cold_start
from app.detectors.guards import NOTICES
from app.domain import Alert, Ticket, Tier
from app.runtime import Runtime
from app.store import alerts, tickets, topics

Behind = Literal["observed", "expected", "members"]
WEEK = timedelta(days=7)
COMPARED_WEEKS = 8.0  # alerts this far back say how many there are of a strength
BANDS = (0.0, 0.8, 0.95, 1.01)  # stated confidences that are checked together
SHOWN = 500  # tickets behind one number


def status(runtime: Runtime) -> dict[str, Any]:
    """What the head of the inbox says about the desk as a whole."""
    now = runtime.now()
    with runtime.store.read() as session:
        budget = runtime.settings.alerts_per_week
        used = alerts.opened_since(session, now - WEEK, tier=Tier.ALERT, besides=NOTICES)
        waiting = sum(a.tier is Tier.WATCH for a in alerts.unresolved(session))
        feedback = _feedback(session, now)
        age = age_days(session, now)
    return {
        "budget": {"per_week": budget, "used": used, "sentence": f"{used} of {budget:g} this week"},
        "watching": waiting,
        "feedback": feedback,
        "cold_start": _as_dict(cold_start(age)),
    }


def age_days(session: Session, at: datetime) -> float:
    """Days of ticket history."""
    first = tickets.oldest(session)
    return max(0.0, (at - first) / timedelta(days=1)) if first else 0.0


def _as_dict(found: ColdStart) -> dict[str, Any]:
    return {
        "age_days": round(found.age_days, 1), "is_learning": found.is_learning, "sentence": found.sentence,
        "active": [_signal(s) for s in found.active], "waiting": [_signal(s) for s in found.waiting],
    }  # fmt: skip


def _signal(signal: Signal) -> dict[str, Any]:
    return {"name": signal.name, "from_day": signal.from_day, "why": signal.why}


def confidences(session: Session, found: Sequence[Alert], at: datetime) -> dict[str, float]:
    """The share of alerts as strong as each of these that chance does not explain; notices have none."""
    weeks = min(COMPARED_WEEKS, max(1.0, age_days(session, at) / 7.0))
    others = alerts.strengths_since(session, at - weeks * WEEK, besides=NOTICES)
    return {a.id: _confidence(a.finding, others, weeks) for a in found if a.kind not in NOTICES}


def _confidence(finding: Mapping[str, Any], others: Sequence[float], weeks: float) -> float:
    strength = float(finding.get("strength", 0.0))
    active = int(finding.get("active_topics", 1))
    as_strong = sum(s >= strength for s in others)
    return round(confidence(strength, active_topics=active, weeks=weeks, as_strong=as_strong), 4)


def _feedback(session: Session, at: datetime) -> dict[str, Any]:
    """Precision by what people said, in all and beside the confidence that was stated."""
    judged = alerts.judged(session, besides=NOTICES)
    stated = confidences(session, judged, at)
    bands = []
    for low, high in pairwise(BANDS):
        some = [a for a in judged if low <= stated[a.id] < high]
        mean = round(sum(stated[a.id] for a in some) / len(some), 4) if some else None
        bands.append({"from": low, "to": min(high, 1.0), "stated": mean, **_precision(some)})
    return {**_precision(judged), "by_confidence": bands}


def _precision(judged: Sequence[Alert]) -> dict[str, Any]:
    useful = sum(a.verdict == "useful" for a in judged)
    share = round(useful / len(judged), 4) if judged else None
    return {"useful": useful, "noise": len(judged) - useful, "precision": share}


def tickets_behind(runtime: Runtime, id_: str, *, of: Behind) -> tuple[list[Ticket], int]:
    """The newest tickets a number of an alert counts, newest first, and how many there are.

    `observed`: those of its window; `expected`: those of its topic in the history before it;
    `members`: those of the topics that joined it, from the window's start to its last update.
    """
    with runtime.store.read() as session:
        alert = alerts.get(session, id_)
        since = datetime.fromisoformat(str(alert.finding.get("since", alert.opened_at.isoformat())))
        match of:
            case "observed":
                ids = list(alert.ticket_ids)
            case "expected":
                start = since - timedelta(days=HISTORY_DAYS)
                ids = topics.tickets_between(session, [alert.topic.id], start, since)
            case "members":
                joined = [m["topic_id"] for m in alert.finding.get("members", ())]
                ids = topics.tickets_between(session, joined, since, alert.updated_at)
        found = list(tickets.by_ids(session, ids[-SHOWN:]).values())
    return sorted(found, key=lambda t: (t.created_at, t.id), reverse=True), len(ids)
