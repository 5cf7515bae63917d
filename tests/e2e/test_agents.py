"""Where agents sit: the widget in a ticketing tool's frame, and the MCP server an AI agent asks."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from fastapi.testclient import TestClient
from mcp import Client

from app.mcp import mcp_server
from app.pipeline import access
from app.pipeline.digest import digest
from app.pipeline.intake import accept
from app.runtime import Runtime
from app.server import service
from app.settings import Settings
from tests.conftest import ADDRESS
from tests.fakes import raw

DESK = "https://desk.example.com"


@pytest.fixture
def filled(runtime: Runtime) -> Runtime:
    """Six tickets of one error, each from another customer."""
    said = "Export of reports ends with error E-4031"
    accept(
        runtime,
        [raw(n, said, status="solved", resolution="Cleared the cache") for n in range(6)],
        source_kind="push",
    )
    while digest(runtime):
        pass
    return runtime


def asked(runtime: Runtime, tool: str, **arguments: Any) -> Any:
    """What the SDK's own client is answered, in one process."""

    async def ask() -> Any:
        async with Client(mcp_server(runtime)) as client:
            return await client.call_tool(tool, arguments)

    return asyncio.run(ask())


def content(result: Any) -> Any:
    return json.loads(result.content[0].text)


def test_the_server_offers_three_tools_that_only_read(filled: Runtime) -> None:
    async def names() -> Any:
        async with Client(mcp_server(filled)) as client:
            return (await client.list_tools()).tools

    tools = asyncio.run(names())
    assert sorted(t.name for t in tools) == ["emerging_issues", "pattern_brief", "similar_cases"]
    assert all(t.annotations.read_only_hint and t.description for t in tools)


def test_an_agent_that_gives_neither_text_nor_ticket_is_told_what_to_give(filled: Runtime) -> None:
    result = asked(filled, "similar_cases")
    assert result.is_error
    assert "either text or ticket_id" in result.content[0].text


def test_an_agent_asks_for_similar_cases_and_the_brief_of_their_pattern(filled: Runtime) -> None:
    found = content(asked(filled, "similar_cases", text="Export of reports ends with error E-4031"))
    assert set(found) >= {"abstained", "items", "resolutions"}
    with filled.store.read() as session:
        from app.store import patterns

        pattern = patterns.search(session, {}, limit=1).items[0]
    brief = content(asked(filled, "pattern_brief", pattern_id=pattern.id))
    assert (brief["id"], brief["tickets"]) == (pattern.id, 6)
    assert brief["examples"]
    assert content(asked(filled, "emerging_issues", watched=True))["open"] >= 0
    missing = asked(filled, "pattern_brief", pattern_id="pat_none")
    assert missing.is_error


def client(runtime: Runtime, settings: Settings, *origins: str) -> TestClient:
    runtime.settings = settings.model_copy(update={"widget_origins": origins})
    return TestClient(service(runtime), base_url=ADDRESS, follow_redirects=False)


def test_only_allowed_origins_may_frame_the_widget(filled: Runtime, settings: Settings) -> None:
    text = "Export of reports ends with error E-4031"
    answer = client(filled, settings, DESK).get("/widget", params={"text": text})
    policy = answer.headers["content-security-policy"]
    assert answer.status_code == 200
    assert f"frame-ancestors {DESK}" in policy
    assert "script-src" not in policy
    assert "<script" not in answer.text
    assert "<form" not in answer.text
    alone = client(filled, settings).get("/widget", params={"text": text})
    assert "frame-ancestors 'none'" in alone.headers["content-security-policy"]


def test_what_is_asked_is_never_markup_of_the_widget(filled: Runtime, settings: Settings) -> None:
    answer = client(filled, settings, DESK).get("/widget", params={"ticket": "<img src=x onerror=alert(1)>"})
    assert "<img" not in answer.text


def test_the_widget_takes_a_key_that_reads_and_refuses_one_that_writes(
    filled: Runtime, settings: Settings
) -> None:
    reads, _ = access.make_key(filled, "sidebar", ["read"])
    writes, _ = access.make_key(filled, "lead", ["write"])
    web = client(filled, settings, DESK)
    assert web.get("/widget", params={"text": "x", "key": reads}).status_code == 200
    assert web.get("/widget", params={"text": "x", "key": writes}).status_code == 403
    assert web.get("/widget", params={"text": "x"}).status_code == 403


def test_a_page_of_an_allowed_origin_may_ask_and_of_another_may_not(
    filled: Runtime, settings: Settings
) -> None:
    reads, _ = access.make_key(filled, "sidebar", ["read"])
    web = client(filled, settings, DESK)
    wanted = {"origin": DESK, "access-control-request-method": "POST",
              "access-control-request-headers": "authorization,content-type"}  # fmt: skip
    assert web.options("/v1/similar", headers=wanted).headers["access-control-allow-origin"] == DESK
    key = {"authorization": f"Bearer {reads}"}
    allowed = web.post("/v1/similar", json={"text": "x"}, headers=key | {"origin": DESK})
    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, DESK)
    other = web.post("/v1/similar", json={"text": "x"}, headers=key | {"origin": "https://evil.example.com"})
    assert other.status_code == 403
    assert "access-control-allow-origin" not in other.headers
