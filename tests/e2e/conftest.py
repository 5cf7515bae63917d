"""The sample desk, brought to life once a run and shared by every worker; tests that change it take a copy."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e._sample import MADE, RECEIVED, Desk, bring_to_life, copied


@pytest.fixture(scope="session")
def sample_home(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The folder of the sample desk at its end; whichever worker comes first makes it."""
    base = tmp_path_factory.getbasetemp()
    home = (base if worker_id == "master" else base.parent) / "sample"
    home.mkdir(exist_ok=True)
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / MADE).exists():
            bring_to_life(home)
            (home / MADE).touch()
    return home


@pytest.fixture(scope="session")
def desk(sample_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """The desk to look at; nobody changes it."""
    found = _open(sample_home, copied(sample_home, tmp_path_factory.mktemp("desk")))
    yield found
    found.close()


@pytest.fixture
def own_desk(sample_home: Path, tmp_path: Path) -> Iterator[Desk]:
    """The desk to work on."""
    found = _open(sample_home, copied(sample_home, tmp_path))
    yield found
    found.close()


def _open(home: Path, folder: Path) -> Desk:
    truth = json.loads((home / "sample" / "truth.json").read_text("utf-8"))
    lines = (home / RECEIVED).read_text("utf-8").splitlines()
    return Desk(folder, truth, [json.loads(line) for line in lines])
