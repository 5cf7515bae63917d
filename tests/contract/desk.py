"""Reads a source into a store the way the pipeline does, with crashes and restarts on the way."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from app.domain import EPOCH, Checkpoint, RawTicket, StatusChange
from app.errors import TryLater
from app.ingest.source import Connector, Details
from app.ports import Page
from tests.simulators.server import Simulator
from tests.simulators.world import Clock

CASES = int(os.environ.get("SOURCE_CASES", "200"))
"""Random cases for each source; thousands on demand."""
GROUPS = 10
NEVER_S = 1e9
Lived = list[tuple[datetime, str]]
"""When a ticket entered each status, oldest first."""


@dataclass
class Desk:
    """The store's rules in small: the newer copy wins, the same content writes nothing."""

    tickets: dict[str, RawTicket] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    writes: int = 0
    notes: list[str] = field(default_factory=list)
    rated: dict[str, float] = field(default_factory=dict)

    def known(self) -> list[str]:
        return [ticket_id for ticket_id in self.tickets if ticket_id not in self.gone]

    def take(self, page: Page) -> None:
        """One transaction: the page's tickets and deletions."""
        self.notes += page.notes
        self.writes += sum(self.rated.get(key) != share for key, share in page.rated.items())
        self.rated |= page.rated
        for ticket in page.tickets:
            held = self.tickets.get(ticket.external_id)
            if held is not None and moment(ticket) < moment(held):
                continue
            if ticket.external_id in self.gone or held is None or unversioned(held) != unversioned(ticket):
                self.writes += 1
            self.tickets[ticket.external_id] = ticket
            self.gone.discard(ticket.external_id)
        for ticket_id in page.deleted:
            self.writes += ticket_id in self.tickets and ticket_id not in self.gone
            self.gone.add(ticket_id)

    def view(self) -> dict[str, tuple[str, str, str]]:
        """Subject, body and status of every ticket believed to be there."""
        return {
            ticket_id: (ticket.subject, ticket.body, ticket.status.value)
            for ticket_id, ticket in self.tickets.items()
            if ticket_id not in self.gone
        }


def details_of(connector: Connector, ids: Sequence[str], clock: Clock) -> dict[str, Details]:
    """What the messages of these tickets add, asked for again when the tool says later."""
    for _ in range(20):
        try:
            return {details.external_id: details for details in connector.details(ids)}
        except TryLater as error:
            clock.sleep(error.after_s)
    raise AssertionError("the details never come")


def at_and_status(history: Sequence[StatusChange]) -> Lived:
    return [(change.at, change.status.value) for change in history]


def moment(ticket: RawTicket) -> datetime:
    return ticket.updated_at or EPOCH


def unversioned(ticket: RawTicket) -> RawTicket:
    return replace(ticket, updated_at=None)


@dataclass
class Reader:
    """Pulls until there is no more, now and then losing its process or a page on the way."""

    connect: Callable[[Desk], Connector]
    clock: Clock
    random: random.Random
    restarts: bool = True
    desk: Desk = field(default_factory=Desk)
    checkpoint: Checkpoint = field(default_factory=lambda: Checkpoint("desk"))
    connector: Connector | None = None

    def drain(self, most: int = 3000) -> int:
        """Pull to the end; returns how many pulls it took."""
        for pulls in range(1, most + 1):
            if self.connector is None or (self.restarts and self.random.random() < 0.1):
                self.connector = self.connect(self.desk)
            try:
                page = self.connector.pull(self.checkpoint)
            except TryLater as error:
                self.clock.sleep(error.after_s)
                continue
            if self.restarts and self.random.random() < 0.1:
                # the page is not committed: the database failed, or the whole process died
                self.connector = self.random.choice((self.connector, None))
                continue
            self.desk.take(page)
            state = json.loads(json.dumps(dict(page.checkpoint.state)))
            self.checkpoint = replace(page.checkpoint, state=state)
            if not page.more:
                return pulls
        raise AssertionError("the walk does not end")


def assert_reads_everything(
    connect: Callable[[Desk], Connector],
    simulator: Simulator,
    *,
    seed: int,
    truth: Callable[[], Mapping[str, tuple[str, str, str]]],
    sweeps: tuple[timedelta, ...],
    idle_calls: int,
    polls: int = 3,
    lived: Callable[[str], Lived] | None = None,
) -> None:
    """A whole life of one source: polls while things change and break, the last sweep, an idle poll."""
    chance = random.Random(seed + 2)
    reader = Reader(connect, simulator.clock, chance, restarts=seed % 4 != 0)
    for _ in range(polls):
        reader.drain()
        simulator.clock.sleep(chance.choice((5, 60, 400, 3000)))
        for _ in range(chance.randint(0, 4)):
            simulator.world.happen()
    simulator.world.settle()
    simulator.faulty_calls = 0
    for pause in sweeps:
        simulator.clock.sleep(pause.total_seconds())
        reader.drain()
    held, right = reader.desk.view(), truth()
    wrong = {
        key: (held.get(key), right.get(key)) for key in held.keys() | right if held.get(key) != right.get(key)
    }
    assert not wrong, f"seed {seed}"
    reader.restarts = False
    before = reader.desk.writes
    reader.drain()
    calls = simulator.calls
    reader.drain()
    assert reader.desk.writes == before, f"seed {seed}: an idle poll wrote"
    assert simulator.calls - calls <= idle_calls, f"seed {seed}: {simulator.log[calls:]}"
    if lived is not None:
        simulator.clock.sleep(60)
        chosen = sorted(right)[seed % 3 :: 3]
        told = details_of(connect(reader.desk), chosen, simulator.clock)
        for key in chosen:
            known = at_and_status(told[key].history if key in told else ())
            known = known or at_and_status(reader.desk.tickets[key].history)
            assert known == lived(key), f"seed {seed}: the history of {key}"
    if seed % 4 == 0:
        assert simulator.turned_away == 0, f"seed {seed}: more calls than the quota allows"
