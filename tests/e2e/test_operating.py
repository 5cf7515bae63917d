"""The operator's pages: sources, webhooks, settings, users, keys and the audit log, driven as a story."""

from __future__ import annotations

import html
import re
import threading
import warnings
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app import worker
from app.backtest import Clock
from app.domain import Source
from app.ingest.sources import SOURCES
from app.notify.formats import FORMATS
from app.pipeline import access, accounts, deliver, pull
from app.pipeline.digest import digest
from app.pipeline.intake import accept
from app.runtime import Runtime
from app.settings import load
from app.store import sources, tickets, webhooks
from app.web import mount
from tests.e2e import test_pages
from tests.e2e._operated import PASSWORD, Operated, operated
from tests.e2e.test_pages import token_of
from tests.fakes import raw

CHROMIUM = Path("/usr/bin/chromium")
LOCAL = "http://127.0.0.1:8321"
PAGES = ("/sources", "/sources/add?kind=zendesk&name=desk", "/webhooks", "/webhooks/new", "/settings", "/users",
         "/keys", "/audit", "/account")  # fmt: skip
STORED = '<script>document.title="taken over"</script>'


@pytest.fixture
def url(sqlite_url: str) -> str:
    """Pages are the same on both databases: one is enough here."""
    return sqlite_url


@pytest.fixture
def desk(runtime: Runtime, clock: Clock) -> Operated:
    clock.at += timedelta(days=1)
    accept(runtime, [raw(n, f"Export fails {STORED}") for n in range(4)], source_kind="push")
    while digest(runtime):
        pass
    return operated(runtime, clock)


def text_of(page: Any) -> str:
    """A page as people read it, a mark of punctuation close to the word before it."""
    return re.sub(r" ([;,.])", r"\1", test_pages.text_of(page))


def site(runtime: Runtime) -> TestClient:
    app = FastAPI()
    mount(app, runtime)
    return TestClient(app, base_url=LOCAL, follow_redirects=False)


@pytest.fixture
def mara(desk: Operated) -> TestClient:
    client = site(desk.runtime)
    client.post("/sign-in", data={"name": "mara", "password": PASSWORD})
    return client


def send(client: TestClient, path: str, page: str = "/account", **form: str) -> Any:
    """Send a form of ours."""
    return client.post(path, data=form | {"token": token_of(client.get(page))})


def secret_on(text: str) -> str:
    found = re.search(r'<code class="secret">([^<]+)</code>', text)
    assert found, "no secret is shown"
    return html.unescape(found[1])


# --- sources ----------------------------------------------------------------------------------------


def test_the_sources_page_says_how_each_is_doing_in_words(mara: TestClient) -> None:
    text = text_of(mara.get("/sources"))
    assert "zendesk Failing Zendesk Support, read every 5 minutes" in text
    assert "the API token was refused (401): make a new one and set ZENDESK_CLIENT_SECRET" in text
    assert "jira Fresh Jira Service Management, read every 10 minutes" in text
    assert "desk Received pushed over HTTP" in text
    assert "Read up to: cursor MTc2MzkwNjQwMC4wfHw0ODIxMQ" in text


def test_tickets_a_day_are_counted_by_business_days_in_chart_and_table(
    mara: TestClient, desk: Operated
) -> None:
    page = mara.get("/sources")
    assert "Tickets a day over 28 days: 4 in all, most on 2 Mar: 4, today so far 0." in page.text
    assert re.search(r'<th scope="row">2 Mar</th><td class="number">4</td>', page.text)


def test_a_source_is_paused_and_goes_on_and_both_are_in_the_audit_log(
    mara: TestClient, desk: Operated
) -> None:
    send(mara, "/sources/jira/pause")
    assert "jira Paused" in text_of(mara.get("/sources"))
    send(mara, "/sources/jira/resume")
    assert "jira Fresh" in text_of(mara.get("/sources"))
    log = text_of(mara.get("/audit?area=source."))
    assert "Paused a source" in log
    assert "Resumed a source" in log


