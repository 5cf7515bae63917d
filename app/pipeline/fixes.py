"""Did a recorded fix work? Judged once a day, never on silence, and watched afterwards."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlmodel import Session

from app.detectors.baseline import Desk
from app.detectors.releases import Outcome, Verdict, fix_verdict
from app.detectors.sentence import verdict_sentence
from app.domain import Change, PatternState, Release
from app.pipeline.memory import Memory, topic_of
from app.pipeline.regroup import about
from app.store import events, patterns, releases, sources

NOTE = "fixes"
JUDGED = timedelta(days=90)  # a fix older than this is history
STATE = {Outcome.RECOVERED: PatternState.RECOVERED, Outcome.NOT_YET: PatternState.ONGOING}


def judge(session: Session, held: Memory, desk: Desk, at: datetime) -> None:
    """Judge every pending fix, the first time a tick lands on a business day."""
    day = held.clock.day(at.timestamp())
    if sources.note(session, NOTE).get("day") == day:
        return
    for fix in releases.between(session, at - JUDGED, at):
        if fix.kind is Change.FIX and fix.pattern_id is not None:
            _judge(session, held, desk, fix, at)
    sources.save_note(session, NOTE, {"day": day})


def _judge(session: Session, held: Memory, desk: Desk, fix: Release, at: datetime) -> None:
    id_ = patterns.heir(session, fix.pattern_id or "")
    pattern = patterns.resolve(session, id_)
    if pattern.state not in (PatternState.FIX_PENDING, PatternState.ONGOING):
        return
    verdict = verdict_of(held, desk, fix, id_, at)
    state = STATE.get(verdict.outcome)
    if state is None or state is pattern.state:
        return
    patterns.change(session, id_, state=state.value)
    data = about(id_) | {
        "name": pattern.name, "state": state.value, "was": pattern.state.value, "fix": fix.id,
        "outcome": verdict.outcome.value, "sentence": verdict_sentence(verdict, held.clock.zone),
        "ratio": round(verdict.ratio, 4), "low": round(verdict.low, 4), "high": round(verdict.high, 4),
    }  # fmt: skip
    type_ = "fix.verified" if verdict.outcome is Outcome.RECOVERED else "fix.failed"
    events.write(session, type_, id_, data, at=at)


def verdict_of(held: Memory, desk: Desk, fix: Release, pattern_id: str, at: datetime) -> Verdict:
    """The verdict on a fix as of `at`."""
    series = held.book.series(topic_of(pattern_id), until=at.timestamp())
    return fix_verdict(series, desk, fix, at.timestamp())
