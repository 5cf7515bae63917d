"""The API's conventions, held over every route and on both databases."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from app.domain import Alert, Tier, TopicKind
from app.pipeline import access
from app.pipeline.digest import digest
from app.pipeline.intake import accept
from app.runtime import Runtime
from app.server import service
from app.store import alerts, events, keys, patterns, topics
from tests.conftest import ADDRESS
from tests.fakes import START, raw

HOUR = timedelta(hours=1)
TICKET = {"external_id": "T-1", "created_at": "2026-03-02T08:00:00Z", "subject": "Export fails with E-4031"}
HOOK = {"url": "https://93.184.215.14/hook"}


def problem(answer: Response, status: int) -> dict[str, Any]:
    """The problem document, checked for form."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = answer.json()
    assert found["status"] == status
    assert found["type"].startswith("/docs/problems#")
    assert found["title"]
    assert found["detail"]
    assert "Traceback" not in answer.text
    assert answer.headers["x-request-id"]
    return found


@pytest.fixture
def desk(runtime: Runtime) -> Runtime:
    """Six tickets in two patterns, and an open alert about the first."""
    said = ("Export fails", "Password mail never arrives")
    raws = [raw(n, said[n % 2], attributes={"product": "Reports"}) for n in range(6)]
    accept(runtime, raws, source_kind="push")
    while digest(runtime):
        pass
    first, _ = pattern_ids(runtime)
    with runtime.store.write() as session:
        topic = topics.topic(TopicKind.SIGNATURE, "e4031", "E-4031", START)
        topics.ensure(session, [topic])
        alerts.open_alert(session, Alert(
            id="alt_1", topic=topic, rule="scan", kind="spike", tier=Tier.ALERT, severity="low",
            sentence="More than usual.", finding={"tickets": 3}, ticket_ids=("tkt_1",), pattern_id=first,
            opened_at=START, updated_at=START,
        ))  # fmt: skip
        events.write(session, "alert.opened", "alt_1", {"kind": "spike"}, at=START)
    return runtime


def pattern_ids(runtime: Runtime) -> tuple[str, str]:
    with runtime.store.read() as session:
        one, two = sorted(p.id for p in patterns.search(session, {}).items)
    return one, two


@pytest.fixture
def keyed(runtime: Runtime) -> dict[str, dict[str, str]]:
    """Headers of a key of each scope; from the first key on nobody may ask without one."""
    return {
        s: {"Authorization": f"Bearer {access.make_key(runtime, s, [s])[0]}"}
        for s in ("read", "write", "admin")
    }


# --- tickets ----------------------------------------------------------------------------------------


def test_a_pushed_ticket_can_be_read_and_pushing_it_again_changes_nothing(api: TestClient) -> None:
    first = api.post("/v1/tickets", json=TICKET)
    assert first.status_code == 202
    (result,) = first.json()["results"]
    assert result["status"] == "accepted"
    assert api.post("/v1/tickets", json=TICKET).json()["results"][0]["status"] == "duplicate"
    read = api.get(f"/v1/tickets/{result['id']}")
    assert read.json()["subject"] == TICKET["subject"]
    edited = api.post(
        "/v1/tickets", json=TICKET | {"subject": "Import fails", "updated_at": "2026-03-02T08:30:00Z"}
    )
    assert edited.json()["results"][0] == {"external_id": "T-1", "status": "updated", "id": result["id"]}


def test_a_pushed_ticket_keeps_the_statuses_it_went_through(api: TestClient) -> None:
    steps = [
        {"at": "2026-03-02T10:00:00+01:00", "status": "open", "told": "In progress"},
        {"at": "2026-03-02T08:00:00Z", "status": "new"},
        {"at": "2026-03-02T11:00:00Z", "status": "solved", "told": "Done, ask jane.doe@example.com"},
        {"at": "2026-03-02T12:00:00Z", "status": "open"},
    ]
    pushed = TICKET | {"history": steps}
    (result,) = api.post("/v1/tickets", json=pushed).json()["results"]
    assert api.post("/v1/tickets", json=pushed).json()["results"][0]["status"] == "duplicate"
    read = api.get(f"/v1/tickets/{result['id']}").json()
    assert [(c["at"], c["status"]) for c in read["history"]] == [
        ("2026-03-02T08:00:00Z", "new"), ("2026-03-02T09:00:00Z", "open"),
        ("2026-03-02T11:00:00Z", "solved"), ("2026-03-02T12:00:00Z", "open"),
    ]  # fmt: skip
    assert read["history"][1]["told"] == "In progress"
    assert "jane.doe" not in read["history"][2]["told"]
    assert read["reopened"] is True
    wrong = api.post(
        "/v1/tickets", json=TICKET | {"history": [{"at": "2026-03-02T08:00:00Z", "status": "odd"}]}
    )
    assert wrong.status_code == 422


