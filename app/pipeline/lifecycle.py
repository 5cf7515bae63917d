"""Keeps the stored state of patterns equal to what `detectors.lifecycle` says of the stored facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlmodel import Session

from app.detectors.guards import NOTICES
from app.detectors.lifecycle import DORMANT_AFTER, Facts, pattern_state
from app.domain import Alert, Pattern, PatternState, Release, Tier
from app.pipeline.regroup import about
from app.store import alerts, events, patterns, releases


def settle(session: Session, at: datetime) -> None:
    """Bring every state that time alone can change up to `at`; a pattern that falls asleep is no news."""
    refresh(session, patterns.unsettled(session), at)
    patterns.rest(session, at - DORMANT_AFTER)


def refresh(
    session: Session, ids: Sequence[str], at: datetime, *, actor: str = "engine", **more: Any
) -> None:
    """Write the state of these patterns where it has changed, and tell of it; `more` goes into the event."""
    if not ids:
        return
    found, fixes = patterns.by_ids(session, ids), releases.fixes_of(session, ids)
    raised = {id_: _newest(some) for id_, some in alerts.of_patterns(session, ids).items()}
    for id_, pattern in sorted(found.items()):
        state = pattern_state(_facts(pattern, raised.get(id_), fixes.get(id_)), at)
        if state is not pattern.state:
            _tell(session, pattern, state, at, actor=actor, more=more)


def _facts(pattern: Pattern, alert: Alert | None, fix: Release | None) -> Facts:
    return Facts(
        last_at=pattern.last_at, is_merged=pattern.merged_into is not None,
        dismissed_at=pattern.dismissed_at, alert=alert, fix=fix,
    )  # fmt: skip


def _newest(found: Sequence[Alert]) -> Alert | None:
    """The newest alert that spent budget: an open one before closed ones."""
    told = [a for a in found if a.tier is Tier.ALERT and a.kind not in NOTICES]
    return next((a for a in told if a.resolved_at is None), told[0] if told else None)


def _tell(
    session: Session,
    before: Pattern,
    state: PatternState,
    at: datetime,
    *,
    actor: str,
    more: Mapping[str, Any],
) -> None:
    patterns.change(session, before.id, state=state.value)
    data = about(before.id) | {"name": before.name, "state": state.value, "was": before.state.value, **more}
    type_ = "pattern.regressed" if state is PatternState.REGRESSED else "pattern.changed"
    events.write(session, type_, before.id, data, at=at, actor=actor)
