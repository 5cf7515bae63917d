"""The stories a lead, a product team and an agent come for: from tickets to answers, pages and webhooks."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from app.demo import LIVED, TICK
from app.pipeline import cases, review
from app.pipeline.detect import detect
from app.pipeline.digest import digest
from app.pipeline.intake import accept
from app.settings import Settings
from tests.e2e._sample import END, Desk, raw_like

pytestmark = [pytest.mark.xdist_group("sample"), pytest.mark.timeout(900)]
BROAD = ("segment", "desk")
NOTICES = ("silent_feed", "mass_event", "one_customer")


def when(text: str) -> datetime:
    return datetime.fromisoformat(text)


def stands(alert: dict[str, Any]) -> bool:
    return alert["resolved_at"] is None


def on_inbox(desk: Desk, alert: dict[str, Any]) -> str:
    """The text of the inbox's tab that shows this alert while it stands."""
    return desk.page("/" if alert["tier"] == "alert" else "/?tab=watching")


# --- A: a novel error -------------------------------------------------------------------------------


def test_a_new_error_is_told_within_the_tick_after_its_third_ticket(desk: Desk) -> None:
    first, _, third = desk.planted("novel-error")
    (alert,) = desk.about("novel-error")
    assert alert["kind"] == "new"
    assert set(alert["ticket_ids"]) == desk.ids("novel-error")
    assert when(alert["opened_at"]) - when(third["created_at"]) <= TICK
    assert alert["sentence"].startswith("First seen")
    assert "3 tickets from 3 customers in all" in alert["sentence"]
    assert "expected of a problem never seen before" in alert["sentence"]
    assert "by chance" in alert["sentence"]
    assert desk.home("novel-error")["signature"] == "DOC-4417"
    assert desk.home("novel-error")["first_at"] == first["created_at"]


def test_a_new_error_is_on_the_inbox_and_on_a_page_of_its_own(desk: Desk) -> None:
    (alert,) = desk.about("novel-error")
    inbox, page = on_inbox(desk, alert), desk.page(f"/patterns/{alert['pattern_id']}")
    for text in (inbox, page):
        assert "DOC-4417" in text
        assert alert["sentence"] in text
    assert "3 tickets from 3 customers" in page


def test_a_product_team_hears_of_the_new_error(desk: Desk) -> None:
    (alert,) = desk.about("novel-error")
    (created,) = desk.webhooks("pattern.created", alert["pattern_id"])
    assert created.is_signed
    assert "DOC-4417" in created.data["name"]
    assert created.data["tickets"] == created.data["customers"] >= 2
    assert set(created.data["ticket_ids"]) <= desk.ids("novel-error")
    if alert["tier"] == "alert":
        (opened,) = desk.webhooks("alert.opened", alert["id"])
        assert opened.data["sentence"] == alert["sentence"]


# --- B: after a release -----------------------------------------------------------------------------


def test_b_the_alert_names_the_release_and_how_the_rates_compare(desk: Desk) -> None:
    story = desk.told("after-release")
    alert = next(a for a in desk.about("after-release") if a["tier"] == "alert")
    assert alert["finding"]["release"]["id"] == story["release"]
    assert "Projects 5.2.0" in alert["sentence"]
    assert "expected" in alert["sentence"]
    assert "in the 28 days before it" in alert["sentence"]
    assert alert["finding"]["customers"] >= 5
    assert alert["finding"]["expected"] < 1
    assert desk.home("after-release")["signature"] == "PRJ-5027"
    for path in ("/", f"/patterns/{alert['pattern_id']}"):
        page = desk.page(path)
        assert alert["sentence"] in page
        assert "PRJ-5027" in page


def test_b_the_product_team_is_sent_the_alert_with_its_evidence(desk: Desk) -> None:
    alert = next(a for a in desk.about("after-release") if a["tier"] == "alert")
    (opened,) = desk.webhooks("alert.opened", alert["id"])
    assert opened.is_signed
    assert opened.data["product"] == "Projects"
    assert opened.data["sequence"] == 1
    assert set(opened.data["ticket_ids"]) <= desk.ids("after-release")
    assert len(opened.data["ticket_ids"]) >= 3
    assert opened.data["customers"] >= 3
    assert opened.data["links"]["page"].endswith(f"/patterns/{alert['pattern_id']}")
    assert when(opened.content["timestamp"]) == when(alert["opened_at"])


# --- C: a slow burn ---------------------------------------------------------------------------------


