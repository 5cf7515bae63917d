"""Pictures of every page in every state: `python -m tests.screenshots OUTDIR [--demo FOLDER]`.

Takes a folder that `foreshock demo` has filled (without one, the small desk of the end-to-end tests is
made), works on a copy of it, and pictures each page in light and dark, on a desktop, at 360 pixels and
in print.
"""

from __future__ import annotations

import argparse
import io
import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import uvicorn
from fastapi import FastAPI
from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from app import demo
from app.backtest import Clock, jobs
from app.domain import PatternState, Source
from app.pipeline import access, cases, detect, review
from app.pipeline.digest import digest
from app.pipeline.intake import accept
from app.runtime import Runtime
from app.sample import generate
from app.settings import Settings
from app.store import alerts, backtests, pages, patterns, sources, tickets
from app.store.core import Store
from app.web import mount
from tests.e2e._operated import PASSWORD, operated
from tests.e2e._small_desk import END, small_desk

CHROMIUM = "/usr/bin/chromium"
TOPS: dict[str, Literal["light", "dark"]] = {"pattern": "light", "recovered-pattern": "dark"}
WIDTHS = {"desktop": 1360, "phone": 360}
REPLAYED_DAYS = 35  # by the backtest that is pictured
PATIENCE_MS = 300_000  # a busy machine is no reason to give up
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


@contextmanager
def served(runtime: Runtime) -> Iterator[str]:
    """The pages on a free loopback port."""
    app = FastAPI()
    mount(app, runtime)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", ws="none"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.02)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


def opened(folder: Path, database: str, at: datetime) -> Runtime:
    chosen = Settings(
        database_url=f"sqlite:///{folder / database}", data_dir=folder, time_zone="Europe/Berlin"
    )
    store = Store(chosen.database_url)
    store.migrate()
    return Runtime(chosen, store, Clock(at))


def desk(folder: Path, filled: Path | None) -> Runtime:
    """A copy of the demo at the moment it was made, or the small desk."""
    if filled is None:
        return small_desk(folder)[0]
    shutil.copytree(filled, folder, dirs_exist_ok=True)
    runtime = opened(folder, "foreshock.sqlite3", END)
    with runtime.store.read() as session:
        at = datetime.fromisoformat(sources.note(session, detect.NOTE)["at"])
    return replace(runtime, now=Clock(at))


def addresses(runtime: Runtime) -> Mapping[str, str]:
    """Name and path of every page worth a picture."""
    with runtime.store.read() as session:
        standing = pages.inbox(session, "all", {}, at=runtime.now(), limit=100).items
        strongest = max(
            (a for a in standing if a.pattern_id and not a.resolved_at),
            key=lambda a: float(a.finding.get("strength", 0.0)),
        )
        wide = next((a for a in standing if not a.pattern_id and not a.resolved_at), None)
        every = patterns.search(session, {}, limit=200).items
        biggest = max(every, key=lambda p: p.tickets)
        fixed = next((p for p in every if p.state is PatternState.RECOVERED), None)
    found = {
        "inbox": "/", "watching": "/?tab=watching", "resolved": "/?tab=resolved",
        "no-match": "/?text=nothing+like+it", "pattern": f"/patterns/{strongest.pattern_id}",
        "biggest-pattern": f"/patterns/{biggest.id}", "not-found": "/patterns/pat_nothing",
        "merge": f"/patterns/{strongest.pattern_id}/merge?into={biggest.id}",
    }  # fmt: skip
    found |= {
        "brief": f"/patterns/{strongest.pattern_id}/brief", "evidence": f"/patterns/{biggest.id}/evidence",
        "reports": "/reports", "reports-bad-period": "/reports?since=soon", "similar": "/similar",
        "trends": "/trends", "trends-patterns": "/trends?kind=pattern",
        "trends-empty": "/trends?since=2020-01-01&until=2020-01-07",
    }  # fmt: skip
    found |= {"alert": f"/alerts/{wide.id}"} if wide else {}
    return found | ({"recovered-pattern": f"/patterns/{fixed.id}"} if fixed else {})


def picture(
    browser: Browser, base: str, found: Mapping[str, str], out: Path, *, signed_in: Any = None
) -> None:
    for scheme in SCHEMES:
        for device, width in WIDTHS.items():
            context: Any = browser.new_context(
                viewport={"width": width, "height": 850}, color_scheme=scheme, device_scale_factor=2,
                storage_state=signed_in,
            )  # fmt: skip
            context.set_default_timeout(PATIENCE_MS)
            page = context.new_page()
            for name, path in found.items():
                page.goto(base + path)
                page.screenshot(path=out / f"{name}-{device}-{scheme}.png", full_page=True)
            context.close()