def test_of_many_tickets_the_good_ones_are_taken_and_the_bad_ones_explained(api: TestClient) -> None:
    bad = [{"external_id": "x"}, TICKET | {"external_id": "T-2", "subject": " "}, TICKET | {"colour": "red"},
           TICKET | {"external_id": "T-3", "created_at": "2031-01-01T00:00:00Z"}, {}]  # fmt: skip
    answer = api.post("/v1/tickets", json={"source": "desk", "tickets": [TICKET, *bad]})
    assert answer.status_code == 207
    results = answer.json()["results"]
    assert [r["status"] for r in results] == ["accepted"] + ["invalid"] * 5
    errors = [r["error"] for r in results[1:]]
    for error, named in zip(
        errors, ("created_at", "subject or a body", "colour", "future", "external_id"), strict=True
    ):
        assert named in error


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"created_at": "2026-03-02T08:00:00"}, "/created_at"), ({"created_at": "2031-01-01T00:00:00Z"}, "/created_at"),
        ({"external_id": " "}, "/external_id"), ({"satisfaction": 7}, "/satisfaction"),
        ({"status": "nearly"}, "/status"), ({"colour": "red"}, "/colour"), ({"subject": ""}, "/subject"),
    ],
)  # fmt: skip
def test_a_bad_ticket_is_refused_naming_the_field(
    api: TestClient, change: dict[str, Any], named: str
) -> None:
    found = problem(api.post("/v1/tickets", json=TICKET | change), 422)
    assert [e["pointer"] for e in found["errors"]] == [named]


ODD = [
    "a\u0000b",
    "\U0001f9ea",
    "\u202eright to left",
    "e\u0301\u0301\u0301",
    "\ufeff",
    "\U0010ffff",
    "'; DROP TABLE ticket; --",
]


@pytest.mark.parametrize("text", ODD, ids=range(len(ODD)))
def test_odd_characters_anywhere_are_stored_or_refused_but_never_an_error(api: TestClient, text: str) -> None:
    whole = TICKET | {
        "external_id": f"x{text}", "subject": f"s {text}", "body": f"b {text}", "tags": [text], "requester": text,
        "attributes": {"product": f"p{text}", f"k{text}": "v"}, "resolution": text, "url": text, "articles": [text],
    }  # fmt: skip
    for key in ("all", *whole):
        content = whole if key == "all" else TICKET | {key: whole[key]}
        answer = api.post(
            "/v1/tickets", content=json.dumps(content), headers={"content-type": "application/json"}
        )
        assert answer.status_code in (202, 422), answer.text
    for name in ("text", "product", "pattern", "source"):
        assert api.get("/v1/tickets", params={name: text}).status_code in (200, 422)
    assert api.get("/v1/tickets", params={"product": "Reports"}).status_code == 200
    for path in ("tickets", "patterns", "alerts", "releases", "subscriptions"):
        assert api.get(f"/v1/{path}/a%00b").status_code in (404, 422)
    assert api.get("/v1/events", params={"after": text}).status_code == 422
    assert api.post("/v1/similar", json={"text": text + "word"}).status_code in (200, 422)


def test_a_lone_surrogate_is_refused_in_words(api: TestClient) -> None:
    content = json.dumps(TICKET).replace("Export", "\\ud800")
    for body in (content, '{"tickets": [%s]}' % content):  # noqa: UP031
        answer = api.post("/v1/tickets", content=body, headers={"content-type": "application/json"})
        assert answer.status_code in (207, 422), answer.text