def test_a_sources_history_limits_and_gaps_are_told_and_its_history_is_held_and_goes_on(
    mara: TestClient, desk: Operated
) -> None:
    at = desk.clock.at
    reached = {"first": (at - timedelta(days=300)).isoformat(), "reached": (at - timedelta(days=75)).isoformat(),
               "begun": (at - timedelta(hours=3)).isoformat(), "tickets": 4200}  # fmt: skip
    with desk.runtime.store.write() as session:
        sources.save_note(session, "history:jira", reached)
        sources.save_note(session, "live:jira", {"at": at.isoformat()})
        sources.change(session, "jira", quota={"all": {"remaining": 48, "total": 60}}, next_at=at)
        sources.save_count(session, "jira", (at - timedelta(days=2)).date(), 45, at=at)
    text = text_of(mara.get("/sources"))
    assert "75% read, 4,200 tickets, about 1 hour left" in text
    assert "48 of 60" in text
    assert "1 day of 14 short" in text
    assert "45 of 45 tickets are not stored" in text
    form = {"token": token_of(mara.get("/sources"))}
    assert mara.post("/sources/jira/history/pause", data=form).status_code == 303
    assert pull.progress(desk.runtime, "jira").held
    assert "on hold" in text_of(mara.get("/sources"))
    assert mara.post("/sources/jira/history/resume", data=form).status_code == 303
    assert not pull.progress(desk.runtime, "jira").held


def test_sync_now_is_carried_out_by_the_worker_of_any_process(mara: TestClient, desk: Operated) -> None:
    send(mara, "/sources/zendesk/sync")
    assert "Asked for just now; the worker reads it with its next step" in text_of(mara.get("/sources"))
    other = replace(desk.runtime)
    worker.answer(other)
    assert pull.asked(desk.runtime) == {}
    with desk.runtime.store.read() as session:
        (found,) = [h for h in sources.health(session) if h.name == "zendesk"]
    assert found.last_error_at == desk.runtime.now(), (
        "it was tried: there is no secret here, so it failed anew"
    )


def test_check_says_in_words_what_is_wrong_and_stores_nothing(mara: TestClient, desk: Operated) -> None:
    text = text_of(send(mara, "/sources/zendesk/check"))
    assert "Checked just now; nothing was stored" in text
    assert "Wrong" in text
    with desk.runtime.store.read() as session:
        assert tickets.total(session) == 4


@pytest.mark.parametrize("kind", SOURCES)
def test_the_lines_for_a_new_source_are_settings_that_load_and_hold_no_secret(
    mara: TestClient, kind: str, tmp_path: Path
) -> None:
    page = mara.get(
        "/sources/add", params={"kind": kind, "name": "new-desk", "address": 'https://a.example"\n'}
    )
    found = re.search(r'<pre tabindex="0">(.*?)</pre>', page.text, re.DOTALL)
    assert found
    file = tmp_path / "foreshock.toml"
    file.write_text(html.unescape(found[1]), encoding="utf-8")
    (made,) = load(file).sources
    assert (made.name, made.kind) == ("new-desk", kind)
    names = [v for n, v in made.options.items() if n in ("client_secret", "api_key", "api_token", "password",
                                                         "access_token", "dsn")]  # fmt: skip
    assert names
    assert all(n.startswith("NEW_DESK_") for n in names)
    SOURCES[kind].options  # noqa: B018 - the registry knows it


def test_a_name_that_is_taken_or_cannot_be_is_told(mara: TestClient) -> None:
    assert "There is a source jira already" in text_of(mara.get("/sources/add?kind=jira&name=jira"))
    assert "A name begins with a letter" in text_of(mara.get("/sources/add?kind=jira&name=%3Cb%3E"))


# --- webhooks ---------------------------------------------------------------------------------------


def test_the_webhooks_page_tells_success_and_why_one_is_disabled(mara: TestClient) -> None:
    text = text_of(mara.get("/webhooks"))
    assert (
        "hooks.example.com/foreshock Active alert.*, fix.* product Projects, min customers 3 100 % of 1 1"
        in text
    )
    assert "old.example.com/in Disabled the endpoint answered 410 Gone all events 0 % of 1 0" in text


