"""Requests drawn from the OpenAPI document: no server error, and every answer is as the document says."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from app.pipeline.digest import digest
from app.pipeline.intake import accept
from app.runtime import Runtime
from app.server import service
from app.settings import Settings
from app.store.core import Store
from tests.fakes import WordEmbedder, raw

CHECKS = [
    schemathesis.checks.not_a_server_error, content_type_conformance, status_code_conformance,
    response_schema_conformance,
]  # fmt: skip
LOCAL = {"host": "127.0.0.1"}
EXAMPLES = int(os.environ.get("DRAWN", "8"))  # requests of each operation


def made(folder: Path) -> Any:
    """The service over a small desk."""
    chosen = Settings(database_url=f"sqlite:///{folder / 'desk.sqlite3'}", data_dir=folder, secret="of the tests",
                      requests_per_minute=1_000_000)  # fmt: skip
    store = Store(chosen.database_url, durable=False)
    store.migrate()
    runtime = Runtime(chosen, store, look_up=lambda _host, _port: ["93.184.216.34"])
    runtime.__dict__["embedder"] = WordEmbedder()
    accept(runtime, [raw(n, f"Export fails with E-403{n % 3}") for n in range(9)], source_kind="push")
    while digest(runtime):
        pass
    return service(runtime)


def test_no_request_drawn_from_the_document_breaks_the_service(tmp_path: Path) -> None:
    schema = schemathesis.openapi.from_asgi("/openapi.json", made(tmp_path), headers=LOCAL)
    broken = []
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()

        @settings(max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
                  suppress_health_check=list(HealthCheck))  # fmt: skip
        @given(case=operation.as_strategy())
        def holds(case: schemathesis.Case[Any]) -> None:
            case.call_and_validate(headers=LOCAL, checks=CHECKS)

        try:
            holds()
        except (AssertionError, BaseExceptionGroup) as error:
            broken.append(f"{operation.label}: {error}")
    assert not broken, "\n\n".join(broken)
