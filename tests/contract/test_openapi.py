"""The OpenAPI document is valid, complete, and changes only on purpose."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from app.api.webhooks import EVENTS
from app.runtime import Runtime
from app.server import service
from app.settings import Settings
from app.store.core import Store

KEPT = Path(__file__).parent / "openapi.json"
METHODS = ("get", "post", "put", "patch", "delete")


@pytest.fixture
def document(sqlite_url: str, tmp_path: Path) -> dict[str, Any]:
    store = Store(sqlite_url)
    runtime = Runtime(Settings(database_url=sqlite_url, data_dir=tmp_path), store)
    found: dict[str, Any] = (
        TestClient(service(runtime), base_url="http://127.0.0.1").get("/openapi.json").json()
    )
    store.close()
    return found


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(path, m, item[m]) for path, item in document["paths"].items() for m in METHODS if m in item]


def test_the_document_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(document).validate()


def test_every_operation_has_a_name_of_its_own_and_a_description(document: dict[str, Any]) -> None:
    names = [o["operationId"] for _, _, o in operations(document)]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"[a-z][A-Za-z]+", name) for name in names), names
    assert all(o.get("description") or o.get("summary") for _, _, o in operations(document))


def test_every_body_has_an_example(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    for path, method, operation in operations(document):
        if "requestBody" in operation:
            content = operation["requestBody"]["content"]["application/json"]
            refs = re.findall(r"#/components/schemas/(\w+)", json.dumps(content["schema"]))
            has = "example" in content or "examples" in content or any(
                "example" in schemas[r] or "examples" in schemas[r] for r in refs
            )  # fmt: skip
            assert has, f"{method.upper()} {path}"


def test_every_answer_has_a_schema_and_an_example_that_keeps_to_it(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        for status, response in operation["responses"].items():
            if not status.startswith("2") or status == "204":
                continue
            assert response.get("content"), f"{method.upper()} {path} {status}"
            said = response["content"].get("application/json")
            if said is not None:
                assert said["schema"], f"{method.upper()} {path} {status}"
                whole = said["schema"] | {"components": document["components"]}
                Draft202012Validator(whole).validate(said["example"])


def test_every_webhook_has_an_example_that_keeps_to_its_schema(document: dict[str, Any]) -> None:
    for name, item in document["webhooks"].items():
        said = item["post"]["requestBody"]["content"]["application/json"]
        Draft202012Validator(said["schema"] | {"components": document["components"]}).validate(
            said["example"]
        )
        assert said["example"]["type"] == name


def test_every_event_is_a_webhook_of_the_document(document: dict[str, Any]) -> None:
    assert set(document["webhooks"]) == set(EVENTS)


def test_only_the_api_is_described_and_no_page(document: dict[str, Any]) -> None:
    assert all(
        path.startswith("/v1/") or path in ("/healthz", "/readyz", "/metrics") for path in document["paths"]
    )


def test_the_document_is_the_one_that_was_reviewed(document: dict[str, Any]) -> None:
    """A change of the wire is made on purpose: KEEP_OPENAPI=1 python -m pytest tests/contract/test_openapi.py."""
    del document["info"]["version"]
    text = json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    if os.environ.get("KEEP_OPENAPI"):
        KEPT.write_text(text, encoding="utf-8")
    assert json.loads(KEPT.read_text(encoding="utf-8")) == document