def test_c_a_rise_of_two_fifths_at_fifty_a_week_is_an_alert(desk: Desk) -> None:
    changed = when(desk.told("slow-burn-large")["changes"][0])
    rises = [
        a for a in desk.about("slow-burn-large")
        if a["tier"] == "alert" and a["topic"]["kind"] == "segment" and when(a["opened_at"]) > changed
    ]  # fmt: skip
    assert rises, [(a["tier"], a["topic"]["label"], a["sentence"]) for a in desk.about("slow-burn-large")]
    rise = rises[0]
    assert "Mailroom" in rise["topic"]["label"] or "Delivery" in rise["topic"]["label"]
    assert rise["kind"] == "sustained"
    assert when(rise["opened_at"]) - changed <= timedelta(days=21)
    assert rise["finding"]["counted"] > 1.2 * rise["finding"]["expected"]
    (opened,) = desk.webhooks("alert.opened", rise["id"])
    assert opened.is_signed
    assert opened.data["product"] == "Mailroom"
    if stands(rise):
        assert rise["sentence"] in desk.page("/")


def test_c_the_same_rise_at_fourteen_a_week_is_no_alert(desk: Desk) -> None:
    found = [a for a in desk.alerts if "Leave balance" in a["topic"]["label"] and a["topic"]["kind"] in BROAD]
    assert [a["sentence"] for a in found if a["tier"] == "alert"] == []
    for watch in found:
        assert "by chance" in watch["sentence"]
        assert watch["finding"]["strength"] < watch["finding"]["bar"] + 1.0


def test_c_the_same_rise_at_fourteen_a_week_is_on_the_watchlist(desk: Desk) -> None:
    changed = when(desk.told("slow-burn-small")["changes"][0])
    found = [a for a in desk.alerts if a["topic"]["label"] == "Component Leave balance"]
    assert [a for a in found if a["tier"] == "watch" and when(a["opened_at"]) > changed]


# --- D: a common thread -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("story", "attribute", "values"),
    [
        ("renamed-field-import", "version", ("4.2.0", "4.2.0 and later")),
        ("blank-charts-safari", "browser", ("Safari",)),
    ],
)
def test_d_a_pattern_shows_what_its_customers_have_in_common(
    desk: Desk, story: str, attribute: str, values: tuple[str, ...]
) -> None:
    pattern = desk.home(story)
    threads = [t for t in pattern["common_thread"] if t["attribute"] == attribute]
    assert threads, pattern["common_thread"]
    thread = threads[0]
    assert thread["value"] in values
    assert thread["k"] <= thread["n"] <= pattern["customers"]
    assert thread["k"] / thread["n"] >= desk.told(story)["thread"]["share"] - 0.15
    assert thread["lift"] >= 1.5
    assert 1.0 < thread["low"] < thread["high"]
    assert thread["q"] <= 0.05
    share = f"{thread['k']} of {thread['n']} customers ({thread['k'] / thread['n']:.0%})"
    assert thread["sentence"].startswith(share)
    page = desk.page_with(f"/patterns/{pattern['id']}", f"{thread['k']} of {thread['n']} customers")
    assert thread["value"] in page


def test_d_the_words_that_customers_share_are_shown_too(desk: Desk) -> None:
    pattern = desk.home("renamed-field-import")
    words = [t["value"] for t in pattern["common_thread"] if t["attribute"] == "words"]
    assert any("renamed" in w or "field" in w or "column" in w for w in words), pattern["common_thread"]


# --- F: is the fix working --------------------------------------------------------------------------


def test_f_a_fix_that_worked_is_recovered_with_its_ratio_and_interval(desk: Desk) -> None:
    pattern = desk.home("calendar-duplicates-fixed")
    assert pattern["state"] == "recovered"
    (verified,) = desk.webhooks("fix.verified", pattern["id"])
    assert verified.is_signed
    assert verified.data["fix"] in {r["id"] for r in desk.every("/v1/releases")}
    assert 0 <= verified.data["low"] <= verified.data["ratio"] < verified.data["high"] < 1
    assert verified.data["sentence"].startswith("Recovered: ")
    page = desk.page(f"/patterns/{pattern['id']}")
    assert "Recovered" in page
    assert "Calendar sync no longer writes an event twice" in page


def test_f_a_problem_that_comes_back_reopens_the_pattern_that_was_fixed(desk: Desk) -> None:
    pattern = desk.home("pdf-currency-regressed")
    (verified,) = desk.webhooks("fix.verified", pattern["id"])
    (regressed,) = desk.webhooks("pattern.regressed", pattern["id"])
    assert verified.data["id"] == regressed.data["id"] == pattern["id"]
    assert when(verified.content["timestamp"]) < when(regressed.content["timestamp"])
    assert regressed.data["was"] == "recovered"
    assert pattern["state"] == "regressed"
    back = [a for a in pattern["alerts"] if a["tier"] == "alert" and stands(a)]
    assert back
    assert back[0]["sentence"] in desk.page("/")
    assert "Regressed" in desk.page(f"/patterns/{pattern['id']}")


