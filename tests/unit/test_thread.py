"""What a pattern's customers have in common: found when it is there, silent when it is not."""

from __future__ import annotations

from random import Random

import pytest

from app.detectors.thread import Witness, common_thread, version_key


def witness(
    customer: int | str, subject: str = "Export fails", tags: tuple[str, ...] = (), **attributes: str
) -> Witness:
    return Witness(str(customer), attributes, tags, subject, "")


def rest(count: int = 200, seed: int = 1) -> list[Witness]:
    """A queue where one in ten is on 5.2.0, half are in the EU, and nothing goes with anything."""
    random = Random(seed)
    return [
        witness(
            f"o{n}", f"Question {n}", version=random.choices(["5.1.0", "5.2.0"], [9, 1])[0],
            region=random.choice(["EU", "US"]),
        )
        for n in range(count)
    ]  # fmt: skip


def test_what_most_customers_share_and_others_do_not_is_told_in_a_sentence() -> None:
    members = [
        witness(n, version="5.2.0" if n < 14 else "5.1.0", region="EU" if n % 2 else "US") for n in range(17)
    ]
    found = common_thread(members, rest())
    version = next(t for t in found if t.attribute == "version")
    assert (version.k, version.n, version.value) == (14, 17, "5.2.0")
    assert version.sentence.startswith("14 of 17 customers (82%) have version 5.2.0; elsewhere ")
    assert version.low > 1
    assert version.q < 0.001
    assert "region" not in {t.attribute for t in found}


def test_a_version_and_all_later_ones_are_one_value() -> None:
    members = [witness(n, version=f"5.2.{n % 4}") for n in range(12)]
    found = common_thread(members, [witness(f"o{n}", version="5.1.9") for n in range(99)])
    assert found[0].value == "5.2.0 and later"
    assert version_key("v5.10.1 beta") == (5, 10, 1)
    assert version_key("none") == ()


def test_one_customer_with_many_tickets_is_one() -> None:
    members = [witness("loud", version="5.2.0") for _ in range(40)] + [
        witness(n, version="5.1.0") for n in range(5)
    ]
    assert not [t for t in common_thread(members, rest()) if t.value == "5.2.0"]


def test_noise_has_no_thread_in_nineteen_of_twenty_queues() -> None:
    alarms = 0
    for seed in range(60):
        queue = rest(220, seed)
        members = [
            Witness(f"m{n}", w.attributes, (), f"Same words {n}", "") for n, w in enumerate(queue[:14])
        ]
        alarms += any(t.attribute in ("version", "region") for t in common_thread(members, queue[14:]))
    assert alarms <= 6


def test_a_value_that_only_comes_with_a_stronger_one_says_so() -> None:
    """Version 5.2.0 causes it; it was rolled out in the EU first, so the EU is over-represented too."""
    random = Random(3)
    others = []
    for n in range(400):
        region = "EU" if random.random() < 0.5 else "US"
        new = random.random() < (0.35 if region == "EU" else 0.02)
        others.append(witness(f"o{n}", f"Question {n}", region=region, version="5.2.0" if new else "5.1.0"))
    members = [
        witness(n, f"Export fails {n}", region="EU" if n < 19 else "US", version="5.2.0") for n in range(20)
    ]
    found = {t.attribute: t for t in common_thread(members, others) if t.attribute in ("region", "version")}
    assert found["region"].note == "no more than chance once version 5.2.0 is taken into account"
    assert found["region"].sentence.endswith("taken into account)")
    assert found["version"].note == ""


def test_two_values_that_each_add_something_carry_no_note() -> None:
    random = Random(4)
    others = [
        witness(
            f"o{n}",
            f"Question {n}",
            plan=random.choice(["free", "pro"]),
            browser=random.choice(["Safari", "Chrome"]),
        )
        for n in range(400)
    ]
    members = [
        witness(
            n,
            f"Export fails {n}",
            plan="pro" if n % 10 else "free",
            browser="Safari" if (n + 5) % 10 else "Chrome",
        )
        for n in range(40)
    ]
    found = {t.attribute: t for t in common_thread(members, others) if t.attribute in ("plan", "browser")}
    assert {t.note for t in found.values()} == {""}
    assert set(found) == {"plan", "browser"}


def test_of_two_that_always_come_together_only_the_weaker_one_is_noted() -> None:
    others = [witness(f"o{n}", plan="pro", browser="Chrome") for n in range(200)]
    members = [witness(n, plan="free", browser="Safari") for n in range(12)]
    notes = [t.note for t in common_thread(members, others) if t.attribute in ("plan", "browser")]
    assert len(notes) == 2
    assert notes[0] == ""
    assert notes[1].startswith("too few others to tell it from ")


@pytest.mark.parametrize("attribute", ["agent", "priority", "team", "severity"])
def test_what_the_desk_itself_sets_is_no_thread(attribute: str) -> None:
    members = [Witness(str(n), {attribute: "same"}, (), "Export fails", "") for n in range(12)]
    others = [Witness(f"o{n}", {attribute: "other"}, (), "Export fails", "") for n in range(100)]
    assert attribute not in {t.attribute for t in common_thread(members, others)}


def test_tags_and_words_are_compared_too() -> None:
    members = [witness(n, "The renamed field is empty", tags=("crm",)) for n in range(8)]
    others = [witness(f"o{n}", "Where is my invoice") for n in range(80)]
    found = common_thread(members, others)
    assert ("tag", "crm") in {(t.attribute, t.value) for t in found}
    assert any(t.attribute == "words" and "renamed field" in t.value for t in found)


def test_too_few_customers_have_no_thread() -> None:
    assert common_thread([witness(1, version="5.2.0"), witness(2, version="5.2.0")], rest()) == []
    assert common_thread([witness(n, version="5.2.0") for n in range(5)], []) == []
