"""The pages as a lead meets them: read in plain HTTP, decided by forms, and driven in a real browser."""

from __future__ import annotations

import html
import re
import threading
import warnings
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Protocol

import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.backtest import Clock
from app.domain import Alert, Pattern, Source
from app.pipeline import access, review
from app.runtime import Runtime
from app.settings import Settings
from app.store import alerts, events, patterns, sources, tickets
from app.store.core import Store
from app.web import mount
from tests.e2e._small_desk import END, HOSTILE, small_desk


class Response(Protocol):
    """What these tests read of an answer."""

    @property
    def text(self) -> str: ...


CHROMIUM = Path("/usr/bin/chromium")
LOCAL = "http://127.0.0.1"


def site(runtime: Runtime) -> TestClient:
    app = FastAPI()
    mount(app, runtime)
    return TestClient(app, base_url=LOCAL, follow_redirects=False)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small desk's database, made once; every test works on a copy of its own."""
    folder = tmp_path_factory.mktemp("desk")
    runtime, _ = small_desk(folder)
    runtime.close()
    return folder


@pytest.fixture
def desk(original: Path, tmp_path: Path) -> Iterator[Runtime]:
    for file in original.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    found = open_desk(tmp_path)
    yield found
    found.close()


def open_desk(folder: Path, **settings: object) -> Runtime:
    chosen = Settings(
        database_url=f"sqlite:///{folder / 'desk.sqlite3'}", data_dir=folder, time_zone="Europe/Berlin",
        **settings,  # type: ignore[arg-type]
    )  # fmt: skip
    store = Store(chosen.database_url)
    store.migrate()
    return Runtime(chosen, store, Clock(END))


def open_alert(runtime: Runtime) -> Alert:
    """The alert about the planted error."""
    with runtime.store.read() as session:
        (ticket,) = tickets.search(session, {"text": HOSTILE}).items
        (found,) = [a for a in alerts.unresolved(session) if a.pattern_id == ticket.pattern_id]
    return found


def resolve_all(runtime: Runtime) -> None:
    with runtime.store.read() as session:
        standing = alerts.unresolved(session)
    for alert in standing:
        review.resolve(runtime, alert.id, reason="", actor="lead")


def count_of(page: Response, tab: str) -> int:
    found = re.search(rf"{tab} (\d+)", text_of(page))
    assert found
    return int(found[1])


def pattern_of(runtime: Runtime, id_: str | None) -> Pattern:
    with runtime.store.read() as session:
        return patterns.resolve(session, id_ or "")


def text_of(page: Response) -> str:
    """A page as people read it: no tags, single spaces."""
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", page.text))).strip()


def token_of(page: Response) -> str:
    found = re.search(r'name="token" value="([^"]+)"', page.text)
    assert found, "the page has no form"
    return found[1]


# --- what a lead reads ------------------------------------------------------------------------------


def test_the_inbox_says_what_is_wrong_why_and_for_how_many(desk: Runtime) -> None:
    page = site(desk).get("/")
    alert = open_alert(desk)
    text = text_of(page)
    assert page.status_code == 200
    assert "PRJ-5027" in text
    assert alert.sentence in text
    assert f"{alert.finding['customers']} customers" in text
    assert re.search(r"\d of 5 alerts used this week", text)
    assert "last checked 16:20 Europe/Berlin" in text
    assert 'aria-label="Customers a day over 14 days' in page.text
    assert "release Projects 5.2.0" in page.text


def test_every_time_on_the_pages_names_its_zone(desk: Runtime) -> None:
    client = site(desk)
    for path in ("/", f"/patterns/{open_alert(desk).pattern_id}"):
        shown = re.findall(r"<time [^>]*>([^<]+)</time>", client.get(path).text)
        assert len(shown) >= 3
        assert [t for t in shown if not re.search(r"(CET|CEST|Europe/Berlin|ago|just now)$", t)] == []


