"""A desk somebody operates: sources in every state, endpoints that take and refuse, people, keys, choices."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

import httpx

from app.backtest import Clock
from app.domain import Checkpoint, Source
from app.pipeline import access, accounts, configure, deliver
from app.runtime import Runtime
from app.settings import SourceSettings
from app.store import sources

PASSWORD = "seven quiet lighthouses"
TAKES, REFUSES = "https://hooks.example.com/foreshock", "https://old.example.com/in"


@dataclass(frozen=True)
class Operated:
    """The desk, its clock, and the ids a test needs."""

    runtime: Runtime
    clock: Clock
    takes: str
    refuses: str


def answering(request: httpx.Request) -> httpx.Response:
    """One endpoint takes what it gets, the other is gone."""
    if request.url.host == "old.example.com" or request.headers.get("host") == "old.example.com":
        return httpx.Response(410, text="this integration was removed")
    return httpx.Response(200, text='{"ok": true}')


def operated(given: Runtime, clock: Clock) -> Operated:
    """`given` with a pulled source that fails, one that is fine, two endpoints, three people and a key."""
    pulled = (
        SourceSettings(name="zendesk", kind="zendesk", options={"base_url": "https://acme.zendesk.com"}),
        SourceSettings(
            name="jira", kind="jira", every_s=600, options={"base_url": "https://acme.example.com"}
        ),
    )
    chosen = given.settings.model_copy(update={"sources": pulled})
    runtime = replace(
        given, settings=chosen, transport=httpx.MockTransport(answering), look_up=lambda *_: ["93.184.216.34"]
    )
    at = runtime.now()
    with runtime.store.write() as session:
        for name in ("zendesk", "jira"):
            sources.register(session, Source(name, name))
        sources.received(session, "jira", at=at - timedelta(minutes=4), newest_at=at - timedelta(minutes=9))
        sources.save_checkpoint(
            session, Checkpoint("jira", "tickets", {"updated_until": f"{at:%Y-%m-%d %H:%M}"})
        )
        sources.received(session, "zendesk", at=at - timedelta(hours=3), newest_at=at - timedelta(hours=3))
        sources.save_checkpoint(
            session, Checkpoint("zendesk", "tickets", {"cursor": "MTc2MzkwNjQwMC4wfHw0ODIxMQ"})
        )
        sources.change(session, "zendesk", last_error_at=at - timedelta(minutes=5), last_error=(
            "the API token was refused (401): make a new one and set ZENDESK_CLIENT_SECRET"))  # fmt: skip
    ids = [
        deliver.subscribe(runtime, url=url, event_types=types, query=query, include_text=False, secret="",
                          actor="mara")[0].id
        for url, types, query in ((TAKES, ["alert.*", "fix.*"], {"product": "Projects", "min_customers": 3}),
                                  (REFUSES, [], {}))
    ]  # fmt: skip
    for id_ in ids:
        deliver.send_test(runtime, id_, actor="mara")
    while deliver.deliver(runtime):
        pass
    deliver.send_test(runtime, ids[0], actor="mara")
    accounts.make_user(runtime, "mara", "admin", password=PASSWORD)
    accounts.make_user(runtime, "theo", "lead", password=PASSWORD, actor="mara")
    accounts.make_user(runtime, "ines", "viewer", actor="mara")
    access.make_key(runtime, "helpdesk sidebar", ["read"], actor="mara")
    configure.apply_settings(runtime, {"alerts_per_week": 4, "granularity": "finer"}, actor="mara")
    return Operated(runtime, clock, ids[0], ids[1])