# --- problems ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/nowhere"), ("GET", "/v1/tickets/tkt_0"), ("GET", "/v1/patterns/pat_0"), ("GET", "/v1/alerts/alt_0"),
     ("GET", "/v1/releases/rel_0"), ("GET", "/v1/subscriptions/sub_0"), ("GET", "/v1/patterns/pat_0/tickets"),
     ("GET", "/v1/patterns/pat_0/events"), ("GET", "/v1/subscriptions/sub_0/deliveries"), ("POST", "/v1/sources/no/pause"),
     ("POST", "/v1/alerts/alt_0/acknowledge"), ("POST", "/v1/subscriptions/sub_0/rotate"),
     ("POST", "/v1/subscriptions/sub_0/test"), ("DELETE", "/v1/subscriptions/sub_0")],
)  # fmt: skip
def test_what_does_not_exist_is_a_404_problem(api: TestClient, method: str, path: str) -> None:
    assert problem(api.request(method, path), 404)["instance"] == path


def test_a_method_an_address_does_not_take_is_a_405_problem_that_names_those_it_does(api: TestClient) -> None:
    answer = api.put("/v1/tickets", json={})
    problem(answer, 405)
    assert answer.headers["allow"]


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]
)
def test_a_body_that_does_not_say_it_is_json_is_a_415_problem(api: TestClient, kind: str) -> None:
    found = problem(api.post("/v1/tickets", content=json.dumps(TICKET), headers={"content-type": kind}), 415)
    assert "application/json" in found["detail"]


@pytest.mark.parametrize("body", ["", "{", "null", "7", '"x"', "[]", "{}", '{"a": NaN}', "[" * 5000, "\xff".encode("latin1")],
                         ids=range(10))  # fmt: skip
def test_a_body_that_is_no_ticket_is_a_problem(api: TestClient, body: str | bytes) -> None:
    answer = api.post("/v1/tickets", content=body, headers={"content-type": "application/json"})
    problem(answer, 400 if body in ("[" * 5000, b"\xff") else 422)


def test_a_body_that_is_no_json_is_told_where(api: TestClient) -> None:
    answer = api.post(
        "/v1/tickets", content='{"subject": oops}', headers={"content-type": "application/json"}
    )
    assert problem(answer, 422)["detail"] == "body: no JSON: Expecting value at character 12"


@pytest.mark.parametrize(
    ("body", "what"), [([], "a list: name the field it belongs in"), (7, "a single value")]
)
def test_a_body_without_named_fields_is_told_so(api: TestClient, body: object, what: str) -> None:
    detail = problem(api.post("/v1/tickets", json=body), 422)["detail"]
    assert detail == f"body: must be an object, {{…}}, not {what}"


def test_a_body_of_ten_megabytes_is_a_413_problem_announced_or_not(api: TestClient) -> None:
    body = json.dumps(TICKET | {"body": "x" * 10_000_000}).encode()
    headers = {"content-type": "application/json"}
    found = problem(api.post("/v1/tickets", content=body, headers=headers), 413)
    assert "4096 kB" in found["detail"]
    problem(api.post("/v1/tickets", content=iter([body[:5_000_000], body[5_000_000:]]), headers=headers), 413)


def test_a_body_sent_in_pieces_is_read_whole(api: TestClient) -> None:
    body = json.dumps(TICKET).encode()
    pieces = iter([body[:20], body[20:]])
    answer = api.post("/v1/tickets", content=pieces, headers={"content-type": "application/json"})
    assert answer.status_code == 202


@pytest.mark.parametrize("path", ["tickets", "patterns", "alerts", "releases", "events"])
def test_an_unknown_filter_is_refused_naming_those_there_are(api: TestClient, path: str) -> None:
    found = problem(api.get(f"/v1/{path}?colour=red"), 422)
    assert "colour" in found["detail"]
    assert "filters are" in found["detail"]
    assert found["errors"][0]["pointer"] == "colour"


@pytest.mark.parametrize("cursor", ["x", "%20", "bm90IGpzb24", "W10", "WzEsMiwzXQ", "é", "A" * 2000, "W1tbW1tb" * 900,
                                    "WyIyMDI2LTAxLTAxIiwgMSwgIiJd"])  # fmt: skip