def test_a_patterns_page_shows_its_numbers_its_thread_and_every_ticket_with_a_reason(desk: Runtime) -> None:
    pattern = pattern_of(desk, open_alert(desk).pattern_id)
    page = site(desk).get(f"/patterns/{pattern.id}")
    text = text_of(page)
    assert f"{pattern.tickets} tickets from {pattern.customers} customers" in text
    assert open_alert(desk).sentence in text
    assert "Common thread" in text
    assert "Nothing sets these customers apart" not in text
    assert page.text.count('class="what"') == pattern.tickets
    assert "Founding ticket" in text or "Worded like the others" in text
    assert "Alert opened" in text
    assert "Projects 5.2.0" in page.text


def test_the_table_under_the_chart_holds_the_same_counts_as_the_store(desk: Runtime) -> None:
    pattern = pattern_of(desk, open_alert(desk).pattern_id)
    page = site(desk).get(f"/patterns/{pattern.id}").text
    rows = re.findall(r"<th scope=\"row\">\w+ \d+ \w+</th><td>(\d+)</td><td>(\d+)</td>", page)
    assert sum(int(tickets) for tickets, _ in rows) == pattern.tickets
    assert all(int(customers) <= int(tickets) for tickets, customers in rows)


def test_what_a_ticket_says_stays_text_on_every_page(desk: Runtime) -> None:
    client = site(desk)
    page = client.get(f"/patterns/{open_alert(desk).pattern_id}").text
    assert html.escape(HOSTILE, quote=False)[:20] in page
    assert "Textiles &amp; &lt;b&gt;Sons" in page
    review.rename(desk, open_alert(desk).pattern_id or "", HOSTILE, actor="lead")
    for path in ("/", "/?tab=all", f"/patterns/{open_alert(desk).pattern_id}", f"/?text={HOSTILE}"):
        page = client.get(path).text
        assert "<script>document" not in page
        assert "<img src=x" not in page
        assert "javascript:" not in page


def test_filters_live_in_the_address_and_the_tabs_count_what_they_would_show(desk: Runtime) -> None:
    client = site(desk)
    assert "PRJ-5027" in text_of(client.get("/?product=Projects&severity=high&text=prj"))
    page = text_of(client.get("/?product=Mailroom"))
    assert "No alert matches" in page
    assert "Needs review 0" in page
    assert "Clear them" in page


def test_an_unknown_tab_or_pattern_is_told_in_words_on_a_page(desk: Runtime) -> None:
    client = site(desk)
    for path, status, words in (
        ("/?tab=everything", 422, "There is no tab 'everything'"),
        ("/patterns/pat_nothing", 404, "There is no pattern pat_nothing"),
        ("/alerts/alt_nothing", 404, "There is no alert alt_nothing"),
        ("/?cursor=broken", 422, "The cursor is damaged"),
    ):
        page = client.get(path)
        assert page.status_code == status
        assert words in text_of(page)
        assert page.headers["content-type"].startswith("text/html")


def test_an_alert_about_a_pattern_leads_to_its_page_and_one_about_a_segment_has_its_own(
    desk: Runtime,
) -> None:
    client = site(desk)
    alert = open_alert(desk)
    assert client.get(f"/alerts/{alert.id}").headers["location"] == f"/patterns/{alert.pattern_id}"
    with desk.store.read() as session:
        other = next(a for a in alerts.unresolved(session) if not a.pattern_id)
    text = text_of(client.get(f"/alerts/{other.id}"))
    assert other.sentence in text
    assert f"{len(other.ticket_ids)} tickets" in text


# --- honest when there is little to say -------------------------------------------------------------


def test_an_empty_desk_says_how_to_begin(tmp_path: Path) -> None:
    runtime = open_desk(tmp_path)
    text = text_of(site(runtime).get("/"))
    assert "No data yet" in text
    assert "python -m app import" in text
    runtime.close()


def test_all_clear_says_when_it_was_last_checked(desk: Runtime) -> None:
    resolve_all(desk)
    text = text_of(site(desk).get("/"))
    assert "All clear Nothing unusual; last checked 16:20 Europe/Berlin" in text


