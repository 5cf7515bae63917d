"""The README says everything the code offers, and nothing that only one machine knows."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import shlex
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
from fastapi import APIRouter
from fastapi.routing import APIRoute

from app.api.webhooks import EVENTS
from app.cli import app as commands
from app.detectors import scan, sentence
from app.settings import Settings, SourceSettings

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
HOSTS = {
    "127.0.0.1", "127.0.0.1:8321", "hooks.example.com", "foreshock.example.com", "www.standardwebhooks.com",
    "acme.zendesk.com", "acme.freshdesk.com", "acme.my.salesforce.com", "acme.atlassian.net",
    "api.atlassian.com", "id.atlassian.com", "acme.service-now.com",
}  # fmt: skip
HOST = re.compile(r"\b(?:[a-z0-9-]+\.)+(?:com|org|net|io|dev|co|ai)\b")
MACHINE_PATH = re.compile(r"(?<![\w.}/])/(?:home|root|Users|tmp|work|mnt|opt)/")
BOASTS = re.compile(
    r"(?i)\b(seamless\w*|blazing\w*|powerful|effortless\w*|revolutionary|cutting-edge|world-class|"
    r"state-of-the-art|game-chang\w+|next-generation|enterprise-grade|simply|delightful)\b"
)


@cache
def text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def code_words(page: str) -> set[str]:
    """Everything the page sets as code in its prose and tables."""
    prose = re.sub(r"```.*?```", "", text(page), flags=re.DOTALL)
    return set(re.findall(r"`([^`\n]+)`", prose))


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text(page), flags=re.DOTALL | re.MULTILINE)


def trees(package: str) -> Iterator[ast.Module]:
    for path in sorted((ROOT / package).rglob("*.py")):
        yield ast.parse(path.read_text(encoding="utf-8"))


def command_names(command: Any, name: str = "") -> Iterator[str]:
    """Names of all commands, a group's as "key create"."""
    inner = getattr(command, "commands", None)
    if inner is None:
        yield name
        return
    for own, one in inner.items():
        yield from command_names(one, f"{name} {own}".strip())


def routes(package: str) -> Iterator[tuple[str, str]]:
    """(method, path) of every route in the modules of a package."""
    for found in pkgutil.iter_modules([str(ROOT / package)]):
        module = importlib.import_module(f"{package.replace('/', '.')}.{found.name}")
        router = getattr(module, "router", None)
        for route in router.routes if isinstance(router, APIRouter) else ():
            if isinstance(route, APIRoute):
                yield from ((method, route.path) for method in route.methods or ())


AUDITED = {"source.asked", "source.paused", "source.resumed"}  # told by the audit log, not the event log


def written_event_types() -> set[str]:
    """Types named where the pipeline writes events, those that are only logged included.

    What operators do is in the audit log, in other words than these.
    """
    subjects = {name.partition(".")[0] for name in EVENTS} | {"subscription"}
    shape = re.compile(rf"(?:{'|'.join(sorted(subjects))})\.[a-z]+")
    return {
        node.value
        for tree in trees("app/pipeline")
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and shape.fullmatch(node.value)
    } - AUDITED


def finding_kinds() -> set[str]:
    """Kinds that have a sentence of their own, and those the scan gives."""
    source = ast.parse(Path(sentence.__file__).read_text(encoding="utf-8"))
    told = next(n for n in ast.walk(source) if isinstance(n, ast.FunctionDef) and n.name == "sentence")
    own = {c.value for case in ast.walk(told) if isinstance(case, ast.match_case)
           for c in ast.walk(case.pattern) if isinstance(c, ast.Constant)}  # fmt: skip
    source = ast.parse(Path(scan.__file__).read_text(encoding="utf-8"))
    given = next(n for n in ast.walk(source) if isinstance(n, ast.FunctionDef) and n.name == "_kind")
    returned = {c.value for r in ast.walk(given) if isinstance(r, ast.Return) and r.value is not None
                for c in ast.walk(r.value) if isinstance(c, ast.Constant)}  # fmt: skip
    return {kind for kind in own | returned if isinstance(kind, str)}