def test_an_endpoint_is_added_and_its_secret_is_shown_this_once(mara: TestClient, desk: Operated) -> None:
    desk.clock.at += timedelta(minutes=1)
    made = send(mara, "/webhooks", url="https://new.example.com/in", types="alert.*", others="pattern.merged",
                min_customers="4", product="Reports")  # fmt: skip
    secret = secret_on(made.text)
    assert secret.startswith("whsec_")
    with desk.runtime.store.read() as session:
        found = webhooks.subscriptions(session)[-1]
    assert found.event_types == ("alert.*", "pattern.merged")
    assert found.filter == {"product": "Reports", "min_customers": 4}
    for path in (f"/webhooks/{found.id}", "/webhooks", "/audit"):
        assert secret not in mara.get(path).text
    rotated = send(mara, f"/webhooks/{found.id}/rotate")
    assert secret_on(rotated.text) != secret


def test_what_the_form_does_not_show_of_a_filter_stays(mara: TestClient, desk: Operated) -> None:
    deliver.change(desk.runtime, desk.takes, {"filter": {"kind": "spike", "product": "Projects"}}, actor="x")
    send(
        mara,
        f"/webhooks/{desk.takes}",
        url="https://hooks.example.com/foreshock",
        types="fix.*",
        text="export",
    )
    with desk.runtime.store.read() as session:
        found = webhooks.subscription(session, desk.takes)
    assert found.filter == {"kind": "spike", "text": "export"}
    assert found.event_types == ("fix.*",)


@pytest.mark.parametrize("wrong", ["http://10.0.0.1/in", "ftp://x.example", "https://user:pw@x.example/"])
def test_an_address_that_may_not_be_reached_is_refused_with_what_was_typed(
    mara: TestClient, wrong: str
) -> None:
    answer = send(mara, "/webhooks", url=wrong, product="Reports")
    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    assert 'value="Reports"' in answer.text


def test_the_delivery_log_shows_request_answers_and_what_comes_next(mara: TestClient, desk: Operated) -> None:
    page = mara.get(f"/webhooks/{desk.takes}")
    text = text_of(page)
    assert "Delivered webhook.test" in text
    assert "Waiting webhook.test" in text
    assert '"type": "webhook.test"' in text
    assert "HTTP 200 in" in text
    assert '{"ok": true}' in text
    gone = text_of(mara.get(f"/webhooks/{desk.refuses}"))
    assert "Disabled: the endpoint answered 410 Gone" in gone
    assert "this integration was removed" in gone


@pytest.mark.parametrize("format", sorted({*FORMATS, webhooks.EMAIL}))
def test_what_was_sent_can_be_read_in_every_format(mara: TestClient, desk: Operated, format: str) -> None:
    values: dict[str, Any] = {"format": format, "options": {"project": "OPS", "issue_type": "Bug"}}
    if format == webhooks.EMAIL:
        values |= {"url": "mailto:team@webhook.test", "options": {"every": "daily"}}
    with desk.runtime.store.write() as session:
        webhooks.change(session, desk.takes, values)
    page = mara.get(f"/webhooks/{desk.takes}")
    assert page.status_code == 200
    assert "webhook.test" in page.text


def test_a_disabled_endpoint_is_enabled_tested_and_caught_up(mara: TestClient, desk: Operated) -> None:
    mended = replace(desk.runtime, transport=httpx.MockTransport(lambda _: httpx.Response(204)))
    base = f"/webhooks/{desk.refuses}"
    send(mara, f"{base}/enable")
    send(mara, f"{base}/test")
    with desk.runtime.store.read() as session:
        log = webhooks.deliveries(session, desk.refuses).items
    given_up = next(d for d in log if d.state == "failed")
    send(mara, f"{base}/replay", event=given_up.event_id)
    while deliver.deliver(mended):
        pass
    with desk.runtime.store.read() as session:
        assert {d.state for d in webhooks.deliveries(session, desk.refuses).items} == {"delivered"}
    since = f"{desk.clock.at - timedelta(hours=2):%Y-%m-%dT%H:%M}"
    assert send(mara, f"{base}/replay", since=since).status_code == 303
    assert "give a day and a time" in text_of(send(mara, f"{base}/replay", since="lately"))


