"""The sample desk as its lead finds it, and the endpoint that was subscribed while it was lived through."""

from __future__ import annotations

import html
import json
import re
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient
from standardwebhooks import Webhook

from app import demo
from app.backtest import Clock
from app.domain import RawTicket
from app.pipeline.deliver import deliver, subscribe
from app.runtime import Runtime
from app.server import service
from app.settings import Settings
from app.store.core import Store

END = datetime(2026, 11, 23, 18, 30, tzinfo=UTC)
ADDRESS = "http://127.0.0.1:8321"
MADE = "made"
RECEIVED = "received.jsonl"
SECRET = "whsec_c2FtcGxlIGRlc2sgc3RvcmllcyBzZWNyZXQh"
Row = dict[str, Any]


# --- an endpoint ------------------------------------------------------------------------------------


class Endpoint(ThreadingHTTPServer):
    """A product team's own HTTP server on loopback: takes everything and keeps it as it came."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Take)
        self.taken: list[Row] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.server_port}"


class _Take(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        assert isinstance(self.server, Endpoint)
        self.server.taken.append({"headers": dict(self.headers), "body": body})
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on the terminal of a test."""


# --- bringing it to life ----------------------------------------------------------------------------


def settings_of(folder: Path, *, allow: Sequence[str] = ()) -> Settings:
    return Settings(
        **demo.overrides(folder, None), webhook_allow=tuple(allow), secret="a secret of the tests",
        requests_per_minute=1_000_000,
    )  # fmt: skip


class ProductTeam:
    """Subscribes before the first live ticket; whatever is due is sent to it after every tick."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint, self.is_subscribed = endpoint, False

    def __call__(self, runtime: Runtime, at: datetime) -> None:
        if not self.is_subscribed:
            self.is_subscribed = True
            subscribe(runtime, url=f"http://{self.endpoint.place}/hook", event_types=(), query={},
                      include_text=False, secret=SECRET, actor="product team")  # fmt: skip
        while deliver(runtime, at):
            pass


def bring_to_life(folder: Path) -> None:
    """The demo, with a product team that listens all along."""
    endpoint = Endpoint()
    settings = settings_of(folder, allow=[endpoint.place])
    demo.load(folder, settings, lambda _done, _all: None, end=END, beside=ProductTeam(endpoint))
    endpoint.shutdown()
    endpoint.server_close()
    lines = "".join(json.dumps(taken) + "\n" for taken in endpoint.taken)
    (folder / RECEIVED).write_text(lines, "utf-8")


def copied(made: Path, folder: Path) -> Path:
    """A copy that a test may change."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in made.glob("foreshock.sqlite3*"):
        shutil.copy(file, folder / file.name)
    return folder


# --- what can be seen -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Hook:
    """One webhook as it was received."""

    headers: Mapping[str, str]
    body: str

    @property
    def is_signed(self) -> bool:
        """Whether the signature is the one that Standard Webhooks' own library makes."""
        at = datetime.fromtimestamp(int(self.headers["webhook-timestamp"]), tz=UTC)
        wanted = Webhook(SECRET).sign(self.headers["webhook-id"], at, self.body)
        return wanted in self.headers["webhook-signature"].split()

    @cached_property
    def content(self) -> Row:
        return dict(json.loads(self.body))

    @property
    def type(self) -> str:
        return str(self.content["type"])

    @property
    def data(self) -> Row:
        return dict(self.content["data"])