# --- G: the same problem in other words ---------------------------------------------------------------


def test_g_thirty_two_wordings_of_one_problem_have_one_dominant_pattern(desk: Desk) -> None:
    homes = desk.homes("vanishing-hours")
    grouped = {home: n for home, n in homes.items() if home is not None}
    assert max(grouped.values()) >= 0.5 * sum(homes.values()), homes


def test_g_a_patterns_name_changes_only_while_it_is_young(desk: Desk) -> None:
    for pattern in desk.patterns.values():
        if pattern["tickets"] >= 20:
            told = desk.get(f"/v1/patterns/{pattern['id']}/events")["data"]
            created = [e for e in told if e["type"] == "pattern.created"]
            assert pattern["name"], pattern
            assert len(created) <= 1


def test_g_a_merge_and_a_name_given_by_hand_hold_for_tickets_that_come_later(own_desk: Desk) -> None:
    desk = own_desk
    kept = desk.home("vanishing-hours")
    other = desk.home("blank-charts-safari")
    review.rename(desk.runtime, kept["id"], "Timer loses hours", actor="lead")
    review.merge(desk.runtime, other["id"], into=kept["id"], actor="lead")
    moved = desk.client.get(f"/v1/patterns/{other['id']}")
    assert moved.status_code == 308
    assert moved.headers["location"] == f"/v1/patterns/{kept['id']}"
    desk.runtime.memory = None  # as after a restart
    late = [t for t in desk.planted("blank-charts-safari") if t["pattern_id"] == other["id"]][-3:]
    at = END + TICK
    desk.clock.at = at
    accept(desk.runtime, [raw_like(t, number=f"late-{n}", at=at) for n, t in enumerate(late)],
           source_kind="sample")  # fmt: skip
    while digest(desk.runtime):
        pass
    detect(desk.runtime, at)
    found = desk.get(f"/v1/tickets?pattern={kept['id']}&limit=10")["data"]
    assert {t["external_id"] for t in found if t["external_id"].startswith("late-")} == {
        "late-0", "late-1", "late-2"}  # fmt: skip
    assert desk.get(f"/v1/patterns/{kept['id']}")["name"] == "Timer loses hours"


# --- H: similar cases -------------------------------------------------------------------------------


def ask(desk: Desk, **question: Any) -> dict[str, Any]:
    cases.ready(desk.runtime)  # as the service does when it starts
    answer = desk.client.post("/v1/similar", json=question)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_h_todays_repeat_finds_the_past_incident_and_what_resolved_it(desk: Desk) -> None:
    (today,) = desk.planted("repeat-of-past-incident")
    found = ask(desk, ticket_id=today["id"], k=5)
    assert not found["abstained"]
    past = desk.ids("past-incident")
    assert found["items"][0]["ticket"] in past
    assert sum(i["ticket"] in past for i in found["items"]) >= 4
    assert "similar meaning" in found["items"][0]["why"]
    best = found["resolutions"][0]
    assert "metadata" in best["label"]
    assert best["n"] >= 3
    low, high = best["interval"]
    assert 0.0 <= low <= best["success_rate"] <= high <= 1.0


def test_h_the_text_alone_finds_it_before_there_is_a_ticket(desk: Desk) -> None:
    found = ask(desk, text="Nobody gets in through single sign-on: saml_signature_invalid", k=5)
    assert {i["ticket"] for i in found["items"]} <= desk.ids("past-incident") | desk.ids(
        "repeat-of-past-incident"
    )
    assert found["items"]


def test_h_a_text_about_nothing_the_desk_knows_gets_nothing_similar(desk: Desk) -> None:
    found = ask(desk, text="Our goldfish refuses to eat the blue pellets since we moved the aquarium")
    assert found["abstained"]
    assert found["items"] == []
    assert found["resolutions"] == []
    assert found["reason"]


# --- the traps --------------------------------------------------------------------------------------


def test_one_customer_filing_forty_tickets_raises_no_alert_alone(desk: Desk) -> None:
    for trap in ("tester-flood", "one-customer-flood"):
        found = desk.about(trap)
        assert [a["sentence"] for a in found if a["tier"] == "alert"] == []
        assert {a["kind"] for a in found} <= {"one_customer"}


