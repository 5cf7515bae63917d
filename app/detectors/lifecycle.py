"""The states of patterns and alerts: functions of stored facts and an instant, and of nothing else.

| state | holds while |
|---|---|
| merged | the pattern lives on under another id |
| dismissed | a person said it is no pattern, and no alert was opened since |
| fix_pending | its newest fix is not judged yet |
| regressed | an alert opened after its fix was verified is still open |
| new | an alert on something never seen before is younger than `FRESH` |
| escalating | an alert on a rise, or one whose severity rose, is younger than `FRESH` |
| ongoing | an alert is open and older, or the fix has not worked |
| recovered | its fix was verified, and no alert was opened since |
| dormant | none of the above, and no ticket for `DORMANT_AFTER` |
| watching | none of the above |

The first line that holds, from the top, is the state.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from app.detectors.releases import Outcome
from app.domain import Alert, AlertState, PatternState, Release, Tier

FRESH = timedelta(hours=72)  # as long as an alert is held without a new sign
DORMANT_AFTER = timedelta(days=56)  # topics not seen for so long do not share the budget
FIX_STANDS = timedelta(days=90)  # a fix that could not be judged for so long is history
FIRST_SEEN = frozenset({"new", "cluster"})  # kinds of findings about what was not there before


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is stored about a pattern, as far as it decides its state."""

    last_at: datetime  # newest ticket
    is_merged: bool = False
    dismissed_at: datetime | None = None
    alert: Alert | None = None  # the newest one that spent budget, open or closed
    fix: Release | None = None  # the newest one


def pattern_state(facts: Facts, at: datetime) -> PatternState:
    """Where a pattern stands at `at`; see the table above."""
    alert = facts.alert
    if facts.is_merged:
        return PatternState.MERGED
    if facts.dismissed_at is not None and not _opened_after(alert, facts.dismissed_at):
        return PatternState.DISMISSED
    if facts.fix is not None and not facts.fix.outcome and at - facts.fix.at <= FIX_STANDS:
        return PatternState.FIX_PENDING
    has_recovered = facts.fix is not None and facts.fix.outcome == Outcome.RECOVERED
    came_back = has_recovered and _opened_after(alert, facts.fix.judged_at if facts.fix else None)
    if has_recovered and not came_back:
        return PatternState.RECOVERED
    if alert is not None and alert.resolved_at is None:
        return PatternState.REGRESSED if came_back else PatternState(_open_state(alert, at))
    if facts.fix is not None and facts.fix.outcome == Outcome.NOT_YET and at - facts.fix.at <= FIX_STANDS:
        return PatternState.ONGOING
    return PatternState.DORMANT if at - facts.last_at > DORMANT_AFTER else PatternState.WATCHING


def alert_state(alert: Alert, at: datetime) -> AlertState:
    """Where an alert stands at `at`: closed, hidden, waiting on the watchlist, or as its pattern would be."""
    if alert.resolved_at is not None:
        return AlertState.DISMISSED if alert.verdict == "noise" else AlertState.RESOLVED
    if alert.snoozed_until is not None and at < alert.snoozed_until:
        return AlertState.SNOOZED
    return AlertState.WATCHING if alert.tier is Tier.WATCH else _open_state(alert, at)


def _open_state(alert: Alert, at: datetime) -> AlertState:
    if at - max(alert.opened_at, alert.escalated_at or alert.opened_at) >= FRESH:
        return AlertState.ONGOING
    is_new = alert.kind in FIRST_SEEN and alert.escalated_at is None
    return AlertState.NEW if is_new else AlertState.ESCALATING


def _opened_after(alert: Alert | None, moment: datetime | None) -> bool:
    return alert is not None and moment is not None and alert.opened_at > moment
