"""Where a ticket was filed, as part of what it is compared by."""

from __future__ import annotations

import numpy as np
import pytest

from app.detectors.grouping.fields import WEIGHT, WIDTH, filed_under, with_component

CHANCE = np.random.default_rng(5)


def text(dim: int = 384) -> np.ndarray:
    vector = CHANCE.normal(size=dim)
    return (vector / np.linalg.norm(vector)).astype(np.float16)


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one.astype(float) @ other.astype(float))


def test_one_component_speaks_for_one_problem_and_two_against_it() -> None:
    one = text()
    other = (0.6 * one + 0.8 * text()).astype(np.float16)
    said = cosine(one, other)
    same = cosine(with_component(one, "People/Timer"), with_component(other, "People/Timer"))
    apart = cosine(with_component(one, "People/Timer"), with_component(other, "People/Payroll"))
    assert same == pytest.approx((1 - WEIGHT) * said + WEIGHT, abs=2e-3)
    assert apart < said
    assert apart == pytest.approx((1 - WEIGHT) * said, abs=WEIGHT * 4 / np.sqrt(WIDTH))


def test_tickets_filed_nowhere_are_compared_by_their_text_alone() -> None:
    one, other = text(), text()
    assert cosine(with_component(one, ""), with_component(other, "")) == cosine(one, other)


@pytest.mark.parametrize("filed", ["", "People/Timer"])
def test_the_vector_has_length_one_and_is_the_same_every_time(filed: str) -> None:
    one = text()
    joint = with_component(one, filed)
    assert joint.dtype == np.float16
    assert joint.shape == (384 + WIDTH,)
    assert cosine(joint, joint) == pytest.approx(1.0, abs=2e-3)
    assert np.array_equal(joint, with_component(one, filed))


def test_a_component_is_one_of_its_product() -> None:
    assert filed_under({"product": "People", "component": "Timer"}) == "People/Timer"
    assert filed_under({"product": "Desk", "component": "Timer"}) == "Desk/Timer"
    assert filed_under({"component": "Timer"}) == "/Timer"
    assert filed_under({"product": "People"}) == ""
