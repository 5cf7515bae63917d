"""Did a recorded fix work? Judged once a day, never on silence, and watched afterwards."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from app.detectors.baseline import Desk
from app.detectors.lifecycle import FIX_STANDS
from app.detectors.releases import Outcome, Verdict, fix_verdict
from app.detectors.sentence import verdict_sentence
from app.domain import Change, Release
from app.pipeline import lifecycle
from app.pipeline.memory import Memory, topic_of
from app.pipeline.regroup import about
from app.store import events, patterns, releases, sources

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
    verdict = verdict_of(held, desk, fix, id_, at)
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


def verdict_of(held: Memory, desk: Desk, fix: Release, pattern_id: str, at: datetime) -> Verdict:
    """The verdict on a fix as of `at`."""
    series = held.book.series(topic_of(pattern_id), until=at.timestamp())
    return fix_verdict(series, desk, fix, at.timestamp())
