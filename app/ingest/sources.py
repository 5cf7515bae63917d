"""The registry: every kind of source, and how one is made from its configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from app.domain import Source
from app.errors import ForeshockError, Invalid
from app.ingest.freshdesk import Freshdesk, FreshdeskOptions
from app.ingest.hubspot import HubSpot, HubSpotOptions
from app.ingest.jira import Jira, JiraOptions
from app.ingest.salesforce import Salesforce, SalesforceOptions
from app.ingest.servicenow import ServiceNow, ServiceNowOptions
from app.ingest.source import Checkup, Connector, Line, Options, Outside, read_options
from app.ingest.warehouse import Warehouse, WarehouseOptions
from app.ingest.zendesk import Zendesk, ZendeskOptions


@dataclass(frozen=True, slots=True)
class Kind:
    """One ticketing tool: what its options are and what reads it."""

    title: str
    options: type[Options]
    make: Callable[[str, Any, Outside], Connector]


SOURCES: Mapping[str, Kind] = {
    "zendesk": Kind("Zendesk Support", ZendeskOptions, Zendesk),
    "freshdesk": Kind("Freshdesk", FreshdeskOptions, Freshdesk),
    "salesforce": Kind("Salesforce Service Cloud", SalesforceOptions, Salesforce),
    "jira": Kind("Jira Service Management", JiraOptions, Jira),
    "servicenow": Kind("ServiceNow", ServiceNowOptions, ServiceNow),
    "hubspot": Kind("HubSpot", HubSpotOptions, HubSpot),
    "warehouse": Kind("SQL warehouse", WarehouseOptions, Warehouse),
}


def connect(source: Source, outside: Outside) -> Connector:
    """The source made ready to be read; Invalid names the line of the configuration to change."""
    kind = SOURCES.get(source.kind)
    if kind is None:
        raise Invalid(
            f"source {source.name}: kind {source.kind!r} is not one of {', '.join(SOURCES)}",
            pointer=f"sources.{source.name}.kind",
        )
    return kind.make(source.name, read_options(kind.options, source), outside)


def _unknown(connector: Connector, source: Source) -> list[str]:
    """Paths of the field map that lead nowhere, as far as the tool lists its fields by such paths."""
    wanted = read_options(SOURCES[source.kind].options, source).field_map.values()
    paths = [column.path for column in connector.inspect()] if wanted else []
    nested = {path.split(".")[0] for path in paths if "." in path}
    return [
        path
        for path in wanted
        if path.split(".")[0] in nested and not any(f"{path}.".startswith(f"{known}.") for known in paths)
    ]


def examine(source: Source, outside: Outside) -> Checkup:
    """Whether a source works, in words; what would be an error is a line. Nothing is stored."""
    try:
        with closing(connect(source, outside)) as connector:
            checkup = connector.check()
            unknown = _unknown(connector, source)
            line = Line(False, f"field_map names fields that do not exist: {', '.join(unknown)}")
            return Checkup((*checkup.lines, *([line] if unknown else ())), checkup.tickets)
    except ForeshockError as error:
        return Checkup((Line(False, str(error)),))
