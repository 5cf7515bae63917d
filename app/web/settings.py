"""The settings page: what may change while running, what is fixed, privacy and erasure, the model in use."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response

from app.errors import ForeshockError, Invalid, NotFound
from app.ingest.redact import redact
from app.pipeline import configure, erase
from app.pipeline.cases import behind
from app.runtime import Runtime
from app.settings import CHOOSABLE, Settings
from app.store import choices, tickets
from app.store.choices import Choice
from app.web.guard import Admin, Reader, Run, Sender, Visitor
from app.web.render import PageRoute, done, page

router = APIRouter(route_class=PageRoute, include_in_schema=False)
Field = Annotated[str, Form(max_length=400)]
GRANULARITIES = {
    "finer": "Tickets must be very alike: more and smaller patterns.",
    "balanced": "What most desks want.",
    "broader": "Looser: fewer and larger patterns.",
}
UNSEEN = {"secret", "sources", *CHOOSABLE}
"""Settings the table of the others leaves out."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One setting that may change while running, with where its value comes from."""

    value: Any
    given: Any  # what the file says
    is_fixed: bool
    choice: Choice | None


@router.get("/settings")
def show(request: Request, run: Run, visitor: Reader) -> Response:
    return _settings(request, run, visitor)


@router.post("/settings")
def change(
    request: Request,
    run: Run,
    visitor: Admin,
    alerts_per_week: Field = "",
    granularity: Field = "",
    similar_floor: Field = "",
    keep_account_names: Field = "",
    retention_days: Field = "",
) -> Response:
    """Choose values; those that are fixed are not in the form."""
    asked: dict[str, Any] = {
        "alerts_per_week": alerts_per_week, "granularity": granularity, "similar_floor": similar_floor or None,
        "keep_account_names": bool(keep_account_names), "retention_days": retention_days or None,
    }  # fmt: skip
    try:
        free = {n: v for n, v in asked.items() if not run.settings.is_fixed(n)}
        configure.apply_settings(run, free, actor=visitor.name)
    except Invalid as error:
        return _settings(request, run, visitor, problem=_plain(error), status=422, typed=asked)
    return done("/settings", "settings")


@router.post("/settings/reset")
def reset(run: Run, visitor: Admin, setting: Field = "") -> Response:
    """Use the file's value again."""
    configure.reset_settings(run, [setting], actor=visitor.name)
    return done("/settings", "settings")


@router.post("/settings/redact")
def try_redaction(
    request: Request, run: Run, visitor: Sender, text: Annotated[str, Form(max_length=20_000)] = ""
) -> Response:
    """How a text would be kept; nothing is stored."""
    return _settings(request, run, visitor, tried=text, redacted=redact(text))


@router.post("/settings/erase")
def ask_erasure(
    request: Request, run: Run, visitor: Admin, requester: Field = "", ticket: Field = ""
) -> Response:
    """Say what would be erased, and ask."""
    try:
        if bool(requester.strip()) == bool(ticket.strip()):
            raise Invalid("say either who, or which ticket")
        count = _count(run, requester.strip(), ticket.strip())
    except (Invalid, NotFound) as error:
        return _settings(request, run, visitor, erasure_problem=str(error), status=error.status)
    return page(request, visitor, "erase.html", requester=requester, ticket=ticket, count=count)


@router.post("/settings/erase/confirmed")
def carry_out_erasure(run: Run, visitor: Admin, requester: Field = "", ticket: Field = "") -> Response:
    """Erase, at once and for good."""
    if ticket.strip():
        erase.erase_ticket(run, ticket.strip(), actor=visitor.name)
    else:
        erase.erase_requester(run, requester, actor=visitor.name)
    return done("/settings", "erased")


def _count(run: Runtime, requester: str, ticket: str) -> int:
    if requester:
        return len(erase.filed_by(run, requester))
    with run.store.read() as session:
        tickets.get(session, ticket)
    return 1


def _settings(
    request: Request,
    run: Runtime,
    visitor: Visitor,
    *,
    status: int = 200,
    problem: str = "",
    typed: dict[str, Any] | None = None,
    erasure_problem: str = "",
    tried: str = "",
    redacted: str | None = None,
) -> Response:
    with run.store.read() as session:
        made, count = choices.every(session), tickets.total(session)
    shown = {
        name: Shown(
            (typed or {}).get(name, getattr(run.settings, name)), getattr(run.given, name),
            run.settings.is_fixed(name), made.get(name),
        )
        for name in CHOOSABLE
    }  # fmt: skip
    return page(
        request, visitor, "settings.html", status=status, shown=shown, problem=problem,
        granularities=GRANULARITIES, erasure_problem=erasure_problem, tried=tried, redacted=redacted,
        model=_model(run), tickets=count, others=_others(run.settings),
        shift=_next_shift(run.settings, run.now()), limits=LIMITS,
    )  # fmt: skip


def _plain(error: Invalid) -> str:
    """The problem with the field's label instead of the setting's name."""
    name, _, what = str(error).partition(": ")
    return f"{LABELS[name]}: {what[:1].lower()}{what[1:]}" if name in LABELS else str(error)


LABELS = {
    "alerts_per_week": "Alerts a week", "granularity": "Granularity", "similar_floor": "Similar cases",
    "keep_account_names": "Organisation names", "retention_days": "Retention",
}  # fmt: skip
LIMITS = {"retention_days": 190}


def _model(run: Runtime) -> dict[str, str]:
    try:
        name = run.embedder.model_id
    except ForeshockError as error:
        return {"Embedding model": f"cannot be loaded: {error}"}
    late = behind(run)
    state = "up to date" if late <= 0 else f"{late:,} behind; catches up when asked"
    return {"Embedding model": name, "Folder": str(run.settings.model), "Similar-case index": state}


def _others(settings: Settings) -> list[tuple[str, str, str, bool]]:
    """(name, what it is for, value, whether a variable fixes it) of settings read at the start; no secrets."""
    rows = []
    for name, field in Settings.model_fields.items():
        if name not in UNSEEN:
            value = getattr(settings, name)
            text = ", ".join(value) if isinstance(value, tuple) else "" if value is None else str(value)
            shown = _without_password(text) if name == "database_url" else text
            rows.append((name, field.description or "", shown, settings.is_fixed(name)))
    return rows


def _without_password(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    account, at, place = rest.rpartition("@")
    return f"{scheme}{separator}{account.partition(':')[0]}:***@{place}" if at else url


def _next_shift(settings: Settings, now: datetime) -> datetime | None:
    """The next day on which the clocks change, within a year; None where they do not."""
    zone, offset = settings.zone, now.astimezone(settings.zone).utcoffset()
    days = (now + timedelta(days=n) for n in range(1, 367))
    return next((d for d in days if d.astimezone(zone).utcoffset() != offset), None)
