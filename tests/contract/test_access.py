"""Who may come in and what they may do: users, roles, keys, lockout, sessions, and the audit of it all."""

from __future__ import annotations

from datetime import timedelta

import pytest
from fastapi.testclient import TestClient

from app.backtest import Clock
from app.errors import Conflict, Forbidden, Invalid
from app.pipeline import access, accounts
from app.pipeline.accounts import TooMany
from app.runtime import Runtime
from app.settings import Settings
from app.store import audit, keys, users

PASSWORD = "seven quiet lighthouses"


def user(runtime: Runtime, name: str = "mara", role: str = "admin") -> users.User:
    return accounts.make_user(runtime, name, role, password=PASSWORD)[0]


def sign_in(
    runtime: Runtime, name: str = "mara", password: str = PASSWORD, address: str = "192.0.2.1"
) -> bool:
    return accounts.sign_in(runtime, name, password, address=address) is not None


def acts(runtime: Runtime) -> list[str]:
    with runtime.store.read() as session:
        return [a.type for a in audit.search(session, {}).items]


# --- people -----------------------------------------------------------------------------------------


def test_a_password_is_stored_as_an_argon2id_hash_and_nowhere_else(runtime: Runtime) -> None:
    made = user(runtime)
    with runtime.store.read() as session:
        held = users.password_hash(session, made.id)
    assert held.startswith("$argon2id$")
    assert PASSWORD not in held
    assert sign_in(runtime)
    assert not sign_in(runtime, password=PASSWORD + "!")


@pytest.mark.parametrize("password", ["short", "x" * 201, "aaaaaaaaaaaaaaaa", "Mara the lead of all"])
def test_a_password_that_is_easily_guessed_is_refused(runtime: Runtime, password: str) -> None:
    with pytest.raises(Invalid, match="password"):
        accounts.make_user(runtime, "mara the lead of all", "lead", password=password)


def test_a_user_without_a_password_gets_a_temporary_one_to_be_changed(runtime: Runtime) -> None:
    made, secret = accounts.make_user(runtime, "ines", "viewer")
    assert made.is_temporary
    opened = accounts.sign_in(runtime, "ines", secret, address="")
    assert opened is not None
    token, _ = opened
    accounts.change_password(runtime, made, secret, PASSWORD, token=token)
    assert access.session_of(runtime, token) is not None, "the browser that changed it stays signed in"
    assert not sign_in(runtime, "ines", secret)
    with runtime.store.read() as session:
        assert not users.get(session, made.id).is_temporary


def test_a_changed_or_reset_password_closes_the_other_sessions(runtime: Runtime) -> None:
    made = user(runtime)
    here, there = (accounts.sign_in(runtime, "mara", PASSWORD, address="") for _ in range(2))
    assert here is not None
    assert there is not None
    accounts.change_password(runtime, made, PASSWORD, "another long password", token=here[0])
    assert access.session_of(runtime, here[0]) is not None
    assert access.session_of(runtime, there[0]) is None
    accounts.reset_password(runtime, made.id)
    assert access.session_of(runtime, here[0]) is None


def test_a_disabled_user_is_out_at_once_and_an_enabled_one_may_come_back(runtime: Runtime) -> None:
    user(runtime)
    theo = user(runtime, "theo", "lead")
    opened = accounts.sign_in(runtime, "theo", PASSWORD, address="")
    assert opened is not None
    accounts.disable(runtime, theo.id)
    assert access.session_of(runtime, opened[0]) is None
    assert not sign_in(runtime, "theo")
    accounts.enable(runtime, theo.id)
    assert sign_in(runtime, "theo")


def test_the_last_admin_cannot_be_taken_away(runtime: Runtime) -> None:
    mara = user(runtime)
    with pytest.raises(Conflict, match="last admin"):
        accounts.disable(runtime, mara.id)
    with pytest.raises(Conflict, match="last admin"):
        accounts.set_role(runtime, mara.id, "viewer")
    user(runtime, "second", "admin")
    assert accounts.set_role(runtime, mara.id, "viewer").role == "viewer"


def test_the_first_admin_is_made_once_and_only_on_loopback(runtime: Runtime) -> None:
    runtime.settings = runtime.settings.model_copy(update={"host": "0.0.0.0"})
    with pytest.raises(Conflict):
        accounts.make_first_admin(runtime, "mara", PASSWORD)
    runtime.settings = runtime.settings.model_copy(update={"host": "127.0.0.1"})
    assert accounts.make_first_admin(runtime, "mara", PASSWORD).role == "admin"
    with pytest.raises(Conflict, match="ask an admin"):
        accounts.make_first_admin(runtime, "eve", PASSWORD)