def keyword_values(package: str, keyword: str, *, of: str = "") -> set[str]:
    """Literal texts given for a keyword argument anywhere in a package, of one callable or of any."""
    return {
        found.value.value
        for tree in trees(package)
        for call in ast.walk(tree) if isinstance(call, ast.Call) and of in ("", ast.unparse(call.func))
        for found in call.keywords
        if found.arg == keyword and isinstance(found.value, ast.Constant) and isinstance(found.value.value, str)
    }  # fmt: skip


def connected_kinds() -> set[str]:
    """Kinds of ticketing tools that can be read, once there is a registry of them."""
    if not (ROOT / "app/ingest/sources.py").exists():
        return set()
    return set(importlib.import_module("app.ingest.sources").SOURCES)


def benches() -> set[str]:
    return {
        path.stem.replace("_", "-")
        for path in (ROOT / "tests/bench").glob("[a-z]*.py")
        if "\nHELP = " in path.read_text(encoding="utf-8")
    }


def requirement_names(group: list[str]) -> set[str]:
    return {re.split(r"[\[<>=!~ ;]", requirement, maxsplit=1)[0] for requirement in group}


def test_the_readme_has_every_setting_with_its_default() -> None:
    section = text("README.md").partition("## Settings")[2].partition("\n## ")[0]
    table = dict(re.findall(r"^\| `(\w+)` \| (.+?) \|", section, flags=re.MULTILINE))
    assert set(table) == set(Settings.model_fields)
    for name, field in Settings.model_fields.items():
        if isinstance(field.default, int | float) and not isinstance(field.default, bool):
            assert float(table[name].strip("`")) == field.default, name
        elif isinstance(field.default, tuple) and field.default:
            assert table[name] == f"`{','.join(field.default)}`"
    assert set(SourceSettings.model_fields) <= code_words("README.md")


def test_the_readme_has_every_command() -> None:
    found = set(command_names(typer.main.get_command(commands)))
    assert "key revoke" in found
    shown = [words.split() for words in code_words("README.md")]
    assert [
        name for name in sorted(found) if name.split() not in (w[: len(name.split())] for w in shown)
    ] == []


def test_every_command_the_readme_lists_is_one() -> None:
    section = text("README.md").partition("## Commands")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.+?) \|", section, flags=re.MULTILINE)
    named = {
        " ".join(re.findall(r"^[a-z -]+", words)[0].split())
        for row in rows
        for words in re.findall(r"`(.+?)`", row)
    }
    assert len(named) > 20
    assert named <= set(command_names(typer.main.get_command(commands)))


def test_the_readme_has_every_event_type() -> None:
    assert set(EVENTS) | written_event_types() <= code_words("README.md")


def test_every_event_that_is_sent_is_described() -> None:
    """The watchlist and the subscriptions themselves are for the log."""
    logged = {t for t in written_event_types() if t == "alert.watching" or t.startswith("subscription.")}
    assert written_event_types() - logged <= set(EVENTS)


def test_the_readme_has_every_kind_of_finding_and_every_rule() -> None:
    kinds = finding_kinds() | keyword_values("app", "kind", of="Finding")
    rules = keyword_values("app", "rule", of="Finding")
    assert {"spike", "new", "cluster", "mass_event"} <= kinds
    assert {"scan", "slow_burn", "after_release"} <= rules
    assert kinds | rules <= code_words("README.md")


def test_the_readme_has_every_route_of_the_api() -> None:
    found = {f"{method} {path}" for method, path in routes("app/api")}
    assert len(found) > 30
    assert found <= code_words("README.md")


def test_the_readme_has_every_page() -> None:
    pages = {re.sub(r"\{\w+\}", "{id}", path) for method, path in routes("app/web") if method == "GET"}
    shown = code_words("README.md")
    assert {page for page in pages if not page.endswith(("/merge", "/edit", "/news"))} <= shown


