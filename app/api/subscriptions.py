"""Subscribe endpoints to events; see and repeat what was sent."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from app.api import schemas
from app.api.deps import Cursor, Limit, Reader, Run, Writer, answer, listing
from app.api.idempotency import Idempotent
from app.pipeline import deliver
from app.store import webhooks

router = APIRouter(prefix="/v1/subscriptions", tags=["webhooks"], route_class=Idempotent)


@router.post("", operation_id="createSubscription", status_code=201)
def create(request: Request, run: Run, actor: Writer, content: schemas.SubscriptionIn) -> Response:
    """Send events to an endpoint from now on. The answer holds the signing secret, this once."""
    values = content.model_dump(exclude={"filter"})
    query = content.filter.model_dump(exclude_defaults=True)
    found, secret = deliver.subscribe(run, query=query, actor=actor, **values)
    return answer(request, schemas.subscription(found) | {"secret": secret}, status=201)


@router.get("", operation_id="listSubscriptions")
def list_(request: Request, run: Run, actor: Reader) -> Response:
    """Every subscription; secrets are never shown again."""
    with run.store.read() as session:
        found = webhooks.subscriptions(session)
    return answer(request, {"data": [schemas.subscription(s) for s in found], "next_cursor": None})


@router.get("/{id}", operation_id="getSubscription")
def get(request: Request, run: Run, actor: Reader, id: str) -> Response:
    """One subscription."""
    with run.store.read() as session:
        return answer(request, schemas.subscription(webhooks.subscription(session, id)))


@router.patch("/{id}", operation_id="changeSubscription")
def change(
    request: Request, run: Run, actor: Writer, id: str, content: schemas.SubscriptionChange
) -> Response:
    """Switch it on or off, or change what it wants."""
    values = content.model_dump(exclude_none=True)
    if content.filter is not None:
        values["filter"] = content.filter.model_dump(exclude_defaults=True)
    return answer(request, schemas.subscription(deliver.change(run, id, values, actor=actor)))


@router.delete("/{id}", operation_id="deleteSubscription", status_code=204)
def delete(run: Run, actor: Writer, id: str) -> Response:
    """Send nothing more to it and forget its secret."""
    deliver.unsubscribe(run, id, actor=actor)
    return Response(status_code=204)


@router.post("/{id}/rotate", operation_id="rotateSecret")
def rotate(request: Request, run: Run, actor: Writer, id: str) -> Response:
    """A new secret; for 24 hours every delivery is signed with both."""
    return answer(request, {"secret": deliver.rotate(run, id, actor=actor)})


@router.post("/{id}/test", operation_id="sendTest", status_code=202)
def test(request: Request, run: Run, actor: Writer, id: str) -> Response:
    """Send a `webhook.test` event to this endpoint only."""
    return answer(request, {"event_id": deliver.send_test(run, id, actor=actor)}, status=202)


@router.post("/{id}/replay", operation_id="replayEvents", status_code=202)
def replay(request: Request, run: Run, actor: Writer, id: str, content: schemas.ReplayIn) -> Response:
    """Send named events, or all since a time, again under their first ids."""
    count = deliver.replay(run, id, event_ids=content.event_ids, since=content.since)
    return answer(request, {"events": count}, status=202)


@router.get("/{id}/deliveries", operation_id="listDeliveries")
def deliveries(
    request: Request, run: Run, actor: Reader, id: str, cursor: Cursor = None, limit: Limit = 50
) -> Response:
    """The delivery log, newest first, with every attempt and its answer."""
    with run.store.read() as session:
        webhooks.subscription(session, id)
        found = webhooks.deliveries(session, id, cursor=cursor, limit=limit)
        data = [schemas.delivery(d, webhooks.attempts(session, d.id)) for d in found.items]
    return listing(request, data, found.next_cursor)
