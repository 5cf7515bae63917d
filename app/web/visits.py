"""When a browser was here before: what came since is marked, so that a lead back from lunch sees it at once.

Kept in a cookie of the browser, never in the store. Looks that follow one another within AWAY are one visit.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

COOKIE = "foreshock_visits"
AWAY = timedelta(minutes=20)  # a longer pause between two looks is an absence


@dataclass(frozen=True, slots=True)
class Visits:
    """The end of the visit before this one; None on a first visit."""

    before: datetime | None

    @classmethod
    def of(cls, cookie: str, now: datetime) -> Visits:
        """What a cookie made by `cookie` says at `now`; anything else is a first visit."""
        try:
            before, last = (datetime.fromtimestamp(int(part), UTC) for part in cookie.split("."))
        except (ValueError, OverflowError, OSError):
            return cls(None)
        if last > now:
            return cls(None)
        found = last if now - last > AWAY else before
        return cls(found if found.timestamp() > 0 else None)

    def cookie(self, now: datetime) -> str:
        before = int(self.before.timestamp()) if self.before else 0
        return f"{before}.{int(now.timestamp())}"
