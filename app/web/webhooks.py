"""The webhooks page: endpoints and how they do, what was sent and answered, and sending it again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request, Response

from app.domain import Delivery, Event, Subscription
from app.errors import Invalid
from app.pipeline import deliver
from app.runtime import Runtime
from app.store import operating, webhooks
from app.store.operating import Success
from app.store.webhooks import Attempt
from app.web.guard import Reader, Run, Visitor, Writer
from app.web.render import PageRoute, done, page

router = APIRouter(route_class=PageRoute, include_in_schema=False)
Field = Annotated[str, Form(max_length=2000)]
FAMILIES = {
    "alert.*": "Alerts open, get worse, end", "pattern.*": "Patterns appear, change, come back",
    "fix.*": "Fixes worked or not", "release.*": "Releases and fixes are recorded",
}  # fmt: skip
FILTERS = ("product", "component", "severity", "min_customers", "text")
SUCCESS_OVER = timedelta(hours=24)
ON_A_PAGE = 25


@dataclass(frozen=True, slots=True)
class Sent:
    """One line of the delivery log: the event, what was sent, and every attempt."""

    delivery: Delivery
    event: Event | None
    body: str
    attempts: Sequence[Attempt]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the form of an endpoint asks for; `types` none means all events."""

    url: str
    types: list[str]
    query: dict[str, str]
    include_text: bool

    def filter(self, before: Mapping[str, Any]) -> dict[str, Any]:
        """The saved query; what the form does not show stays as it was `before`."""
        count = self.query["min_customers"].strip()
        if count and not count.isdecimal():
            raise Invalid("customers at least: a whole number")
        if self.query["severity"] not in ("", *webhooks.SEVERITIES):
            raise Invalid(f"severity is one of {', '.join(webhooks.SEVERITIES)}")
        values = {n: v.strip() for n, v in self.query.items()} | {"min_customers": int(count or 0)}
        return {n: v for n, v in (dict(before) | values).items() if v}

    def as_held(self) -> dict[str, Any]:
        """For the form to show again."""
        return {"url": self.url, "types": self.types, "filter": self.query, "include_text": self.include_text}


def wanted(
    url: Field = "",
    types: Annotated[list[str] | None, Form()] = None,
    others: Field = "",
    product: Field = "",
    component: Field = "",
    severity: Field = "",
    min_customers: Field = "",
    text: Field = "",
    include_text: Field = "",
) -> Wanted:
    """The fields of the form, one parameter each."""
    named = [*(t for t in types or () if t in FAMILIES), *others.replace(",", " ").split()]
    query = {"product": product, "component": component, "severity": severity, "min_customers": min_customers,
             "text": text}  # fmt: skip
    return Wanted(url.strip(), named, query, bool(include_text))


Asked = Annotated[Wanted, Depends(wanted)]


@router.get("/webhooks")
def list_(request: Request, run: Run, visitor: Reader) -> Response:
    """Every endpoint and how it does."""
    with run.store.read() as session:
        found = webhooks.subscriptions(session)
        did = operating.success(session, since=run.now() - SUCCESS_OVER)
    rows = [(s, did.get(s.id, Success())) for s in found]
    return page(request, visitor, "webhooks.html", rows=rows, families=FAMILIES)


@router.get("/webhooks/new")
def new(request: Request, visitor: Reader) -> Response:
    return _form(request, visitor)


@router.post("/webhooks")
def create(request: Request, run: Run, visitor: Writer, asked: Asked) -> Response:
    """A new endpoint; its secret is shown on this answer only."""
    try:
        made, secret = deliver.subscribe(
            run, url=asked.url, event_types=asked.types, query=asked.filter({}), include_text=asked.include_text,
            secret="", actor=visitor.name,
        )  # fmt: skip
    except Invalid as error:
        return _form(request, visitor, problem=str(error), **asked.as_held())
    return _endpoint(request, run, visitor, made, secret=secret)


def _form(request: Request, visitor: Visitor, *, problem: str = "", **typed: Any) -> Response:
    held = {"url": "", "types": ["alert.*"], "filter": {}, "include_text": False} | typed
    return page(
        request, visitor, "webhook-new.html", status=422 if problem else 200, families=FAMILIES,
        problem=problem, held=held,
    )  # fmt: skip


@router.get("/webhooks/{id_}")
def show(request: Request, run: Run, visitor: Reader, id_: str, cursor: str = "") -> Response:
    """One endpoint: its state, what it wants, and the delivery log."""
    with run.store.read() as session:
        found = webhooks.subscription(session, id_)
    return _endpoint(request, run, visitor, found, cursor=cursor)


