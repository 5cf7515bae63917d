"""What people chose at run time in place of a setting: it stands until the setting itself is changed."""

from __future__ import annotations

from sqlmodel import Session

from app.pipeline import memory
from app.runtime import Runtime
from app.settings import Settings
from app.store import events, sources

NOTE = "budget"


def alerts_per_week(session: Session, settings: Settings) -> float:
    """The alert budget in force."""
    note = sources.note(session, NOTE)
    return (
        float(note["alerts_per_week"])
        if note.get("set_at") == settings.alerts_per_week
        else settings.alerts_per_week
    )


def choose(runtime: Runtime, *, alerts_per_week: float, granularity: str, actor: str, because: str) -> None:
    """Put a budget and a granularity in force, with a line in the audit trail; `because` is an id."""
    with memory.turn(runtime), runtime.store.write() as session:
        was = _in_force(runtime, session)
        set_at = runtime.settings
        sources.save_note(
            session, NOTE, {"alerts_per_week": alerts_per_week, "set_at": set_at.alerts_per_week}
        )
        join = {"join": memory.JOIN[granularity], "set_at": set_at.granularity}
        sources.save_note(session, memory.THRESHOLDS, join)
        now = {"alerts_per_week": alerts_per_week, "join": memory.JOIN[granularity]}
        events.write(session, "settings.chosen", "settings", {**now, "was": was, "because": because},
                     at=runtime.now(), actor=actor, owed=False)  # fmt: skip
        runtime.memory = None  # thresholds are read again


def _in_force(runtime: Runtime, session: Session) -> dict[str, float]:
    return {
        "alerts_per_week": alerts_per_week(session, runtime.settings),
        "join": memory.parameters(runtime, session).join,
    }
