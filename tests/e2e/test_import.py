"""A history goes in: read by its columns, resumable after any kill, repeatable, and never a live alert."""

from __future__ import annotations

import csv
import gzip
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.backtest import Clock
from app.ingest import columns
from app.pipeline import importing, lease
from app.pipeline.detect import detect
from app.pipeline.importing import Imported
from app.runtime import Runtime
from app.server import service
from app.settings import Settings
from app.store import alerts, events, sources, tickets
from app.store.core import Store
from tests.conftest import ADDRESS
from tests.fakes import START, WordEmbedder, killed_again_and_again, mortal

ROOT = Path(__file__).parents[2]
SAID = ("Export fails with E-4031", "Password mail never arrives", "Invoice shows the wrong total")
ROWS = [
    {"id": f"T-{n}", "created_at": (START + timedelta(hours=n)).isoformat(), "subject": f"{SAID[n % 3]} today",
     "body": f"{SAID[n % 3]}, customer {n % 40} says", "requester": f"r{n % 40}@example.com", "product": "Reports"}
    for n in range(300)
]  # fmt: skip


def write(path: Path, rows: list[dict[str, str]] = ROWS) -> Path:
    """The rows as CSV or JSON lines, packed or plain, as the name says."""
    opener: Callable[..., object] = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wt", encoding="utf-8", newline="") as file:  # type: ignore[attr-defined]
        if ".csv" in path.name:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        else:
            file.writelines(json.dumps(row) + "\n" for row in rows)
    return path


def load(
    runtime: Runtime, path: Path, mapping: dict[str, str] | None = None, *, chunk: int = 500
) -> Imported:
    found = importing.plan(path, mapping or {}, keep_unknown=False)
    reading = columns.Reading(source="desk", now=runtime.now())
    rejects = runtime.settings.data_dir / "rejects.jsonl"
    done = importing.store(runtime, path, found, reading, rejects=rejects, chunk=chunk)
    importing.digest_all(runtime)
    return done


def answers(runtime: Runtime) -> dict[str, bytes]:
    """Every byte the API says of what is stored."""
    client = TestClient(service(runtime), base_url=ADDRESS)
    told: dict[str, bytes] = {}
    for what in ("tickets", "patterns", "alerts", "events"):
        path: str | None = f"/v1/{what}?limit=200"
        while path:
            answer = client.get(path)
            told[path] = answer.content
            if what in ("tickets", "patterns"):
                told |= {
                    one["id"]: client.get(f"/v1/{what}/{one['id']}").content for one in answer.json()["data"]
                }
            path = answer.links.get("next", {}).get("url")
    return told


@pytest.fixture
def later(clock: Clock) -> Clock:
    clock.at = START + timedelta(days=20)
    return clock


@pytest.mark.parametrize("name", ["desk.csv", "desk.csv.gz", "desk.jsonl", "desk.jsonl.gz"])
def test_every_form_of_file_gives_the_same_tickets(
    runtime: Runtime, later: Clock, tmp_path: Path, name: str
) -> None:
    done = load(runtime, write(tmp_path / name, ROWS[:9]))
    assert (done.accepted, done.rejected) == (9, [])
    with runtime.store.read() as session:
        found = tickets.search(session, {"product": "Reports"}).items
    assert [t.external_id for t in found] == [f"T-{n}" for n in range(8, -1, -1)]
    assert {t.subject for t in found} == {f"{said} today" for said in SAID}


def test_columns_of_other_names_are_mapped_by_hand(runtime: Runtime, later: Clock, tmp_path: Path) -> None:
    rows = [{"Nr": "1", "Gemeldet": "2026-03-02T09:00:00Z", "Was": "Export fails"}]
    done = load(
        runtime,
        write(tmp_path / "x.csv", rows),
        {"external_id": "Nr", "created_at": "Gemeldet", "subject": "Was"},
    )
    assert done.accepted == 1