def test_a_removed_endpoint_is_gone_and_its_removal_is_in_the_log(mara: TestClient, desk: Operated) -> None:
    send(mara, f"/webhooks/{desk.refuses}/remove")
    assert mara.get(f"/webhooks/{desk.refuses}").status_code == 404
    assert "Removed an endpoint" in text_of(mara.get("/audit?area=subscription."))


# --- settings, keys, erasure ------------------------------------------------------------------------


def test_settings_say_who_chose_them_and_go_back_to_the_files(mara: TestClient, desk: Operated) -> None:
    text = text_of(mara.get("/settings"))
    assert "Chosen by mara, just now; the file says 5." in text
    assert "Business time zone UTC" in text
    send(mara, "/settings/reset", setting="alerts_per_week")
    assert desk.runtime.settings.alerts_per_week == 5
    send(mara, "/settings", alerts_per_week="2.5", granularity="broader", retention_days="400")
    assert desk.runtime.settings.alerts_per_week == 2.5
    assert desk.runtime.settings.retention_days == 400
    assert not desk.runtime.settings.keep_account_names, "a box that is not ticked is a no"
    log = text_of(mara.get("/audit?area=settings."))
    assert "alerts per week 5 → 2.5" in log


def test_a_value_that_cannot_be_is_refused_in_words_and_stays_in_the_form(mara: TestClient) -> None:
    answer = send(mara, "/settings", alerts_per_week="many", granularity="finer")
    assert answer.status_code == 422
    assert "Alerts a week: input should be a valid number" in text_of(answer)
    assert 'value="many"' in answer.text