def test_silence_and_a_failing_source_are_never_called_all_clear(desk: Runtime) -> None:
    resolve_all(desk)
    with desk.store.write() as session:
        sources.register(session, Source("zendesk", "zendesk"))
        sources.change(session, "zendesk", last_error="401 Unauthorized", last_error_at=END)
    text = text_of(site(desk).get("/"))
    assert "Zendesk is failing: 401 Unauthorized" in text
    assert "All clear" not in text
    assert isinstance(desk.now, Clock)
    desk.now.at = END + timedelta(days=5)
    text = text_of(site(desk).get("/"))
    assert "The queue is silent" in text
    assert "Nothing has been checked since 18 Mar, 16:20 CET" in text


def test_a_young_desk_says_that_it_is_learning(desk: Runtime) -> None:
    with desk.store.write() as session:
        kept = END - timedelta(days=12)
        session.connection().exec_driver_sql("DELETE FROM sighting WHERE at < ?", (kept.isoformat(" ")[:26],))
    assert "Learning: 11 of 28 baseline days" in text_of(site(desk).get("/"))


# --- what a lead decides ----------------------------------------------------------------------------


def test_acknowledging_moves_the_alert_to_its_tab_and_says_so_once(desk: Runtime) -> None:
    client = site(desk)
    alert = open_alert(desk)
    answer = client.post(
        f"/alerts/{alert.id}/acknowledge", data={"token": token_of(client.get("/")), "then": "/?kind=cluster"}
    )
    assert (answer.status_code, answer.headers["location"]) == (303, "/?kind=cluster")
    assert open_alert(desk).acknowledged_by == "local"
    text = text_of(client.get("/"))
    assert "Acknowledged. It is yours now" in text
    assert "Acknowledged 1" in text
    assert "It is yours now" not in text_of(client.get("/"))


def test_dismissing_asks_for_a_reason_and_keeps_it(desk: Runtime) -> None:
    client = site(desk)
    alert, token = open_alert(desk), token_of(client.get("/"))
    address = f"/alerts/{alert.id}/dismiss"
    assert client.post(address, data={"token": token}).status_code == 422
    assert client.post(address, data={"token": token, "why": "because"}).status_code == 422
    client.post(address, data={"token": token, "why": "expected", "note": "moving day"})
    with desk.store.read() as session:
        closed = alerts.get(session, alert.id)
    assert closed.reason == "Real, but expected (campaign, planned work). moving day"
    assert closed.verdict == "useful"
    assert "moving day" in text_of(client.get("/?tab=resolved"))
    assert client.post(address, data={"token": token, "why": "noise"}).status_code == 409


def test_a_snoozed_alert_waits_on_its_tab_and_returns_by_itself(desk: Runtime) -> None:
    client = site(desk)
    before = client.get("/")
    form = {"token": token_of(before), "days": "3"}
    client.post(f"/alerts/{open_alert(desk).id}/snooze", data=form)
    assert count_of(client.get("/"), "Snoozed") == 1
    assert count_of(client.get("/"), "Needs review") == count_of(before, "Needs review") - 1
    assert "Snoozed until 21 Mar, 16:20 CET" in text_of(client.get("/?tab=snoozed"))
    assert isinstance(desk.now, Clock)
    desk.now.at = END + timedelta(days=3, minutes=1)
    assert count_of(client.get("/"), "Needs review") == count_of(before, "Needs review")


@pytest.mark.parametrize(
    ("form", "says"),
    [({"customers": "5"}, "until 5 more customers"), ({"escalating": "yes"}, "until it gets worse")],
)
def test_a_snooze_can_wait_for_more_customers_or_for_worse(
    desk: Runtime, form: dict[str, str], says: str
) -> None:
    client, alert = site(desk), open_alert(desk)
    token = token_of(client.get("/"))
    assert client.post(f"/alerts/{alert.id}/snooze", data={"token": token}).status_code == 422
    assert client.post(f"/alerts/{alert.id}/snooze", data={"token": token} | form).status_code == 303
    held = open_alert(desk)
    assert (held.snoozed_customers, held.snoozed_escalating) == (
        int(form.get("customers", 0)),
        "escalating" in form,
    )
    assert f"Snoozed {says}" in text_of(client.get("/?tab=snoozed"))
    assert f"Snoozed {says}" in text_of(client.get(f"/patterns/{alert.pattern_id}"))


