"""The HTTP API put together: resources, problems, limits, request ids, OpenAPI."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastapi import FastAPI

from app.api import (
    alerts,
    audit,
    backtests,
    briefs,
    erasures,
    events,
    grouping,
    keys,
    middleware,
    ops,
    patterns,
    problems,
    releases,
    report_posts,
    reports,
    settings,
    similar,
    sources,
    subscriptions,
    suggestions,
    tickets,
    users,
)
from app.api.webhooks import describe
from app.runtime import Runtime

SUMMARY = "Recurring-issue pattern detection for customer support"


def _version() -> str:
    """The installed version; "0" when run from a tree that was never installed."""
    try:
        return version("foreshock")
    except PackageNotFoundError:
        return "0"


def create_app(runtime: Runtime) -> FastAPI:
    """The API over a runtime."""
    app = FastAPI(
        title="Foreshock",
        summary=SUMMARY,
        version=_version(),
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        responses={"default": {"description": "A problem", "content": {"application/problem+json": {
            "schema": {"$ref": "#/components/schemas/Problem"}}}}},
    )  # fmt: skip
    app.state.runtime = runtime
    resources = (
        tickets, patterns, briefs, alerts, backtests, releases, sources, events, subscriptions, suggestions, grouping,
        similar, reports, report_posts, users, keys, settings, audit, erasures, ops,
    )  # fmt: skip
    for resource in resources:
        app.include_router(resource.router)
    problems.install(app)
    middleware.install(app, runtime)
    make = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = describe(make())
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
    return app