@pytest.mark.parametrize("path", ["tickets", "patterns", "alerts", "releases"])
def test_a_damaged_cursor_is_refused_in_words(api: TestClient, path: str, cursor: str) -> None:
    found = problem(api.get(f"/v1/{path}", params={"cursor": cursor}), 422)
    assert found["errors"][0]["pointer"] == "cursor"


@pytest.mark.parametrize("number", ["0", "-1", "201", "x", "1e3", "9" * 30, "9" * 5000])
def test_a_limit_out_of_range_is_refused(api: TestClient, number: str) -> None:
    problem(api.get("/v1/tickets", params={"limit": number}), 422)


@pytest.mark.parametrize("number", ["x", "-1", "9" * 30, "9" * 5000, "1.5", "²"])
def test_a_number_no_database_can_hold_is_refused(api: TestClient, number: str) -> None:
    problem(api.get("/v1/patterns", params={"min_customers": number}), 422)


@pytest.mark.parametrize(
    ("path", "words"), [("alerts?state=odd", "acknowledged"), ("patterns?state=odd", "dormant"),
                        ("releases?kind=odd", "fix"), ("alerts?tier=odd", "watch")]
)  # fmt: skip
def test_a_filter_of_few_words_names_them(api: TestClient, path: str, words: str) -> None:
    assert words in problem(api.get(f"/v1/{path}"), 422)["detail"]


# --- lists, ETags, redirects ------------------------------------------------------------------------


def test_a_list_is_walked_by_its_cursors_and_links(desk: Runtime, api: TestClient) -> None:
    path, seen = "/v1/tickets?limit=2&product=Reports", []
    while path:
        answer = api.get(path)
        seen += [t["external_id"] for t in answer.json()["data"]]
        link = answer.headers.get("link", "")
        assert bool(link) is (answer.json()["next_cursor"] is not None)
        path = link.partition(">")[0].removeprefix("<") if 'rel="next"' in link else ""
    assert seen == [f"T-{n:04}" for n in (5, 4, 3, 2, 1, 0)]


def test_a_cursor_of_another_filter_is_refused(desk: Runtime, api: TestClient) -> None:
    cursor = api.get("/v1/tickets?limit=2").json()["next_cursor"]
    assert (
        "another filter"
        in problem(api.get("/v1/tickets", params={"cursor": cursor, "text": "x"}), 422)["detail"]
    )


@pytest.mark.parametrize("path", ["tickets", "patterns", "alerts", "releases", "sources", "events", "subscriptions",
                                  "patterns/{}", "alerts/alt_1", "patterns/{}/tickets", "patterns/{}/events"])  # fmt: skip
def test_a_poller_that_has_the_answer_already_gets_304(desk: Runtime, api: TestClient, path: str) -> None:
    path = path.format(pattern_ids(desk)[0])
    tag = api.get(f"/v1/{path}").headers["etag"]
    for held in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = api.get(f"/v1/{path}", headers={"If-None-Match": held})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert api.get(f"/v1/{path}", headers={"If-None-Match": '"other"'}).status_code == 200


def test_a_change_needs_the_etag_of_what_was_read(desk: Runtime, api: TestClient) -> None:
    one, _ = pattern_ids(desk)
    path = f"/v1/patterns/{one}/rename"
    assert "If-Match" in problem(api.post(path, json={"name": "Mine"}), 428)["detail"]
    stale = api.post(path, json={"name": "Mine"}, headers={"If-Match": '"old"'})
    problem(stale, 412)
    done = api.post(path, json={"name": "Mine"}, headers={"If-Match": stale.headers["etag"]})
    assert (done.status_code, done.json()["name"], done.json()["named_by"]) == (200, "Mine", "local")
    assert done.headers["etag"] != stale.headers["etag"]
    problem(api.post(path, json={"name": "x"}, headers={"If-Match": stale.headers["etag"]}), 412)
    assert api.get(f"/v1/patterns/{one}").headers["etag"] == done.headers["etag"]


