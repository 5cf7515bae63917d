"""The same tickets give the same alerts, whatever their order of arrival, batches and restarts, in any zone."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from app.backtest import Clock
from app.domain import RawTicket
from app.pipeline import lease
from app.pipeline.detect import detect
from app.pipeline.digest import digest
from app.pipeline.intake import accept
from app.runtime import Runtime
from app.settings import Settings
from app.store import events, sources
from app.store.core import Store
from tests.fakes import START, WordEmbedder, killed_again_and_again, mortal, raw

DAYS = 36  # over the 8th of March, when Los Angeles goes forward, and the 5th of April, when Sydney goes back
TICK = timedelta(hours=12)
DIES_WITHIN = 500  # transactions, of the few thousand that a whole life has
SAID = ("Password mail never arrives", "Invoice shows the wrong total", "How do I add a colleague")
PROBLEMS = {7: "Export fails with E-4031", 20: "Login loops with AADSTS50011", 34: "Upload stops with E-7702"}


def stream() -> list[RawTicket]:
    """Everyday tickets, and a problem of eight customers on three days, two of them beside a change of clocks."""
    everyday = [raw(n, SAID[n % 3], at=START + timedelta(hours=8 * n)) for n in range(3 * DAYS)]
    problems = [
        raw(1000 + 100 * day + n, said, at=START + timedelta(days=day, minutes=50 * n))
        for day, said in PROBLEMS.items() for n in range(8)
    ]  # fmt: skip
    return sorted([*everyday, *problems], key=lambda t: (t.created_at, t.external_id))


def live(
    folder: Path,
    zone: str,
    *,
    seed: int | None = None,
    until: timedelta = timedelta(days=DAYS),
    dies: bool = False,
) -> list[Any]:
    """Everything said about alerts; with a seed tickets arrive shuffled within a tick, in random batches, and the
    process loses its memory now and then. One that `dies` is killed at a random transaction; the next one begins
    the tick again."""
    chance = random.Random(seed)
    store = Store(f"sqlite:///{folder / 'desk.sqlite3'}", durable=False)
    store.migrate()
    settings = Settings(
        database_url=store.url, data_dir=folder, secret="a secret of the tests", time_zone=zone
    )
    runtime = Runtime(settings, store, clock := Clock(START))
    runtime.__dict__["embedder"] = WordEmbedder()
    waiting, begun = stream(), folder / "begun"
    if dies:
        with store.write() as session:
            sources.save_note(session, lease.NOTE, {})  # that of the dead has ended
        clock.at = datetime.fromisoformat(begun.read_text()) if begun.exists() else START
        waiting = [t for t in waiting if t.created_at > clock.at or clock.at == START]
        mortal(store, chance.randint(1, DIES_WITHIN))
    while clock.at < START + until:
        begun.write_text(clock.at.isoformat())
        clock.at += TICK
        arrived = [t for t in waiting if t.created_at <= clock.at]
        waiting = waiting[len(arrived) :]
        if seed is not None:
            chance.shuffle(arrived)
        while arrived:
            size = chance.randint(1, 5) if seed is not None else len(arrived)
            accept(runtime, arrived[:size], source_kind="push")
            arrived = arrived[size:]
        while digest(runtime, limit=chance.randint(1, 9) if seed is not None else 128):
            if seed is not None and chance.random() < 0.2:
                runtime.memory = None
        for _ in range(1 if seed is None else 2):
            detect(runtime, clock.at)
    runtime.close()
    return said_in(folder)


def said_in(folder: Path) -> list[Any]:
    store = Store(f"sqlite:///{folder / 'desk.sqlite3'}")
    with store.read() as session:
        found = events.after(session, 0, limit=10_000)
    store.close()
    return [(e.type, e.at, e.subject, e.data) for e in found if e.type.startswith("alert.")]


def relayed(store: Store, folder: Path, zone: str, *, until: timedelta) -> list[Any]:
    """What two workers of one database say, when now and then a lease ends because its holder died or stood still."""
    chance, clock = random.Random(3), Clock(START)
    settings = Settings(
        database_url=store.url, data_dir=folder, secret="a secret of the tests", time_zone=zone
    )

    def started() -> Runtime:
        runtime = Runtime(settings, store, clock)
        runtime.__dict__["embedder"] = WordEmbedder()
        return runtime

    workers, waiting = [started(), started()], stream()
    while clock.at < START + until:
        clock.at += TICK
        arrived = [t for t in waiting if t.created_at <= clock.at]
        waiting = waiting[len(arrived) :]
        accept(workers[0], arrived, source_kind="push")
        if chance.random() < 0.3:
            with store.write() as session:
                note = sources.note(session, lease.NOTE) | {"until": START.isoformat()}
                sources.save_note(session, lease.NOTE, note)
            workers = [workers[1], started() if chance.random() < 0.5 else workers[0]]
        for worker in workers:
            while digest(worker):
                pass
            detect(worker, clock.at)
    with store.read() as session:
        found = events.after(session, 0, limit=10_000)
    return [(e.type, e.at, e.subject, e.data) for e in found if e.type.startswith("alert.")]


ZONES = ("Australia/Sydney", "America/Los_Angeles")


@pytest.mark.parametrize("zone", ZONES)
def test_order_of_arrival_batches_restarts_and_repeated_ticks_change_nothing(
    tmp_path: Path, zone: str
) -> None:
    said = live(folder(tmp_path, "plain"), zone)
    topics = " ".join(data["topic"] for _, _, _, data in said)
    assert all(code in topics for code in ("E-4031", "AADSTS50011", "E-7702"))
    sentences = [data["sentence"] for type_, _, _, data in said if type_ == "alert.opened"]
    assert all(f"({zone.replace('_', ' ')})" in sentence for sentence in sentences)
    for seed in (1, 2):
        assert live(folder(tmp_path, str(seed)), zone, seed=seed) == said


def live_and_die(folder: Path, zone: str, seed: int) -> None:
    live(folder, zone, seed=seed, dies=True)


def test_killed_at_random_transactions_and_begun_again_it_says_the_same(tmp_path: Path) -> None:
    said = live(folder(tmp_path, "whole"), ZONES[0])
    killed = folder(tmp_path, "killed")
    assert killed_again_and_again(live_and_die, killed, ZONES[0]) >= 5
    assert said_in(killed) == said


@pytest.mark.parametrize("zone", ZONES)
def test_what_comes_later_changes_nothing_that_was_said(tmp_path: Path, zone: str) -> None:
    whole = live(folder(tmp_path, "whole"), zone)
    part = live(folder(tmp_path, "part"), zone, until=timedelta(days=21))
    assert part == [one for one in whole if one[1] <= START + timedelta(days=21)]
    assert "alert.opened" in {type_ for type_, _, _, _ in part}


def test_of_two_workers_one_works_and_the_other_takes_over_without_saying_anything_twice(
    store: Store, tmp_path: Path
) -> None:
    some = timedelta(days=22)
    said = live(folder(tmp_path, "one"), ZONES[0], until=some)
    assert {type_ for type_, _, _, _ in said} >= {"alert.opened"}
    assert relayed(store, tmp_path, ZONES[0], until=some) == said


def folder(parent: Path, name: str) -> Path:
    made = parent / name
    made.mkdir()
    return made
