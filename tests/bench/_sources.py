"""A backfill through a connector against its simulator: the connector's own time, calls and memory."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx

from app.domain import Checkpoint, Source
from app.ingest.source import Outside
from app.ingest.sources import connect
from tests.simulators.freshdesk import FreshdeskSimulator
from tests.simulators.hubspot import HubSpotSimulator
from tests.simulators.jira import JiraSimulator
from tests.simulators.salesforce import SalesforceSimulator
from tests.simulators.server import Simulator
from tests.simulators.servicenow import ServiceNowSimulator
from tests.simulators.world import Clock, Row, World
from tests.simulators.zendesk import ZendeskSimulator

EARLY = 0.2  # of the tickets: from then on memory must not grow
HOST = "https://desk.example"
KINDS: dict[str, tuple[type[Simulator], dict[str, Any]]] = {
    "zendesk": (ZendeskSimulator, {"client_id": "reader", "client_secret": "KEY"}),
    "freshdesk": (FreshdeskSimulator, {"api_key": "KEY"}),
    "salesforce": (SalesforceSimulator, {"client_id": "app", "client_secret": "KEY"}),
    "jira": (JiraSimulator, {"projects": ["SUP"], "email": "agent@acme.example", "api_token": "KEY"}),
    "servicenow": (ServiceNowSimulator, {"user": "reader", "password": "KEY"}),
    "hubspot": (HubSpotSimulator, {"access_token": "KEY"}),
}


class Archive(World):
    """Many old tickets that do not change: sorted once, because the simulator's time is not measured."""

    ordered: list[Row] | None = None

    def index(self, keep: Callable[[Row], bool]) -> list[Row]:
        if self.ordered is None:
            self.ordered = sorted(self.rows.values(), key=lambda row: (row.stamp, row.id))
        return [row for row in self.ordered if keep(row)]


class Meter:
    """Seconds spent inside the simulator, to be taken off the connector's."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator, self.seconds = simulator, 0.0

    def handle(self, request: httpx.Request) -> httpx.Response:
        start = time.perf_counter()
        try:
            return self.simulator.handle(request)
        finally:
            self.seconds += time.perf_counter() - start


def archive(tickets: int) -> Archive:
    """A desk with this many tickets, half a minute apart."""
    world = Archive(seed=1, clock=Clock(), page=2, spare=0)
    start = world.clock.now() - timedelta(seconds=30 * tickets + 7200)
    while len(world.rows) < tickets:
        world.create(start + timedelta(seconds=30 * len(world.rows)))
    return world


def backfill(kind: str, tickets: int) -> dict[str, Any]:
    """Read everything once. `quota_tickets_per_s` is what the call limits alone would allow."""
    maker, options = KINDS[kind]
    simulator = maker(archive(tickets))
    if isinstance(simulator, SalesforceSimulator):
        simulator.batch = 2000
    meter = Meter(simulator)
    outside = Outside(
        now=simulator.clock.now,
        secret={"KEY": simulator.secret}.__getitem__,
        sleep=simulator.clock.sleep,
        transport=httpx.MockTransport(meter.handle),
    )
    source = connect(Source("desk", kind, {"base_url": HOST} | options), outside)
    began, read, early_mb = simulator.clock.now(), 0, 0.0
    start = time.perf_counter()
    checkpoint, more = Checkpoint("desk"), True
    while more:
        page = source.pull(checkpoint)
        checkpoint, more = page.checkpoint, page.more
        read += len(page.tickets)
        if not early_mb and read >= tickets * EARLY:
            early_mb = _peak_mb()
    seconds = time.perf_counter() - start - meter.seconds
    source.close()
    quota_seconds = (simulator.clock.now() - began).total_seconds() - simulator.travel_s
    return {
        "source": kind,
        "tickets": read,
        "calls_per_1000": round(1000 * simulator.calls / max(1, read), 1),
        "connector_tickets_per_s": round(read / seconds),
        "quota_tickets_per_s": round(read / max(1.0, quota_seconds), 1),
        "memory_growth_mb": round(_peak_mb() - early_mb, 1),
    }


def _peak_mb() -> float:
    """The most memory this process has used so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
