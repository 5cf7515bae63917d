"""What holds for every kind of source: its configuration, its faults, its silence about secrets."""

from __future__ import annotations

import json
import logging
import os
import random
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from app.domain import Checkpoint, RawTicket, Source
from app.errors import ForeshockError, Invalid, TryLater
from app.ingest.http import AuthFailed, Forbidden, Gone, Misconfigured, QuotaUsedUp, Refused
from app.ingest.source import Checkup, Connector, Outside
from app.ingest.sources import SOURCES, connect, examine
from tests.contract.desk import Desk
from tests.simulators.freshdesk import FreshdeskSimulator
from tests.simulators.hubspot import HubSpotSimulator
from tests.simulators.jira import JiraSimulator
from tests.simulators.salesforce import SalesforceSimulator
from tests.simulators.server import Simulator, serving
from tests.simulators.servicenow import ServiceNowSimulator
from tests.simulators.world import Clock, Row, World
from tests.simulators.zendesk import ZendeskSimulator

HOST = "https://desk.example"
SECRETS = {"KEY": Simulator.secret}


@dataclass(frozen=True)
class Case:
    """One kind as an operator would configure it, and the simulator that answers."""

    simulator: type[Simulator]
    options: Mapping[str, Any]
    needed: frozenset[str]  # keys of its JSON without which a ticket has no place in time


CASES = {
    "zendesk": Case(
        ZendeskSimulator,
        {"client_id": "reader", "client_secret": "KEY"},
        frozenset({"id", "created_at", "access_token", "end_of_stream", "after_cursor"}),
    ),
    "freshdesk": Case(FreshdeskSimulator, {"api_key": "KEY"}, frozenset({"id", "created_at", "updated_at"})),
    "salesforce": Case(
        SalesforceSimulator,
        {"client_id": "app", "client_secret": "KEY"},
        frozenset({"Id", "CreatedDate", "SystemModstamp", "access_token", "name", "done", "nextRecordsUrl"}),
    ),
    "jira": Case(
        JiraSimulator,
        {"projects": ["SUP"], "email": "agent@acme.example", "api_token": "KEY"},
        frozenset({"id", "created", "updated", "accountId", "isLast", "nextPageToken"}),
    ),
    "servicenow": Case(
        ServiceNowSimulator,
        {"user": "reader", "password": "KEY"},
        frozenset({"sys_id", "opened_at", "sys_updated_on"}),
    ),
    "hubspot": Case(
        HubSpotSimulator,
        {"access_token": "KEY"},
        frozenset({"id", "createdAt", "updatedAt", "after", "toObjectId"}),
    ),
}
KINDS = sorted(CASES)
CASES_OF_HOLES = int(os.environ.get("SOURCE_CASES", "200")) // 20


def opened(
    kind: str, *, seed: int = 1, alter: Callable[[httpx.Response], httpx.Response] | None = None
) -> tuple[Connector, Simulator]:
    """A quiet desk, well in the past of its clock, and a source connected to it by configuration."""
    world = World(seed, Clock(), page=4, spare=0, purge=kind in ("jira", "servicenow"))
    sim = CASES[kind].simulator(world)
    sim.clock.sleep(3600)

    def handle(request: httpx.Request) -> httpx.Response:
        response = sim.handle(request)
        return alter(response) if alter and response.is_success else response

    outside = Outside(
        now=sim.clock.now,
        secret=SECRETS.__getitem__,
        sleep=sim.clock.sleep,
        known=Desk().known,
        transport=httpx.MockTransport(handle),
        jitter=lambda: 1.0,
    )
    options = {"base_url": HOST, "page_size": 50} | dict(CASES[kind].options)
    return connect(Source("desk", kind, options), outside), sim


def first_tickets(source: Connector) -> tuple[RawTicket, ...]:
    """The tickets of the first page that has some."""
    checkpoint = Checkpoint("desk")
    for _ in range(20):
        page = source.pull(checkpoint)
        if page.tickets:
            return page.tickets
        checkpoint = page.checkpoint
    raise AssertionError("no tickets came")


@pytest.mark.parametrize("kind", KINDS)
def test_a_pull_can_be_repeated_from_the_same_checkpoint(kind: str) -> None:
    source, _ = opened(kind)
    assert set(map(repr, first_tickets(source))) == set(map(repr, first_tickets(source)))