def test_an_owner_stands_on_the_alert_and_its_pattern_and_can_be_taken_away(desk: Runtime) -> None:
    client, alert = site(desk), open_alert(desk)
    form = {"token": token_of(client.get("/")), "owner": " Mara  Voss "}
    assert client.post(f"/alerts/{alert.id}/assign", data=form).status_code == 303
    assert pattern_of(desk, alert.pattern_id).owner == open_alert(desk).owner == "Mara Voss"
    assert "Owner Mara Voss" in text_of(client.get("/"))
    assert "<option>Mara Voss</option>" in client.get("/").text
    assert f'id="{alert.id}"' in client.get("/", params={"owner": "Mara Voss"}).text
    client.post(f"/alerts/{alert.id}/assign", data=form | {"owner": ""})
    assert open_alert(desk).owner == ""
    assert client.post(f"/alerts/{alert.id}/assign", data=form | {"token": ""}).status_code == 403


def test_a_lead_back_from_lunch_sees_what_is_new_and_what_got_worse(desk: Runtime) -> None:
    client, alert = site(desk), open_alert(desk)
    assert "Since you last looked" not in text_of(client.get("/"))
    assert isinstance(desk.now, Clock)
    desk.now.at = END + timedelta(hours=1)
    assert "Since you last looked, 16:20 Europe/Berlin : nothing new" in text_of(client.get("/"))
    with desk.store.write() as session:
        alerts.change(session, alert.id, escalated_at=END + timedelta(minutes=30))
    page = text_of(client.get("/"))
    assert "16:20 Europe/Berlin : 0 new , 1 worse" in page
    assert f"Worse {pattern_of(desk, alert.pattern_id).signature}" in page


def standing(runtime: Runtime) -> list[str]:
    with runtime.store.read() as session:
        return sorted(a.id for a in alerts.unresolved(session) if a.tier == "alert")


def test_several_alerts_are_decided_at_once_and_one_click_takes_it_back(desk: Runtime) -> None:
    client, ids = site(desk), standing(desk)
    form = {"token": token_of(client.get("/")), "alert": ids, "then": "/"}
    assert client.post("/alerts/bulk", data=form | {"do": "dismiss", "why": "known"}).status_code == 303
    after = client.get("/")
    assert "Dismissed" in text_of(after)
    assert standing(desk) == []
    back = re.findall(r'<form method="post" action="/alerts/undo">.*?</form>', after.text, re.DOTALL)
    assert re.findall(r'name="alert" value="(\w+)"', back[0]) == ids
    assert client.post("/alerts/undo", data=form).status_code == 303
    assert standing(desk) == ids
    assert (
        "select at least one"
        in text_of(client.post("/alerts/bulk", data=form | {"do": "resolve", "alert": []})).lower()
    )
    assert client.post("/alerts/bulk", data=form | {"do": "eat"}).status_code == 422


def test_a_view_is_saved_under_a_name_found_by_all_and_forgotten(desk: Runtime) -> None:
    client = site(desk)
    page = client.get("/", params={"tab": "watching", "region": "EU"})
    form = {"token": token_of(page), "name": " EU  watch ", "query": "tab=watching&region=EU&evil=1"}
    saved = client.post("/views", data=form)
    assert saved.headers["location"] == "/?region=EU&tab=watching"
    assert '<a href="/?region=EU&amp;tab=watching">EU watch</a>' in client.get("/").text
    client.post("/views/forget", data=form | {"name": "EU watch"})
    assert "EU watch" not in client.get("/").text
    assert client.post("/views", data=form | {"name": " "}).status_code == 422


def test_filters_by_what_the_tickets_say_and_by_size(desk: Runtime) -> None:
    client, alert = site(desk), open_alert(desk)
    with desk.store.read() as session:
        version = tickets.get(session, alert.ticket_ids[0]).attributes["version"]
    for query, is_there in (
        ({"version": version}, True), ({"version": "0.0.1"}, False), ({"source": "sample"}, True),
        ({"min_customers": "2"}, True), ({"min_customers": "999"}, False), ({"owner": "Nobody"}, False),
    ):  # fmt: skip
        assert (f'id="{alert.id}"' in client.get("/", params=query).text) == is_there, query
    assert "whole number" in text_of(client.get("/", params={"min_customers": "some"}))


