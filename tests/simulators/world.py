"""A support desk that changes while it is read: tickets, their versions, and when each becomes visible."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
STATUSES = ("open", "pending", "solved", "closed")
SUBJECTS = (
    "Export fails with E-4031",
    "Login loop",
    "Größe wird nicht übernommen",
    "请求超时",
    "Crash on save",
    "",
)
BODIES = (
    "Export fails with E-4031 since this morning.",
    "Nothing happens\nwhen I press save.",
    "Größe: 12 µm – nicht übernommen 🤷",
    "Traceback (most recent call last):\n  File 'a.py', line 3\nKeyError: 'x'",
    "",
)


class Clock:
    """Virtual time: `sleep` is how it passes."""

    def __init__(self, at: datetime = NOON) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@dataclass(frozen=True, slots=True)
class Row:
    """One version of one ticket; `stamp` is what the vendor orders by."""

    id: int
    created: datetime
    stamp: datetime
    subject: str
    body: str
    status: str
    requester: int
    version: int = 1
    deleted: bool = False
    spam: bool = False
    purged: bool = False  # gone without a trace
    ai_only: bool = False
    hidden: bool = False  # not readable by this account
    merged_into: int | None = None
    absorbed: tuple[int, ...] = ()  # tickets merged into this one


@dataclass
class World:
    """All versions of all tickets. Time resolution and lateness are the vendor's."""

    seed: int
    clock: Clock
    page: int  # the page size of the connector, so that plateaus span pages
    grain: timedelta = timedelta(seconds=1)
    late_s: float = 0.0  # a version shows at most this much later than its stamp says
    very_late_s: float = 0.0  # a few show this much later
    purge: bool = False  # deletions leave no trace
    hides: bool = False  # some tickets are invisible to the account
    spare: int = 30  # changes that may still happen between requests
    rows: dict[int, Row] = field(default_factory=dict)
    shown: dict[int, list[tuple[datetime, Row]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        start = self.clock.now() - timedelta(days=2)
        for _ in range(self.random.randint(3, 6)):
            start += timedelta(seconds=self.random.randint(1, 30_000))
            stamp = self.floor(min(start, self.clock.now() - timedelta(minutes=15)))
            plateau = self.random.random() < 0.5
            for _ in range(self.random.randint(3 * self.page, 4 * self.page) if plateau else self.page):
                if not plateau:
                    stamp = self.floor(stamp + timedelta(seconds=self.random.randint(0, 400)))
                self.create(min(stamp, self.clock.now() - timedelta(minutes=10)))
        for row_id in self.random.sample(sorted(self.rows), 2):
            self.remove(row_id)

    def floor(self, at: datetime) -> datetime:
        ticks = (at - NOON) // self.grain
        return NOON + ticks * self.grain

    def create(self, at: datetime) -> None:
        at = self.floor(at)
        self.put(
            Row(
                id=1000 + len(self.rows) * 3,
                created=at,
                stamp=at,
                subject=self.random.choice(SUBJECTS),
                body=self.random.choice(BODIES),
                status=self.random.choice(STATUSES),
                requester=self.random.randint(1, 9),
                ai_only=self.random.random() < 0.1,
                hidden=self.hides and self.random.random() < 0.3,
            )
        )

    def put(self, row: Row) -> None:
        """Store a version; it becomes visible now, or late."""
        self.rows[row.id] = row
        late_s = self.random.uniform(0, self.late_s) if self.random.random() < 0.3 else 0.0
        if self.very_late_s and self.random.random() < 0.05:
            late_s = self.random.uniform(0, self.very_late_s)
        self.shown.setdefault(row.id, []).append((row.stamp + timedelta(seconds=late_s), row))

    def touch(self, row_id: int, **changes: object) -> None:
        """A new version stamped now."""
        row = self.rows[row_id]
        stamp = self.floor(self.clock.now())
        self.put(replace(row, stamp=max(stamp, row.stamp), version=row.version + 1, **changes))  # type: ignore[arg-type]

    def remove(self, row_id: int) -> None:
        """Deletion in whichever way this desk knows."""
        if self.purge:
            self.touch(row_id, deleted=True, purged=True)
        else:
            self.touch(row_id, deleted=True, spam=self.random.random() < 0.3)

    def alive(self) -> list[int]:
        return [row.id for row in self.rows.values() if not row.deleted]

    def between_requests(self) -> None:
        """Sometimes something happens exactly while a connector is between two pages."""
        if self.spare > 0 and self.random.random() < 0.3:
            self.spare -= 1
            self.happen()

    def happen(self) -> None:
        """One random change."""
        alive = self.alive()
        kind = self.random.choice(
            ("create", "edit", "edit", "edit", "system", "delete", "restore", "bulk", "merge")
        )
        gone = [
            row.id for row in self.rows.values() if row.deleted and not row.purged and not row.merged_into
        ]
        if kind == "create" or len(alive) < 3:
            self.create(self.clock.now())
        elif kind == "edit":
            self.touch(
                self.random.choice(alive),
                subject=self.random.choice(SUBJECTS),
                status=self.random.choice(STATUSES),
            )
        elif kind == "system":
            self.touch(self.random.choice(alive))
        elif kind == "delete":
            self.remove(self.random.choice(alive))
        elif kind == "merge":
            loser, winner = self.random.sample(alive, 2)
            absorbed = (*self.rows[winner].absorbed, loser, *self.rows[loser].absorbed)
            self.touch(loser, deleted=True, merged_into=winner, purged=self.purge)
            self.touch(winner, absorbed=absorbed)
        elif kind == "restore" and gone:
            self.touch(self.random.choice(gone), deleted=False, spam=False)
        elif kind == "bulk":
            self.spare -= 5
            for row_id in self.random.sample(alive, min(len(alive), 3 * self.page + 1)):
                self.touch(row_id, status=self.random.choice(STATUSES))

    def settle(self) -> None:
        """Nothing changes any more."""
        self.spare = 0

    def seen(self, row_id: int) -> Row | None:
        """The newest version an index shows at this moment."""
        now = self.clock.now()
        versions = [row for at, row in self.shown[row_id] if at <= now]
        return max(versions, key=lambda row: row.version, default=None)

    def index(self, keep: Callable[[Row], bool]) -> list[Row]:
        """Visible versions that satisfy `keep`, by (stamp, id)."""
        now = self.clock.now()
        found = []
        for versions in self.shown.values():
            for at, row in reversed(versions):
                if at <= now:
                    if keep(row):
                        found.append(row)
                    break
        return sorted(found, key=lambda row: (row.stamp, row.id))

    def lived(self, row_id: int) -> list[tuple[datetime, str]]:
        """When a ticket entered each status, its first one at its creation."""
        versions = [row for _, row in self.shown[row_id]]
        entered = [(versions[0].created, versions[0].status)]
        for before, after in pairwise(versions):
            if before.status != after.status:
                entered.append((after.stamp, after.status))
        return entered

    def truth(self) -> dict[str, tuple[str, str, str]]:
        """What a perfect reader holds: subject, body and status of every readable live ticket."""
        return {
            str(row.id): (row.subject, row.body, row.status)
            for row in self.rows.values()
            if not row.deleted and not row.hidden
        }