@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpoint_is_small_json_and_holds_no_text_of_tickets(kind: str) -> None:
    source, sim = opened(kind)
    checkpoint = Checkpoint("desk")
    more = True
    while more:
        page = source.pull(checkpoint)
        checkpoint, more = page.checkpoint, page.more
        state = json.dumps(dict(checkpoint.state))
        assert len(state) < 1500
        assert not any(row.body and row.body[:20] in state for row in sim.world.rows.values())
        assert sim.secret not in state
        assert "@" not in state


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("401", AuthFailed),
        ("403", Forbidden),
        ("404", Gone),
        ("429-long", QuotaUsedUp),
        ("500", TryLater),
        ("502-html", TryLater),
        ("timeout", TryLater),
        ("refused", TryLater),
        ("cut", TryLater),
        ("html", TryLater),
        ("redirect", Refused),
    ],
)
def test_every_lasting_fault_is_one_clear_line_without_secrets(
    kind: str, fault: str, error: type[ForeshockError], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    source, sim = opened(kind)
    first_tickets(source)  # the token is fetched while all is well
    sim.force = fault
    with pytest.raises(error) as raised:
        first_tickets(source)
    line = str(raised.value)
    assert line.startswith("desk: ")
    assert "\n" not in line
    assert len(line) < 300
    for said in (line, caplog.text):
        assert sim.secret not in said
        assert "@" not in said.replace("@dataclass", "")
        assert "E-4031" not in said


@pytest.mark.parametrize("kind", KINDS)
def test_nulls_and_unknown_fields_are_survived(kind: str) -> None:
    needed = CASES[kind].needed

    def starved(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            kept = {name: item if name in needed else starved(item, name) for name, item in value.items()}
            return kept | {"a_field_of_next_year": {"x": [1]}}
        if isinstance(value, list):
            return [starved(item, key) for item in value]
        return None

    def alter(response: httpx.Response) -> httpx.Response:
        if not response.content:
            return response
        return httpx.Response(response.status_code, json=starved(response.json()), headers=plain(response))

    source, _ = opened(kind, alter=alter)
    tickets = first_tickets(source)
    assert all(ticket.external_id and ticket.updated_at for ticket in tickets)


def holes(value: Any, chance: random.Random, share: float) -> Any:
    """The value with some of its fields null, some missing, and some of its lists null."""
    if isinstance(value, dict):
        kept = {name: item for name, item in value.items() if chance.random() > share}
        return {name: holes(item, chance, share) for name, item in kept.items()}
    if isinstance(value, list):
        return [holes(item, chance, share) for item in value]
    return None if chance.random() < share else value


def said(row: Row) -> list[dict[str, Any]]:
    """Messages in the forms of all tools at once; each reads its own fields."""
    at = row.stamp.isoformat()
    words = "See https://help.acme.example/hc/articles/360001"
    return [
        {
            "id": f"{row.id}{number}", "author_id": number, "body": words, "body_text": words, "public": True,
            "incoming": number == 0, "private": False, "created_at": at, "created": at, "jsdPublic": True,
            "author": {"accountId": str(number)}, "via": {"source": {"rel": "merge"}}, "value": words,
            "Id": str(number), "Incoming": number == 0, "MessageDate": at, "TextBody": words,
            "hs_email_text": words, "hs_email_direction": "EMAIL", "hs_timestamp": at,
            "element_id": f"{row.id:032x}", "element": "comments", "sys_created_on": at[:19],
        }
        for number in range(2)
    ]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.002, 0.02, 0.2])
def test_whatever_field_is_null_or_missing_the_outcome_is_a_page_or_one_clear_line(
    kind: str, share: float
) -> None:
    chance = random.Random(share)

    def alter(response: httpx.Response) -> httpx.Response:
        if not response.content:
            return response
        body = holes(response.json(), chance, share)
        return httpx.Response(response.status_code, json=body, headers=plain(response))

    survived, lines = 0, list[str]()
    for seed in range(CASES_OF_HOLES):
        source, sim = opened(kind, seed=seed, alter=alter)
        sim.messages = {row.id: said(row) for row in sim.world.rows.values()}
        ids = list(sim.world.truth())[:3]
        steps: list[Callable[[], object]] = [
            lambda s=source: first_tickets(s), lambda s=source, i=ids: s.fetch(i),  # type: ignore[misc]
            lambda s=source, i=ids: s.details(i), source.check, source.inspect,  # type: ignore[misc]
        ]  # fmt: skip
        for step in steps:
            try:
                step()
                survived += 1
            except AssertionError:
                survived += 1  # nothing came: another way to be empty
            except ForeshockError as error:
                lines.append(str(error))
    assert survived > 0
    assert all(10 < len(line) < 300 and "\n" not in line for line in lines)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("body", [b"[]", b"{}", b"null", b"7", b'"text"', b"[1]", b"", b'{"error": null}'])