def test_a_page_that_stays_open_hears_of_what_is_new(desk: Runtime) -> None:
    client = site(desk)
    seq = re.search(r'data-after="(\d+)"', client.get("/").text)
    assert seq
    assert client.get("/inbox/news", params={"after": seq[1]}).json() == {"newest": int(seq[1]), "alerts": 0}
    assert client.get("/inbox/news", params={"after": 0}).json()["alerts"] >= 1


def test_a_name_given_by_hand_stands_everywhere(desk: Runtime) -> None:
    client = site(desk)
    id_ = open_alert(desk).pattern_id
    token = token_of(client.get(f"/patterns/{id_}"))
    client.post(f"/patterns/{id_}/rename", data={"token": token, "name": "Boards  are blank"})
    assert "Boards are blank" in text_of(client.get("/"))
    assert "is now “Boards are blank”" in text_of(client.get(f"/patterns/{id_}"))
    assert client.post(f"/patterns/{id_}/rename", data={"token": token, "name": " "}).status_code == 422


def test_a_note_is_on_the_chart_and_in_the_timeline(desk: Runtime) -> None:
    client = site(desk)
    path = f"/patterns/{open_alert(desk).pattern_id}"
    token = token_of(client.get(path))
    client.post(f"{path}/note", data={"token": token, "text": f"Macro 12 sent {HOSTILE}", "on": "2026-03-16"})
    shown = client.get(path)
    assert HOSTILE not in shown.text
    assert "Noted Macro 12 sent" in text_of(shown)
    assert "<title>Macro 12 sent" in shown.text
    assert client.post(f"{path}/note", data={"token": token, "text": "x", "on": "soon"}).status_code == 422


def test_a_merge_is_shown_before_it_is_done_and_the_old_address_leads_on(desk: Runtime) -> None:
    client = site(desk)
    survivor = pattern_of(desk, open_alert(desk).pattern_id)
    with desk.store.read() as session:
        loser = next(p for p in patterns.search(session, {}).items if p.id != survivor.id)
    asked = client.get(f"/patterns/{loser.id}/merge", params={"into": survivor.id})
    assert f"will hold {survivor.tickets + loser.tickets} tickets" in text_of(asked)
    assert pattern_of(desk, loser.id).merged_into is None
    client.post(f"/patterns/{loser.id}/merge", data={"token": token_of(asked), "into": survivor.id})
    old = client.get(f"/patterns/{loser.id}")
    assert (old.status_code, old.headers["location"]) == (308, f"/patterns/{survivor.id}")
    assert pattern_of(desk, survivor.id).tickets == survivor.tickets + loser.tickets


def ask_and_do(client: TestClient, id_: str, **form: object) -> str:
    """Look at what an edit will do, then do it; what was said before."""
    asked = client.get(f"/patterns/{id_}/edit", params=form)  # type: ignore[arg-type]
    assert asked.status_code == 200, text_of(asked)
    done = client.post(f"/patterns/{id_}/edit", data={"token": token_of(asked), **form})
    assert done.status_code == 303, text_of(done)
    return text_of(asked)


def members_of(runtime: Runtime, id_: str) -> list[str]:
    with runtime.store.read() as session:
        return sorted(t.id for t in tickets.members(session, id_))


def test_tickets_picked_on_the_page_are_split_off_and_brought_back(desk: Runtime) -> None:
    client, id_ = site(desk), open_alert(desk).pattern_id or ""
    before = members_of(desk, id_)
    assert f'value="{before[0]}" form="pick"' in client.get(f"/patterns/{id_}").text
    said = ask_and_do(client, id_, kind="split", ticket=before[:2])
    assert "2 tickets become a pattern of their own" in said
    assert members_of(desk, id_) == before[2:]
    text = client.get(f"/patterns/{id_}").text
    edit = re.search(r"kind=undo&amp;edit=(edt_\w+)", text)
    assert edit
    assert "Take this decision back?" in ask_and_do(client, id_, kind="undo", edit=edit[1])
    assert members_of(desk, id_) == before