class Desk:
    """A desk seen from outside: the API's answers, the pages' text, the webhooks and the truth file."""

    def __init__(
        self, folder: Path, truth: Row, received: Sequence[Row] = (), *, until: datetime = END
    ) -> None:
        settings = settings_of(folder)
        self.folder, self.truth = folder, truth
        self.clock = Clock(until)
        self.runtime = Runtime(settings, Store(settings.database_url), self.clock)
        self.client = TestClient(service(self.runtime), base_url=ADDRESS, follow_redirects=False)
        self.hooks = [Hook({k.lower(): v for k, v in r["headers"].items()}, r["body"]) for r in received]

    def close(self) -> None:
        self.runtime.close()

    def get(self, path: str) -> Row:
        answer = self.client.get(path)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def every(self, path: str) -> Iterator[Row]:
        """All rows of a listing, over its pages."""
        joint, cursor = "&" if "?" in path else "?", ""
        while True:
            found = self.get(f"{path}{joint}limit=200{cursor}")
            yield from found["data"]
            if not found["next_cursor"]:
                return
            cursor = f"&cursor={found['next_cursor']}"

    def events(self) -> Iterator[Row]:
        """The event log, in the order it was written."""
        after = ""
        while True:
            found = self.get(f"/v1/events?limit=200{after}")
            yield from found["data"]
            if not found["data"]:
                return
            after = f"&after={found['next_after']}"

    def page(self, path: str) -> str:
        """A page as people read it: no tags, single spaces."""
        answer = self.client.get(path)
        assert answer.status_code == 200, answer.text
        return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", answer.text))).strip()

    def page_with(self, path: str, text: str, *, looks: int = 20) -> str:
        """A page whose slower part may come with a later look: the first one that says `text`."""
        for _ in range(looks):
            page = self.page(path)
            if text in page:
                return page
        raise AssertionError(f"{path} never said {text!r}: {page}")

    @cached_property
    def tickets(self) -> dict[str, Row]:
        """Every ticket by its number in the ticketing tool."""
        return {t["external_id"]: t for t in self.every("/v1/tickets")}

    @cached_property
    def alerts(self) -> list[Row]:
        """Every alert and watch there ever was, oldest first."""
        return sorted(self.every("/v1/alerts"), key=lambda a: (a["opened_at"], a["id"]))

    @cached_property
    def patterns(self) -> dict[str, Row]:
        return {p["id"]: p for p in self.every("/v1/patterns")}

    def told(self, name: str) -> Row:
        """What was planted under this name."""
        (row,) = [r for r in self.truth["stories"] + self.truth["traps"] if r["name"] == name]
        return dict(row)

    def planted(self, name: str) -> list[Row]:
        """The tickets of a story or a trap, oldest first."""
        found = [self.tickets[number] for number in self.told(name)["tickets"]]
        return sorted(found, key=lambda t: (t["created_at"], t["id"]))

    def ids(self, name: str) -> set[str]:
        return {t["id"] for t in self.planted(name)}

    def homes(self, name: str) -> dict[str | None, int]:
        """How many of the planted tickets each pattern holds; the one with the most comes first."""
        homes = [t["pattern_id"] for t in self.planted(name)]
        return dict(sorted(((h, homes.count(h)) for h in set(homes)), key=lambda i: (-i[1], str(i[0]))))

    def home(self, name: str) -> Row:
        """The pattern that holds most of the planted tickets."""
        best = next(h for h in self.homes(name) if h is not None)
        return self.get(f"/v1/patterns/{best}")

    def about(self, name: str, *, share: float = 0.5) -> list[Row]:
        """The alerts and watches most of whose evidence was planted under this name."""
        ids = self.ids(name)
        return [
            a for a in self.alerts
            if a["ticket_ids"] and len(ids.intersection(a["ticket_ids"])) >= share * len(a["ticket_ids"])
        ]  # fmt: skip

    def webhooks(self, type_: str, subject: str) -> list[Hook]:
        """What the endpoint was sent of this type about this alert or pattern."""
        return [h for h in self.hooks if h.type == type_ and h.data["id"] == subject]


def raw_like(ticket: Row, *, number: str, at: datetime) -> RawTicket:
    """A new ticket that says what a stored one says, from somebody new."""
    return RawTicket(
        source="sample", external_id=number, created_at=at, subject=ticket["subject"], body=ticket["body"],
        requester=f"{number}@example.com", account=number, account_name=number.title(),
        attributes=ticket["attributes"], tags=tuple(ticket["tags"]),
    )  # fmt: skip
