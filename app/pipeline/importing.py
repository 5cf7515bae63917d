"""A file's history into the store: resumable, repeatable, and never a live alert."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.domain import Checkpoint, RawTicket
from app.errors import Invalid
from app.ingest import columns, files
from app.ingest.columns import Mapping as Columns
from app.ingest.columns import Reading
from app.ingest.files import Rejected
from app.pipeline import intake, lease
from app.pipeline.digest import digest
from app.runtime import Runtime
from app.store import sources, tickets

CHUNK = 500
PAUSE_S = 1.0
PATIENCE_S = lease.KEPT.total_seconds() + 5 * PAUSE_S
Progress = Callable[[int, int], None]
"""Called with rows done and rows in all."""


@dataclass
class Imported:
    """What became of a file's rows."""

    accepted: int = 0
    updated: int = 0
    unchanged: int = 0
    repeated: int = 0  # rows that a later row with the same id replaced
    rejected: list[Rejected] = field(default_factory=list)

    def count(self, outcome: Mapping[str, Mapping[str, str]]) -> None:
        for result in outcome.values():
            match result["status"]:
                case "accepted":
                    self.accepted += 1
                case "updated":
                    self.updated += 1
                case _:
                    self.unchanged += 1


def plan(path: Path, explicit: Mapping[str, str], *, keep_unknown: bool) -> Columns:
    """Which column is which; Invalid says what could not be recognised."""
    return columns.Mapping.recognise(files.columns(path), explicit, keep_unknown=keep_unknown)


def preview(path: Path, mapping: Columns, reading: Reading, *, rows: int) -> list[RawTicket | Rejected]:
    """The first rows as they would be read."""
    found: list[RawTicket | Rejected] = []
    for row in files.open_rows(path):
        found.append(read(row, mapping, reading))
        if len(found) == rows:
            break
    return found


def read(row: files.Row, mapping: Columns, reading: Reading) -> RawTicket | Rejected:
    """One row as a ticket, or why it cannot be one."""
    if isinstance(row.values, Rejected):
        return row.values
    return columns.to_raw(row.values, mapping, reading, line=row.line)


def store(
    runtime: Runtime,
    path: Path,
    mapping: Columns,
    reading: Reading,
    *,
    rejects: Path,
    backfill: bool = True,
    chunk: int = CHUNK,
    progress: Progress = lambda _done, _all: None,
) -> Imported:
    """Store every row, `chunk` at a time; one that was interrupted goes on where the last commit ended."""
    total, told_again = _survey(path, mapping, reading)
    stream = f"file:{_identity(path)}"
    with runtime.store.read() as session:
        known = sources.checkpoint(session, reading.source, stream).state
    start = 0 if known.get("done") else int(known.get("line", 0))
    done = Imported()
    batch: list[RawTicket] = []
    rows = line = written = 0
    _keep_rejects(rejects, until=start)
    for row in files.open_rows(path):
        rows, line = rows + 1, row.line
        if line <= start:
            continue
        found = read(row, mapping, reading)
        if isinstance(found, Rejected):
            done.rejected.append(found)
        elif line in told_again:
            done.repeated += 1
        else:
            batch.append(found)
        if len(batch) == chunk:
            written = _add_rejects(rejects, done.rejected, written)
            _commit(
                runtime, batch, done, Checkpoint(reading.source, stream, {"line": line}), backfill=backfill
            )
            batch = []
            progress(rows, total)
    _add_rejects(rejects, done.rejected, written)
    _commit(runtime, batch, done, Checkpoint(reading.source, stream, {"line": line, "done": True}),
            backfill=backfill)  # fmt: skip
    progress(rows, total)
    return done


def _commit(
    runtime: Runtime, batch: Sequence[RawTicket], done: Imported, point: Checkpoint, *, backfill: bool
) -> None:
    """One chunk and how far it reaches, together."""
    done.count(intake.accept(runtime, batch, source_kind="file", backfill=backfill, checkpoint=point))


def _survey(path: Path, mapping: Columns, reading: Reading) -> tuple[int, set[int]]:
    """How many rows there are, and the lines of those whose ticket a later good row tells again: that one counts."""
    id_column = mapping.columns["external_id"]
    rows, last, told_again = 0, dict[str, int](), set[int]()
    for row in files.open_rows(path):
        rows += 1
        name = "" if isinstance(row.values, Rejected) else str(row.values.get(id_column) or "").strip()
        if name in last and isinstance(read(row, mapping, reading), Rejected):
            continue
        if name in last:
            told_again.add(last[name])
        if name:
            last[name] = row.line
    return rows, told_again


def _identity(path: Path) -> str:
    """The same file under any name: its size and its beginning."""
    with path.open("rb") as file:
        start = file.read(1 << 16)
    return hashlib.sha256(start + str(path.stat().st_size).encode()).hexdigest()[:16]


def _keep_rejects(path: Path, *, until: int) -> None:
    """Of an interrupted import's rejects, keep those of the lines that are not read again."""
    with _writable(path):
        if path.exists():
            lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if until else []
            path.write_text("".join(x for x in lines if json.loads(x)["line"] <= until), encoding="utf-8")


def _add_rejects(path: Path, rejected: Sequence[Rejected], written: int) -> int:
    """Append those not yet written, before the chunk that follows them is committed; how many are written now."""
    if len(rejected) > written:
        with _writable(path), path.open("a", encoding="utf-8") as file:
            for one in rejected[written:]:
                file.write(json.dumps({"line": one.line, "reason": one.reason}) + "\n")
    return len(rejected)


@contextmanager
def _writable(path: Path) -> Iterator[None]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise Invalid(f"cannot write the rejects file {path}: {error.strerror}") from error


def accept_all(runtime: Runtime, raws: Sequence[RawTicket], *, backfill: bool) -> None:
    """Store tickets that are in memory already."""
    for start in range(0, len(raws), CHUNK):
        intake.accept(runtime, raws[start : start + CHUNK], source_kind="file", backfill=backfill)


def digest_all(
    runtime: Runtime,
    *,
    progress: Progress = lambda _done, _all: None,
    pause: Callable[[float], None] = time.sleep,
) -> int:
    """Digest everything that waits; how many tickets.

    The lease of a writer that was killed is waited out; one that lives and digests is left to it.
    """
    total = left = _waiting(runtime)
    done = 0
    idle_s = 0.0
    while left and idle_s < PATIENCE_S:
        some = digest(runtime)
        done += some
        progress(min(done, total), total)
        before, left = left, _waiting(runtime)
        if some or left < before:
            idle_s = 0.0
        if left and not some:
            pause(PAUSE_S)
            idle_s += PAUSE_S
    return done


def _waiting(runtime: Runtime) -> int:
    with runtime.store.read() as session:
        return tickets.count_undigested(session)


def shown(raw: RawTicket, draft: Any) -> dict[str, Any]:
    """One row of a dry run: what would be stored."""
    return {
        "id": raw.external_id, "created_at": draft.created_at.isoformat(), "subject": draft.subject,
        "body": draft.body[:200], "requester": draft.requester, "account": draft.account,
        **dict(draft.attributes), "status": draft.status.value, "tags": " ".join(draft.tags),
    }  # fmt: skip
