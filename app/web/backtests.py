"""Would it have caught it? Replays of the desk's own history: choose, watch, compare, put one in force."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response

from app.backtest import jobs
from app.errors import ForeshockError, Invalid
from app.runtime import Runtime
from app.store import backtests, tickets
from app.store.backtests import Backtest
from app.web.guard import Admin, Reader, Run, Visitor, Writer
from app.web.render import PageRoute, done, page

router = APIRouter(prefix="/backtests", route_class=PageRoute, include_in_schema=False)
BUDGETS = 3  # budgets one replay compares from the page
TICKS = {"60": "every hour", "360": "every 6 hours (faster)", "1440": "once a day (fastest)"}
GRANULARITIES = ("finer", "balanced", "broader")
STATES: Mapping[str, str] = {
    "waiting": "Waiting for the worker", "running": "Running", "stopped": "Stopped", "done": "Done", "failed": "Failed",
}  # fmt: skip
Field = Annotated[str, Form(max_length=200)]


@router.get("")
def show(request: Request, run: Run, visitor: Reader) -> Response:
    return _list(request, run, visitor)


@router.post("")
def ask(
    request: Request, run: Run, visitor: Writer, budgets: Field = "", granularity: Field = "", since: Field = "",
    until: Field = "", tick_minutes: Field = "60", tags: Field = "",
) -> Response:  # fmt: skip
    """Have the worker replay the history once for each budget."""
    try:
        options = _options(run, budgets, granularity, since, until, tick_minutes, tags)
        made = jobs.ask(run, options, actor=visitor.name)
    except ForeshockError as error:
        typed = {"budgets": budgets, "since": since, "until": until, "tags": tags}
        return _list(request, run, visitor, problem=str(error), typed=typed, status=error.status)
    return done(f"/backtests/{made.id}", "backtest")


def _options(
    run: Runtime, budgets: str, granularity: str, since: str, until: str, tick_minutes: str, tags: str
) -> dict[str, Any]:
    if tick_minutes not in TICKS or granularity not in GRANULARITIES:
        raise Invalid("choose how often the rules look and how alike tickets must be")
    try:
        wanted = [float(word) for word in budgets.replace(",", " ").split()]
    except ValueError:
        raise Invalid("budgets are numbers of alerts a week, such as 2 5 10") from None
    if not 1 <= len(wanted) <= BUDGETS or not all(0.01 <= one <= 1000 for one in wanted):
        raise Invalid(f"give one to {BUDGETS} budgets, each between 0.01 and 1,000 alerts a week")
    first, last = _day(run, since), _day(run, until)
    return {
        "runs": [{"alerts_per_week": one, "granularity": granularity} for one in wanted],
        "tick_minutes": int(tick_minutes), "tags": [t.strip() for t in tags.split(",") if t.strip()],
        **({"since": first.isoformat()} if first else {}),
        **({"until": (last + timedelta(days=1)).isoformat()} if last else {}),
    }  # fmt: skip


def _day(run: Runtime, text: str) -> datetime | None:
    """Midnight of a business day; None when none is given."""
    if not text:
        return None
    try:
        return datetime.combine(date.fromisoformat(text), time(), run.settings.zone)
    except ValueError:
        raise Invalid(f"{text!r} is not a day such as 2026-03-31") from None


def _list(
    request: Request, run: Runtime, visitor: Visitor, *, problem: str = "", typed: Mapping[str, str] | None = None,
    status: int = 200,
) -> Response:  # fmt: skip
    with run.store.read() as session:
        found, count = backtests.search(session, limit=20).items, tickets.total(session)
    budget = run.settings.alerts_per_week
    shown = {"budgets": f"{budget / 2:g} {budget:g} {2 * budget:g}", "since": "", "until": "", "tags": ""}
    return page(
        request, visitor, "backtests.html", status=status, found=found, count=count, problem=problem,
        typed=shown | dict(typed or {}), ticks=TICKS, granularities=GRANULARITIES, states=STATES, budget=budget,
    )  # fmt: skip


@router.get("/{id_}")
def one(request: Request, run: Run, visitor: Reader, id_: str) -> Response:
    with run.store.read() as session:
        found = backtests.get(session, id_)
    return page(
        request, visitor, "backtest.html", job=found, states=STATES, runs=_runs(found), in_force=run.settings,
    )  # fmt: skip


def _runs(job: Backtest) -> Sequence[Mapping[str, Any]]:
    """The runs with their times as times."""
    found: list[dict[str, Any]] = []
    for made in job.result.get("runs", ()):
        raised = [dict(a) | {"at": datetime.fromisoformat(a["at"])} for a in made["alerts_raised"]]
        missed = [dict(m) | {"first_at": datetime.fromisoformat(m["first_at"])} for m in made["missed"]]
        found.append(dict(made) | {"alerts_raised": raised, "missed": missed})
    return found


@router.post("/{id_}/stop")
def stop(run: Run, _visitor: Writer, id_: str) -> Response:
    jobs.stop(run, id_)
    return done(f"/backtests/{id_}", "halts")


@router.post("/{id_}/resume")
def resume(run: Run, _visitor: Writer, id_: str) -> Response:
    jobs.resume(run, id_)
    return done(f"/backtests/{id_}", "goes on")


@router.post("/{id_}/apply")
def apply(run: Run, visitor: Admin, id_: str, number: Annotated[int, Form(ge=0)]) -> Response:
    jobs.apply(run, id_, run=number, actor=visitor.name)
    return done(f"/backtests/{id_}", "applied")
