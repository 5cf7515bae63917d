"""The demo as a newcomer starts it, the second time: seconds, what to look at, and pages that answer."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app import demo
from tests.e2e._sample import Desk

pytestmark = [pytest.mark.xdist_group("sample"), pytest.mark.timeout(900)]
SECONDS = 30.0  # "a second start takes seconds", on a machine that has other things to do


def command(folder: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "app", "demo", "--folder", str(folder), *options]


@pytest.fixture
def started(own_desk: Desk) -> Iterator[tuple[str, Desk]]:
    """The demo's address once it listens."""
    (own_desk.folder / demo.DONE).touch()
    process = subprocess.Popen(command(own_desk.folder, "--port", "0"), stderr=subprocess.PIPE, text=True,
                               env=os.environ | {"COLUMNS": "200"})  # fmt: skip
    assert process.stderr is not None
    try:
        lines = iter(process.stderr.readline, "")
        found = next((m for line in lines if (m := re.search(r"listening on (http://\S+)", line))), None)
        assert found, "the service never listened"
        yield found[1], own_desk
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS) in (0, 130, -signal.SIGINT)
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def test_a_second_start_takes_seconds_and_says_what_to_look_at(own_desk: Desk) -> None:
    (own_desk.folder / demo.DONE).touch()
    own_desk.close()
    began = time.monotonic()
    done = subprocess.run(command(own_desk.folder, "--no-serve"), capture_output=True, text=True, check=True,
                          env=os.environ | {"COLUMNS": "200"})  # fmt: skip
    assert time.monotonic() - began < SECONDS
    assert re.search(
        r"6,\d\d\d generated tickets; \d+ alerts are open at http://127\.0\.0\.1:\d+/", done.stderr
    )
    assert "start with" in done.stderr


def test_what_to_see_counts_the_open_alerts_and_begins_with_the_strongest(desk: Desk) -> None:
    standing = [a for a in desk.alerts if a["tier"] == "alert" and a["resolved_at"] is None]
    strongest = max(standing, key=lambda a: (a["finding"]["strength"], a["id"]))
    count, first = demo.what_to_see(desk.runtime)
    assert f"; {len(standing)} alerts are open at " in count
    assert f"/patterns/{strongest['pattern_id']}" in first if strongest["pattern_id"] else first.endswith("/")
    name = (
        desk.patterns[strongest["pattern_id"]]["name"]
        if strongest["pattern_id"]
        else strongest["topic"]["label"]
    )
    assert f"“{name}”" in first


def test_the_service_serves_the_pages_the_api_and_its_health(started: tuple[str, Desk]) -> None:
    address, desk = started
    with httpx.Client(base_url=address, trust_env=False, timeout=SECONDS) as client:
        inbox = client.get("/")
        assert inbox.status_code == 200
        assert "Inbox" in inbox.text
        pattern = desk.home("after-release")
        page = client.get(f"/patterns/{pattern['id']}")
        assert page.status_code == 200
        assert "PRJ-5027" in page.text
        assert client.get(f"/v1/patterns/{pattern['id']}").json()["name"] == pattern["name"]