def test_a_setting_that_a_variable_fixes_is_shown_and_cannot_be_typed(
    desk: Operated, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FORESHOCK_ALERTS_PER_WEEK", "7")
    file = tmp_path / "foreshock.toml"
    file.write_text(f'database_url = "{desk.runtime.settings.database_url}"\ndata_dir = "{tmp_path}"\n')
    fixed = replace(
        desk.runtime, settings=load(file, secret="a secret of the tests"), _given=None, _chosen={}
    )
    client = site(fixed)
    client.post("/sign-in", data={"name": "mara", "password": PASSWORD})
    page = client.get("/settings")
    assert "Fixed by the variable FORESHOCK_ALERTS_PER_WEEK" in text_of(page)
    assert re.search(r'name="alerts_per_week"[^>]* disabled', page.text)
    assert send(client, "/settings", granularity="broader").status_code == 303
    assert (fixed.settings.alerts_per_week, fixed.settings.granularity) == (7, "broader")


def test_no_page_shows_the_secret_or_the_databases_password(desk: Operated) -> None:
    url = "postgresql://foreshock:hunter22@db.example/foreshock"
    chosen = desk.runtime.settings.model_copy(update={"database_url": url})
    client = site(replace(desk.runtime, settings=chosen, _given=None, _chosen={}))
    client.post("/sign-in", data={"name": "mara", "password": PASSWORD})
    page = client.get("/settings").text
    assert "db.example" in page
    assert "hunter22" not in page
    assert "a secret of the tests" not in page


def test_redaction_can_be_tried_and_what_is_typed_stays_text(mara: TestClient) -> None:
    answer = send(mara, "/settings/redact", text=f"Mail zoe@example.com {STORED}")
    assert "Mail &lt;email&gt;" in answer.text
    assert STORED not in answer.text


def test_erasure_is_shown_before_it_is_done(mara: TestClient, desk: Operated) -> None:
    asked = send(mara, "/settings/erase", requester="r-1")
    assert "Erase 1 ticket of this person for good?" in text_of(asked)
    with desk.runtime.store.read() as session:
        assert len(tickets.search(session, {"text": "Export"}).items) == 4
    send(mara, "/settings/erase/confirmed", requester="r-1")
    with desk.runtime.store.read() as session:
        assert len(tickets.search(session, {"text": "Export"}).items) == 3
    assert "no ticket is by that person" in text_of(send(mara, "/settings/erase", requester="r-77")).lower()
    assert "Erased tickets" in text_of(mara.get("/audit?area=tickets."))


def test_a_key_is_made_shown_once_and_revoked(mara: TestClient, desk: Operated) -> None:
    secret = secret_on(send(mara, "/keys", name="sidebar", scope="read").text)
    key = access.key_of(desk.runtime, secret)
    assert key is not None
    assert secret not in mara.get("/keys").text
    send(mara, f"/keys/{key.id}/revoke")
    assert access.key_of(desk.runtime, secret) is None
    assert "1 revoked key" in text_of(mara.get("/keys"))


def test_the_first_key_of_an_open_desk_is_shown_although_the_door_closes(runtime: Runtime) -> None:
    client = site(runtime)
    made = send(client, "/keys", page="/keys", name="sidebar", scope="admin")
    assert "From now on everybody signs in" in text_of(made)
    assert client.get("/keys").status_code == 303
    assert client.post("/sign-in", data={"key": secret_on(made.text)}).status_code == 303


def test_an_empty_desk_says_what_to_do_on_every_page(runtime: Runtime) -> None:
    client = site(runtime)
    for path, words in {"/sources": "No source yet", "/webhooks": "No endpoint yet", "/audit": "Nothing here",
                        "/keys": "No key yet", "/users": "Nobody needs to sign in yet"}.items():  # fmt: skip
        assert words in text_of(client.get(path))


def test_pages_hold_no_inline_code_and_forbid_it(mara: TestClient, desk: Operated) -> None:
    for path in (*PAGES, f"/webhooks/{desk.takes}"):
        page = mara.get(path)
        assert not re.search(r"<style|\sstyle=|\son\w+=\"|<script(?! src=\"/static/)", page.text), path
        assert "unsafe" not in page.headers["content-security-policy"]
        assert len(page.content) < 100_000


def test_what_sources_endpoints_and_people_say_stays_text(mara: TestClient, desk: Operated) -> None:
    with desk.runtime.store.write() as session:
        sources.register(session, Source("odd", STORED))
        sources.change(session, "odd", last_error=STORED, notes=[STORED])
    accounts.make_user(desk.runtime, STORED, "lead", actor=STORED)
    access.make_key(desk.runtime, STORED, ["read"])
    for path in ("/sources", "/users", "/keys", "/audit"):
        page = mara.get(path).text
        assert html.escape(STORED, quote=False) in page.replace("&#34;", '"'), path
        assert STORED not in page, path


# --- in a real browser ------------------------------------------------------------------------------


@pytest.fixture
def address(desk: Operated) -> Iterator[str]:
    app = FastAPI()
    mount(app, desk.runtime)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", ws="none"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.02)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if not CHROMIUM.exists():
        pytest.skip(f"NO BROWSER TEST RAN: {CHROMIUM} is missing")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield opened
        opened.close()


def signed_in(context: Any, address: str) -> Any:
    page = context.new_page()
    page.goto(f"{address}/sign-in")
    page.get_by_label("Name").fill("mara")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{address}/")
    return page


@pytest.mark.browser
@pytest.mark.parametrize("scripts", [True, False])
def test_an_operators_morning(browser: Any, address: str, desk: Operated, scripts: bool) -> None:
    """Sees the failing source, pauses it, mends an endpoint, lowers the budget, lets somebody in, reads the log."""
    page = signed_in(
        browser.new_context(java_script_enabled=scripts, viewport={"width": 1360, "height": 900}), address
    )
    page.get_by_role("link", name="Sources", exact=True).click()
    zendesk = page.get_by_role("region", name="zendesk").first
    assert "Failing" in zendesk.inner_text()
    zendesk.get_by_role("button", name="Pause").click()
    page.wait_for_selector("text=nothing new is read")
    page.get_by_role("link", name="Webhooks", exact=True).click()
    page.get_by_role("link", name="old.example.com").click()
    page.get_by_role("button", name="Enable").click()
    page.wait_for_selector("text=What waited is sent now")
    page.locator("summary", has_text="Rotate the secret").click()
    page.get_by_role("button", name="Make a new secret").click()
    assert page.locator("code.secret").inner_text().startswith("whsec_")
    page.get_by_role("link", name="Settings", exact=True).click()
    page.get_by_label("Alerts a week you will read").fill("3")
    page.get_by_label("Broader").check()
    page.get_by_role("button", name="Save").click()
    page.wait_for_selector("text=nothing needs a restart")
    assert desk.runtime.settings.alerts_per_week == 3
    page.get_by_role("link", name="Users").click()
    page.get_by_label("Name", exact=True).fill("noor")
    page.get_by_label("Lead").check()
    page.get_by_role("button", name="Add").click()
    secret = page.locator("code.secret").inner_text()
    page.get_by_role("link", name="Audit log").click()
    log = page.inner_text("main")
    for deed in (
        "Added a user",
        "Changed settings",
        "Rotated a secret",
        "Changed an endpoint",
        "Paused a source",
    ):
        assert deed in log
    assert secret not in log
    noor = browser.new_context(java_script_enabled=scripts).new_page()
    noor.goto(f"{address}/sign-in")
    noor.get_by_label("Name").fill("noor")
    noor.get_by_label("Password").fill(secret)
    noor.get_by_role("button", name="Sign in", exact=True).click()
    noor.wait_for_selector("text=Choose one of your own to go on")
    noor.get_by_label("Present password").fill(secret)
    noor.get_by_label("New password", exact=True).fill(PASSWORD)
    noor.get_by_label("New password, again").fill(PASSWORD)
    noor.get_by_role("button", name="Change the password").click()
    noor.wait_for_url(f"{address}/")
    noor.context.close()
    page.context.close()


@pytest.mark.browser
def test_a_key_is_made_and_revoked_by_keyboard_alone(browser: Any, address: str, desk: Operated) -> None:
    page = signed_in(browser.new_context(), address)
    page.goto(f"{address}/keys")
    page.get_by_label("What it is for").focus()
    page.keyboard.type("sidebar")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")  # from "read" to "write"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    secret = page.locator("code.secret").inner_text()
    key = access.key_of(desk.runtime, secret)
    assert key is not None
    assert key.scopes == ("write",)
    page.locator("tr", has_text=key.id).locator("summary").press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=It is refused from now on")
    assert access.key_of(desk.runtime, secret) is None
    page.context.close()


@pytest.mark.browser
@pytest.mark.parametrize("width", [320, 360, 1360, 3840])
def test_no_page_is_wider_than_the_screen(browser: Any, address: str, desk: Operated, width: int) -> None:
    page = signed_in(browser.new_context(viewport={"width": width, "height": 900}), address)
    for path in (*PAGES, f"/webhooks/{desk.takes}", f"/webhooks/{desk.refuses}"):
        page.goto(address + path)
        page.locator("ol.deliveries details").evaluate_all("(all) => all.forEach((d) => { d.open = true; })")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
    page.context.close()


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_against_wcag_2_2_aa(
    browser: Any, address: str, desk: Operated, scheme: Any
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
    rules = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}}
    context = browser.new_context(color_scheme=scheme)
    page = context.new_page()
    page.goto(f"{address}/sign-in")
    found = Axe().run(page, options=rules)
    assert found.violations_count == 0, found.generate_report()
    page = signed_in(context, address)
    for path in (*PAGES, f"/webhooks/{desk.takes}", f"/webhooks/{desk.refuses}", "/audit?actor=nobody"):
        page.goto(address + path)
        page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
        found = Axe().run(page, options=rules)
        assert found.violations_count == 0, f"{path}: {found.generate_report()}"
    context.close()
