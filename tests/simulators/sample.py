"""The generated sample as a Zendesk desk: the real connector tried over real HTTP, without an account."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import timedelta
from typing import Any

from app.domain import ATTRIBUTES, Checkpoint, RawTicket, Source
from app.ingest import html
from app.ingest.source import OUTCOME_FIELDS, Outside
from app.ingest.sources import connect
from app.pipeline.intake import accept
from app.runtime import Runtime
from tests.simulators.server import serving
from tests.simulators.world import Clock, Row, World
from tests.simulators.zendesk import ZendeskSimulator

FIELDS = {name: 100 + number for number, name in enumerate(sorted({*ATTRIBUTES, *OUTCOME_FIELDS}))}
"""Zendesk keeps what it has no field for in custom fields: their ids."""
WITHHELD = timedelta(seconds=61)  # what the export does not show yet
Arrive = Callable[..., None]


class Shelf(World):
    """A desk that is empty at first."""

    def __post_init__(self) -> None:
        self.given: dict[int, RawTicket] = {}

    def index(self, keep: Callable[[Row], bool]) -> list[Row]:
        """What arrived since the last look: the rest was read and does not change."""
        return [row for row in self.rows.values() if keep(row)]

    def take(self, raws: Sequence[RawTicket]) -> None:
        stamp = self.floor(self.clock.now() - WITHHELD)
        self.rows = {}
        for number, raw in enumerate(raws, len(self.given)):
            self.given[number] = raw
            self.rows[number] = Row(number, raw.created_at, stamp, raw.subject, raw.body, raw.status.value, 1)


class SampleZendesk(ZendeskSimulator):
    """Zendesk with the sample's tickets."""

    empty_pages = False
    world: Shelf

    def page(self, after: tuple[int, int], size: int, turns: int, params: dict[str, str]) -> dict[str, Any]:
        names = {raw.account: raw.account_name for raw in self.world.given.values()}
        accounts = [{"id": account, "name": name} for account, name in names.items()]
        return super().page(after, size, turns, params) | {"organizations": accounts}

    def ticket(self, row: Row, include: str = "") -> dict[str, Any]:
        raw = self.world.given[row.id]
        own = {name: str(value) for name in OUTCOME_FIELDS if (value := getattr(raw, name)) not in ("", None)}
        if raw.satisfaction is not None:
            own["satisfaction"] = str(1 + 4 * raw.satisfaction)
        values = {**raw.attributes, **own}
        body = html.to_text(raw.body) if raw.body_is_html else raw.body
        record = super().ticket(row, include) | {
            "id": raw.external_id, "subject": raw.subject, "description": body, "status": raw.status.value,
            "updated_at": (raw.updated_at or raw.created_at).isoformat(), "priority": None, "via": None,
            "tags": list(raw.tags), "requester_id": raw.requester, "organization_id": raw.account,
            "group_id": None, "brand_id": None, "support_type": "agent", "satisfaction_rating": None,
            "custom_fields": [{"id": FIELDS[name], "value": value} for name, value in values.items()
                              if name in FIELDS],
        }  # fmt: skip
        solved_at = raw.resolved_at.isoformat() if raw.resolved_at else None
        return record | {"metric_set": {"solved_at": solved_at, "reopens": int(bool(raw.reopened))}}


@contextmanager
def arriving() -> Iterator[Arrive]:
    """How tickets get into a store here: onto the simulated desk, and from there through the connector."""
    clock = Clock()
    sim = SampleZendesk(Shelf(seed=7, clock=clock, page=1000, spare=0))
    outside = Outside(now=clock.now, secret=lambda _: sim.secret, sleep=clock.sleep)
    point = Checkpoint("sample")
    with serving(sim.handle) as base_url:
        options = {
            "base_url": base_url, "client_id": "reader", "client_secret": "SAMPLE",
            "field_map": {name: f"custom_fields.{field}" for name, field in FIELDS.items()},
        }  # fmt: skip

        def arrive(runtime: Runtime, raws: Sequence[RawTicket], *, backfill: bool = False) -> None:
            nonlocal point
            clock.at = max(clock.at, runtime.now()) + WITHHELD
            sim.world.take(raws)
            more = True
            while more:
                page = source.pull(point)
                point, more = page.checkpoint, page.more
                accept(runtime, page.tickets, source_kind="zendesk", backfill=backfill, checkpoint=point)

        with closing(connect(Source("sample", "zendesk", options), outside)) as source:
            yield arrive
