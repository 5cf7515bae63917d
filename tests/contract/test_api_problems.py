"""Every problem type points to a page that explains it."""

from __future__ import annotations

from fastapi.testclient import TestClient


def test_the_type_of_a_problem_is_an_address_with_an_explanation(api: TestClient) -> None:
    page = api.get("/docs/problems").text
    for path, status in (("/v1/tickets/tkt_none", 404), ("/v1/patterns?what=x", 422), ("/nowhere", 404)):
        found = api.get(path).json()
        assert found["status"] == status
        address, _, slug = found["type"].partition("#")
        assert address == "/docs/problems"
        assert f'id="{slug}"' in page