def test_bad_rows_are_listed_with_line_and_reason_and_the_rest_goes_in(
    runtime: Runtime, later: Clock, tmp_path: Path
) -> None:
    rows = [dict(row) for row in ROWS[:6]]
    rows[1]["created_at"] = "yesterday"
    rows[3]["id"] = ""
    done = load(runtime, write(tmp_path / "desk.csv", rows))
    assert done.accepted == 4
    kept = [json.loads(line) for line in (tmp_path / "rejects.jsonl").read_text().splitlines()]
    assert [one["line"] for one in kept] == [3, 5]
    assert "yesterday" in kept[0]["reason"]


def test_importing_again_changes_not_a_byte(runtime: Runtime, later: Clock, tmp_path: Path) -> None:
    path = write(tmp_path / "desk.csv")
    assert load(runtime, path).accepted == len(ROWS)
    before = answers(runtime)
    later.at += timedelta(days=1)
    again = load(runtime, path)
    assert (again.accepted, again.updated, again.unchanged) == (0, 0, len(ROWS))
    assert answers(runtime) == before


def test_of_a_ticket_told_twice_the_last_good_row_counts(
    runtime: Runtime, later: Clock, tmp_path: Path
) -> None:
    first, again, spoiled = dict(ROWS[0]), ROWS[0] | {"subject": "Later"}, ROWS[0] | {"created_at": "soon"}
    path = write(tmp_path / "desk.csv", [first, *ROWS[1:9], again, spoiled])
    for accepted, unchanged in ((9, 0), (0, 9)):
        done = load(runtime, path)
        assert (done.accepted, done.updated, done.unchanged, done.repeated) == (accepted, 0, unchanged, 1)
    with runtime.store.read() as session:
        assert tickets.search(session, {"text": "Later"}).items[0].external_id == "T-0"


def test_an_import_broken_off_between_chunks_goes_on_to_the_same_end(
    runtime: Runtime, later: Clock, sqlite_url: str, tmp_path: Path
) -> None:
    rows = [dict(row) for row in ROWS]
    rows[5]["created_at"] = "broken"
    path = write(tmp_path / "desk.csv", rows)
    found = importing.plan(path, {}, keep_unknown=False)
    reading = columns.Reading(source="desk", now=later())
    rejects = tmp_path / "rejects.jsonl"

    def stop(done: int, _total: int) -> None:
        if done > 120:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        importing.store(runtime, path, found, reading, rejects=rejects, chunk=50, progress=stop)
    assert load(runtime, path).accepted < len(rows)
    with runtime.store.read() as session:
        assert tickets.total(session) == len(rows) - 1
    assert [json.loads(line)["line"] for line in rejects.read_text().splitlines()] == [7]


def test_imported_history_raises_no_live_alert(runtime: Runtime, later: Clock, tmp_path: Path) -> None:
    burst = [row | {"id": f"B-{n}", "created_at": (later() - timedelta(minutes=n)).isoformat(), "requester": f"b{n}@x.com",
                    "subject": "Login broken E-9999"} for n, row in enumerate(ROWS[:60])]  # fmt: skip
    load(runtime, write(tmp_path / "desk.csv", ROWS + burst))
    assert detect(runtime, later()) == []
    with runtime.store.read() as session:
        assert alerts.unresolved(session) == []
        assert not [e for e in events.after(session, 0, limit=9999) if e.type.startswith("alert.")]