def test_people_say_which_release_a_pattern_came_with(desk: Runtime, api: TestClient) -> None:
    path = f"/v1/patterns/{pattern_ids(desk)[0]}"
    made = {
        kind: api.post(
            "/v1/releases", json={"kind": kind, "title": f"{kind} 4.2", "at": "2026-01-01T09:00:00Z"}
        )
        for kind in ("release", "fix")
    }
    ids = {kind: answer.json()["id"] for kind, answer in made.items()}
    anyway = {"If-Match": "*"}
    linked = api.put(f"{path}/release", json={"release_id": ids["release"]}, headers=anyway)
    assert (linked.status_code, linked.json()["came_with"]) == (200, ids["release"])
    assert problem(api.put(f"{path}/release", json={"release_id": ids["fix"]}, headers=anyway), 422)
    assert problem(api.put(f"{path}/release", json={"release_id": "rel_no"}, headers=anyway), 404)
    told = api.get(f"{path}/events").json()["data"][0]
    assert (told["type"], told["data"]["release"]) == ("pattern.linked", "release 4.2")
    back = api.put(f"{path}/release", json={"release_id": None}, headers=anyway)
    assert back.json()["came_with"] is None


def test_a_note_beside_a_pattern_is_redacted_dated_and_told(desk: Runtime, api: TestClient) -> None:
    path = f"/v1/patterns/{pattern_ids(desk)[0]}"
    made = api.post(
        f"{path}/notes", json={"text": " Ann (ann@acme.example) was told ", "at": "2026-03-01T09:00:00Z"}
    )
    assert made.status_code == 201, made.text
    told = api.get(f"{path}/events").json()["data"][0]
    assert told == made.json()
    assert (told["type"], told["data"]["noted_at"]) == ("pattern.noted", "2026-03-01T09:00:00Z")
    assert "acme.example" not in told["data"]["text"]
    assert "was told" in told["data"]["text"]
    late = {"text": "It will be fixed", "at": "2031-01-01T00:00:00Z"}
    assert problem(api.post(f"{path}/notes", json=late), 422)["errors"][0]["pointer"] == "/at"
    problem(api.post(f"{path}/notes", json={"text": " "}), 422)


def test_a_merged_pattern_redirects_and_can_no_longer_be_changed(desk: Runtime, api: TestClient) -> None:
    one, two = pattern_ids(desk)
    path = f"/v1/patterns/{one}/merge"
    merged = api.post(path, json={"pattern_id": two}, headers={"If-Match": "*"})
    assert merged.status_code == 200, merged.text
    assert merged.json()["tickets"] == 6
    gone = api.get(f"/v1/patterns/{two}")
    assert (gone.status_code, gone.headers["location"]) == (308, f"/v1/patterns/{one}")
    assert gone.json()["merged_into"] == one
    assert len(api.get(f"/v1/patterns/{two}/tickets").json()["data"]) == 6
    problem(api.post(f"/v1/patterns/{two}/rename", json={"name": "x"}, headers={"If-Match": "*"}), 409)
    told = [e["type"] for e in api.get("/v1/events").json()["data"]]
    assert "pattern.merged" in told


def test_events_are_read_on_from_the_last_one_had(desk: Runtime, api: TestClient) -> None:
    api.post("/v1/alerts/alt_1/acknowledge")
    first = api.get("/v1/events?limit=3").json()
    assert [e["type"] for e in first["data"]] == ["pattern.created", "pattern.created", "alert.opened"]
    rest = api.get("/v1/events", params={"after": first["next_after"]}).json()
    assert [(e["type"], e["sequence"]) for e in rest["data"]] == [("alert.acknowledged", 2)]
    assert "evt_0" in problem(api.get("/v1/events?after=evt_0"), 422)["detail"]


# --- decisions --------------------------------------------------------------------------------------


def test_an_alert_is_acknowledged_snoozed_and_closed_once(desk: Runtime, api: TestClient) -> None:
    path = "/v1/alerts/alt_1"
    assert api.post(f"{path}/acknowledge").json()["acknowledged_by"] == "local"
    assert api.post(f"{path}/acknowledge").status_code == 200
    until = "2026-03-03T09:00:00Z"
    assert api.post(f"{path}/snooze", json={"until": until}).json()["snoozed_until"] == until
    for wrong in ("2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z", "9999-12-31T23:59:59Z"):
        problem(api.post(f"{path}/snooze", json={"until": wrong}), 422)
    problem(api.post(f"{path}/dismiss", json={"reason": " "}), 422)
    closed = api.post(f"{path}/dismiss", json={"reason": "a drill"}).json()
    assert (closed["verdict"], closed["reason"]) == ("noise", "a drill")
    for action, content in (("resolve", {}), ("snooze", {"until": until}), ("dismiss", {"reason": "again"})):
        problem(api.post(f"{path}/{action}", json=content), 409)
    assert api.get("/v1/alerts?state=open").json()["data"] == []
    assert len(api.get("/v1/alerts?state=resolved").json()["data"]) == 1


