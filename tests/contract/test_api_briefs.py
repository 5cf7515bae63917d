"""The brief over HTTP: every format by Accept or query, cached by ETag, the same bytes for the same state."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from app.domain import Change
from app.pipeline import review
from app.pipeline.digest import digest
from app.pipeline.intake import accept
from app.runtime import Runtime
from app.store import patterns
from tests.fakes import START, raw


@pytest.fixture
def pattern(runtime: Runtime) -> str:
    """Six tickets in one pattern, with a fix."""
    accept(runtime, [raw(n, resolution="Restarted it") for n in range(6)], source_kind="push")
    while digest(runtime):
        pass
    with runtime.store.read() as session:
        (found,) = patterns.search(session, {}).items
    review.record_release(
        runtime, at=START, kind=Change.FIX, title="Patched", pattern_id=found.id, actor="lead"
    )
    return found.id


FORMS = {"html": "text/html", "md": "text/markdown", "pdf": "application/pdf", "json": "application/json",
         "slack": "text/plain", "jira": "text/plain"}  # fmt: skip


def test_a_brief_comes_in_every_format_twice_the_same_bytes(api: TestClient, pattern: str) -> None:
    for form, kind in FORMS.items():
        first, second = (api.get(f"/v1/patterns/{pattern}/brief?format={form}") for _ in range(2))
        assert first.status_code == 200
        assert first.headers["content-type"].startswith(kind)
        assert first.content == second.content
        held = api.get(
            f"/v1/patterns/{pattern}/brief?format={form}", headers={"If-None-Match": first.headers["etag"]}
        )
        assert held.status_code == 304


@pytest.mark.parametrize(("accept_", "kind"), [
    ("application/pdf", "application/pdf"), ("text/html;q=0.2, text/markdown", "text/markdown"),
    ("text/html,application/xhtml+xml,*/*;q=0.8", "text/html"), ("image/png", "application/json"),
    ("", "application/json"), ("text/html;q=x", "application/json"), ("text/html;q=0", "application/json"),
])  # fmt: skip
def test_accept_chooses_the_format(api: TestClient, pattern: str, accept_: str, kind: str) -> None:
    answer = api.get(f"/v1/patterns/{pattern}/brief", headers={"Accept": accept_})
    assert answer.headers["content-type"].startswith(kind)


def test_a_brief_tells_who_what_was_tried_and_every_ticket_with_its_reason(
    api: TestClient, pattern: str
) -> None:
    told = api.get(f"/v1/patterns/{pattern}/brief").json()
    assert (told["tickets"], told["customers"]) == (6, 6)
    assert told["answers"] == [{"text": "Restarted it", "tickets": 6, "reopened": 0}]
    assert [f["title"] for f in told["fixes"]] == ["Patched"]
    assert len(told["evidence"]) == 6
    assert all(m["reason"] for m in told["evidence"])
    assert 3 <= len(told["quotes"]) <= 5
    assert sum(w["tickets"] for w in told["weeks"]) == 6


def test_a_merged_patterns_brief_is_its_heirs(api: TestClient, runtime: Runtime, pattern: str) -> None:
    accept(runtime, [raw(n, "Password mail never arrives") for n in range(10, 14)], source_kind="push")
    while digest(runtime):
        pass
    with runtime.store.read() as session:
        other = next(p.id for p in patterns.search(session, {}).items if p.id != pattern)
    review.merge(runtime, other, into=pattern, actor="lead")
    answer = api.get(f"/v1/patterns/{other}/brief?format=md")
    assert answer.status_code == 308
    assert answer.headers["location"].endswith(f"/v1/patterns/{pattern}/brief?format=md")
    assert api.get(answer.headers["location"]).status_code == 200


def test_an_unknown_format_or_pattern_is_a_problem(api: TestClient, pattern: str) -> None:
    wrong = api.get(f"/v1/patterns/{pattern}/brief?format=docx")
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "format")
    assert api.get("/v1/patterns/pat_x/brief").status_code == 404