def test_an_answer_of_another_form_never_passes_for_the_end_of_the_list(kind: str, body: bytes) -> None:
    def alter(response: httpx.Response) -> httpx.Response:
        return httpx.Response(200, content=body) if broken else response

    broken = False
    source, _ = opened(kind, alter=alter)
    before = source.pull(Checkpoint("desk"))
    broken = True
    if kind == "freshdesk" and body == b"[]":
        return  # its own way to say that there is nothing
    with pytest.raises((TryLater, AuthFailed)):
        source.pull(before.checkpoint)


def plain(response: httpx.Response) -> dict[str, str]:
    """The headers that do not describe the old content."""
    return {name: value for name, value in response.headers.items() if not name.startswith("content-")}


@pytest.mark.parametrize("kind", sorted(SOURCES))
def test_a_misspelt_option_names_the_line_to_change(kind: str) -> None:
    outside = Outside(now=Clock().now, secret=SECRETS.__getitem__)
    with pytest.raises(Invalid) as raised:
        connect(Source("desk", kind, {"base_url": HOST, "pagesize": 5}), outside)
    assert raised.value.pointer.startswith("sources.desk.")


def test_an_unknown_kind_lists_the_known_ones() -> None:
    outside = Outside(now=Clock().now, secret=SECRETS.__getitem__)
    with pytest.raises(Invalid, match="zendesk, freshdesk, salesforce"):
        connect(Source("desk", "remedy", {}), outside)


@pytest.mark.parametrize("kind", KINDS)
def test_a_base_url_that_is_not_one_fails_at_start(kind: str) -> None:
    outside = Outside(now=Clock().now, secret=SECRETS.__getitem__)
    options = {"base_url": "acme.example"} | dict(CASES[kind].options)
    with pytest.raises(Misconfigured, match="base_url"):
        connect(Source("desk", kind, options), outside)


