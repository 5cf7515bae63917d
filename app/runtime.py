"""The composition root: the only place that chooses implementations and reads the clock."""

from __future__ import annotations

import hashlib
import hmac
import os
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import httpx

from app.detectors.embed import CachingEmbedder, load_embedder
from app.domain import Source
from app.errors import ForeshockError, Invalid
from app.notify.address import Resolve, resolve
from app.notify.mail import MailServer
from app.notify.webhook import Sender
from app.ports import Embedder, Now
from app.settings import CHOOSABLE, SMTP_PASSWORD, Settings, secret
from app.store import choices, sources
from app.store.core import Store


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Runtime:
    """What every step is handed: settings, store, clock, secret, and the parts made when first needed."""

    settings: Settings
    store: Store
    now: Now = utc_now
    sleep: Callable[[float], None] = time.sleep  # how sources wait for their call limits
    transport: httpx.BaseTransport | None = None  # outgoing HTTP in tests
    look_up: Resolve = resolve
    lock: threading.RLock = field(default_factory=threading.RLock)  # guards the fields below
    memory: Any = None  # pipeline.memory.Memory, once read
    cases: Any = None  # pipeline.cases.Casebook, once read
    connections: dict[str, Any] = field(
        default_factory=dict
    )  # pipeline.pull: sources in use, those before them, since when
    process: str = field(default_factory=lambda: uuid.uuid4().hex)  # names this process in the writer's lease
    _chosen: dict[str, Any] = field(default_factory=dict)
    _given: Settings | None = None  # what `settings` was before anything was chosen

    def refresh(self) -> Settings:
        """The settings as they stand: those given, overlaid by what was chosen in any process since."""
        try:
            with self.store.read() as session:
                chosen = {n: c.value for n, c in choices.every(session).items() if n in CHOOSABLE}
        except ForeshockError:
            return self.settings  # a store that does not answer is told of by whoever needs it
        if chosen != self._chosen:
            self._given = self._given or self.settings
            self.settings, self._chosen = self._given.overlaid(chosen), chosen
        return self.settings

    @property
    def given(self) -> Settings:
        """The settings without what was chosen while running."""
        return self._given or self.settings

    def clock(self) -> datetime:
        """The machine's own time, for leases: never moved by a replay."""
        return utc_now()

    @cached_property
    def key(self) -> bytes:
        return self.settings.key()

    @cached_property
    def embedder(self) -> Embedder:
        return CachingEmbedder(load_embedder(self.settings.model, workers=os.cpu_count() or 1), capacity=2000)

    @cached_property
    def sender(self) -> Sender:
        return Sender(allow=self.settings.webhook_allow, transport=self.transport, look_up=self.look_up)

    @cached_property
    def mail_server(self) -> MailServer:
        s = self.settings
        if not (s.smtp_host and s.smtp_sender):
            raise Invalid("set smtp_host and smtp_sender to send e-mail digests")
        password = secret(SMTP_PASSWORD) if s.smtp_user else ""
        return MailServer(s.smtp_host, s.smtp_port, s.smtp_sender, s.smtp_user, password, s.smtp_security)

    def close(self) -> None:
        self.disconnect()
        if "sender" in self.__dict__:  # made when first needed
            self.sender.close()
        self.store.close()

    def disconnect(self) -> None:
        """Close what is open to ticketing tools."""
        for *connectors, _ in self.connections.values():
            for connector in filter(None, connectors):
                connector.close()
        self.connections.clear()


def build(settings: Settings, *, now: Now = utc_now, migrate: bool = True) -> Runtime:
    """Open the store (bringing its schema up to date) and make the configured sources known."""
    store = Store(settings.database_url)
    if migrate:
        store.migrate()
    runtime = Runtime(settings, store, now)
    if migrate:
        _same_secret(runtime)
    if migrate and settings.sources:
        with store.write() as session:
            for s in settings.sources:
                sources.register(session, Source(s.name, s.kind, s.options))
    runtime.refresh()
    return runtime


def _same_secret(runtime: Runtime) -> None:
    """Raise Invalid when the database was filled under another secret: every customer would look new."""
    mark = hmac.new(runtime.key, b"the secret of this database", hashlib.sha256).hexdigest()[:32]
    with runtime.store.read() as session:
        kept = sources.note(session, "secret").get("mark")
    if kept is None:
        with runtime.store.write() as session:
            sources.save_note(session, "secret", {"mark": mark})
    elif kept != mark:
        raise Invalid(
            "this is not the secret the database was filled under, and every known customer would look new: put "
            "the old one back (secret.key in data_dir, secret_file or FORESHOCK_SECRET). If it is lost for good, "
            "`foreshock secret accept` goes on with this one"
        )


def accept_secret(settings: Settings) -> None:
    """Go on with the secret there is now."""
    runtime = build(settings, migrate=False)
    runtime.store.migrate()
    with runtime.store.write() as session:
        sources.save_note(session, "secret", {})
    runtime.close()
    build(settings).close()