def test_not_this_move_same_pin_apart_and_no_pattern_are_each_one_click_and_a_yes(desk: Runtime) -> None:
    client, id_ = site(desk), open_alert(desk).pattern_id or ""
    with desk.store.read() as session:
        other = next(p for p in patterns.search(session, {}).items if p.id != id_).id
    one, two, three, *rest = members_of(desk, id_)
    assert "never come back to it" in ask_and_do(client, id_, kind="remove", ticket=[one])
    assert one not in members_of(desk, id_)
    assert "stay there" in ask_and_do(client, id_, kind="move", ticket=[two], other=other)
    assert two in members_of(desk, other)
    assert "for ever" in ask_and_do(client, id_, kind="link", ticket=[three, rest[0]])
    assert "nor suggested" in ask_and_do(client, id_, kind="separate", other=f"{other} its name")
    assert "never split" in ask_and_do(client, id_, kind="pin")
    text = text_of(client.get(f"/patterns/{id_}"))
    assert "Pinned" in text
    assert "Decided by people" in text
    ask_and_do(client, other, kind="dismiss")
    assert pattern_of(desk, other).state == "dismissed"


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ({"kind": "split"}, "select at least one ticket"), ({"kind": "move", "ticket": "tkt_x"}, "no ticket tkt_x"),
        ({"kind": "separate"}, "choose the other pattern"), ({"kind": "undo", "edit": "edt_x"}, "no edit edt_x"),
        ({"kind": "explode"}, "no edit 'explode'"),
    ],
)  # fmt: skip
def test_an_edit_that_cannot_be_made_says_what_is_missing(
    desk: Runtime, form: dict[str, str], says: str
) -> None:
    asked = site(desk).get(f"/patterns/{open_alert(desk).pattern_id}/edit", params=form)
    assert asked.status_code in (404, 422)
    assert says in text_of(asked).lower()


def test_a_contradiction_is_refused_naming_the_edit_in_its_way(desk: Runtime) -> None:
    client, id_ = site(desk), open_alert(desk).pattern_id or ""
    ticket = members_of(desk, id_)[0]
    ask_and_do(client, id_, kind="remove", ticket=[ticket])
    asked = client.get(f"/patterns/{id_}/edit", params={"kind": "move", "ticket": ticket, "other": id_})
    refused = client.post(f"/patterns/{id_}/edit", data={
        "token": token_of(asked), "kind": "move", "ticket": ticket, "other": id_})  # fmt: skip
    assert refused.status_code == 409
    assert "edt_" in text_of(refused)


def test_a_recorded_fix_waits_for_its_verdict(desk: Runtime) -> None:
    client = site(desk)
    id_ = open_alert(desk).pattern_id
    form = {"token": token_of(client.get(f"/patterns/{id_}")), "what": "Boards rebuilt", "version": "5.2.1"}
    late = client.post(f"/patterns/{id_}/fix", data=form | {"at": "2026-03-19T09:00"})
    assert "lies in the future" in text_of(late)
    assert client.post(f"/patterns/{id_}/fix", data=form | {"at": "2026-03-18T16:00"}).status_code == 303
    text = text_of(client.get(f"/patterns/{id_}"))
    assert "Fix pending" in text
    assert "Too little data · Boards rebuilt 5.2.1 , 18 Mar, 16:00 CET" in text


# --- who may -----------------------------------------------------------------------------------------


def test_no_form_works_without_its_token_or_from_another_site(desk: Runtime) -> None:
    client = site(desk)
    address, token = f"/alerts/{open_alert(desk).id}/acknowledge", token_of(client.get("/"))
    assert client.post(address).status_code == 403
    assert client.post(address, data={"token": "wrong"}).status_code == 403
    foreign: dict[str, str]
    for foreign in (
        {"origin": "https://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"},
    ):  # fmt: skip
        assert client.post(address, data={"token": token}, headers=foreign).status_code == 403
    assert open_alert(desk).acknowledged_at is None
    own = {"origin": LOCAL, "sec-fetch-site": "same-origin"}
    assert client.post(address, data={"token": token}, headers=own).status_code == 303