def test_a_release_is_recorded_once_and_only_a_fix_names_a_pattern(desk: Runtime, api: TestClient) -> None:
    one, _ = pattern_ids(desk)
    content = {"at": "2026-03-02T08:00:00Z", "title": "4.2", "product": "Reports"}
    made = api.post("/v1/releases", json=content)
    assert made.status_code == 201
    assert api.post("/v1/releases", json=content).json() == made.json()
    assert api.get(f"/v1/releases/{made.json()['id']}").json() == made.json()
    assert len(api.get("/v1/releases?kind=release&product=Reports").json()["data"]) == 1
    assert "fix" in problem(api.post("/v1/releases", json=content | {"pattern_id": one}), 422)["detail"]
    fix = api.post("/v1/releases", json=content | {"kind": "fix", "pattern_id": one})
    assert fix.status_code == 201
    assert api.get(f"/v1/patterns/{one}").json()["state"] == "fix_pending"
    problem(api.post("/v1/releases", json=content | {"kind": "fix", "pattern_id": "pat_0"}), 404)


def test_a_source_is_paused_and_resumed(desk: Runtime, api: TestClient) -> None:
    (source,) = api.get("/v1/sources").json()["data"]
    assert source["name"] == "desk"
    assert api.post("/v1/sources/desk/pause").json()["paused"] is True
    assert api.post("/v1/sources/desk/resume").json()["paused"] is False


def test_similar_cases_answer_and_take_what_people_say_of_them(desk: Runtime, api: TestClient) -> None:
    desk.now.at = START + 99 * HOUR  # type: ignore[attr-defined]
    answer = api.post("/v1/similar", json={"text": "Export fails for us", "k": 3}).json()
    assert set(answer) == {"query_id", "model", "as_of", "took_ms", "degraded", "abstained", "reason", "pattern",
                           "items", "resolutions"}  # fmt: skip
    assert answer["abstained"] is not bool(answer["items"])
    assert len(answer["items"]) <= 3
    path = f"/v1/similar/{answer['query_id']}/feedback"
    problem(api.post(path, json={"ticket": "tkt_0", "verdict": "right"}), 422)
    for item in answer["items"]:
        assert api.post(path, json={"ticket": item["ticket"], "verdict": "right"}).status_code == 204
    problem(api.post("/v1/similar/qry_0/feedback", json={"ticket": "t", "verdict": "right"}), 404)
    problem(api.post("/v1/similar", json={}), 422)
    problem(api.post("/v1/similar", json={"text": "x", "ticket_id": "y"}), 422)
    problem(api.post("/v1/similar", json={"ticket_id": "tkt_0"}), 404)


# --- subscriptions ----------------------------------------------------------------------------------


def test_the_secret_of_a_subscription_is_shown_once(api: TestClient) -> None:
    made = api.post(
        "/v1/subscriptions", json=HOOK | {"event_types": ["alert.*"], "filter": {"min_customers": 3}}
    )
    assert made.status_code == 201, made.text
    secret, id_ = made.json()["secret"], made.json()["id"]
    assert secret.startswith("whsec_")
    assert secret not in api.get(f"/v1/subscriptions/{id_}").text + api.get("/v1/subscriptions").text
    assert made.json()["filter"] == {"min_customers": 3}
    changed = api.patch(f"/v1/subscriptions/{id_}", json={"active": False, "filter": {}})
    assert (changed.json()["active"], changed.json()["filter"]) == (False, {})
    rotated = api.post(f"/v1/subscriptions/{id_}/rotate").json()["secret"]
    assert rotated != secret
    test = api.post(f"/v1/subscriptions/{id_}/test")
    assert test.status_code == 202
    (delivery,) = api.get(f"/v1/subscriptions/{id_}/deliveries").json()["data"]
    assert (delivery["event_id"], delivery["state"]) == (test.json()["event_id"], "pending")
    replayed = api.post(f"/v1/subscriptions/{id_}/replay", json={"event_ids": [test.json()["event_id"]]})
    assert (replayed.status_code, replayed.json()) == (202, {"events": 1})
    problem(api.post(f"/v1/subscriptions/{id_}/replay", json={}), 422)
    assert api.delete(f"/v1/subscriptions/{id_}").status_code == 204
    problem(api.get(f"/v1/subscriptions/{id_}"), 404)


