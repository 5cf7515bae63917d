"""The layers hold, and each contract catches a module that breaks it."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BREAKS = (  # module, the line that breaks a contract, how the report names it
    ("ports", "from app import runtime", "app.ports -> app.runtime"),
    ("notify.sign", "from app.store import tickets", "app.notify.sign -> app.store.tickets"),
    ("reports.brief", "from app.store import tickets", "app.reports.brief -> app.store.tickets"),
    ("helpers", "", "- app.helpers"),
    ("detectors.text", "import httpx", "app.detectors.text -> httpx"),
    ("api.events", "import sqlalchemy", "app.api.events -> sqlalchemy"),
    ("api.alerts", "from app.store import tables", "app.api.alerts -> app.store.tables"),
    ("pipeline.deliver", "import httpx", "app.pipeline.deliver -> httpx"),
    ("notify.address", "from app.notify import webhook", "- .webhook -> .address"),
)


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """import-linter's word on the tree in `folder`."""
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()",
               "--no-cache"]  # fmt: skip
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A tree of our own to break."""
    ignored = shutil.ignore_patterns("__pycache__", "static", "templates")
    shutil.copytree(ROOT / "app", tmp_path / "app", ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_imports_keep_every_contract() -> None:
    found = lint(ROOT)
    assert found.returncode == 0, found.stdout + found.stderr


def test_every_broken_contract_is_caught_and_named(copy: Path) -> None:
    for module, line, _ in BREAKS:
        path = copy / "app" / f"{module.replace('.', '/')}.py"
        source = path.read_text() if path.exists() else ""
        path.write_text(f"{source}\n{line}\n")
    found = lint(copy)
    assert found.returncode == 1, found.stderr
    assert "Contracts: 0 kept" in found.stdout
    for _, _, named in BREAKS:
        assert named in found.stdout, found.stdout


def test_outside_the_store_only_the_session_of_sqlmodel_is_named() -> None:
    for path in (ROOT / "app").rglob("*.py"):
        if "store" in path.relative_to(ROOT / "app").parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sqlmodel"):
                assert [name.name for name in node.names] == ["Session"], path
            if isinstance(node, ast.Import):
                assert not any(name.name.startswith("sqlmodel") for name in node.names), path


def test_only_settings_read_the_environment() -> None:
    allowed = {"settings.py"}
    for path in (ROOT / "app").rglob("*.py"):
        text = path.read_text()
        if path.name not in allowed:
            assert "os.environ" not in text, path
            assert "getenv" not in text, path
