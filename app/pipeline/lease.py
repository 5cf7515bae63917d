"""One process at a time digests and detects: a lease in the store, taken over when its holder died."""

from __future__ import annotations

from datetime import datetime, timedelta

from app.runtime import Runtime
from app.store import sources

NOTE = "writer"
KEPT = timedelta(seconds=60)


def held(runtime: Runtime) -> bool:
    """Take, renew or keep the lease; False while another living process holds it."""
    now = runtime.clock()
    with runtime.store.read() as session:
        note = sources.note(session, NOTE)
    if note.get("holder") == runtime.process and datetime.fromisoformat(note["until"]) - now > KEPT / 2:
        return True
    with runtime.store.write() as session:
        note = sources.note(session, NOTE)
        mine = note.get("holder") in (None, runtime.process)
        if not mine and datetime.fromisoformat(note["until"]) > now:
            return False
        if not mine:
            runtime.memory = None  # another process wrote since this one last did
        sources.save_note(session, NOTE, {"holder": runtime.process, "until": (now + KEPT).isoformat()})
    return True


def release(runtime: Runtime) -> None:
    """Let the next process go on at once."""
    with runtime.store.write() as session:
        if sources.note(session, NOTE).get("holder") == runtime.process:
            sources.save_note(session, NOTE, {})
