"""Backtests as stored jobs: asked for, run by the worker, stopped, resumed, compared, applied."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from app.backtest.replay import Raised, beside, history, replay, told
from app.detectors import hindsight
from app.detectors.embed import CachingEmbedder
from app.detectors.guards import NOTICES
from app.detectors.hindsight import Mark, Report, Told
from app.domain import RawTicket, Release, sortable_id
from app.errors import Conflict, ForeshockError, Invalid
from app.pipeline import configure, lease
from app.ports import Embedder
from app.runtime import Runtime
from app.settings import Settings
from app.store import alerts, backtests, events, releases, tickets
from app.store.backtests import Backtest

EVERY = 25  # ticks between two notes of how far it has come
Progress = Callable[[int, int], None]


def ask(runtime: Runtime, options: Mapping[str, Any], *, actor: str) -> Backtest:
    """Have the worker replay the history once under each of `options["runs"]`; Invalid without tickets.

    Options: `runs` (each `alerts_per_week` and `granularity`; none: what is in force), `since` and `until`
    (ISO times), `tick_minutes`, `tags` that mark a problem.
    """
    at = runtime.now()
    with runtime.store.write() as session:
        if not tickets.total(session):
            raise Invalid("there are no tickets to replay: import a history first")
        in_force = {"alerts_per_week": runtime.settings.alerts_per_week,
                    "granularity": runtime.settings.granularity}  # fmt: skip
        asked: Sequence[Mapping[str, Any]] = options.get("runs") or ({},)
        runs = [in_force | dict(run) for run in asked]
        made = Backtest(
            id=sortable_id("bkt", at, actor, repr(sorted(options.items()))), asked_at=at, asked_by=actor,
            options={**options, "runs": runs}, result={},
        )  # fmt: skip
        backtests.add(session, made)
        events.write(session, "backtest.asked", made.id, {"runs": runs}, at=at, actor=actor, owed=False)
    return made


def stop(runtime: Runtime, id_: str) -> Backtest:
    """Stop at the next tick; what was replayed is kept for `resume`."""
    return _turn(runtime, id_, "stopped", ("waiting", "running"))


def resume(runtime: Runtime, id_: str) -> Backtest:
    """Go on where a stopped or failed one was."""
    return _turn(runtime, id_, "waiting", ("stopped", "failed"))


def _turn(runtime: Runtime, id_: str, state: str, allowed: Sequence[str]) -> Backtest:
    with runtime.store.write() as session:
        found = backtests.get(session, id_)
        if found.state not in allowed:
            raise Conflict(
                f"backtest {id_} is {found.state}: only one that is {' or '.join(allowed)} can be {state}"
            )
        return backtests.change(session, id_, state=state, error="")


def apply(runtime: Runtime, id_: str, *, run: int, actor: str) -> Mapping[str, Any]:
    """Put the budget and granularity of one run in force."""
    with runtime.store.read() as session:
        found = backtests.get(session, id_)
    if found.state != "done":
        raise Conflict(f"backtest {id_} is {found.state}: only a finished one can be applied")
    runs = found.options["runs"]
    if not 0 <= run < len(runs):
        raise Invalid(f"run must be between 0 and {len(runs) - 1}", pointer="/run")
    configure.apply_settings(runtime, runs[run], actor=actor)
    return dict(runs[run])


def work(runtime: Runtime) -> bool:
    """Run the oldest backtest that waits, or that a process which died was running; True when there was one."""
    if not lease.held(runtime):
        return False
    with runtime.store.write() as session:
        found = backtests.to_run(session)
        if found is None:
            return False
        backtests.change(session, found.id, state="running")
    try:
        _run(runtime, found)
    except ForeshockError as error:
        with runtime.store.write() as session:
            backtests.change(session, found.id, state="failed", error=str(error))
    return True


def _run(runtime: Runtime, job: Backtest) -> None:
    since, until = (_time(job.options.get(name)) for name in ("since", "until"))
    raws = history(runtime, start=since, end=until)
    if not raws:
        raise Invalid("there are no tickets between since and until")
    marks = releases_of(runtime)
    embedder = CachingEmbedder(runtime.embedder, capacity=2 * len(raws))
    runs = job.options["runs"]
    found = []
    for n, run in enumerate(runs):
        file = file_of(runtime, job, n)
        show = _shown(runtime, job, n * len(raws), len(runs) * len(raws))
        one = under(
            runtime, run, raws, marks, file=file, embedder=embedder, progress=show,
            tick=timedelta(minutes=job.options.get("tick_minutes", 60)), tags=job.options.get("tags", ()),
            is_stopped=lambda: _is_stopped(runtime, job.id),
        )  # fmt: skip
        if one is None:
            return
        found.append(one)
    result = {"tickets": len(raws), "time_zone": runtime.settings.time_zone, "runs": found}
    with runtime.store.write() as session:
        backtests.change(session, job.id, state="done", result=result, done=len(runs) * len(raws))
    for n in range(len(runs)):
        for left in file_of(runtime, job, n).parent.glob(f"{job.id}-{n}.*"):
            left.unlink()


def releases_of(runtime: Runtime) -> list[Release]:
    """Every release and fix that was recorded."""
    with runtime.store.read() as session:
        return releases.between(session, datetime.min.replace(tzinfo=UTC), runtime.now())


def file_of(runtime: Runtime, job: Backtest, n: int) -> Path:
    """Where run number `n` keeps its store until the backtest is done."""
    folder = runtime.settings.data_dir / "backtests"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{job.id}-{n}.sqlite3"


def _time(value: str | None) -> datetime | None:
    return datetime.fromisoformat(value) if value else None


def _is_stopped(runtime: Runtime, id_: str) -> bool:
    with runtime.store.read() as session:
        return backtests.get(session, id_).state != "running"


def _shown(runtime: Runtime, job: Backtest, before: int, total: int) -> Progress:
    """Note how far a run has come, every few ticks."""
    ticks = 0

    def show(done: int, _all: int) -> None:
        nonlocal ticks
        ticks += 1
        if ticks % EVERY == 0:
            with runtime.store.write() as session:
                backtests.change(session, job.id, done=before + done, total=total)

    return show


def under(
    runtime: Runtime,
    run: Mapping[str, Any],
    raws: Sequence[RawTicket],
    releases_: Sequence[Release],
    *,
    file: Path,
    embedder: Embedder,
    tick: timedelta = timedelta(hours=1),
    tags: Sequence[str] = (),
    progress: Progress = lambda _done, _all: None,
    is_stopped: Callable[[], bool] = lambda: False,
) -> dict[str, Any] | None:
    """What one choice of budget and granularity would have said, and its score; None when stopped.

    The replay lives in `file`; called again after a stop or a crash it goes on where it was.
    """
    settings = _settings(runtime.settings, run)
    with beside(settings, file, embedder) as (past, clock):
        if not replay(
            past, clock, raws, marks=releases_, tick=tick, progress=progress, is_stopped=is_stopped
        ):
            return None
        rows = _rows(past)
        opened = [a for a in told(past, "alert.opened") if a.kind not in NOTICES]
        watched = [a for a in told(past, "alert.watching") if a.kind not in NOTICES]
    marks = [*hindsight.marks_of(rows, tags=tags), *_judged(runtime, rows)]
    first, last = raws[0].created_at, raws[-1].created_at
    scored = hindsight.score(
        _told(opened), _told(watched), marks, began_at=first, weeks=(last - first) / timedelta(weeks=1)
    )
    return {**run, **scored, "alerts_raised": [a.as_dict() for a in opened]}


def _settings(settings: Settings, run: Mapping[str, Any]) -> Settings:
    return settings.model_copy(update=dict(run))


def _rows(past: Runtime) -> list[dict[str, Any]]:
    """The replayed tickets as the score sees them."""
    with past.store.read() as session:
        found = tickets.between(session, datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
    return [
        {"id": t.external_id, "at": t.created_at, "customer": t.customer, "pattern": t.pattern_id,
         "problem": t.problem, "duplicate_of": t.duplicate_of, "tags": t.tags}
        for t in found
    ]  # fmt: skip


def _judged(runtime: Runtime, rows: Sequence[Mapping[str, Any]]) -> list[Mark]:
    """Marks from alerts that people judged, on the tickets that are replayed."""
    by_id = {row["id"]: row for row in rows}
    marks = []
    with runtime.store.read() as session:
        for alert in alerts.judged(session, besides=NOTICES):
            ids = [t.external_id for t in tickets.by_ids(session, alert.ticket_ids).values()]
            reports = [
                Report(i, by_id[i]["at"], by_id[i]["customer"], by_id[i]["pattern"])
                for i in ids
                if i in by_id
            ]
            if len(reports) >= hindsight.LEAST_SHARED:
                ordered = tuple(sorted(reports, key=lambda r: (r.at, r.id)))
                marks.append(Mark(alert.verdict, alert.id, ordered, alert.acknowledged_at))
    return marks


def _told(raised: Sequence[Raised]) -> list[Told]:
    return [Told(a.at, frozenset(a.ids), a.strength, a.bar) for a in raised]
