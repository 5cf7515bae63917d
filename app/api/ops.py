"""For whoever runs the service: alive, ready, measured."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from app.api.deps import Reader, Run, answer
from app.errors import ForeshockError
from app.pipeline import cases, standing
from app.pipeline.feeds import DESK
from app.store import alerts, events, sources, tickets, webhooks

router = APIRouter(tags=["operations"])


@router.get("/healthz", operation_id="isAlive")
def healthz() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get("/v1/status", operation_id="getStatus")
def status(request: Request, run: Run, actor: Reader) -> Response:
    """How much of the budget is spent, what waits, how right alerts were, and what is active on a young desk."""
    return answer(request, standing.status(run), about=DESK)


@router.get(
    "/readyz", operation_id="isReady",
    responses={503: {"description": "Something cannot do its work", "content": {"application/json": {}}}},
)  # fmt: skip
def readyz(run: Run) -> Response:
    """Database, schema, model and index can do their work; 503 says which cannot."""
    checks: dict[str, str] = {}
    for name, check in (
        ("database", run.store.check),
        ("migrations", lambda: _up_to_date(run)),
        ("model", lambda: _named(run.embedder.model_id)),
    ):
        try:
            checks[name] = check() or "ok"
        except ForeshockError as error:
            checks[name] = str(error)
    ready = all(v == "ok" for v in checks.values())
    if ready:
        checks["index"] = f"{cases.behind(run)} tickets behind"
        with run.store.read() as session:
            checks["undigested"] = str(tickets.count_undigested(session))
    return JSONResponse(
        {"status": "ready" if ready else "not ready", "checks": checks}, 200 if ready else 503
    )


def _up_to_date(run: Run) -> str:
    pending = run.store.pending_migration()
    return f"run `foreshock migrate` ({pending})" if pending else "ok"


def _named(_model_id: str) -> str:
    return "ok"


@router.get("/metrics", operation_id="getMetrics")
def metrics(run: Run, request: Request, actor: Reader) -> Response:
    """Prometheus text."""
    registry = CollectorRegistry()

    def gauge(name: str, text: str, value: float, **labels: str) -> None:
        found = registry._names_to_collectors.get(name)  # one gauge, many label sets
        metric = found if isinstance(found, Gauge) else Gauge(name, text, list(labels), registry=registry)
        (metric.labels(**labels) if labels else metric).set(value)

    now = run.now()
    with run.store.read() as session:
        gauge("foreshock_tickets", "Tickets stored", tickets.total(session))
        gauge("foreshock_tickets_undigested", "Tickets waiting", tickets.count_undigested(session))
        gauge("foreshock_deliveries_pending", "Webhook deliveries owed", webhooks.pending(session))
        gauge("foreshock_events", "Events written", events.last_seq(session))
        for tier in ("alert", "watch"):
            count = sum(a.tier.value == tier for a in alerts.unresolved(session))
            gauge("foreshock_alerts_open", "Open alerts by tier", count, tier=tier)
        for health in sources.health(session):
            if health.last_success_at:
                age = (now - health.last_success_at).total_seconds()
                gauge(
                    "foreshock_source_age_seconds", "Since a source's last success", age, source=health.name
                )
    gauge("foreshock_index_behind", "Tickets the index has not taken in", cases.behind(run))
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