def picture_closely(browser: Browser, base: str, found: Mapping[str, str], out: Path) -> None:
    """What is not a page of its own: an open menu, the help, print, a wall screen, 200 % zoom."""
    page = browser.new_page(viewport={"width": 1360, "height": 850})
    page.goto(base)
    page.locator("summary", has_text="Dismiss").first.click()
    page.screenshot(path=out / "menu.png")
    page.goto(base)
    page.keyboard.press("?")
    page.screenshot(path=out / "help.png")
    page.goto(base + found["pattern"])
    page.locator("#fix > summary").click()
    page.screenshot(path=out / "record-fix.png")
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 720, "height": 1000})
    for name in ("inbox", "pattern", "brief", "reports"):
        page.goto(base + found[name])
        page.screenshot(path=out / f"{name}-print.png", full_page=True)
    page.emulate_media(media="screen")
    for name, width in (("wall", 3840), ("zoom-200", 680)):
        page.set_viewport_size({"width": width, "height": width * 9 // 16})
        page.goto(base + found["pattern"])
        page.screenshot(path=out / f"pattern-{name}.png")
    page.close()
    for name, scheme in TOPS.items():
        if name in found:
            shown = browser.new_page(
                viewport={"width": 1360, "height": 1020}, color_scheme=scheme, device_scale_factor=2
            )
            shown.goto(base + found[name])
            shown.screenshot(path=out / f"{name}-top.png")
            shown.close()


def picture_answers(browser: Browser, base: str, out: Path) -> None:
    """What the page for similar cases says of a known problem and of words nobody used."""
    page = browser.new_page(viewport={"width": 1360, "height": 850})
    for name, text in (("known", "PDF shows wrong currency symbol"), ("nothing", "zxqv wpllk mnrrt")):
        page.goto(f"{base}/similar")
        page.get_by_label("A ticket's text").fill(text)
        page.get_by_role("button", name="Look").click()
        page.wait_for_selector("main h2")
        page.screenshot(path=out / f"similar-{name}.png", full_page=True)
    page.close()


def young_desk(browser: Browser, folder: Path, out: Path) -> None:
    """A desk of twelve days: while its tickets are being read, then while it learns."""
    young = opened(folder, "young.sqlite3", END)
    born = END - timedelta(days=12)
    came = [t for n, t in enumerate(generate(7, END).tickets) if t.created_at > born and n % 6 == 0]
    accept(young, came, source_kind="sample")
    with served(young) as base:
        picture(browser, base, {"busy": "/"}, out)
    while digest(young):
        pass
    detect.detect(young, END)
    with served(young) as base:
        picture(browser, base, {"learning": "/"}, out)
    young.close()


def decided(browser: Browser, filled: Runtime, found: Mapping[str, str], out: Path) -> None:
    """What a hand edit will do, a pattern that took in another, and backtests: none, waiting, running, done."""
    id_ = found["pattern"].removeprefix("/patterns/")
    with filled.store.read() as session:
        members = [t.id for t in tickets.members(session, id_)][:2]
        other = next(p.id for p in patterns.search(session, {}, limit=50).items if p.id != id_)
    picked = "&".join(f"ticket={t}" for t in members)
    shown = {
        "split": f"/patterns/{id_}/edit?kind=split&{picked}", "not-this": f"/patterns/{id_}/edit?kind=remove&{picked}",
        "widget": "/widget?text=PDF+shows+wrong+currency+symbol", "backtests-empty": "/backtests",
    }  # fmt: skip
    with served(filled) as base:
        picture(browser, base, shown, out)
        review.merge(filled, other, into=id_, actor="mara")
        picture(browser, base, {"merged": f"/patterns/{other}"}, out)
        since = filled.now() - timedelta(days=REPLAYED_DAYS)
        runs = [{"alerts_per_week": n, "granularity": "balanced"} for n in (2, 10)]
        job = jobs.ask(
            filled, {"runs": runs, "since": since.isoformat(), "tick_minutes": 1440, "tags": []}, actor="mara"
        )
        picture(browser, base, {"backtest-waiting": f"/backtests/{job.id}"}, out)
        with filled.store.write() as session:
            backtests.change(session, job.id, state="running", done=240, total=1900)
        picture(browser, base, {"backtest-running": f"/backtests/{job.id}"}, out)
        jobs.work(filled)
        picture(browser, base, {"backtest": f"/backtests/{job.id}", "backtests": "/backtests"}, out)


def other_states(browser: Browser, filled: Runtime, folder: Path, out: Path) -> None:
    """Empty, all clear, in trouble, and behind a key."""
    empty = opened(folder, "empty.sqlite3", END)
    with served(empty) as base:
        picture(browser, base, {"no-data": "/", "no-reports": "/reports", "no-trends": "/trends"}, out)
    access.make_key(empty, "lead", ["write"])
    with served(empty) as base:
        picture(browser, base, {"sign-in": "/sign-in"}, out)
    empty.close()
    with filled.store.write() as session:
        for alert in alerts.unresolved(session):
            alerts.change(session, alert.id, resolved_at=filled.now())
    with served(filled) as base:
        picture(browser, base, {"all-clear": "/"}, out)
    with filled.store.write() as session:
        sources.register(session, Source("zendesk", "zendesk"))
        sources.change(session, "zendesk", last_error="401 Unauthorized: the token was revoked",
                       last_error_at=filled.now())  # fmt: skip
    with served(replace(filled, now=Clock(filled.now() + timedelta(days=4)))) as base:
        picture(browser, base, {"trouble": "/"}, out)


def operators_pages(browser: Browser, filled: Runtime, folder: Path, out: Path) -> None:
    """Sources, webhooks, settings, users, keys, audit: empty, and as somebody runs them."""
    empty = opened(folder, "unused.sqlite3", END)
    with served(empty) as base:
        names = ("sources", "webhooks", "users", "keys", "audit")
        picture(browser, base, {f"{name}-empty": f"/{name}" for name in names}, out)
    empty.close()
    run = operated(filled, Clock(filled.now()))
    found = {
        "sources": "/sources", "source-add": "/sources/add?kind=zendesk&name=desk&address=https://acme.zendesk.com",
        "webhooks": "/webhooks", "webhook": f"/webhooks/{run.takes}", "webhook-new": "/webhooks/new",
        "webhook-disabled": f"/webhooks/{run.refuses}", "settings": "/settings", "users": "/users", "keys": "/keys",
        "audit": "/audit", "audit-nothing": "/audit?actor=nobody", "account": "/account",
    }  # fmt: skip
    with served(run.runtime) as base:
        picture(browser, base, {"sign-in-user": "/sign-in"}, out)
        context = browser.new_context()
        page = context.new_page()
        page.goto(f"{base}/sign-in")
        page.get_by_label("Name").fill("mara")
        page.get_by_label("Password").fill(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url(f"{base}/")
        picture(browser, base, found, out, signed_in=context.storage_state())
        page.emulate_media(media="print")
        for name in ("sources", "webhook", "settings", "audit"):
            page.goto(base + found[name])
            page.screenshot(path=out / f"{name}-print.png", full_page=True)
        context.close()


def picture_for_readme(browser: Browser, base: str, found: Mapping[str, str], out: Path) -> None:
    """The three pictures of the README, with few colours so that they stay small."""
    shown = browser.new_page(viewport={"width": 1280, "height": 800})
    shown.set_default_timeout(PATIENCE_MS)
    for name in ("inbox", "pattern", "brief"):
        shown.goto(base + found[name])
        shown.wait_for_function("!document.querySelector('[data-pending]')")
        with Image.open(io.BytesIO(shown.screenshot())) as taken:
            taken.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(
                out / f"{name}.png", optimize=True
            )
    shown.close()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="folder the pictures go to")
    parser.add_argument("--demo", type=Path, help="folder filled by `foreshock demo`")
    parser.add_argument("--readme", action="store_true", help="only the three pictures of the README")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.demo is not None and not demo.is_ready(options.demo):
        parser.error(f"{options.demo} holds no finished demo")
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as driver:
        runtime = desk(Path(scratch), options.demo)
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        found = addresses(runtime)
        with served(runtime) as base:
            if options.readme:
                picture_for_readme(browser, base, found, options.out)
                return
            picture(browser, base, found, options.out)
            picture_closely(browser, base, found, options.out)
            cases.ready(runtime)  # as the service does at its start
            picture_answers(browser, base, options.out)
        decided(browser, runtime, found, options.out)
        young_desk(browser, Path(scratch), options.out)
        other_states(browser, runtime, Path(scratch), options.out)
        operators_pages(browser, runtime, Path(scratch), options.out)
        browser.close()
        runtime.close()


if __name__ == "__main__":
    main()
