"""The outbox: an event is owed to whoever wants it, claimed by one sender at a time, and settled."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from app.domain import Event, Subscription
from app.errors import NotFound
from app.store import events, webhooks
from app.store.core import Store
from app.store.webhooks import Attempt, Settled
from tests.fakes import START

MINUTE = timedelta(minutes=1)


def subscribed(store: Store, n: int = 1, **values: Any) -> Subscription:
    made = Subscription(id=f"sub_{n}", url=f"https://hooks.example.com/{n}", created_at=START, **values)
    with store.write() as session:
        webhooks.subscribe(session, made, "whsec_one")
    return made


def happened(store: Store, *, type_: str = "alert.opened", subject: str = "alt_1", **data: Any) -> Event:
    with store.write() as session:
        return events.write(session, type_, subject, data, at=START)


def claim(store: Store, *, at: Any = START, limit: int = 32, lease_s: float = 60) -> list[webhooks.Due]:
    with store.write() as session:
        return webhooks.claim(session, at=at, limit=limit, lease_s=lease_s)


def test_an_event_is_owed_once_to_everyone_who_wants_it(store: Store) -> None:
    subscribed(store, 1)
    subscribed(store, 2, event_types=("pattern.*",))
    subscribed(store, 3, active=False)
    with store.write() as session:
        webhooks.change(session, "sub_3", {"active": False})
    event = happened(store)
    due = claim(store)
    assert [(d.subscription.id, d.event.id) for d in due] == [("sub_1", event.id)]
    assert due[0].secrets == ("whsec_one",)


@pytest.mark.parametrize(
    ("wanted", "told", "is_wanted"),
    [
        ({}, {}, True),
        ({"product": "reports"}, {"product": "Reports"}, True),
        ({"product": "Reports"}, {}, False),
        ({"severity": "medium"}, {"severity": "high"}, True),
        ({"severity": "medium"}, {"severity": "low"}, False),
        ({"severity": "medium"}, {}, False),
        ({"min_customers": 3}, {"customers": 3}, True),
        ({"min_customers": 3}, {"customers": 2}, False),
        ({"text": "EXPORT fails"}, {"sentence": "Export of reports fails"}, True),
        ({"text": "import"}, {"sentence": "Export of reports fails"}, False),
    ],
)
def test_a_saved_query_decides_what_is_owed(
    store: Store, wanted: dict[str, Any], told: dict[str, Any], is_wanted: bool
) -> None:
    subscribed(store, filter=wanted)
    happened(store, **told)
    assert bool(claim(store)) is is_wanted


@pytest.mark.parametrize(
    ("types", "is_wanted"),
    [
        ((), True),
        (("alert.opened",), True),
        (("alert.*",), True),
        (("alert.open",), False),
        (("pattern.*",), False),
    ],
)
def test_event_types_are_exact_or_end_in_a_star(
    store: Store, types: tuple[str, ...], is_wanted: bool
) -> None:
    subscribed(store, event_types=types)
    happened(store)
    assert bool(claim(store)) is is_wanted


def test_senders_that_claim_at_once_never_get_the_same_delivery(store: Store) -> None:
    for n in range(6):
        subscribed(store, n)
    for n in range(5):
        happened(store, subject=f"alt_{n}")
    with ThreadPoolExecutor(6) as pool:
        claimed = [
            due.delivery.id for found in pool.map(lambda _: claim(store, limit=7), range(6)) for due in found
        ]
    assert len(claimed) == len(set(claimed)) == 30


def test_one_slow_endpoint_does_not_keep_the_others_waiting(store: Store) -> None:
    subscribed(store, 1)
    for n in range(50):
        happened(store, subject=f"alt_{n}")
    subscribed(store, 2)
    happened(store, subject="alt_last")
    found = claim(store, limit=6)
    assert "sub_2" in {due.subscription.id for due in found}
    assert sum(due.subscription.id == "sub_1" for due in found) <= 5


def test_a_sender_that_dies_gives_its_delivery_back_when_the_lease_ends(store: Store) -> None:
    subscribed(store)
    happened(store)
    (first,) = claim(store, lease_s=60)
    assert claim(store, at=START + 0.9 * MINUTE) == []
    (again,) = claim(store, at=START + MINUTE)
    assert (again.delivery.id, again.event.id) == (first.delivery.id, first.event.id)
    assert again.delivery.attempts == 0


def test_a_settled_delivery_is_not_due_and_its_attempts_can_be_read(store: Store) -> None:
    subscribed(store)
    happened(store)
    (due,) = claim(store)
    with store.write() as session:
        failed = Attempt(due.delivery.id, 1, START, 500, 12, "no")
        after = Settled(failed, due.subscription, "pending", next_at=START + MINUTE, error="HTTP 500")
        webhooks.settle(session, [after])
        assert webhooks.pending(session) == 1
    (due,) = claim(store, at=START + MINUTE)
    assert (due.delivery.attempts, due.delivery.last_status, due.failing_since) == (1, 500, START)
    with store.write() as session:
        fine = Attempt(due.delivery.id, 2, START + MINUTE, 200, 3, "")
        webhooks.settle(session, [Settled(fine, due.subscription, "delivered")])
        assert webhooks.attempts(session, due.delivery.id) == [failed, fine]
        assert webhooks.pending(session) == 0
    assert claim(store, at=START + 9999 * MINUTE) == []


def broken(store: Store, due: webhooks.Due, *, failures: int = 1, quiet_until: Any = None) -> None:
    """The endpoint did not take it, and is left alone until then."""
    attempt = Attempt(due.delivery.id, due.delivery.attempts + 1, START, 500, 1, "")
    after = Settled(attempt, due.subscription, "pending", next_at=START + 60 * MINUTE, failures=failures,
                    quiet_until=quiet_until)  # fmt: skip
    with store.write() as session:
        webhooks.settle(session, [after])


def test_all_that_is_due_to_a_failing_endpoint_waits_out_its_quiet_and_then_goes_singly(store: Store) -> None:
    subscribed(store)
    for n in range(3):
        happened(store, subject=f"alt_{n}")
    first, *_ = claim(store, limit=1)
    broken(store, first, quiet_until=START + MINUTE)
    happened(store, subject="alt_later")
    assert claim(store) == []
    (one,) = claim(store, at=START + MINUTE)
    assert (one.failures, one.failing_since) == (1, START)


def test_failures_that_were_under_way_together_count_once(store: Store) -> None:
    subscribed(store)
    for n in range(4):
        happened(store, subject=f"alt_{n}")
    for due in claim(store):
        broken(store, due, failures=due.failures + 1, quiet_until=START)
    (again,) = claim(store, at=START + 60 * MINUTE, limit=1)
    assert again.failures == 1


def test_failing_endpoints_get_the_room_left_to_them_and_come_after_those_that_work(store: Store) -> None:
    for n in range(4):
        subscribed(store, n)
    happened(store)
    for due in claim(store):
        if due.subscription.id != "sub_3":
            broken(store, due)
    happened(store, subject="alt_2")
    with store.write() as session:
        found = webhooks.claim(session, at=START, limit=9, lease_s=60, failing=2)
    assert [due.subscription.id for due in found] == ["sub_3", "sub_0", "sub_1"]


def test_an_endpoint_that_takes_something_again_is_failing_no_more(store: Store) -> None:
    subscribed(store)
    for n in range(2):
        happened(store, subject=f"alt_{n}")
    first, second = claim(store)
    broken(store, first, quiet_until=START + MINUTE)
    with store.write() as session:
        taken = Attempt(second.delivery.id, 1, START, 200, 1, "")
        webhooks.settle(session, [Settled(taken, second.subscription, "delivered")])
    happened(store, subject="alt_2")
    (due,) = claim(store)
    assert (due.failing_since, due.failures) == (None, 0)


def test_replaying_owes_an_event_again_under_its_first_id(store: Store) -> None:
    subscribed(store)
    event = happened(store)
    other = happened(store, subject="alt_2")
    for due in claim(store):
        with store.write() as session:
            done = Attempt(due.delivery.id, 1, START, 200, 1, "")
            webhooks.settle(session, [Settled(done, due.subscription, "delivered")])
    with store.write() as session:
        assert webhooks.replay(session, "sub_1", at=START + MINUTE, event_ids=[event.id]) == 1
    (due,) = claim(store, at=START + MINUTE)
    assert (due.event.id, due.delivery.attempts) == (event.id, 0)
    with store.write() as session:
        assert webhooks.replay(session, "sub_1", at=START + 2 * MINUTE, since=START) == 2
    assert {d.event.id for d in claim(store, at=START + 2 * MINUTE)} == {event.id, other.id}


def test_a_disabled_endpoint_is_sent_nothing_until_it_is_enabled_and_replayed(store: Store) -> None:
    subscribed(store)
    happened(store)
    with store.write() as session:
        webhooks.disable(session, "sub_1", "it answered 410 Gone")
    happened(store, subject="alt_2")
    assert claim(store) == []
    with store.write() as session:
        assert webhooks.subscription(session, "sub_1").disabled_reason == "it answered 410 Gone"
        enabled = webhooks.change(session, "sub_1", {"active": True})
        assert (enabled.active, enabled.disabled_reason) == (True, "")
        webhooks.replay(session, "sub_1", at=START, since=START)
    assert len(claim(store)) == 2


def test_an_endpoint_that_is_gone_is_sent_nothing_more(store: Store) -> None:
    subscribed(store)
    happened(store)
    with store.write() as session:
        webhooks.unsubscribe(session, "sub_1")
        with pytest.raises(NotFound, match="sub_1"):
            webhooks.subscription(session, "sub_1")
    assert claim(store) == []


def test_an_endpoint_removed_while_it_is_sent_to_does_not_keep_others_from_being_settled(
    store: Store,
) -> None:
    subscribed(store)
    happened(store)
    (due,) = claim(store)
    with store.write() as session:
        webhooks.unsubscribe(session, "sub_1")
    with store.write() as session:
        attempt = Attempt(due.delivery.id, 1, START, 410, 1, "")
        webhooks.settle(session, [Settled(attempt, due.subscription, "failed")])
        webhooks.disable(session, "sub_1", "it answered 410 Gone")


def test_after_a_rotation_both_secrets_are_valid_for_a_while(store: Store) -> None:
    subscribed(store)
    happened(store)
    with store.write() as session:
        webhooks.rotate(session, "sub_1", "whsec_two", until=START + MINUTE)
    (due,) = claim(store, lease_s=1)
    assert due.secrets == ("whsec_two", "whsec_one")
    (later,) = claim(store, at=START + MINUTE)
    assert later.secrets == ("whsec_two",)


def test_the_log_of_an_endpoint_is_read_in_pages(store: Store) -> None:
    subscribed(store)
    made = [happened(store, subject=f"alt_{n}").id for n in range(5)]
    with store.read() as session:
        first = webhooks.deliveries(session, "sub_1", limit=3)
        rest = webhooks.deliveries(session, "sub_1", cursor=first.next_cursor, limit=3)
    assert {d.event_id for d in (*first.items, *rest.items)} == set(made)
    assert rest.next_cursor is None
