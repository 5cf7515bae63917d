"""Hand edits over HTTP: they are carried out, kept, refused when they contradict, and taken back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.backtest import Clock
from app.detectors.grouping import EditKind
from app.pipeline import review
from app.pipeline.detect import detect
from app.pipeline.digest import digest
from app.pipeline.intake import accept
from app.runtime import Runtime
from app.store import patterns as store_patterns
from tests.fakes import START, raw

SAID = ("Export fails", "Password mail never arrives")


@pytest.fixture
def desk(runtime: Runtime) -> Runtime:
    """Two patterns of four tickets each."""
    accept(runtime, [raw(n, SAID[n % 2]) for n in range(8)], source_kind="push")
    while digest(runtime):
        pass
    return runtime


def patterns(api: TestClient) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.get("/v1/patterns").json()["data"]
    return sorted(found, key=lambda p: str(p["id"]))


def members(api: TestClient, id_: str) -> list[str]:
    return sorted(t["id"] for t in api.get(f"/v1/patterns/{id_}/tickets").json()["data"])


def edit(api: TestClient, id_: str, status: int = 200, **content: Any) -> dict[str, Any]:
    answer = api.post(f"/v1/patterns/{id_}/edits", json=content, headers={"If-Match": "*"})
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_tickets_split_off_are_a_pattern_of_their_own_and_an_undo_brings_them_back(
    desk: Runtime, api: TestClient, clock: Clock
) -> None:
    one = patterns(api)[0]["id"]
    before = members(api, one)
    made = edit(api, one, kind="split", tickets=before[:2])
    assert members(api, one) == before[2:]
    [new] = [p for p in patterns(api) if p["split_from"] == one]
    assert members(api, new["id"]) == before[:2]
    clock.at = START.replace(hour=23)
    edit(api, one, kind="undo", undoes=made["edit_id"])
    assert members(api, one) == before
    assert [e["kind"] for e in api.get(f"/v1/patterns/{one}/edits").json()["data"]] == ["split"]


def test_a_ticket_taken_out_does_not_come_back_and_putting_it_back_names_the_edit(
    desk: Runtime, api: TestClient
) -> None:
    one = patterns(api)[0]["id"]
    ticket = members(api, one)[0]
    made = edit(api, one, kind="remove", tickets=[ticket])
    assert ticket not in members(api, one)
    desk.memory = None  # what an edit says holds in a process that starts anew
    accept(desk, [raw(8, SAID[0])], source_kind="push")
    while digest(desk):
        pass
    assert ticket not in members(api, one)
    assert edit(api, one, kind="undo", undoes=made["edit_id"])["id"] == one


def test_a_ticket_moved_by_hand_stays_where_it_was_put(desk: Runtime, api: TestClient) -> None:
    one, two = (p["id"] for p in patterns(api))
    ticket = members(api, one)[0]
    edit(api, two, kind="move", tickets=[ticket])
    assert ticket in members(api, two)
    desk.memory = None
    accept(desk, [raw(9, SAID[1])], source_kind="push")
    while digest(desk):
        pass
    assert ticket in members(api, two)


def test_patterns_kept_apart_cannot_be_merged_and_the_refusal_names_the_edit(
    desk: Runtime, api: TestClient
) -> None:
    one, two = (p["id"] for p in patterns(api))
    made = edit(api, one, kind="separate", pattern_id=two)
    answer = api.post(f"/v1/patterns/{one}/merge", json={"pattern_id": two}, headers={"If-Match": "*"})
    assert answer.status_code == 409
    assert made["edit_id"] in answer.json()["detail"]


def test_a_dismissed_pattern_goes_on_absorbing_in_silence_until_that_is_undone(
    desk: Runtime, api: TestClient
) -> None:
    one = patterns(api)[0]["id"]
    made = edit(api, one, kind="dismiss")
    assert made["state"] == "dismissed"
    accept(desk, [raw(10, SAID[0]), raw(11, SAID[1])], source_kind="push")
    while digest(desk):
        pass
    assert len(members(api, one)) == 5
    assert edit(api, one, kind="undo", undoes=made["edit_id"])["state"] == "watching"


@pytest.mark.parametrize(
    ("content", "status"),
    [({"kind": "split"}, 422), ({"kind": "move", "tickets": ["tkt_none"]}, 404), ({"kind": "explode"}, 422),
     ({"kind": "undo", "undoes": "edt_none"}, 404)],
)  # fmt: skip
def test_an_edit_that_cannot_be_is_refused_in_words(
    desk: Runtime, api: TestClient, content: dict[str, Any], status: int
) -> None:
    found = edit(api, patterns(api)[0]["id"], status, **content)
    assert found["detail"]


def test_tickets_said_to_be_the_same_share_a_pattern_until_that_is_taken_back(
    desk: Runtime, api: TestClient, clock: Clock
) -> None:
    one, other = (p["id"] for p in patterns(api))
    here, there = members(api, one), members(api, other)
    answer = api.post(f"/v1/tickets/{here[0]}/link", json={"tickets": [there[0]]})
    assert answer.status_code == 200, answer.text
    home = answer.json()["pattern_id"]
    assert {here[0], there[0]} <= set(members(api, home))
    assert api.post(f"/v1/tickets/{here[0]}/link", json={"tickets": ["tkt_none"]}).status_code == 404
    clock.at = START.replace(hour=23)
    moved = there[0] if home == one else here[0]
    edit(api, home, kind="undo", undoes=answer.json()["edit_id"])
    edit(api, home, kind="remove", tickets=[moved])
    assert moved not in members(api, home)


@pytest.fixture
def torn(runtime: Runtime, clock: Clock) -> Runtime:
    """One pattern of nine tickets; one error in five of them, another in four; a night has passed."""
    said = [f"Nightly export stops halfway with {code}" for code in ["E-4031"] * 5 + ["E-9020"] * 4]
    accept(runtime, [raw(n, text) for n, text in enumerate(said)], source_kind="push")
    while digest(runtime):
        pass
    with runtime.store.read() as session:
        ids = [s.id for s in store_patterns.sums(session) if s.merged_into is None]
    for loser in ids[1:]:
        review.edit(runtime, EditKind.MERGE, patterns_=(ids[0], loser), actor="Ann")
    clock.at = START + timedelta(days=1, hours=1)
    accept(runtime, [raw(24, "Password mail never arrives")], source_kind="push")
    while digest(runtime):
        pass
    detect(runtime)
    return runtime


def test_a_pattern_with_two_causes_is_suggested_for_a_split_and_one_call_carries_it_out(
    torn: Runtime, api: TestClient
) -> None:
    [one] = api.get("/v1/suggestions").json()["data"]
    assert one["kind"] == "split"
    assert "e-4031 in 5 and" in one["sentence"].lower()
    remaining = api.post(f"/v1/suggestions/{one['id']}/accept").json()
    assert remaining["tickets"] == 5
    [new] = [p for p in patterns(api) if p["split_from"] == remaining["id"]]
    assert members(api, new["id"]) == sorted(one["ticket_ids"])
    assert api.get("/v1/suggestions").json()["data"] == []
    assert "accepted" in api.post(f"/v1/suggestions/{one['id']}/accept").json()["detail"]


def test_a_rejected_suggestion_does_not_come_back(torn: Runtime, api: TestClient, clock: Clock) -> None:
    [one] = api.get("/v1/suggestions", params={"pattern": patterns(api)[0]["id"]}).json()["data"]
    assert api.post(f"/v1/suggestions/{one['id']}/reject").status_code == 204
    clock.at = START + timedelta(days=2, hours=1)
    accept(torn, [raw(48, "Password mail never arrives")], source_kind="push")
    while digest(torn):
        pass
    detect(torn)
    assert api.get("/v1/suggestions").json()["data"] == []
    assert api.post("/v1/suggestions/sug_none/reject").status_code == 404