def test_without_keys_the_desk_answers_only_to_a_loopback_name(desk: Runtime) -> None:
    page = site(desk).get("/", headers={"host": "rebound.evil.example"})
    assert page.status_code == 403
    assert "PRJ-5027" not in page.text


def test_with_keys_a_page_needs_a_session_and_leads_back_after_signing_in(desk: Runtime) -> None:
    secret, _ = access.make_key(desk, "lead", ["write"])
    client = site(desk)
    first = client.get("/?tab=watching")
    assert (first.status_code, first.headers["location"]) == (303, "/sign-in?then=/%3Ftab%3Dwatching")
    wrong = client.post("/sign-in", data={"key": "fsk_wrong", "then": "/"})
    assert wrong.status_code == 403
    assert "unknown or revoked" in text_of(wrong)
    right = client.post("/sign-in", data={"key": secret, "then": "/?tab=watching"})
    assert right.headers["location"] == "/?tab=watching"
    cookie = right.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Secure" not in cookie
    page = client.get("/")
    assert "lead" in text_of(page)
    client.post(f"/alerts/{open_alert(desk).id}/acknowledge", data={"token": token_of(page)})
    assert open_alert(desk).acknowledged_by == "lead"
    client.post("/sign-out", data={"token": token_of(page)})
    assert client.get("/").status_code == 303


def test_the_session_cookie_is_secure_over_https_and_nobody_is_sent_off_the_site(desk: Runtime) -> None:
    secret, _ = access.make_key(desk, "lead", ["write"])
    app = FastAPI()
    mount(app, desk)
    client = TestClient(app, base_url="https://127.0.0.1", follow_redirects=False)
    for then in ("https://evil.example", "//evil.example", "/\\evil.example"):
        answer = client.post("/sign-in", data={"key": secret, "then": then})
        assert answer.headers["location"] == "/"
        assert "Secure" in answer.headers["set-cookie"]


def test_a_key_that_may_only_read_sees_no_forms_and_cannot_write(desk: Runtime) -> None:
    secret, _ = access.make_key(desk, "viewer", ["read"])
    client = site(desk)
    client.post("/sign-in", data={"key": secret})
    page = client.get("/")
    assert "PRJ-5027" in text_of(page)
    assert "Acknowledge</button>" not in page.text
    answer = client.post(f"/alerts/{open_alert(desk).id}/resolve", data={"token": token_of(page)})
    assert answer.status_code == 403