def unreachable(cause: Exception) -> httpx.MockTransport:
    """A network on which every connection fails for this reason."""

    def fail(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("planned", request=request) from cause

    return httpx.MockTransport(fail)


LINES = {
    "expired token": ("401", "renew the secret"),
    "missing permission": ("403", "grant it the permission"),
    "quota used up": ("429-long", "quota is used up"),
    "wrong base URL": ("404", "check base_url"),
    "HTML instead of JSON": ("html", "a web page instead of JSON: check base_url"),
    "clock skew": ("", "s behind desk.example: set it by NTP"),
    "certificate error": (ssl.SSLCertVerificationError("planned"), "a certificate that is not trusted"),
    "DNS failure": (socket.gaierror(-2, "planned"), "cannot be found by DNS"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("trouble", LINES)
def test_check_names_every_trouble_in_one_clear_line(kind: str, trouble: str) -> None:
    fault, words = LINES[trouble]
    _, sim = opened(kind)
    sim.force = fault or None if isinstance(fault, str) else None
    lost = unreachable(fault) if isinstance(fault, Exception) else None
    checkup = configured(kind, sim, hours=-3 if trouble == "clock skew" else 0, transport=lost)
    wrong = [line.text for line in checkup.lines if not line.ok]
    if trouble in ("expired token", "missing permission") and "no access token" in wrong[0]:
        words = "check client id, client secret and scope"  # the client itself was refused
    assert len(wrong) == 1
    assert words in wrong[0]
    assert "\n" not in wrong[0]
    assert sim.secret not in wrong[0]


FIELD_MAPS = {
    "zendesk": ("custom_fields.27642", "custom_fields.27643"),
    "freshdesk": ("custom_fields.cf_version", "custom_fields.cf_versoin"),
    "jira": ("fields.customfield_10010.requestType.id", "fields.customfield_1001"),
    "hubspot": ("properties.u_version", "properties.u_versoin"),
}


@pytest.mark.parametrize("kind", FIELD_MAPS)
def test_check_names_a_mapped_field_that_does_not_exist(kind: str) -> None:
    right, wrong = FIELD_MAPS[kind]
    _, sim = opened(kind)
    assert configured(kind, sim, field_map={"version": right}).ok
    (line,) = [line for line in configured(kind, sim, field_map={"version": wrong}).lines if not line.ok]
    assert line.text == f"field_map names fields that do not exist: {wrong}"


def self_signed(folder: Path) -> ssl.SSLContext:
    """A server's side of TLS with a certificate nobody vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    begins = datetime.now(UTC) - timedelta(days=1)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + timedelta(days=9))
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "desk.pem").write_bytes(secret + certificate.public_bytes(Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "desk.pem")
    return context


@pytest.mark.parametrize("kind", KINDS)
def test_a_certificate_nobody_vouches_for_is_one_line_and_no_credential_is_sent(
    kind: str, tmp_path: Path
) -> None:
    _, sim = opened(kind)
    with serving(sim.handle, tls=self_signed(tmp_path)) as base_url:
        (line,) = reached_at(kind, sim, base_url).lines
    assert not line.ok
    assert "127.0.0.1 shows a certificate that is not trusted: check base_url" in line.text
    assert sim.calls == 0


@pytest.mark.parametrize("kind", ["zendesk", "jira"])
def test_a_name_that_no_name_server_knows_is_one_line(kind: str) -> None:
    _, sim = opened(kind)
    (line,) = reached_at(kind, sim, "https://desk.invalid").lines
    assert not line.ok
    assert "desk.invalid cannot be found by DNS: check base_url and the name server" in line.text


def reached_at(kind: str, sim: Simulator, base_url: str) -> Checkup:
    """What `check` says over a real connection to this address."""
    outside = Outside(now=sim.clock.now, secret=SECRETS.__getitem__, sleep=sim.clock.sleep)
    return examine(Source("desk", kind, dict(CASES[kind].options) | {"base_url": base_url}), outside)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("hours", [-5, 5])
def test_a_clock_that_is_hours_wrong_loses_nothing(kind: str, hours: int) -> None:
    source, sim = opened(kind)
    outside = Outside(
        now=lambda: sim.clock.now() + timedelta(hours=hours),
        secret=SECRETS.__getitem__,
        sleep=sim.clock.sleep,
        transport=sim.transport,
    )
    options = {"base_url": HOST, "page_size": 50} | dict(CASES[kind].options)
    desk, checkpoint = Desk(), Checkpoint("desk")
    for _ in range(3):
        skewed = connect(Source("desk", kind, options), outside)
        sim.world.create(sim.clock.now())
        sim.clock.sleep(600)
        more = True
        while more:
            page = skewed.pull(checkpoint)
            desk.take(page)
            checkpoint, more = page.checkpoint, page.more
    source.close()
    assert len(desk.known()) == len(sim.world.truth())


def configured(
    kind: str,
    sim: Simulator,
    *,
    secret: str = Simulator.secret,
    hours: int = 0,
    transport: httpx.BaseTransport | None = None,
    **options: Any,
) -> Checkup:
    """What `check` says about a source with this secret, on a machine whose clock is off by `hours`."""
    outside = Outside(
        now=lambda: sim.clock.now() + timedelta(hours=hours),
        secret=lambda _: secret,
        sleep=sim.clock.sleep,
        transport=transport or sim.transport,
    )
    return examine(Source("desk", kind, {"base_url": HOST} | dict(CASES[kind].options) | options), outside)


@pytest.mark.parametrize("kind", KINDS)
def test_check_shows_the_first_tickets_of_a_source_that_works(kind: str) -> None:
    _, sim = opened(kind)
    checkup = configured(kind, sim)
    assert checkup.ok, checkup.lines
    assert 0 < len(checkup.tickets) <= 5


@pytest.mark.parametrize("kind", KINDS)
def test_check_says_in_one_line_that_the_secret_is_wrong(kind: str) -> None:
    _, sim = opened(kind)
    checkup = configured(kind, sim, secret="a-wrong-one")
    assert not checkup.ok
    assert len(checkup.lines) == 1
    assert "a-wrong-one" not in checkup.lines[0].text


@pytest.mark.parametrize("kind", KINDS)
def test_check_reports_a_clock_that_is_wrong(kind: str) -> None:
    _, sim = opened(kind)
    assert "clock" in configured(kind, sim, hours=-3).lines[-1].text


def test_check_reports_a_configuration_that_cannot_be_read() -> None:
    _, sim = opened("zendesk")
    outside = Outside(now=sim.clock.now, secret=lambda _: "")
    assert "page_sise" in examine(Source("desk", "zendesk", {"page_sise": 3}), outside).lines[0].text


@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpoint_of_a_newer_version_is_not_misread(kind: str) -> None:
    source, _ = opened(kind)
    with pytest.raises(Invalid, match="newer version"):
        source.pull(replace(Checkpoint("desk"), state={"v": 2}))