def test_imported_tickets_raise_no_pattern_alert(desk: Desk) -> None:
    assert [a["sentence"] for a in desk.about("bulk-import") if a["topic"]["kind"] not in BROAD] == []


def test_a_marketing_surge_raises_no_pattern_alert(desk: Desk) -> None:
    planted = {t for s in desk.truth["stories"] for n in s["tickets"] if (t := desk.tickets[n]["id"])}
    surge = [
        a for a in desk.about("marketing-surge")
        if a["tier"] == "alert" and a["topic"]["kind"] not in BROAD and not planted & set(a["ticket_ids"])
    ]  # fmt: skip
    assert [a["sentence"] for a in surge] == []


def test_history_that_was_imported_raises_nothing(desk: Desk) -> None:
    born = END - LIVED
    assert all(when(a["opened_at"]) > born for a in desk.alerts)
    imported = {t["id"] for t in desk.tickets.values() if t["backfill"]}
    assert len(imported) > 3000
    for alert in desk.alerts:
        if alert["topic"]["kind"] not in BROAD and alert["kind"] not in NOTICES:
            assert not imported.issuperset(alert["ticket_ids"])


def test_an_outage_of_the_connector_is_one_notice_and_no_recovery(desk: Desk) -> None:
    outage = desk.told("connector-outage")
    begin, over = when(outage["start"]), when(outage["end"])
    silent = [
        a for a in desk.alerts if a["kind"] == "silent_feed" and begin <= when(a["opened_at"]) <= over + TICK
    ]
    assert len(silent) == 1
    assert "quiet is not recovery" in silent[0]["sentence"]
    (opened,) = desk.webhooks("alert.opened", silent[0]["id"])
    assert opened.is_signed
    during = [
        h for h in desk.hooks if h.type == "fix.verified" and begin <= when(h.content["timestamp"]) <= over
    ]
    assert during == []


def test_boilerplate_and_form_labels_make_no_pattern(desk: Desk) -> None:
    labels = ("what did you expect", "steps to reproduce", "authorised and regulated", "sent from my",
              "confidential", "kind regards")  # fmt: skip
    for pattern in desk.patterns.values():
        said = " ".join((pattern["name"], *pattern["phrases"])).lower()
        assert not [label for label in labels if label in said], pattern["name"]


def test_planted_personal_data_is_nowhere(desk: Desk) -> None:
    secrets = [value for values in desk.truth["secrets"].values() for value in values]
    assert len(secrets) >= 10
    places = {"webhooks": "".join(h.body for h in desk.hooks)}
    places["tickets"] = json.dumps(list(desk.tickets.values()), ensure_ascii=False)
    places["alerts"] = json.dumps(desk.alerts, ensure_ascii=False)
    places["patterns"] = json.dumps(list(desk.patterns.values()), ensure_ascii=False)
    homes = {desk.tickets[number]["pattern_id"] for number in desk.truth["secrets"]}
    for home in sorted(h for h in homes if h):
        places[home] = desk.page(f"/patterns/{home}")
    for name, text in places.items():
        assert [s for s in secrets if s in text] == [], name
    for file in desk.folder.glob("foreshock.sqlite3*"):
        content = file.read_bytes()
        assert [s for s in secrets if s.encode() in content] == [], file.name


# --- what keeps it readable -------------------------------------------------------------------------


def test_every_webhook_is_signed_and_sent_once(desk: Desk) -> None:
    assert len(desk.hooks) > 20
    assert all(h.is_signed for h in desk.hooks)
    sent = [h.headers["webhook-id"] for h in desk.hooks]
    assert len(sent) == len(set(sent))


def test_the_budget_of_five_a_week_is_kept_but_for_what_is_severe(desk: Desk) -> None:
    per_week = Settings().alerts_per_week
    alerts = [a for a in desk.alerts if a["tier"] == "alert" and a["kind"] not in NOTICES]
    plain = [a for a in alerts if a["severity"] != "high"]
    weeks = LIVED / timedelta(days=7)
    assert len(plain) <= per_week * weeks
    assert len(alerts) <= 2 * per_week * weeks


def test_every_sentence_gives_what_was_seen_what_was_expected_who_and_how_likely(desk: Desk) -> None:
    for alert in desk.alerts:
        if alert["kind"] in NOTICES:
            continue
        finding, sentence = alert["finding"], alert["sentence"]
        assert f"{finding['tickets']:,} ticket" in sentence, sentence
        assert f"{finding['customers']:,} customer" in sentence, sentence
        assert "chance" in sentence
        assert "(Europe/Berlin)" in sentence
        assert len(alert["ticket_ids"]) >= finding["tickets"], sentence  # more when topics were joined