def test_every_answer_forbids_inline_code_and_framing(desk: Runtime) -> None:
    client = site(desk)
    for path in ("/", "/patterns/pat_nothing", "/sign-in", f"/patterns/{open_alert(desk).pattern_id}"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"


def test_pages_hold_no_inline_style_or_script_and_ask_nobody_else_for_anything(desk: Runtime) -> None:
    client = site(desk)
    for path in ("/", f"/patterns/{open_alert(desk).pattern_id}"):
        page = client.get(path).text
        assert not re.search(r"<style|\sstyle=|\son\w+=\"|<script(?! src=\"/static/)", page)
        for address in re.findall(r"<(?:link|script|img)[^>]+(?:href|src)=\"([^\"]+)\"", page):
            assert address.startswith("/static/")
            assert client.get(address).headers["cache-control"] == "public, max-age=31536000, immutable"


# --- in a real browser -------------------------------------------------------------------------------


@pytest.fixture
def address(desk: Runtime) -> Iterator[str]:
    app = FastAPI()
    mount(app, desk)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", ws="none"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.02)
    yield f"{LOCAL}:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    if not CHROMIUM.exists():
        pytest.skip(f"NO BROWSER TEST RAN: {CHROMIUM} is missing")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.mark.browser
def test_a_lead_works_the_inbox_by_keyboard_alone(browser, address: str, desk: Runtime) -> None:  # type: ignore[no-untyped-def]
    page = browser.new_page()
    page.goto(address)
    alert = open_alert(desk)
    for _ in range(10):
        page.keyboard.press("j")
        if page.locator(f"[id='{alert.id}']:focus-within").count():
            break
    page.keyboard.press("d")
    assert page.locator(f"[id='{alert.id}'] details[open] input:focus").count() == 1
    page.keyboard.press("Escape")
    page.keyboard.press("a")
    page.wait_for_selector("text=It is yours now")
    assert open_alert(desk).acknowledged_by == "local"
    page.goto(f"{address}/?tab=acknowledged")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/patterns/*")
    assert "document" not in page.title()
    page.locator("summary", has_text="Rename").press("Enter")
    page.get_by_label("Name").fill("Boards are blank")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=The name is kept for ever")
    assert page.locator("h1").inner_text().endswith("Boards are blank")
    page.close()


@pytest.mark.browser
def test_a_new_alert_appears_above_and_moves_nothing_under_the_pointer(  # type: ignore[no-untyped-def]
    browser, address: str, desk: Runtime
) -> None:
    alert = open_alert(desk)
    with desk.store.write() as session:
        for other in alerts.unresolved(session):
            alerts.change(session, other.id, tier="watch" if other.id == alert.id else "alert")
    page = browser.new_page(viewport={"width": 1280, "height": 500})
    page.clock.install()
    page.goto(address)
    assert page.locator(f"#{alert.id}").count() == 0
    row = page.locator(f"#{page.locator('.row').first.get_attribute('id')}")
    row.hover()
    before = row.bounding_box()["y"]
    with desk.store.write() as session:
        alerts.change(session, alert.id, tier="alert")
        events.write(session, "alert.opened", alert.id, {}, at=desk.now())
    page.clock.fast_forward(16_000)
    says = page.locator("#live-says")
    says.filter(has_text=re.compile("1 new alert|wait until")).wait_for()
    assert abs(row.bounding_box()["y"] - before) < 2  # whether it went in above or waits
    page.mouse.move(1, 1)
    page.locator(f"#{alert.id}.fresh").wait_for()
    page.locator("#live-pause").click()
    assert "Paused" in page.locator("#live-says").inner_text()


def test_shortcuts_can_be_switched_off(browser, address: str, desk: Runtime) -> None:  # type: ignore[no-untyped-def]
    page = browser.new_page()
    page.goto(address)
    page.keyboard.press("?")
    page.get_by_label("Shortcuts on").uncheck()
    page.get_by_role("button", name="Close").click()
    page.reload()
    page.keyboard.press("j")
    page.keyboard.press("a")
    assert page.evaluate("document.activeElement === document.body")
    assert open_alert(desk).acknowledged_at is None
    page.close()


@pytest.mark.browser
def test_everything_works_with_javascript_off(browser, address: str, desk: Runtime) -> None:  # type: ignore[no-untyped-def]
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address)
    alert = open_alert(desk)
    row = page.locator(f"[id='{alert.id}']")
    row.locator("summary", has_text="Dismiss").click()
    row.get_by_label("Noise: not worth an alert").check()
    row.locator("details[open] button").click()
    page.wait_for_selector("text=This stays quiet for two weeks")
    with desk.store.read() as session:
        assert alerts.get(session, alert.id).verdict == "noise"
    context.close()


@pytest.mark.browser
@pytest.mark.parametrize("width", [320, 360, 1360, 3840])
def test_no_page_is_wider_than_the_screen(browser, address: str, desk: Runtime, width: int) -> None:  # type: ignore[no-untyped-def]
    page = browser.new_page(viewport={"width": width, "height": 900})
    for path in ("/", "/?tab=all", f"/patterns/{open_alert(desk).pattern_id}"):
        page.goto(address + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_against_wcag_2_2_aa(browser, address: str, desk: Runtime, scheme: str) -> None:  # type: ignore[no-untyped-def]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
    rules = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}}
    page = browser.new_page(color_scheme=scheme)
    with desk.store.read() as session:
        other = next(a for a in alerts.unresolved(session) if not a.pattern_id)
    pattern = open_alert(desk).pattern_id
    for path in (
        "/",
        "/?tab=watching",
        "/?text=nothing",
        f"/patterns/{pattern}",
        f"/alerts/{other.id}",
        "/patterns/pat_x",
    ):
        page.goto(address + path)
        page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
        found = Axe().run(page, options=rules)
        assert found.violations_count == 0, found.generate_report()
    page.close()
