"""A source that is late marks the numbers it touches, and no others."""

from __future__ import annotations

from datetime import timedelta

import pytest
from fastapi.testclient import TestClient

from app.backtest import Clock
from app.domain import Alert, Tier, TopicKind
from app.pipeline.digest import digest
from app.pipeline.intake import accept
from app.runtime import Runtime
from app.server import service
from app.settings import SourceSettings
from app.store import alerts, patterns, sources, tickets, topics
from tests.conftest import ADDRESS, keeping_to
from tests.fakes import START, raw

LATE, CALM = "helpdesk", "mailbox"
SAID = {LATE: "Export fails", CALM: "Password mail never arrives"}
HEADER = "Foreshock-Incomplete"
LACKING = f"{LATE} is late"
FINDING = {
    "tickets": 3, "customers": 3, "expected": 0.1, "spread": 0.3, "strength": 2.0, "window_h": 24.0,
    "active_topics": 40,
}  # fmt: skip


@pytest.fixture
def desk(runtime: Runtime, clock: Clock) -> Runtime:
    """A pattern and an alert from each of two sources, one of which was not read for an hour."""
    clock.at = START + timedelta(hours=7)
    for name, subject in SAID.items():
        told = [raw(n, subject, source=name) for n in range(3)]
        accept(runtime, told, source_kind="zendesk" if name == LATE else "push")
    while digest(runtime):
        pass
    pulled = (SourceSettings(name=LATE, kind="zendesk", options={"base_url": "https://acme.example"}),)
    runtime.settings = runtime.settings.model_copy(update={"sources": pulled})
    for name in SAID:
        with runtime.store.write() as session:
            found = tickets.search(session, {"source": name}).items
            topic = topics.topic(TopicKind.SIGNATURE, name, name, START)
            topics.ensure(session, [topic])
            alerts.open_alert(session, Alert(
                id=f"alt_{name}", topic=topic, rule="scan", kind="spike", tier=Tier.ALERT, severity="low",
                sentence="More than usual.", finding=FINDING,
                ticket_ids=tuple(t.id for t in found), pattern_id=found[0].pattern_id,
                opened_at=START, updated_at=START,
            ))  # fmt: skip
    clock.at += timedelta(hours=1)
    return runtime


@pytest.fixture
def web(desk: Runtime) -> TestClient:
    app = service(desk)
    client = TestClient(app, base_url=ADDRESS)
    client.event_hooks = {"response": [keeping_to(app)]}
    return client


def pattern_of(desk: Runtime, name: str) -> str:
    with desk.store.read() as session:
        (home,) = {t.pattern_id for t in tickets.search(session, {"source": name}).items}
    assert home is not None
    return home


@pytest.mark.parametrize(
    "path",
    [
        "/v1/patterns/{pattern}",
        "/v1/patterns/{pattern}/tickets",
        "/v1/patterns/{pattern}/brief",
        "/v1/patterns/{pattern}/brief?format=pdf",
        "/v1/alerts/alt_{name}",
        "/v1/alerts/alt_{name}/tickets",
        "/v1/tickets?source={name}",
        "/v1/tickets/{ticket}",
    ],
)
def test_an_answer_names_the_late_source_when_its_tickets_are_among_those_it_is_about(
    desk: Runtime, web: TestClient, path: str
) -> None:
    named = {}
    for name in SAID:
        with desk.store.read() as session:
            ticket = tickets.search(session, {"source": name}).items[0].id
        answer = web.get(path.format(name=name, pattern=pattern_of(desk, name), ticket=ticket))
        assert answer.status_code == 200
        named[name] = answer.headers.get(HEADER)
        again = web.get(str(answer.url), headers={"If-None-Match": answer.headers["ETag"]})
        assert (again.status_code, again.headers.get(HEADER)) == (304, named[name])
    assert named == {LATE: LATE, CALM: None}


def test_a_list_of_alerts_is_about_the_desk_and_names_the_source_at_each_that_it_touches(
    web: TestClient,
) -> None:
    answer = web.get("/v1/alerts")
    assert answer.headers[HEADER] == LATE
    assert {a["id"]: a.get("incomplete") for a in answer.json()["data"]} == {
        f"alt_{LATE}": [LATE],
        f"alt_{CALM}": None,
    }
    assert web.get("/v1/patterns").headers[HEADER] == LATE
    assert web.get("/v1/status").headers[HEADER] == LATE
    assert HEADER not in web.get("/v1/keys").headers


def test_figures_are_marked_when_the_period_or_the_one_before_holds_tickets_of_the_source(
    web: TestClient,
) -> None:
    day, week = START.date(), START.date() - timedelta(days=7)
    for path in ("/v1/reports?", "/v1/reports?format=csv&", "/v1/reports?format=xlsx&", "/v1/trends?"):
        assert web.get(f"{path}since={day}&until={day}").headers[HEADER] == LATE
        assert (
            web.get(f"{path}since={day + timedelta(days=1)}&until={day + timedelta(days=1)}").headers[HEADER]
            == LATE
        )
        assert HEADER not in web.get(f"{path}since={week}&until={week}").headers
    for page in ("/reports", "/trends"):
        assert f"{LATE} was last read" in web.get(f"{page}?since={day}&until={day}").text
        assert f"{LATE} was last read" not in web.get(f"{page}?since={week}&until={week}").text


def test_pages_and_briefs_of_a_pattern_are_marked_only_when_it_is_touched(
    desk: Runtime, web: TestClient
) -> None:
    touched, other = pattern_of(desk, LATE), pattern_of(desk, CALM)
    for page in ("/patterns/{}", "/patterns/{}/evidence"):
        assert f"{LATE} was last read" in web.get(page.format(touched)).text
        assert f"{LATE} was last read" not in web.get(page.format(other)).text
    for page in ("/patterns/{}/brief", "/patterns/{}/brief?format=md", "/patterns/{}/brief?format=slack"):
        assert LACKING in web.get(page.format(touched)).text
        assert LACKING not in web.get(page.format(other)).text


def test_the_inbox_speaks_for_the_desk_in_its_head_and_for_each_alert_in_its_row(web: TestClient) -> None:
    page = web.get("/").text
    assert f"{LATE} was last read" in page.partition('<ol class="rows">')[0]
    rows = {name: page.partition(f'id="alt_{name}"')[2].partition("</article>")[0] for name in SAID}
    assert LACKING in rows[LATE]
    assert rows[CALM]
    assert LACKING not in rows[CALM]


def test_nothing_is_marked_while_every_source_is_read(desk: Runtime, web: TestClient) -> None:
    with desk.store.write() as session:
        sources.received(session, LATE, at=desk.now(), newest_at=None)
    for path in ("/v1/alerts", f"/v1/patterns/{pattern_of(desk, LATE)}", "/v1/status"):
        assert HEADER not in web.get(path).headers
    assert "Numbers may be too low" not in web.get("/").text
    with desk.store.read() as session:
        assert len(patterns.search(session, {}).items) == 2
