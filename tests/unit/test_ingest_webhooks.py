"""Inbound webhooks: only what is signed, fresh and small is followed, and only as a hint."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta

import pytest

from app.errors import Invalid
from app.ingest.webhooks import BadSignature, Delivery, Hints, TooLarge, hints, signed

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SECRET = "planted-secret-0123456789"


def sha(message: bytes, secret: str = SECRET) -> bytes:
    return hmac.new(secret.encode(), message, hashlib.sha256).digest()


def zendesk(body: bytes, *, at: datetime = NOW, secret: str = SECRET) -> Delivery:
    stamp = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    signature = base64.b64encode(sha(stamp.encode() + body, secret)).decode()
    headers = {
        "x-zendesk-webhook-signature": signature,
        "x-zendesk-webhook-signature-timestamp": stamp,
        "x-zendesk-webhook-invocation-id": "once",
    }
    return Delivery(headers=headers, body=body)


def jira(body: bytes, *, secret: str = SECRET) -> Delivery:
    headers = {
        "x-hub-signature": f"sha256={sha(body, secret).hex()}",
        "x-atlassian-webhook-identifier": "once",
    }
    return Delivery(headers=headers, body=body)


def hubspot(body: bytes, *, at: datetime = NOW, secret: str = SECRET, signed_url: str = "") -> Delivery:
    url = "https://foreshock.example/v1/ingest/hs/webhook?team=a%2Fb"
    stamp = str(int(at.timestamp() * 1000))
    message = b"POST" + (signed_url or url.replace("%2F", "/")).encode() + body + stamp.encode()
    headers = {
        "x-hubspot-signature-v3": base64.b64encode(sha(message, secret)).decode(),
        "x-hubspot-request-timestamp": stamp,
    }
    return Delivery(headers=headers, body=body, url=url)


EVENT = json.dumps({"type": "zen:event-type:ticket.created", "detail": {"id": "9001"}}).encode()
ISSUE = json.dumps({"webhookEvent": "jira:issue_updated", "issue": {"id": "10006", "key": "SUP-5"}}).encode()
CHANGES = json.dumps(
    [
        {"subscriptionType": "ticket.propertyChange", "objectId": 123},
        {"subscriptionType": "ticket.propertyChange", "objectId": 123},
        {"subscriptionType": "contact.creation", "objectId": 7},
        {"subscriptionType": "ticket.merge", "objectId": 5, "mergedObjectIds": [6]},
    ]
).encode()


ODD = b'[{"subscriptionType": "ticket.merge", "objectId": [], "mergedObjectIds": 5}]'


def read(kind: str, delivery: Delivery, id_path: str = "") -> Hints:
    return hints(kind, delivery, secret=SECRET, now=NOW, id_path=id_path)


@pytest.mark.parametrize(
    ("kind", "delivery", "ids"),
    [
        ("zendesk", zendesk(EVENT), ("9001",)),
        ("zendesk", zendesk(b'{"ticket_id": 17}'), ("17",)),
        ("zendesk", zendesk(b""), ()),
        ("jira", jira(ISSUE), ("10006",)),
        ("hubspot", hubspot(CHANGES), ("123", "5", "6")),
        ("freshdesk", Delivery(headers={"x-ingest-token": SECRET}, body=b'{"ticket_id": 21}'), ("21",)),
        ("salesforce", Delivery(headers={"x-ingest-token": SECRET}, body=b'[{"Id": "500A"}]'), ("500A",)),
        ("servicenow", Delivery(headers={"x-ingest-token": SECRET}, body=b'{"sys_id": "ab"}'), ("ab",)),
    ],
)
def test_a_genuine_webhook_hints_at_its_tickets(kind: str, delivery: Delivery, ids: tuple[str, ...]) -> None:
    assert read(kind, delivery).ids == ids


@pytest.mark.parametrize(
    ("kind", "delivery"),
    [
        ("zendesk", zendesk(EVENT, secret="other")),
        ("zendesk", zendesk(EVENT, at=NOW - timedelta(minutes=6))),
        ("zendesk", zendesk(EVENT, at=NOW + timedelta(minutes=6))),
        ("zendesk", Delivery(headers={}, body=EVENT)),
        ("jira", jira(ISSUE, secret="other")),
        ("jira", Delivery(headers={"x-hub-signature": "sha256=é"}, body=ISSUE)),
        ("hubspot", hubspot(CHANGES, secret="other")),
        ("hubspot", hubspot(CHANGES, at=NOW - timedelta(minutes=6))),
        ("hubspot", hubspot(CHANGES, signed_url="https://elsewhere.example/")),
        ("hubspot", Delivery(headers={"x-hubspot-request-timestamp": "soon"}, body=CHANGES)),
        ("freshdesk", Delivery(headers={"x-ingest-token": "guess"}, body=b"{}")),
        ("servicenow", Delivery(headers={}, body=b"{}")),
    ],
)
def test_a_forged_or_old_webhook_is_refused(kind: str, delivery: Delivery) -> None:
    with pytest.raises(BadSignature) as raised:
        read(kind, delivery)
    assert SECRET not in str(raised.value)


def test_one_changed_byte_breaks_every_signature() -> None:
    for kind, genuine in (("zendesk", zendesk(EVENT)), ("jira", jira(ISSUE)), ("hubspot", hubspot(CHANGES))):
        changed = Delivery(headers=genuine.headers, body=genuine.body.replace(b"1", b"2", 1), url=genuine.url)
        if changed.body == genuine.body:
            changed = Delivery(headers=genuine.headers, body=genuine.body + b" ", url=genuine.url)
        with pytest.raises(BadSignature):
            read(kind, changed)


def test_without_a_secret_nothing_is_accepted() -> None:
    empty = Delivery(headers={"x-ingest-token": ""}, body=b"{}")
    with pytest.raises(BadSignature):
        hints("freshdesk", empty, secret="", now=NOW)


def test_a_deleted_issue_is_a_hint_like_any_other() -> None:
    body = json.dumps({"webhookEvent": "jira:issue_deleted", "issue": {"id": "10006"}}).encode()
    assert read("jira", jira(body)) == Hints(("10006",), "once")


def test_a_repeated_delivery_has_the_same_key() -> None:
    assert read("zendesk", zendesk(EVENT)).key == "once"
    assert read("hubspot", hubspot(CHANGES)).key == read("hubspot", hubspot(CHANGES)).key


def test_a_customers_own_template_says_where_its_id_is() -> None:
    assert read("zendesk", zendesk(b'{"case": {"nr": 4}}'), "case.nr").ids == ("4",)


def test_a_megabyte_is_the_most_and_is_counted_before_anything_else() -> None:
    with pytest.raises(TooLarge):
        read("zendesk", Delivery(headers={}, body=b"x" * (1024 * 1024 + 1)))


@pytest.mark.parametrize("body", [b"not json", b"\xff\xfe", b"[" * 100_000])
def test_a_signed_body_that_is_not_json_is_invalid(body: bytes) -> None:
    with pytest.raises(Invalid):
        read("jira", jira(body))


@pytest.mark.parametrize(
    "body", [b"[]", b"null", b'"text"', b"7", b'[{"a": null}, 3, [4]]', b'{"detail": [1]}', ODD]
)
@pytest.mark.parametrize("sign", [zendesk, jira, hubspot])
def test_an_unexpected_shape_hints_at_nothing(sign: type, body: bytes) -> None:
    kind = getattr(sign, "__name__", "")
    assert read(kind, sign(body)).ids in ((), ("1",))


def test_a_source_that_is_only_polled_takes_no_webhooks() -> None:
    with pytest.raises(Invalid, match="take no webhooks"):
        read("warehouse", Delivery(headers={}, body=b"{}"))


def test_pushed_tickets_have_a_signature_of_our_own() -> None:
    body, stamp = b'{"tickets": []}', str(int(NOW.timestamp()))
    signature = f"sha256={sha(stamp.encode() + b'.' + body).hex()}"
    delivery = Delivery(headers={"x-timestamp": stamp, "x-signature": signature}, body=body)
    assert signed(delivery, SECRET, NOW)
    assert not signed(delivery, "other", NOW)
    assert not signed(delivery, SECRET, NOW + timedelta(minutes=6))