def test_a_session_ends_after_twelve_hours(runtime: Runtime, clock: Clock) -> None:
    user(runtime)
    opened = accounts.sign_in(runtime, "mara", PASSWORD, address="")
    assert opened is not None
    clock.at += timedelta(hours=11, minutes=59)
    assert access.session_of(runtime, opened[0]) is not None
    clock.at += timedelta(minutes=2)
    assert access.session_of(runtime, opened[0]) is None


def test_a_changed_role_counts_in_sessions_that_are_open(runtime: Runtime) -> None:
    user(runtime)
    theo = user(runtime, "theo", "admin")
    opened = accounts.sign_in(runtime, "theo", PASSWORD, address="")
    assert opened is not None
    accounts.set_role(runtime, theo.id, "viewer")
    held = access.session_of(runtime, opened[0])
    assert held is not None
    assert not access.allows(held.holder, "write")


# --- guessing ---------------------------------------------------------------------------------------


def test_after_five_wrong_guesses_even_the_right_password_waits(runtime: Runtime, clock: Clock) -> None:
    user(runtime)
    for _ in range(5):
        assert not sign_in(runtime, password="wrong guess here")
    with pytest.raises(TooMany) as caught:
        sign_in(runtime)
    assert caught.value.until == clock.at + timedelta(seconds=30)
    clock.at += timedelta(seconds=31)
    assert sign_in(runtime), "and then it is looked at"
    assert not sign_in(runtime, password="wrong guess here"), "a success forgets what went wrong before"


def test_each_further_wrong_guess_doubles_the_wait_up_to_a_quarter_of_an_hour(
    runtime: Runtime, clock: Clock
) -> None:
    user(runtime)
    waits = []
    for _ in range(13):
        try:
            sign_in(runtime, password="wrong guess here")
        except TooMany as error:
            waits.append((error.until - clock.at).total_seconds())
            clock.at = error.until + timedelta(seconds=1)
            sign_in(runtime, password="wrong guess here")
    assert waits[:4] == [30, 60, 120, 240]
    assert max(waits) == 900


def test_a_name_that_does_not_exist_is_shut_like_one_that_does(runtime: Runtime) -> None:
    for _ in range(5):
        assert not sign_in(runtime, "nobody", "wrong guess here")
    with pytest.raises(TooMany):
        sign_in(runtime, "nobody", "wrong guess here")


def test_one_address_that_tries_many_names_is_shut_and_others_are_not(runtime: Runtime) -> None:
    user(runtime)
    for n in range(30):
        assert not sign_in(runtime, f"name {n}", "wrong guess here", address="192.0.2.66")
    with pytest.raises(TooMany):
        sign_in(runtime, address="192.0.2.66")
    assert sign_in(runtime, address="192.0.2.1")


def test_what_was_typed_as_a_name_is_kept_hashed_only(runtime: Runtime) -> None:
    sign_in(runtime, name=PASSWORD, password="by mistake in the wrong field")
    with runtime.store.engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT who FROM guess").fetchall()
    assert len(rows) == 2
    assert all(PASSWORD not in row[0] and len(row[0]) == 64 for row in rows)


# --- one question for pages and API -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "scope", "may"),
    [("viewer", "read", True), ("viewer", "write", False), ("viewer", "admin", False), ("lead", "write", True),
     ("lead", "admin", False), ("admin", "read", True), ("admin", "admin", True)],
)  # fmt: skip
def test_a_role_may_what_a_key_of_its_scope_may(runtime: Runtime, role: str, scope: str, may: bool) -> None:
    made = user(runtime, role, role)
    _, key = access.make_key(runtime, role, users.ROLES[role])
    assert access.allows(made, scope) == access.allows(key, scope) == may
    if not may:
        with pytest.raises(Forbidden, match=f"lacks the scope {scope}"):
            access.require(made, scope)


def test_a_user_closes_the_door_for_callers_without_a_key(runtime: Runtime, api: TestClient) -> None:
    assert api.get("/v1/alerts").status_code == 200
    user(runtime)
    assert api.get("/v1/alerts").status_code == 401


def test_listening_beyond_loopback_needs_a_user_or_a_key(runtime: Runtime) -> None:
    runtime.settings = runtime.settings.model_copy(update={"host": "0.0.0.0"})
    with pytest.raises(Invalid, match="user add"):
        access.check_exposure(runtime)
    user(runtime)
    access.check_exposure(runtime)


# --- over HTTP ----------------------------------------------------------------------------------------


@pytest.fixture
def admin(runtime: Runtime, api: TestClient) -> TestClient:
    api.headers["Authorization"] = f"Bearer {access.make_key(runtime, 'operator', ['admin'])[0]}"
    return api