@pytest.mark.parametrize(
    "change",
    [{"url": "ftp://example.com"}, {"url": "https://user:pw@93.184.215.14/"}, {"url": "http://93.184.215.14/"}, {"url": ""},
     {"url": "https://169.254.169.254/latest"}, {"url": "https://" + "a" * 70 + ".com/"}, {"secret": "short"},
     {"secret": "whsec_AAAA"}, {"filter": {"colour": "red"}}, {"filter": {"severity": "dire"}}, {"event_types": "all"}],
)  # fmt: skip
def test_an_endpoint_that_could_never_be_sent_to_is_refused(api: TestClient, change: dict[str, Any]) -> None:
    problem(api.post("/v1/subscriptions", json=HOOK | change), 422)


# --- idempotency ------------------------------------------------------------------------------------


def test_a_post_sent_again_with_its_key_gets_the_first_answer(api: TestClient) -> None:
    headers = {"Idempotency-Key": '"k-1"'}
    first = api.post("/v1/subscriptions", json=HOOK, headers=headers)
    again = api.post("/v1/subscriptions", json=HOOK, headers={"Idempotency-Key": "k-1"})
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["idempotent-replayed"] == "true"
    assert len(api.get("/v1/subscriptions").json()["data"]) == 1
    other = api.post("/v1/subscriptions", json=HOOK | {"include_text": True}, headers=headers)
    assert "another body" in problem(other, 422)["detail"]


def test_a_closed_alert_can_be_closed_again_by_the_same_request(desk: Runtime, api: TestClient) -> None:
    headers = {"Idempotency-Key": "close"}
    answers = [api.post("/v1/alerts/alt_1/resolve", json={}, headers=headers) for _ in range(2)]
    assert [a.status_code for a in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()


@pytest.mark.parametrize("key", ["", " ", '"', "a b", "x" * 300, '"open'])
def test_a_malformed_idempotency_key_is_a_400_problem(api: TestClient, key: str) -> None:
    problem(api.post("/v1/tickets", json=TICKET, headers={"Idempotency-Key": key}), 400)


def test_a_request_whose_first_is_still_in_flight_is_a_409_problem(runtime: Runtime, api: TestClient) -> None:
    body = json.dumps(TICKET).encode()
    mark = hashlib.sha256(b"\n/v1/tickets\nk-1").hexdigest()
    with runtime.store.write() as session:
        keys.begin_idempotent(session, mark, hashlib.sha256(body).hexdigest(), at=runtime.now())
    headers = {"Idempotency-Key": "k-1", "content-type": "application/json"}
    answer = api.post("/v1/tickets", content=body, headers=headers)
    problem(answer, 409)
    assert answer.headers["retry-after"] == "1"


def test_a_request_that_was_refused_does_not_use_up_its_key(api: TestClient) -> None:
    headers = {"Idempotency-Key": "k-1"}
    problem(api.post("/v1/tickets", json=TICKET | {"subject": ""}, headers=headers), 422)
    assert api.post("/v1/tickets", json=TICKET, headers=headers).status_code == 202


def test_a_kept_answer_is_not_given_to_a_revoked_key(runtime: Runtime, api: TestClient) -> None:
    secret, key = access.make_key(runtime, "bot", ["write"])
    access.make_key(runtime, "other", ["admin"])
    headers = {"Authorization": f"Bearer {secret}", "Idempotency-Key": "k-1"}
    assert api.post("/v1/subscriptions", json=HOOK, headers=headers).status_code == 201
    access.revoke_key(runtime, key.id)
    problem(api.post("/v1/subscriptions", json=HOOK, headers=headers), 401)


# --- keys, hosts, rates, ids ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [("read", {"GET /v1/tickets"}), ("write", {"GET /v1/tickets", "POST /v1/tickets"}),
     ("admin", {"GET /v1/tickets", "POST /v1/tickets", "POST /v1/sources/desk/pause"})],
)  # fmt: skip
def test_a_key_may_do_what_its_scope_says(
    api: TestClient, keyed: dict[str, dict[str, str]], scope: str, allowed: set[str]
) -> None:
    api.post("/v1/tickets", json={"source": "desk", "tickets": [TICKET]}, headers=keyed["admin"])
    for ask in ("GET /v1/tickets", "POST /v1/tickets", "POST /v1/sources/desk/pause"):
        method, path = ask.split()
        content = TICKET if ask == "POST /v1/tickets" else None
        answer = api.request(method, path, json=content, headers=keyed[scope])
        if ask in allowed:
            assert answer.status_code < 300, answer.text
        else:
            assert "scope" in problem(answer, 403)["detail"]


