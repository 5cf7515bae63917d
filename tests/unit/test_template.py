"""Log templates: masks, joining, and ids that stay."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.detectors.template import TemplateMiner, mask, mask_message


@pytest.mark.parametrize(
    "value",
    [
        "https://acme.test/a?b=1", "ann@acme.test", "5f1b2c3d-1111-4222-8333-abcdefabcdef",
        "2024-05-06T10:11:12.345Z", "10:11:12", "00:1B:44:11:3A:B7",
        "10.0.0.1:8080", "0x7ffe12", "/var/log/acme/a.log",
        "C:\\logs\\acme\\a.log", "db.acme.test:5432", "blk_-1608999687919862906", "42", "3.14",
    ],
)  # fmt: skip
def test_every_kind_of_value_is_masked(value: str) -> None:
    assert mask(f"read {value} again") == "read <*> again"


def test_words_are_not_masked() -> None:
    assert mask("Connection refused by peer, giving up.") == "Connection refused by peer, giving up."


def test_lines_that_differ_in_values_share_a_template() -> None:
    miner = TemplateMiner()
    first, second = (miner.add(f"block {n} of 10.0.0.{n} took {n} ms") for n in (7, 8))
    assert (first.id, second.lines) == (second.id, 2)
    assert second.text == "block <*> of <*> took <*>"


def test_one_differing_plain_word_makes_another_template() -> None:
    miner = TemplateMiner()
    ids = miner.add_all(["Block 1 stored as bytes in memory now", "Block 2 stored as values in memory now"])
    assert len(set(ids)) == 2


def test_many_alternatives_in_one_place_are_a_value_and_the_oldest_keeps_its_id() -> None:
    miner = TemplateMiner()
    users = ["ann", "bob", "cid", "dan", "eve"]
    first = miner.add("session opened for user ann by root").id
    ids = miner.add_all(f"session opened for user {user} by root" for user in users)
    assert set(ids) == {first}
    kept = [template for template in miner.templates() if not template.heir]
    assert [(template.text, template.lines) for template in kept] == [
        ("session opened for user <*> by root", 6)
    ]


def test_a_joined_template_still_resolves_to_its_heir() -> None:
    miner = TemplateMiner()
    early = [miner.add(f"session opened for user {user} by root").id for user in ("ann", "bob", "cid", "dan")]
    assert {miner.resolve(template_id) for template_id in early} == {early[0]}


def test_different_lengths_never_share_a_template() -> None:
    miner = TemplateMiner()
    assert len(set(miner.add_all(["disk full", "disk almost full", "disk nearly almost full"]))) == 3


def test_dates_units_and_empty_values_are_values() -> None:
    miner = TemplateMiner()
    ids = miner.add_all(
        [
            "connection from 10.0.0.1 () at Fri Jul 1 10:00:00 2005, took 5 ms, user=",
            "connection from 10.0.0.2 (a1.test) at Mon Jun 13 11:00:00 2005, took 2 seconds, user=u1",
        ]
    )
    assert len(set(ids)) == 1


WORDS = st.sampled_from(
    ["open", "close", "file", "user", "ann", "bob", "cid", "dan", "eve", "7", "a1", "/x/y", "k=", ":"]
)
LINES = st.lists(st.lists(WORDS, min_size=1, max_size=6).map(" ".join), max_size=60)


@given(LINES)
def test_the_same_lines_give_the_same_templates(lines: list[str]) -> None:
    one, other = TemplateMiner(), TemplateMiner()
    assert one.add_all(lines) == other.add_all(lines)
    assert one.templates() == other.templates()


@given(LINES)
def test_no_line_is_lost_and_ids_only_change_to_an_older_heir(lines: list[str]) -> None:
    miner = TemplateMiner()
    ids = [miner.add(line).id for line in lines]
    age = {template.id: place for place, template in enumerate(miner.templates())}
    assert all(age[miner.resolve(template_id)] <= age[template_id] for template_id in ids)
    assert sum(template.lines for template in miner.templates() if not template.heir) == len(lines)


@given(LINES, LINES)
def test_an_exported_miner_goes_on_as_if_never_stopped(before: list[str], after: list[str]) -> None:
    miner = TemplateMiner()
    miner.add_all(before)
    restored = TemplateMiner.restore(miner.templates())
    assert restored.templates() == miner.templates()
    known = {miner.resolve(template.id) for template in miner.templates()}
    restored.add_all(after)
    assert known >= {restored.resolve(old) for old in known}


@pytest.mark.parametrize(
    ("message", "name"),
    [
        ("index out of range [5] with length 3", "index out of range"),
        ("src/middle/ty.rs:412: no type for node 17: expr", "no type for node"),
        ("Impl DefId { krate: 0, node: 7 } was matchable", "Impl DefId"),
        ("connection pool exhausted", "connection pool exhausted"),
        ("7 items lost", "<*> items lost"),
    ],
)
def test_a_message_is_named_by_what_stands_before_its_first_value(message: str, name: str) -> None:
    assert mask_message(message) == name