def test_users_are_managed_over_http_and_their_passwords_never_shown_again(admin: TestClient) -> None:
    made = admin.post("/v1/users", json={"name": "theo", "role": "lead"})
    assert made.status_code == 201
    secret, id_ = made.json()["password"], made.json()["id"]
    assert len(secret) >= 12
    listed = admin.get("/v1/users")
    assert secret not in listed.text
    assert [u["role"] for u in listed.json()["data"]] == ["lead"]
    assert admin.patch(f"/v1/users/{id_}", json={"role": "viewer"}).json()["role"] == "viewer"
    assert admin.patch(f"/v1/users/{id_}", json={"disabled": True}).json()["disabled_at"] is not None
    assert admin.post(f"/v1/users/{id_}/password").json()["password"] != secret
    assert admin.post("/v1/users", json={"name": "theo"}).status_code == 409
    assert admin.patch("/v1/users/usr_nobody", json={"role": "lead"}).status_code == 404


def test_keys_are_managed_over_http_and_a_revoked_one_is_refused(admin: TestClient, runtime: Runtime) -> None:
    made = admin.post("/v1/keys", json={"name": "sidebar", "scopes": ["read"]})
    secret = made.json()["secret"]
    assert secret.startswith("fsk_")
    assert secret not in admin.get("/v1/keys").text
    other = TestClient(admin.app, base_url=str(admin.base_url), headers={"Authorization": f"Bearer {secret}"})
    assert other.get("/v1/alerts").status_code == 200
    assert other.get("/v1/keys").status_code == 403
    assert admin.delete(f"/v1/keys/{made.json()['id']}").status_code == 204
    assert other.get("/v1/alerts").status_code == 401


def test_the_audit_log_says_who_did_what_and_pages_through_both_logs(
    admin: TestClient, runtime: Runtime, clock: Clock
) -> None:
    for n in range(3):
        clock.at += timedelta(minutes=1)
        admin.post("/v1/users", json={"name": f"user {n}", "role": "lead"})
        admin.post("/v1/releases", json={"at": clock.at.isoformat(), "title": f"Release {n}"})
    first = admin.get("/v1/audit?limit=4").json()
    second = admin.get(f"/v1/audit?limit=4&cursor={first['next_cursor']}").json()
    told = [(a["type"], a["actor"]) for a in first["data"] + second["data"]]
    assert sorted(told) == sorted(
        [("user.created", "operator"), ("release.recorded", "operator")] * 3
        + [("key.created", "command line")]
    )
    assert [a["at"] for a in first["data"]] == sorted((a["at"] for a in first["data"]), reverse=True)
    assert {a["type"] for a in admin.get("/v1/audit?type=user.").json()["data"]} == {"user.created"}
    assert admin.get("/v1/audit?actor=nobody").json()["data"] == []


def test_no_secret_reaches_the_audit_log(admin: TestClient) -> None:
    secrets = [
        admin.post("/v1/keys", json={"name": "a", "scopes": ["read"]}).json()["secret"],
        admin.post("/v1/users", json={"name": "b"}).json()["password"],
    ]
    log = admin.get("/v1/audit").text
    assert not any(secret in log for secret in secrets)


# --- the rate limit -----------------------------------------------------------------------------------


def test_made_up_keys_are_counted_by_address_and_a_real_key_has_a_count_of_its_own(
    runtime: Runtime, settings: Settings
) -> None:
    from app.server import service

    runtime.settings = settings.model_copy(update={"requests_per_minute": 5})
    secret, _ = access.make_key(runtime, "bot", ["read"])
    client = TestClient(service(runtime), base_url="http://127.0.0.1:8321")
    made_up = [
        client.get("/v1/alerts", headers={"Authorization": f"Bearer fsk_{n}"}).status_code for n in range(7)
    ]
    assert made_up == [401] * 5 + [429] * 2
    real = {"Authorization": f"Bearer {secret}"}
    assert client.get("/v1/alerts", headers=real).status_code == 200
    assert (
        client.get("/v1/alerts", headers=real | {"X-Odd": "1"})
        .headers["RateLimit"]
        .startswith('"default";r=3')
    )


def test_revoking_a_key_keeps_its_row_and_tells_who_did(runtime: Runtime, clock: Clock) -> None:
    _, key = access.make_key(runtime, "bot", ["read"], actor="mara")
    clock.at += timedelta(minutes=1)
    access.revoke_key(runtime, key.id, actor="mara")
    access.revoke_key(runtime, key.id, actor="mara")
    assert acts(runtime) == ["key.revoked", "key.created"], "a second time changes nothing"
    with runtime.store.read() as session:
        assert [k.id for k in keys.every(session)] == [key.id]