@pytest.mark.parametrize("header", [None, "Bearer ", "Bearer fsk_wrong", "Basic eDp5", "Bearer \u00ff"])
def test_without_a_known_key_nothing_is_told_once_keys_exist(
    api: TestClient, keyed: dict[str, dict[str, str]], header: str | None
) -> None:
    headers = {b"Authorization": header.encode("latin1")} if header else {}
    for path in ("tickets", "patterns", "alerts", "releases", "sources", "events", "subscriptions"):
        answer = api.get(f"/v1/{path}", headers=headers)
        problem(answer, 401)
        assert "Bearer" in answer.headers["www-authenticate"]
    problem(api.get("/metrics", headers=headers), 401)
    assert api.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "testserver", "localhost.evil.example:8321"]
)
def test_without_keys_only_this_machine_may_ask_by_its_own_name(api: TestClient, host: str) -> None:
    problem(api.get("/v1/tickets", headers={"Host": host}), 421)


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"},
                                     {"Origin": "null"}, {"Origin": "http://127.0.0.1:9999"}])  # fmt: skip
def test_a_page_of_another_site_can_change_nothing(
    desk: Runtime, api: TestClient, headers: dict[str, str]
) -> None:
    problem(api.post("/v1/alerts/alt_1/acknowledge", headers=headers), 403)
    assert api.post("/v1/alerts/alt_1/acknowledge", headers={"Origin": ADDRESS}).status_code == 200


def test_who_asks_too_often_is_told_how_long_to_wait(runtime: Runtime) -> None:
    runtime.settings = runtime.settings.model_copy(update={"requests_per_minute": 3})
    api = TestClient(service(runtime), base_url=ADDRESS)
    answers = [api.get("/v1/tickets") for _ in range(9)]
    assert answers[0].headers["ratelimit-policy"] == '"default";q=3;w=60'
    assert answers[0].headers["ratelimit"].startswith('"default";r=2;t=')
    limited = next(a for a in answers if a.status_code == 429)
    problem(limited, 429)
    assert 1 <= int(limited.headers["retry-after"]) <= 61
    assert all(api.get("/healthz").status_code == 200 for _ in range(9))


def test_a_request_id_is_echoed_or_made(api: TestClient) -> None:
    assert api.get("/healthz", headers={"X-Request-Id": "abc-1"}).headers["x-request-id"] == "abc-1"
    made = {
        api.get("/healthz", headers={"X-Request-Id": given}).headers["x-request-id"]
        for given in ("", "x" * 200)
    }
    assert len(made) == 2
    assert all(len(id_) == 32 for id_ in made)


# --- operations -------------------------------------------------------------------------------------


def test_readiness_and_metrics_tell_how_the_service_is_doing(desk: Runtime, api: TestClient) -> None:
    ready = api.get("/readyz")
    assert ready.status_code == 200, ready.text
    assert ready.json()["checks"]["database"] == ready.json()["checks"]["model"] == "ok"
    metrics = api.get("/metrics").text
    assert "foreshock_tickets 6.0" in metrics
    assert 'foreshock_alerts_open{tier="alert"} 1.0' in metrics
    assert 'foreshock_source_age_seconds{source="desk"}' in metrics
