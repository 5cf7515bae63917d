"""The sample through a simulated desk: what arrives is what would have been pushed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from app import demo
from app.backtest import Clock
from app.domain import Ticket
from app.errors import Invalid
from app.runtime import Runtime
from app.sample import generate
from app.store import tickets

END = datetime(2026, 11, 20, 18, tzinfo=UTC)


def stored(runtime: Runtime) -> dict[str, Ticket]:
    with runtime.store.read() as session:
        found = tickets.search(session, {"source": "sample"}, limit=200).items
    return {t.external_id: t for t in found}


def own(ticket: Ticket) -> Ticket:
    """What does not depend on the way a ticket came; HTML is Zendesk's to turn into text."""
    return replace(
        ticket, url="", content_hash="", articles=(), body="", updated_at=END, seen_at=END, digested_at=None
    )


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_tickets_that_come_through_zendesk_are_those_that_are_pushed(runtime: Runtime, clock: Clock) -> None:
    clock.at = END
    some = generate(demo.SEED, END).tickets[-150:]
    demo.pushed(runtime, some)
    pushed = stored(runtime)
    with runtime.store.write() as session:
        tickets.delete(session, "sample", list(pushed))
    with demo.through("zendesk") as arrive:
        arrive(runtime, some[:70])
        arrive(runtime, some[70:])
    arrived = stored(runtime)
    assert len(arrived) == 150
    for id_, ticket in arrived.items():
        assert own(ticket) == own(pushed[id_])
    plain = [t.external_id for t in some if not t.body_is_html]
    assert [arrived[id_].body for id_ in plain] == [pushed[id_].body for id_ in plain]


def test_an_unknown_tool_names_those_that_are_known() -> None:
    with pytest.raises(Invalid, match="--via takes zendesk"):
        demo.through("remedy")
