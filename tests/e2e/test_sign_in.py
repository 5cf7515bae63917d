"""Signing in: by password, by key, and through an identity provider that is played on loopback."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from joserfc.jwk import RSAKey

from app.pipeline import accounts
from app.runtime import Runtime, utc_now
from app.settings import OIDC_VARIABLE
from app.store import users
from app.web import mount
from tests.e2e.test_pages import text_of, token_of
from tests.simulators.identity import CLIENT, SECRET, IdentityProvider, identity_provider

LOCAL = "http://127.0.0.1:8321"
PASSWORD = "seven quiet lighthouses"


@pytest.fixture
def url(sqlite_url: str) -> str:
    """Pages are the same on both databases: one is enough here."""
    return sqlite_url


def browser_of(runtime: Runtime) -> TestClient:
    app = FastAPI()
    mount(app, runtime)
    return TestClient(app, base_url=LOCAL, follow_redirects=False)


# --- by password ------------------------------------------------------------------------------------


def test_the_first_admin_is_made_on_the_page_and_then_everybody_signs_in(runtime: Runtime) -> None:
    client = browser_of(runtime)
    page = client.get("/users")
    assert "Nobody needs to sign in yet" in text_of(page)
    form = {"token": token_of(page), "name": "mara", "new": PASSWORD, "again": PASSWORD + "."}
    assert "not the same" in text_of(client.post("/users/first", data=form))
    made = client.post("/users/first", data=form | {"again": PASSWORD})
    assert (made.status_code, made.headers["location"]) == (303, "/sign-in")
    assert client.get("/").headers["location"].startswith("/sign-in")
    answer = client.post("/sign-in", data={"name": "mara", "password": PASSWORD, "then": "/users"})
    assert answer.headers["location"] == "/users"
    assert "mara" in text_of(client.get("/users"))
    late = form | {"again": PASSWORD, "token": token_of(client.get("/users"))}
    assert client.post("/users/first", data=late).status_code == 409


def test_wrong_names_and_wrong_passwords_are_answered_alike_and_then_shut(runtime: Runtime) -> None:
    accounts.make_user(runtime, "mara", "admin", password=PASSWORD)
    client = browser_of(runtime)
    told = {
        name: text_of(client.post("/sign-in", data={"name": name, "password": "a wrong password"}))
        for name in ("mara", "eve")
    }
    assert told["mara"] == told["eve"]
    assert "Name or password is wrong" in told["mara"]
    for _ in range(4):
        client.post("/sign-in", data={"name": "mara", "password": "a wrong password"})
    shut = client.post("/sign-in", data={"name": "mara", "password": PASSWORD})
    assert shut.status_code == 429
    assert "None is looked at until" in text_of(shut)


def test_a_temporary_password_leads_to_choosing_one_before_anything_else(runtime: Runtime) -> None:
    _, secret = accounts.make_user(runtime, "ines", "viewer")
    client = browser_of(runtime)
    client.post("/sign-in", data={"name": "ines", "password": secret})
    assert client.get("/").headers["location"] == "/account"
    assert client.get("/sources").headers["location"] == "/account"
    page = client.get("/account")
    form = {"token": token_of(page), "old": secret, "new": "short", "again": "short"}
    assert "12 to 200 characters" in text_of(client.post("/account/password", data=form))
    done = client.post("/account/password", data=form | {"new": PASSWORD, "again": PASSWORD})
    assert done.headers["location"] == "/"
    assert client.get("/").status_code == 200


def test_what_a_role_may_not_do_is_refused_on_the_page_and_not_offered(runtime: Runtime) -> None:
    accounts.make_user(runtime, "mara", "admin", password=PASSWORD)
    accounts.make_user(runtime, "vik", "viewer", password=PASSWORD)
    client = browser_of(runtime)
    client.post("/sign-in", data={"name": "vik", "password": PASSWORD})
    page = client.get("/settings")
    assert page.status_code == 200
    assert "Save</button>" not in page.text
    token = {"token": token_of(page)}
    for path in ("/users", "/keys", "/audit"):
        assert client.get(path).status_code == 403
    for path in ("/settings", "/users", "/keys", "/settings/erase", "/webhooks", "/sources/x/pause"):
        answer = client.post(path, data=token | {"name": "x", "url": "https://x.example", "requester": "x"})
        assert answer.status_code == 403, path
        assert "needs a key that has it, or the role" in text_of(answer)


def test_a_form_without_its_token_or_from_another_site_changes_nothing(runtime: Runtime) -> None:
    accounts.make_user(runtime, "mara", "admin", password=PASSWORD)
    client = browser_of(runtime)
    client.post("/sign-in", data={"name": "mara", "password": PASSWORD})
    token = token_of(client.get("/users"))

    for path in FORMS:
        assert client.post(path, data={"token": "x" * 32}).status_code == 403, path
        foreign = client.post(path, data={"token": token}, headers={"origin": "https://evil.example"})
        assert foreign.status_code == 403, path
    with runtime.store.read() as session:
        assert len(users.every(session)) == 1


FORMS = (
    "/users", "/users/first", "/users/u/role", "/users/u/disable", "/users/u/enable", "/users/u/password", "/keys",
    "/keys/k/revoke", "/settings", "/settings/reset", "/settings/redact", "/settings/erase",
    "/settings/erase/confirmed", "/sources/s/pause", "/sources/s/resume", "/sources/s/sync", "/sources/s/check",
    "/webhooks", "/webhooks/w", "/webhooks/w/enable", "/webhooks/w/disable", "/webhooks/w/rotate", "/webhooks/w/test",
    "/webhooks/w/replay", "/webhooks/w/remove", "/account/password",
)  # fmt: skip


# --- through an identity provider -------------------------------------------------------------------


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[IdentityProvider]:
    monkeypatch.setenv(OIDC_VARIABLE, SECRET)
    with identity_provider() as found:
        yield found


@pytest.fixture
def desk(runtime: Runtime, provider: IdentityProvider) -> Runtime:
    chosen = runtime.settings.model_copy(
        update={"oidc_issuer": provider.issuer, "oidc_client_id": CLIENT, "public_url": LOCAL}
    )
    found = replace(runtime, settings=chosen, now=utc_now)
    accounts.make_user(found, "mara@example.com", "admin", password=PASSWORD)
    return found


def come_back(client: TestClient, then: str = "/sources") -> Any:
    """Leave for the provider, be asked there, and come back: what the site answers then."""
    left = client.get("/sign-in/provider", params={"then": then})
    assert left.status_code == 303
    there = httpx.get(left.headers["location"])
    back = urlsplit(there.headers["location"])
    return client.get(f"{back.path}?{back.query}")


def test_somebody_the_provider_vouches_for_comes_in_as_the_user_of_that_address(desk: Runtime) -> None:
    client = browser_of(desk)
    assert "Continue with your organisation" in text_of(client.get("/sign-in"))
    answer = come_back(client)
    assert (answer.status_code, answer.headers["location"]) == (303, "/sources")
    assert "mara@example.com" in text_of(client.get("/users"))
    with desk.store.read() as session:
        (found,) = users.every(session)
    assert found.outside is not None


def test_a_user_is_known_again_by_subject_even_when_the_address_changes(
    desk: Runtime, provider: IdentityProvider
) -> None:
    come_back(browser_of(desk))
    provider.claims |= {"email": "mara.new@example.com"}
    assert come_back(browser_of(desk)).status_code == 303
    provider.claims = {"sub": "s-2", "email": "mara@example.com", "email_verified": True}
    refused = come_back(browser_of(desk))
    assert refused.status_code == 403, "another subject does not inherit the account with the address"


def test_an_unconfirmed_address_is_nobodys(desk: Runtime, provider: IdentityProvider) -> None:
    provider.claims |= {"email_verified": False}
    assert come_back(browser_of(desk)).status_code == 403


def test_a_newcomer_gets_the_role_that_was_set_or_is_refused(
    desk: Runtime, provider: IdentityProvider
) -> None:
    provider.claims = {"sub": "s-9", "email": "new@example.com", "email_verified": True}
    assert "ask an admin to add one" in text_of(come_back(browser_of(desk)))
    desk.settings = desk.settings.model_copy(update={"oidc_role": "viewer"})
    assert come_back(browser_of(desk)).status_code == 303
    with desk.store.read() as session:
        found = users.by_name(session, "new@example.com")
    assert found is not None
    assert found.role == "viewer"


def test_a_disabled_user_does_not_come_in_through_the_provider(desk: Runtime) -> None:
    come_back(browser_of(desk))
    accounts.make_user(desk, "other", "admin", password=PASSWORD)
    with desk.store.read() as session:
        found = users.by_name(session, "mara@example.com")
    assert found is not None
    accounts.disable(desk, found.id)
    assert "was disabled" in text_of(come_back(browser_of(desk)))


@pytest.mark.parametrize(
    "wrong", [{"aud": "another client"}, {"iss": "https://evil.example"}, {"nonce": "replayed"}, {"exp": 1},
              {"aud": ["foreshock", "another"]}],
)  # fmt: skip
def test_an_id_token_that_was_made_for_something_else_is_not_trusted(
    desk: Runtime, provider: IdentityProvider, wrong: dict[str, object]
) -> None:
    provider.wrong = wrong
    answer = come_back(browser_of(desk))
    assert answer.status_code == 403
    assert "cannot be trusted" in text_of(answer)


def test_an_id_token_signed_by_somebody_else_is_not_trusted(
    desk: Runtime, provider: IdentityProvider
) -> None:
    provider.signs_with = RSAKey.generate_key(2048)
    assert "cannot be trusted" in text_of(come_back(browser_of(desk)))


def test_an_answer_brought_to_another_browser_is_refused(desk: Runtime) -> None:
    victim, attacker = browser_of(desk), browser_of(desk)
    left = attacker.get("/sign-in/provider")
    back = urlsplit(httpx.get(left.headers["location"]).headers["location"])
    assert victim.get(f"{back.path}?{back.query}").status_code == 403
    victim.get("/sign-in/provider")
    assert victim.get(f"{back.path}?{back.query}").status_code == 403, (
        "also while it has an errand of its own"
    )


def test_a_provider_that_refuses_or_does_not_answer_is_told_in_words(
    desk: Runtime, provider: IdentityProvider
) -> None:
    provider.denies = True
    assert "did not sign you in" in text_of(come_back(browser_of(desk)))
    desk.settings = desk.settings.model_copy(update={"oidc_issuer": "http://127.0.0.1:9"})
    silent = browser_of(desk).get("/sign-in/provider")
    assert silent.status_code == 503
    assert re.search(r"identity provider 127\.0\.0\.1 does not answer", text_of(silent))
