"""Nothing planted in a ticketing tool, nor its secrets, shows up in a log, an error or the database."""

from __future__ import annotations

import base64
import logging
from dataclasses import replace

import pytest
from sqlalchemy import MetaData, select

from app.errors import ForeshockError
from app.pipeline import pull
from app.pipeline.enrich import enrich
from app.pipeline.hooks import follow
from app.runtime import Runtime
from app.settings import SourceSettings
from app.store import sources
from app.worker import drain
from tests.contract.test_ticket_source import CASES, HOST, KINDS, said
from tests.simulators.server import Simulator
from tests.simulators.world import Clock, World

SECRET = "FORESHOCK_TEST_SECRET"
EMAIL, ADDRESS, WORDS = "jane.doe@cust.example", "192.0.2.77", "PLANTED-WORDS-5309"
PLANTED = (
    Simulator.secret, base64.b64encode(Simulator.secret.encode()).decode(), EMAIL, "jane@cust.example",
    "boss@acme.example", ADDRESS, "AKIAIOSFODNN7EXAMPLE",
)  # fmt: skip
TEXTS = {("ticket", "subject"), ("ticket", "body"), ("ticket", "resolution"), ("messages", "found")}


def desk(runtime: Runtime, kind: str) -> tuple[Runtime, Simulator]:
    """A desk full of things that must not leave it, with an unreliable network, and the runtime that reads it."""
    world = World(3, Clock(), page=3, spare=0, purge=kind in ("jira", "servicenow"))
    for row_id in world.alive():
        text = f"{WORDS} write to {EMAIL} or {ADDRESS}, key AKIAIOSFODNN7EXAMPLE"
        world.touch(row_id, status="solved", subject=f"From {EMAIL}", body=text)
    sim = CASES[kind].simulator(world, faults=True)
    sim.clock.sleep(3600)
    sim.messages = {
        row.id: [m | {"body": f"{WORDS} {EMAIL}", "metadata": {"ip": ADDRESS}} for m in said(row)]
        for row in world.rows.values()
    }
    named = {key: SECRET if value == "KEY" else value for key, value in CASES[kind].options.items()}
    setting = SourceSettings(name="desk", kind=kind, options={"base_url": HOST, "page_size": 50} | named)
    settings = runtime.settings.model_copy(update={"sources": (setting,)})
    clock, transport = sim.clock, sim.transport
    run = replace(
        runtime, settings=settings, now=clock.now, sleep=clock.sleep, transport=transport, connections={}
    )
    return run, sim


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_planted_reaches_a_log_an_error_or_the_database(
    kind: str, runtime: Runtime, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(SECRET, Simulator.secret)
    caplog.set_level(logging.DEBUG)
    run, sim = desk(runtime, kind)
    errors: list[str] = []
    for fault in (None, "401", "403", "429-long", "html", None):
        sim.force = fault
        drain("pull desk", lambda: pull.turn(run, "desk", at_once=True))
        for step in (pull.turn, enrich, follow):
            try:
                while step(run, "desk"):
                    pass
            except ForeshockError as error:
                errors.append(str(error))
        with run.store.write() as session:
            sources.change(session, "desk", last_error="")
            sources.hint(session, "desk", ["1"], due_at=sim.clock.now())
        sim.clock.sleep(4000)
    written = stored(run)
    assert any(WORDS in text for place, text in written if place in TEXTS)
    for text in (caplog.text, *errors, *(text for _, text in written)):
        assert [planted for planted in PLANTED if planted in text] == []
    for text in (caplog.text, *errors, *(text for place, text in written if place not in TEXTS)):
        assert WORDS not in text


def stored(run: Runtime) -> list[tuple[tuple[str, str], str]]:
    """Every value in the database as text, with its table and column."""
    schema = MetaData()
    schema.reflect(run.store.engine)
    with run.store.read() as session:
        return [
            ((table.name, name), repr(value))
            for table in schema.sorted_tables
            for row in session.execute(select(table)).mappings()
            for name, value in row.items()
        ]
