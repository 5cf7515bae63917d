"""Did a recorded fix work? Judged once a day, never on silence, and watched afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlmodel import Session

from app.detectors.baseline import Desk
from app.detectors.guards import NOTICES
from app.detectors.lifecycle import FIX_STANDS
from app.detectors.releases import FIX_BEFORE_DAYS, Outcome, fix_verdict
from app.detectors.sentence import verdict_sentence
from app.domain import Alert, Change, Release, Tier
from app.pipeline import lifecycle
from app.pipeline.memory import Memory, topic_of
from app.pipeline.regroup import about
from app.store import alerts, events, patterns, releases, sources

NOTE = "fixes"
TYPES = {Outcome.RECOVERED: "fix.verified", Outcome.NOT_YET: "fix.failed"}


def judge(session: Session, held: Memory, desk: Desk, at: datetime) -> None:
    """Judge every pending fix, the first time a tick lands on a business day."""
    day = held.clock.day(at.timestamp())
    if sources.note(session, NOTE).get("day") == day:
        return
    for fix in releases.between(session, at - FIX_STANDS, at):
        if fix.kind is Change.FIX and fix.pattern_id is not None:
            _judge(session, held, desk, fix, at)
    sources.save_note(session, NOTE, {"day": day})


def _judge(session: Session, held: Memory, desk: Desk, fix: Release, at: datetime) -> None:
    id_ = patterns.heir(session, fix.pattern_id or "")
    if fix.outcome == Outcome.RECOVERED or releases.fixes_of(session, [id_])[id_].id != fix.id:
        return
    series = held.book.series(topic_of(id_), until=at.timestamp())
    told = alerts.of_patterns(session, [id_]).get(id_, [])
    verdict = fix_verdict(series, desk, fix, at.timestamp(), onset=onset(told, fix))
    type_ = TYPES.get(verdict.outcome)
    if type_ is None or verdict.outcome == fix.outcome:
        return
    releases.judged(session, fix.id, outcome=verdict.outcome.value, at=at)
    before = patterns.resolve(session, id_)
    lifecycle.refresh(session, [id_], at, fix=fix.id)
    data = about(id_) | {
        "name": before.name, "state": patterns.resolve(session, id_).state.value, "was": before.state.value,
        "fix": fix.id, "outcome": verdict.outcome.value, "sentence": verdict_sentence(verdict, held.clock.zone),
        "ratio": round(verdict.ratio, 4), "low": round(verdict.low, 4), "high": round(verdict.high, 4),
    }  # fmt: skip
    events.write(session, type_, id_, data, at=at)


def onset(told: Sequence[Alert], fix: Release) -> datetime | None:
    """When what the fix is meant to end began: the earliest rise among a pattern's alerts that stood lately.

    None when none did; the weeks before the fix are then its level.
    """
    lately = fix.at - timedelta(days=FIX_BEFORE_DAYS)
    began = [
        datetime.fromisoformat(str(a.finding["since"])) for a in told
        if a.tier is Tier.ALERT and a.kind not in NOTICES and "since" in a.finding and a.opened_at <= fix.at
        and (a.resolved_at is None or a.resolved_at > lately)
    ]  # fmt: skip
    return min(began, default=None)
