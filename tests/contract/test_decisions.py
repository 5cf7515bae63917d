"""What people decide about an alert holds through the ticks that follow, and can be taken back."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.backtest import Clock
from app.pipeline.detect import detect
from app.pipeline.digest import digest
from app.pipeline.intake import accept
from app.runtime import Runtime
from tests.fakes import START, raw

SAID = ("Password mail never arrives", "Invoice shows the wrong total", "How do I add a colleague")
BURST = "Export fails with E-4031"
BEGUN = START + timedelta(days=30)
HOUR = timedelta(hours=1)


class Desk:
    """A desk with a month of everyday tickets behind it, on which problems can be reported."""

    def __init__(self, runtime: Runtime, clock: Clock, api: TestClient) -> None:
        self.runtime, self.clock, self.api, self.filed = runtime, clock, api, 1000
        clock.at = BEGUN
        everyday = [raw(n, SAID[n % 3], at=START + timedelta(hours=8 * n)) for n in range(90)]
        accept(runtime, everyday, source_kind="push", backfill=True)
        self.tick(HOUR)

    def report(self, count: int, subject: str = BURST, **values: object) -> None:
        """So many further customers report the problem, one every two minutes."""
        for _ in range(count):
            self.clock.at += timedelta(minutes=2)
            self.filed += 1
            accept(self.runtime, [raw(self.filed, subject, at=self.clock.at, **values)], source_kind="push")
        self.tick(HOUR)

    def tick(self, after: timedelta) -> None:
        self.clock.at += after
        while digest(self.runtime):
            pass
        detect(self.runtime)

    def alerts(self, **filters: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.api.get("/v1/alerts", params=filters).json()["data"]
        return found

    def the_alert(self) -> dict[str, Any]:
        (one,) = self.alerts(state="open")
        return one

    def decide(self, action: str, **content: object) -> dict[str, Any]:
        answer = self.api.post(f"/v1/alerts/{self.the_alert()['id']}/{action}", json=content or None)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def pattern(self, alert: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = self.api.get(f"/v1/patterns/{alert['pattern_id']}").json()
        return found

    def events(self) -> list[str]:
        return [e["type"] for e in self.api.get("/v1/events", params={"limit": 200}).json()["data"]]


@pytest.fixture
def desk(runtime: Runtime, clock: Clock, api: TestClient) -> Desk:
    return Desk(runtime, clock, api)


def test_signature_pattern_and_segment_of_one_event_are_one_alert_that_names_its_members(desk: Desk) -> None:
    desk.report(8, attributes={"product": "Reports"})
    alert = desk.the_alert()
    assert alert["state"] == "new"
    assert alert["topic"]["kind"] == "pattern"
    assert "signature" in {m["kind"] for m in alert["finding"]["members"]}
    assert desk.pattern(alert)["state"] == "new"
    assert alert["confidence"] > 0.9


def test_a_severity_that_rises_says_so(desk: Desk) -> None:
    desk.report(3)
    before = desk.the_alert()
    desk.report(40)
    after = desk.the_alert()
    assert before["severity"] != "high"
    assert after["severity"] == "high"
    assert after["escalated_at"] is not None
    assert (after["state"], desk.pattern(after)["state"]) == ("escalating", "escalating")
    assert "alert.escalated" in desk.events()


def test_an_alert_older_than_three_days_is_ongoing(desk: Desk) -> None:
    desk.report(8)
    for _ in range(4):
        desk.tick(timedelta(hours=20))
        desk.report(3)
    assert desk.the_alert()["state"] == "ongoing"
    assert desk.pattern(desk.the_alert())["state"] == "ongoing"


def test_an_owner_is_given_to_the_alert_and_to_its_pattern(desk: Desk) -> None:
    desk.report(8)
    alert = desk.decide("assign", owner="dana")
    assert (alert["owner"], desk.pattern(alert)["owner"]) == ("dana", "dana")


def test_a_snooze_ends_after_so_many_further_customers(desk: Desk) -> None:
    desk.report(8)
    assert desk.decide("snooze", customers=5)["state"] == "snoozed"
    desk.report(4)
    assert desk.the_alert()["state"] == "snoozed"
    desk.report(1)
    assert desk.the_alert()["state"] != "snoozed"
    assert "alert.woken" in desk.events()


def test_a_snooze_until_a_time_ends_then(desk: Desk) -> None:
    desk.report(8)
    until = desk.clock.at + 3 * HOUR
    desk.decide("snooze", until=until.isoformat())
    desk.tick(HOUR)
    assert desk.the_alert()["state"] == "snoozed"
    desk.tick(2 * HOUR)
    assert desk.the_alert()["snoozed_until"] is None


def test_a_snooze_until_it_escalates_ends_with_the_severity(desk: Desk) -> None:
    desk.report(3)
    desk.decide("snooze", escalating=True)
    desk.tick(HOUR)
    assert desk.the_alert()["state"] == "snoozed"
    desk.report(40)
    assert desk.the_alert()["state"] == "escalating"


def test_a_snooze_of_what_is_severe_already_ends_when_twice_as_many_are_hit(desk: Desk) -> None:
    desk.report(40)
    desk.decide("snooze", escalating=True)
    severe = desk.the_alert()
    desk.report(10)
    assert (desk.the_alert()["severity"], desk.the_alert()["state"]) == (severe["severity"], "snoozed")
    desk.report(35)
    assert desk.the_alert()["snoozed_until"] is None


def test_a_snooze_must_say_until_when(desk: Desk) -> None:
    desk.report(8)
    assert desk.api.post(f"/v1/alerts/{desk.the_alert()['id']}/snooze", json={}).status_code == 422


def test_a_dismissed_alert_comes_back_only_when_much_worse(desk: Desk) -> None:
    desk.report(5)
    desk.decide("dismiss", reason="a drill", noise=True)
    desk.report(3)
    assert desk.alerts(state="open") == []
    desk.report(30)
    assert desk.the_alert()["finding"]["customers"] >= 10


def test_a_dismissed_pattern_absorbs_silently_and_comes_back_only_when_much_worse(desk: Desk) -> None:
    desk.report(5)
    pattern = desk.pattern(desk.the_alert())
    tag = desk.api.get(f"/v1/patterns/{pattern['id']}").headers["ETag"]
    path = f"/v1/patterns/{pattern['id']}"
    done = desk.api.post(f"{path}/edits", json={"kind": "dismiss"}, headers={"If-Match": tag})
    assert done.json()["state"] == "dismissed"
    desk.tick(timedelta(days=20))
    desk.report(4)
    assert [a["kind"] for a in desk.alerts(state="open")] == ["silent_feed"]
    assert desk.api.get(path).json()["tickets"] == pattern["tickets"] + 4
    desk.report(40)
    assert desk.api.get(path).json()["state"] in ("new", "escalating")


def test_a_muted_topic_is_not_heard_until_it_is_unmuted(desk: Desk) -> None:
    desk.report(8)
    muted = desk.decide("mute", reason="known for years")
    assert muted["resolved_at"] is not None
    desk.report(40)
    assert desk.alerts(state="open") == []
    desk.api.post(f"/v1/alerts/{muted['id']}/unmute")
    desk.report(5)
    assert desk.the_alert()["topic"] == muted["topic"]


@pytest.mark.parametrize(
    ("action", "content"),
    [
        ("acknowledge", {}),
        ("assign", {"owner": "dana"}),
        ("snooze", {"customers": 5}),
        ("dismiss", {"reason": "a drill"}),
        ("resolve", {"reason": "restarted"}),
        ("mute", {"reason": "known"}),
        ("feedback", {"useful": True}),
    ],
)
def test_a_decision_can_be_taken_back_once(desk: Desk, action: str, content: dict[str, object]) -> None:
    desk.report(8)
    before = desk.the_alert()
    path = f"/v1/alerts/{before['id']}"
    changed = desk.decide(action, **content)
    assert changed != before
    undone = desk.api.post(f"{path}/undo").json()
    assert {**undone, "updated_at": ""} == {**before, "updated_at": ""}
    assert desk.pattern(undone)["state"] == "new"
    assert desk.api.post(f"{path}/undo").status_code == 409


def test_a_closed_alert_is_not_opened_beside_a_newer_one(desk: Desk) -> None:
    desk.report(5)
    old = desk.decide("dismiss", reason="a drill", noise=True)
    desk.report(40)
    new = desk.the_alert()
    refused = desk.api.post(f"/v1/alerts/{old['id']}/undo")
    assert refused.status_code == 409
    assert new["id"] in refused.json()["detail"]


def test_feedback_is_counted_as_precision_beside_the_stated_confidence(desk: Desk) -> None:
    desk.report(8)
    desk.decide("feedback", useful=True)
    said = desk.api.get("/v1/status").json()
    assert (said["feedback"]["useful"], said["feedback"]["precision"]) == (1, 1.0)
    assert sum(b["useful"] for b in said["feedback"]["by_confidence"]) == 1
    assert said["budget"]["sentence"] == f"{said['budget']['used']} of 5 this week"
    assert said["cold_start"]["sentence"] == "The baseline is learnt."


def test_every_number_has_its_tickets(desk: Desk) -> None:
    desk.report(4, SAID[0])
    desk.report(8)
    for alert in desk.alerts(state="open"):
        path = f"/v1/alerts/{alert['id']}/tickets"
        observed = desk.api.get(path).json()
        assert observed["count"] == alert["finding"]["tickets"]
        assert {t["id"] for t in observed["data"]} == set(alert["ticket_ids"])
        expected = desk.api.get(path, params={"of": "expected"}).json()["data"]
        since = datetime.fromisoformat(alert["finding"]["since"])
        assert all(datetime.fromisoformat(t["created_at"]) < since for t in expected)
        assert {t["id"] for t in expected}.isdisjoint(alert["ticket_ids"])
        assert desk.api.get(path, params={"of": "members"}).status_code == 200
        assert desk.api.get(path, params={"of": "other"}).status_code == 422


def test_a_feed_that_falls_silent_is_one_notice_on_every_tick(desk: Desk) -> None:
    for _ in range(20):
        desk.tick(timedelta(hours=20))
    assert [a["kind"] for a in desk.alerts()] == ["silent_feed"]


def test_one_customers_forty_tickets_are_one_notice_beside_what_others_report(desk: Desk) -> None:
    desk.report(40, "Report is slow", account="a-1", requester="r-1")
    desk.report(3, "Report is slow", account="a-1", requester="r-1")
    found = desk.alerts(state="open")
    assert [(a["kind"], a["severity"]) for a in found] == [("one_customer", "low")]


def test_backfilled_tickets_raise_nothing(desk: Desk) -> None:
    burst = [raw(5000 + n, BURST, at=desk.clock.at - n * HOUR) for n in range(20)]
    accept(desk.runtime, burst, source_kind="push", backfill=True)
    desk.tick(HOUR)
    assert desk.alerts() == []
