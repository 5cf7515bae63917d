"""The clock of the service: APScheduler calls the steps; work is found in rows, so it holds no state."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from apscheduler.events import EVENT_SCHEDULER_SHUTDOWN
from apscheduler.schedulers.background import BackgroundScheduler

from app.backtest import jobs
from app.errors import ForeshockError
from app.pipeline import cases, learning
from app.pipeline.deliver import Outbox, mail_digests
from app.pipeline.detect import detect
from app.pipeline.digest import digest
from app.pipeline.enrich import enrich
from app.pipeline.erase import expire
from app.pipeline.feeds import measure
from app.pipeline.hooks import follow
from app.pipeline.post import mail_reports
from app.pipeline.pull import asked, begun, connection, turn
from app.runtime import Runtime

log = logging.getLogger(__name__)
MOST_BATCHES = 200  # of one drain, so that no step starves the others
BACKTEST_S = 5
DELIVER_S = 0.25  # from the end of a drain to the next look into an empty outbox
ASKED_S = 1
DIGEST_S = 60
EXPIRE_S = 3600
SIMILAR_S = 300
TURN_S = 10  # at most between two looks at whether a source is due
FOLLOW_S = 2
MEASURE_S = 3600


def schedule(runtime: Runtime) -> BackgroundScheduler:
    """A running scheduler of all steps; shut it down to stop. Invalid when a source's settings are wrong."""
    for source in runtime.settings.sources:
        connection(runtime, source)
    scheduler = BackgroundScheduler(
        timezone="UTC", job_defaults={"max_instances": 1, "coalesce": True, "misfire_grace_time": 3600}
    )
    tick = runtime.settings.tick_s
    now = datetime.now  # APScheduler wants the machine's own clock for "at once"
    scheduler.add_job(lambda: work(runtime), "interval", seconds=tick, id="work",
                      next_run_time=now(scheduler.timezone))  # fmt: skip
    scheduler.add_job(lambda: drain("backtest", lambda: jobs.work(runtime)), "interval", seconds=BACKTEST_S,
                      id="backtest")  # fmt: skip
    outbox = Outbox(runtime)
    scheduler.add_job(lambda: drain("deliver", outbox.turn), "interval", seconds=DELIVER_S, id="deliver")
    scheduler.add_listener(lambda _: outbox.close(), EVENT_SCHEDULER_SHUTDOWN)
    scheduler.add_job(lambda: drain("e-mail", lambda: mail_digests(runtime)), "interval", seconds=DIGEST_S,
                      id="e-mail")  # fmt: skip
    scheduler.add_job(lambda: drain("reports", lambda: mail_reports(runtime)), "interval", seconds=DIGEST_S,
                      id="reports")  # fmt: skip
    scheduler.add_job(lambda: keep_similar(runtime), "interval", seconds=SIMILAR_S, id="similar")
    scheduler.add_job(lambda: answer(runtime), "interval", seconds=ASKED_S, id="asked")
    scheduler.add_job(lambda: retire(runtime), "interval", seconds=EXPIRE_S, id="expire",
                      next_run_time=now(scheduler.timezone))  # fmt: skip
    for source in runtime.settings.sources:
        for step, every_s in (("pull", min(TURN_S, source.every_s)), ("follow", FOLLOW_S),
                              ("enrich", TURN_S), ("measure", MEASURE_S)):  # fmt: skip
            scheduler.add_job(_reader(runtime, source.name, step), "interval", seconds=every_s,
                              id=f"{step} {source.name}", next_run_time=now(scheduler.timezone))  # fmt: skip
    scheduler.start()
    return scheduler


STEPS = {"pull": turn, "follow": follow, "enrich": enrich, "measure": measure}


def _reader(runtime: Runtime, name: str, step: str) -> Callable[[], None]:
    """One step of reading one source: each has its own rhythm, none waits for another."""
    return lambda: drain(f"{step} {name}", lambda: STEPS[step](runtime, name))


def work(runtime: Runtime) -> None:
    """Digest what has come in, then look for what is unusual."""
    runtime.refresh()
    drain("digest", lambda: digest(runtime) > 0)
    drain("detect", lambda: bool(detect(runtime)) and False)


def keep_similar(runtime: Runtime) -> None:
    """Keep the similar-case index whole and its ranker fitted to what people tied together."""
    drain("index", lambda: cases.maintain(runtime))
    drain("learn", lambda: learning.learn(runtime) is not None)


def answer(runtime: Runtime) -> None:
    """Read the sources somebody asked for on the page."""
    for name in asked(runtime):
        begun(runtime, name)
        drain(f"pull {name}", lambda name=name: turn(runtime, name, at_once=True) and False)  # type: ignore[misc]


def retire(runtime: Runtime) -> None:
    """Erase what has outlived its retention."""
    runtime.refresh()
    drain("expire", lambda: expire(runtime))


def drain(name: str, step: Callable[[], bool]) -> None:
    """Run a step until it has nothing left; an error is logged, and the next round tries again."""
    try:
        for _ in range(MOST_BATCHES):
            if not step():
                return
    except ForeshockError as error:
        log.warning("%s: %s", name, error)
    except Exception:
        log.exception("%s failed; it is tried again with the next tick", name)