def test_the_lease_of_a_killed_writer_is_waited_out(runtime: Runtime, later: Clock, tmp_path: Path) -> None:
    dead = Runtime(runtime.settings, runtime.store, later)
    assert lease.held(dead)
    load_path = write(tmp_path / "desk.csv", ROWS[:3])
    found = importing.plan(load_path, {}, keep_unknown=False)
    reading = columns.Reading(source="desk", now=later())
    importing.store(runtime, load_path, found, reading, rejects=tmp_path / "r.jsonl")
    waits: list[float] = []

    def pause(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            lease.release(dead)

    assert importing.digest_all(runtime, pause=pause) == 3
    assert len(waits) == 3


def foreshock(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("FORESHOCK_")}
    return subprocess.Popen(
        [sys.executable, "-m", "app", *arguments], cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=clean | {"PYTHONPATH": str(ROOT), "NO_COLOR": "1", "FORESHOCK_SECRET": "the same for both"},
    )  # fmt: skip


def finish(process: subprocess.Popen[str]) -> str:
    output, errors = process.communicate(timeout=280)
    assert process.returncode == 0, errors
    return output


def runtime_of(folder: Path) -> Runtime:
    """The store of a folder, long after its history, with embeddings made from words."""
    url = f"sqlite:///{folder / 'foreshock.sqlite3'}"
    settings = Settings(database_url=url, data_dir=folder, secret="the same for both")
    runtime = Runtime(settings, Store(url), Clock(START + timedelta(days=20)))
    runtime.__dict__["embedder"] = WordEmbedder()
    return runtime


def state(folder: Path) -> dict[str, bytes]:
    runtime = runtime_of(folder)
    try:
        return answers(runtime)
    finally:
        runtime.store.close()


def digested(folder: Path) -> int:
    store = Store(f"sqlite:///{folder / 'foreshock.sqlite3'}")
    try:
        with store.read() as session:
            return tickets.total(session) - tickets.count_undigested(session)
    except Exception:
        return 0
    finally:
        store.close()


def load_and_die(folder: Path, seed: int) -> None:
    """Import in small commits, killed at a random transaction."""
    runtime = runtime_of(folder)
    with runtime.store.write() as session:
        sources.save_note(session, lease.NOTE, {})  # that of the dead has ended
    mortal(runtime.store, random.Random(seed).randint(1, 60))
    load(runtime, folder / "desk.csv", chunk=25)
    runtime.store.close()


def test_killed_at_random_transactions_and_run_again_it_ends_in_the_same_bytes(tmp_path: Path) -> None:
    rows = [row | ({"created_at": "broken"} if n in (5, 250) else {}) for n, row in enumerate(ROWS)]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
        write(folder / "desk.csv", rows)
        runtime = runtime_of(folder)
        runtime.store.migrate()
        if folder is whole:
            load(runtime, folder / "desk.csv")
        runtime.store.close()
    assert killed_again_and_again(load_and_die, killed) >= 3
    assert (killed / "rejects.jsonl").read_bytes() == (whole / "rejects.jsonl").read_bytes()
    assert state(killed) == state(whole)
    assert {one.split("?")[0] for one in state(whole)} >= {
        f"/v1/{n}" for n in ("tickets", "patterns", "alerts", "events")
    }


@pytest.mark.timeout(600)
def test_killed_in_the_middle_and_run_again_it_ends_in_the_same_bytes(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
        write(folder / "desk.csv")
    assert "300 new" in finish(foreshock(whole, "import", "desk.csv"))
    process = foreshock(killed, "import", "desk.csv")
    deadline = time.monotonic() + 200
    while not 0 < digested(killed) < len(ROWS) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL, "it was done before it could be killed"
    finish(foreshock(killed, "import", "desk.csv"))
    assert digested(killed) == len(ROWS)
    assert state(killed) == state(whole)


def test_a_dry_run_shows_what_would_be_stored_and_stores_nothing(tmp_path: Path) -> None:
    rows = [ROWS[0] | {"colour": "red", "body": "Call me at +49 30 901820 or jo@example.com"}]
    write(tmp_path / "desk.csv", rows)
    told = finish(foreshock(tmp_path, "import", "desk.csv", "--dry-run"))
    assert "not understood: colour" in told
    assert "Export fails" in told
    assert "jo@example.com" not in told
    assert digested(tmp_path) == 0