def test_the_readme_has_every_kind_of_source() -> None:
    kinds = keyword_values("app", "source_kind") | connected_kinds()
    assert {"file", "push", "sample"} <= kinds
    assert kinds <= code_words("README.md")


def test_the_readme_has_the_command_of_every_bench() -> None:
    shown = set(re.findall(r"python -m tests\.bench ([a-z-]+)", text("README.md")))
    assert shown == benches()


def test_every_dependency_has_a_reason() -> None:
    project = tomllib.loads(text("pyproject.toml"))["project"]
    section = text("CONTRIBUTING.md").partition("## Dependencies")[2].partition("\n## ")[0]
    reasons = set(re.findall(r"^\| ([\w-]+) \| \S", section, flags=re.MULTILINE))
    assert requirement_names(project["dependencies"]) == reasons - {"package"}
    for name in requirement_names(project["optional-dependencies"]["dev"]):
        assert re.search(rf"\b{re.escape(name)}\b", section), name


def test_the_layers_are_those_that_are_enforced() -> None:
    contracts = tomllib.loads(text("pyproject.toml"))["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    assert " > ".join(layers) in text("CONTRIBUTING.md").splitlines()


def test_every_decision_has_its_five_lines() -> None:
    records = text("CONTRIBUTING.md").partition("## Decisions")[2].strip().split("\n\n")[1:]
    assert len(records) >= 15
    for record in records:
        title, context, choice, price, wrong = record.splitlines()
        assert title.startswith("**")
        assert context.startswith("Context:")
        assert choice.startswith("Choice:")
        assert price.startswith("Price:")
        assert wrong.startswith("Wrong if:")


@pytest.mark.parametrize("page", PAGES)
def test_every_link_within_the_repository_leads_somewhere(page: str) -> None:
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text(page))
    local = {target for target in targets if "://" not in target}
    assert [target for target in sorted(local) if not (ROOT / target).exists()] == []


def test_every_file_the_tree_names_exists() -> None:
    tree = text("CONTRIBUTING.md").partition("## The tree")[2].partition("\n## ")[0]
    named = re.findall(r"\b(\w+\.py)\b", tree)
    assert named
    for name in named:
        assert any((ROOT / folder / name).exists() for folder in ("app", "tests")), name
    for folder in re.findall(r"^  (\w+)/ ", tree, flags=re.MULTILINE):
        assert (ROOT / "app" / folder).is_dir(), folder


@pytest.mark.parametrize("page", PAGES)
def test_no_page_names_a_host_or_a_path_that_is_not_the_readers(page: str) -> None:
    named = set(re.findall(r"https?://([^/\s`)\"']+)", text(page))) | set(HOST.findall(text(page)))
    assert named <= HOSTS
    assert MACHINE_PATH.findall(text(page)) == []
    assert str(ROOT) not in text(page)


@pytest.mark.parametrize("page", PAGES)
def test_no_page_boasts(page: str) -> None:
    assert [found[0] for found in BOASTS.finditer(text(page))] == []


@pytest.mark.parametrize("page", PAGES)
def test_python_in_the_pages_compiles(page: str) -> None:
    for block in blocks(page, "python"):
        compile(block, page, "exec")
    for block in blocks(page, "toml"):
        assert tomllib.loads(block)


@pytest.mark.parametrize("page", PAGES)
def test_commands_in_the_pages_are_well_quoted(page: str) -> None:
    for block in blocks(page, "console"):
        joined = re.sub(r"\\\n", " ", block)
        for match in re.finditer(r"^\$ (.*(?:\n {2,}.*)*)", joined, flags=re.MULTILINE):
            assert shlex.split(match[1])


def test_the_version_is_the_topmost_heading_of_the_changelog() -> None:
    headings = re.findall(r"^## (.+)$", text("CHANGELOG.md"), flags=re.MULTILINE)
    assert re.fullmatch(r"\d+\.\d+\.\d+ \(\d{4}-\d\d-\d\d\)", headings[0])
