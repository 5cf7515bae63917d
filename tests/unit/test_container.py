"""The image and the compose file name only what exists: commands, settings, files, the health route."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from app.api import ops
from app.cli import app
from app.settings import Settings

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMMANDS = {c.name or c.callback.__name__ for c in app.registered_commands if c.callback}


class Loader(yaml.SafeLoader):
    """Reads compose's own `!reset` as the value behind it."""


def _reset(loader: Loader, node: yaml.SequenceNode) -> list[Any]:
    return loader.construct_sequence(node)


Loader.add_constructor("!reset", _reset)


def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.load((ROOT / "compose.yaml").read_text(), Loader)["services"]
    return found


def test_every_variable_set_is_a_setting() -> None:
    named = set(re.findall(r"FORESHOCK_([A-Z_]+)=", DOCKERFILE))
    for service in services().values():
        named |= {n.removeprefix("FORESHOCK_") for n in service["environment"] if n.startswith("FORESHOCK_")}
    assert named
    assert {n.lower() for n in named} <= Settings.model_fields.keys()


def test_every_command_started_is_a_command() -> None:
    [started] = re.findall(r"^CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)
    wanted = {json.loads(started)[0]} | {services()[name]["command"][0] for name in ("api", "worker")}
    assert wanted == {"serve", "api", "worker"}
    assert wanted <= COMMANDS


def test_what_is_copied_into_the_image_is_there() -> None:
    for line in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE):
        for name in line.split():
            assert (ROOT / name).exists(), name


def test_health_is_asked_where_it_is_told_and_nothing_runs_as_root() -> None:
    [path] = re.findall(r"HEALTHCHECK .*127\.0\.0\.1:8321(/\w+)'", DOCKERFILE)
    assert path in {getattr(route, "path", "") for route in ops.router.routes}
    assert re.findall(r"^USER (\d+)$", DOCKERFILE, re.MULTILINE) == re.findall(r"--uid (\d+)", DOCKERFILE)
    assert services()["api"]["ports"] == ["127.0.0.1:8321:8321"]
    assert services()["worker"]["ports"] == []