def _endpoint(
    request: Request,
    run: Runtime,
    visitor: Visitor,
    subscription: Subscription,
    *,
    cursor: str = "",
    secret: str = "",
    problem: str = "",
) -> Response:
    id_ = subscription.id
    with run.store.read() as session:
        log = webhooks.deliveries(session, id_, cursor=cursor or None, limit=ON_A_PAGE)
        tries = operating.attempts_of(session, [d.id for d in log.items])
        events = operating.events_of(session, log.items)
        did = operating.success(session, since=run.now() - SUCCESS_OVER).get(id_, Success())
    sent = [Sent(d, events.get(d.event_id), _body(run, subscription, events.get(d.event_id)),
                 tries.get(d.id, [])) for d in log.items]  # fmt: skip
    return page(
        request, visitor, "webhook.html", status=422 if problem else 200, of=subscription, did=did, sent=sent,
        families=FAMILIES, secret=secret, problem=problem, base=f"/webhooks/{id_}",
        following=f"/webhooks/{id_}?cursor={log.next_cursor}" if log.next_cursor else "",
        held={"url": subscription.url, "types": list(subscription.event_types),
              "filter": dict(subscription.filter), "include_text": subscription.include_text},
    )  # fmt: skip


def _body(run: Runtime, subscription: Subscription, event: Event | None) -> str:
    """What is sent, readable; without quotes, which are read when it is sent."""
    if event is None:
        return ""
    if subscription.include_text:
        return "quotes of tickets are added when it is sent"
    content = deliver.body_of(run, subscription, event).decode()
    if subscription.format == webhooks.EMAIL:
        return content
    return json.dumps(json.loads(content), indent=2, ensure_ascii=False)


@router.post("/webhooks/{id_}")
def change(request: Request, run: Run, visitor: Writer, id_: str, asked: Asked) -> Response:
    """Another address, other events, another filter."""
    with run.store.read() as session:
        before = webhooks.subscription(session, id_)
    try:
        values = {
            "event_types": asked.types, "filter": asked.filter(before.filter), "include_text": asked.include_text,
        }  # fmt: skip
        values |= {"url": asked.url} if asked.url != before.url else {}
        deliver.change(run, id_, values, actor=visitor.name)
    except Invalid as error:
        return _endpoint(request, run, visitor, before, problem=str(error))
    return done(f"/webhooks/{id_}", "webhook")


@router.post("/webhooks/{id_}/enable")
def enable(run: Run, visitor: Writer, id_: str) -> Response:
    deliver.change(run, id_, {"active": True}, actor=visitor.name)
    return done(f"/webhooks/{id_}", "enabled")


@router.post("/webhooks/{id_}/disable")
def disable(run: Run, visitor: Writer, id_: str) -> Response:
    deliver.change(run, id_, {"active": False, "disabled_reason": f"switched off by {visitor.name}"},
                   actor=visitor.name)  # fmt: skip
    return done(f"/webhooks/{id_}", "disabled")


@router.post("/webhooks/{id_}/rotate")
def rotate(request: Request, run: Run, visitor: Writer, id_: str) -> Response:
    """A new secret, shown on this answer only."""
    secret = deliver.rotate(run, id_, actor=visitor.name)
    with run.store.read() as session:
        found = webhooks.subscription(session, id_)
    return _endpoint(request, run, visitor, found, secret=secret)


@router.post("/webhooks/{id_}/test")
def test(run: Run, visitor: Writer, id_: str) -> Response:
    deliver.send_test(run, id_, actor=visitor.name)
    return done(f"/webhooks/{id_}", "test-sent")


@router.post("/webhooks/{id_}/replay")
def replay(
    request: Request, run: Run, visitor: Writer, id_: str, event: Field = "", since: Field = ""
) -> Response:
    """Send one event again, or all since a time of the business time zone."""
    with run.store.read() as session:
        found = webhooks.subscription(session, id_)
    try:
        moment = datetime.fromisoformat(since).replace(tzinfo=run.settings.zone) if since else None
    except ValueError:
        return _endpoint(request, run, visitor, found, problem="since: give a day and a time")
    if not (event or moment):
        return _endpoint(request, run, visitor, found, problem="since: give a day and a time")
    deliver.replay(run, id_, event_ids=[event] if event else [], since=moment)
    return done(f"/webhooks/{id_}", "replayed")


@router.post("/webhooks/{id_}/remove")
def remove(run: Run, visitor: Writer, id_: str) -> Response:
    deliver.unsubscribe(run, id_, actor=visitor.name)
    return done("/webhooks", "removed")
