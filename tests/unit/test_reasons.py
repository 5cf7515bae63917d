"""Why a ticket is in its pattern reads as a sentence's beginning, and names who decided it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from app.domain import Placement
from app.reports.reasons import reason


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ("merge by mara", "Came with a pattern merged by mara"), ("split by theo", "Split off by theo"),
        ("move by mara", "Moved here by mara"), ("signature", "Carries the error signature"),
        ("a rule of another version", "a rule of another version"),
    ],
)  # fmt: skip
def test_a_stored_rule_is_told_in_words(rule: str, says: str) -> None:
    at = datetime(2026, 3, 2, tzinfo=UTC)
    assert reason(Placement("tkt_1", "pat_1", at, rule, 0.5, None, 0.0, "engine")) == says
