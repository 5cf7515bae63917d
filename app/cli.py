"""The commands: `python -m app NAME` or `foreshock NAME`. Each says what went wrong in one line."""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from app import demo as demonstration
from app import server, settings
from app.errors import ForeshockError, Invalid, NotFound
from app.runtime import Runtime, accept_secret, build, utc_now

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
                  help="Foreshock finds recurring and emerging issues in a support queue.")  # fmt: skip
keys = typer.Typer(no_args_is_help=True, help="Make, list and revoke API keys.")
app.add_typer(keys, name="key")
connected = typer.Typer(
    no_args_is_help=True, help="Try a configured source, see how all are doing, hold a history."
)
people = typer.Typer(no_args_is_help=True, help="Add and manage people who may sign in.")
app.add_typer(people, name="user")
secret = typer.Typer(no_args_is_help=True, help="The key of all hashes.")
app.add_typer(secret, name="secret")
app.add_typer(connected, name="source")
console = Console(stderr=True)
out = Console()

Config = Annotated[Path | None, typer.Option("--config", help="settings file (default: foreshock.toml)")]
Port = Annotated[int | None, typer.Option(help="port to listen on")]
Host = Annotated[str | None, typer.Option(help="address to listen on")]


def main() -> None:
    """Run a command; an expected error is one line and exit code 1, an interrupt is 130."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for talkative in ("alembic", "httpx"):
        logging.getLogger(talkative).setLevel(logging.WARNING)
    # It warns whenever a step is still at work when its next turn comes: that is meant to be so.
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    try:
        app()
    except ForeshockError as error:
        console.print(f"[red]foreshock:[/red] {error}", highlight=False, soft_wrap=True)
        sys.exit(1)
    except OSError as error:  # a file or folder the command line or a setting named
        what = f"cannot use {error.filename}: " if error.filename else ""
        console.print(f"[red]foreshock:[/red] {what}{error.strerror}", highlight=False, soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


@contextmanager
def _runtime(config: Path | None, **overrides: Any) -> Iterator[Runtime]:
    runtime = build(settings.load(config, **{k: v for k, v in overrides.items() if v is not None}))
    try:
        yield runtime
    finally:
        runtime.close()


@contextmanager
def _progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """A bar with rate and time left on a terminal; a plain line every few seconds elsewhere."""
    started = last = time.monotonic()
    if console.is_terminal:
        parts = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
                 TextColumn("{task.fields[rate]}/s"), TimeRemainingColumn())  # fmt: skip
        with Progress(*parts, console=console, transient=False) as bar:
            task = bar.add_task(label, total=None, rate="0")

            def show(done: int, total: int) -> None:
                rate = done / max(time.monotonic() - started, 1e-6)
                bar.update(task, completed=done, total=total, rate=f"{rate:,.0f}")

            yield show
        return

    def say(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < 5 and done < total:
            return
        last = now
        rate = done / max(now - started, 1e-6)
        left = (total - done) / max(rate, 1e-6)
        print(
            f"{label}: {done:,} of {total:,} ({rate:,.0f}/s, {left:,.0f} s left)", file=sys.stderr, flush=True
        )

    yield say


@app.command()
def serve(config: Config = None, host: Host = None, port: Port = None) -> None:
    """Run the API, the pages and the worker in one process."""
    with _runtime(config, host=host, port=port) as runtime:
        server.serve(runtime, work=True, say=console.print)


@app.command()
def api(config: Config = None, host: Host = None, port: Port = None) -> None:
    """Run the API and the pages only; run `worker` beside it."""
    with _runtime(config, host=host, port=port) as runtime:
        server.serve(runtime, work=False, say=console.print)


@app.command()
def worker(config: Config = None) -> None:
    """Run the worker only: digest, detect, deliver."""
    with _runtime(config) as runtime:
        server.work(runtime)


@app.command()
def mcp(config: Config = None) -> None:
    """Answer an AI agent over MCP on standard input and output: similar cases, emerging issues, briefs."""
    from app.mcp import mcp_server
    from app.pipeline import cases

    with _runtime(config) as runtime:
        threading.Thread(target=lambda: cases.ready(runtime), daemon=True, name="warm the index").start()
        mcp_server(runtime).run("stdio")


@app.command()
def migrate(config: Config = None) -> None:
    """Bring the database's schema up to date."""
    with _runtime(config) as runtime:
        console.print(f"the schema of {_safe(runtime)} is up to date")


@app.command(name="import")
def import_(
    file: Annotated[Path, typer.Argument(help="CSV or JSON lines, plain or gzip")],
    config: Config = None,
    source: Annotated[str, typer.Option(help="name of the source (default: from the file's name)")] = "",
    column: Annotated[
        list[str] | None, typer.Option("--map", help="field=column, e.g. created_at=Opened; repeatable")
    ] = None,
    mapping: Annotated[Path | None, typer.Option(help="TOML or JSON file of field = column lines")] = None,
    time_zone: Annotated[str, typer.Option(help="zone of dates that name none")] = "UTC",
    keep_unknown: Annotated[bool, typer.Option(help="keep unknown columns as attributes")] = False,
    dry_run: Annotated[bool, typer.Option(help="show the first rows as they would be stored")] = False,
) -> None:
    """Import a ticket history. It can be interrupted and run again; imported tickets raise no alert."""
    from app.ingest import columns
    from app.pipeline import importing, lease

    name = source or columns.word(file.name.split(".")[0])[:40] or "file"
    explicit = _mapping(column or [], mapping)
    with _runtime(config) as runtime:
        found = importing.plan(file, explicit, keep_unknown=keep_unknown)
        reading = columns.Reading(source=name, now=runtime.now(), naive_tz=_zone(time_zone))
        if dry_run:
            _show_dry_run(runtime, importing.preview(file, found, reading, rows=5), found)
            return
        started = time.monotonic()
        rejects = runtime.settings.data_dir / f"{file.name}.rejects.jsonl"
        with _progress("reading") as show:
            done = importing.store(runtime, file, found, reading, rejects=rejects, progress=show)
        with _progress("digesting") as show:
            digested = importing.digest_all(runtime, progress=show)
        lease.release(runtime)
        took = time.monotonic() - started
        stored = done.accepted + done.updated + done.unchanged
        out.print(
            f"{stored:,} tickets from {file.name}: {done.accepted:,} new, {done.updated:,} changed, "
            f"{done.unchanged:,} unchanged, {done.repeated:,} told again by a later row, "
            f"{len(done.rejected):,} rejected; {digested:,} digested in {took:,.0f} s "
            f"({digested / max(took, 1e-6):,.0f} tickets/s)", highlight=False, soft_wrap=True
        )  # fmt: skip
        if done.rejected:
            out.print(f"rejected rows are listed in {rejects}", highlight=False)
        _say_waiting(runtime)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise Invalid(
            f'--time-zone takes a zone like "Europe/Berlin", not {name!r}', pointer="time_zone"
        ) from error


def _mapping(pairs: list[str], file: Path | None) -> dict[str, str]:
    from app.ingest import columns

    explicit = columns.read_mapping(file) if file else {}
    for pair in pairs:
        field, separator, name = pair.partition("=")
        if not separator:
            raise Invalid(f"--map takes field=column, not {pair!r}", pointer="map")
        explicit[field] = name
    return explicit


def _show_dry_run(runtime: Runtime, rows: list[Any], mapping: Any) -> None:
    from app.ingest import normalise
    from app.ingest.files import Rejected
    from app.pipeline.importing import shown

    for field, column in mapping.columns.items():
        out.print(f"{field:14} <- {column}", highlight=False)
    if mapping.unknown:
        out.print(f"not understood: {', '.join(mapping.unknown)}", highlight=False)
    for row in rows:
        if isinstance(row, Rejected):
            out.print(f"line {row.line} would be rejected: {row.reason}", highlight=False)
            continue
        draft = normalise.tidied(row, key=runtime.key, keep_account_names=True, backfill=True)
        table = Table("field", "as stored", show_header=True)
        for name, value in shown(row, draft).items():
            table.add_row(name, str(value))
        out.print(table)


def _say_waiting(runtime: Runtime) -> None:
    from app.store import tickets

    with runtime.store.read() as session:
        waiting = tickets.count_undigested(session)
    if waiting:
        out.print(f"{waiting:,} tickets wait: another process is digesting them", highlight=False)


@app.command()
def backtest(
    config: Config = None,
    file: Annotated[Path | None, typer.Option(help="a ticket file instead of the store")] = None,
    column: Annotated[list[str] | None, typer.Option("--map", help="field=column; repeatable")] = None,
    budget: Annotated[
        list[float] | None, typer.Option(help="alerts per week; repeatable, to compare (default: as set)")
    ] = None,
    granularity: Annotated[str, typer.Option(help="finer, balanced or broader (default: as set)")] = "",
    tag: Annotated[list[str] | None, typer.Option(help="a tag that marks a problem; repeatable")] = None,
    tick_minutes: Annotated[int, typer.Option(min=1, help="how often the rules look")] = 60,
    keep: Annotated[Path | None, typer.Option(help="folder to go on from when it is interrupted")] = None,
    alerts: Annotated[Path | None, typer.Option(help="write the first run's alerts as JSON lines")] = None,
) -> None:
    """Replay history with a simulated clock: every alert, how many a week, what was caught, missed and why."""
    from app.backtest import history, jobs, scratch

    runs = [{"alerts_per_week": one} for one in budget or ()] or [{}]
    loaded = settings.load(config, **({"granularity": granularity} if granularity else {}))
    with ExitStack() as stack:
        if file is None:
            runtime = stack.enter_context(_runtime(config))
            raws, marks = history(runtime), jobs.releases_of(runtime)
        else:
            runtime, _ = stack.enter_context(scratch(loaded))
            raws, marks = _read_tickets(file, _mapping(column or [], None)), []
        if not raws:
            raise Invalid("there are no tickets to replay: import a history first, or name one with --file")
        folder = keep or Path(stack.enter_context(TemporaryDirectory(prefix="foreshock-")))
        folder.mkdir(parents=True, exist_ok=True)
        found = []
        for n, run in enumerate(runs):
            chosen = {"alerts_per_week": loaded.alerts_per_week, "granularity": loaded.granularity, **run}
            with _progress(f"replaying at {chosen['alerts_per_week']:g} a week") as show:
                found.append(jobs.under(
                    runtime, chosen, raws, marks, file=folder / f"replay-{n}.sqlite3", embedder=runtime.embedder,
                    tick=timedelta(minutes=tick_minutes), tags=tag or (), progress=show,
                ))  # fmt: skip
    _show_backtest([one for one in found if one is not None], alerts, len(raws))


def _read_tickets(file: Path, explicit: dict[str, str]) -> list[Any]:
    from app.ingest import columns, files
    from app.ingest.files import Rejected
    from app.pipeline import importing

    found = importing.plan(file, explicit, keep_unknown=False)
    reading = columns.Reading(source="backtest", now=utc_now())
    read = [importing.read(row, found, reading) for row in files.open_rows(file)]
    return [r for r in read if not isinstance(r, Rejected)]


def _show_backtest(runs: list[dict[str, Any]], file: Path | None, total: int) -> None:
    first = runs[0]
    if file is not None:
        lines = (json.dumps(one, ensure_ascii=False) + "\n" for one in first["alerts_raised"])
        file.write_text("".join(lines), encoding="utf-8")
    for one in first["alerts_raised"]:
        out.print(f"{one['at'][:16]} UTC  {one['severity']:6} {one['pattern']}\n    {one['sentence']}\n"
                  f"    {' '.join(one['ids'][:12])}", highlight=False, soft_wrap=True)  # fmt: skip
    for missed in first["missed"]:
        out.print(f"missed {missed['kind']} {missed['key']} ({len(missed['tickets'])} tickets): {missed['reason']}",
                  highlight=False, soft_wrap=True)  # fmt: skip
    table = Table(
        "budget", "alerts", "a week", "per 1,000 tickets", "caught", "precision", "lead h", "delay h"
    )
    for run in runs:
        shown = [f"{run['alerts_per_week']:g}", run["alerts"], run["per_week"], f"{1000 * run['alerts'] / total:.1f}",
                 f"{run['caught']} of {run['marks']}", run["precision"], run["lead_h"], run["delay_h"]]  # fmt: skip
        table.add_row(*("-" if value is None else str(value) for value in shown))
    out.print(table)


@app.command()
def brief(
    pattern: Annotated[str, typer.Argument(help="id of the pattern")],
    form: Annotated[str, typer.Option("--format", help="md, html, pdf, json, slack or jira")] = "md",
    to: Annotated[Path | None, typer.Option("--out", help="file to write (default: the terminal)")] = None,
    config: Config = None,
) -> None:
    """Write the one-page brief of a pattern; the same state gives the same bytes."""
    from app.pipeline import brief as briefs
    from app.store import patterns

    with _runtime(config) as runtime:
        with runtime.store.read() as session:
            heir = patterns.heir(session, pattern)
        found = briefs.brief(runtime, heir)
        made = json.dumps(found.as_dict(), indent=1, ensure_ascii=False).encode() + b"\n"
        made = made if form == "json" else briefs.rendered(found, form)
    if to is not None:
        to.write_bytes(made)
    elif form == "pdf":
        raise Invalid("a PDF needs a file: give one with --out", pointer="--out")
    else:
        sys.stdout.buffer.write(made)


@app.command()
def regroup(
    config: Config = None,
    rehearse: Annotated[bool, typer.Option(help="only say what would change")] = False,
    dial: Annotated[str, typer.Option(help="finer, balanced or broader (default: as set)")] = "",
    model: Annotated[Path | None, typer.Option(help="folder of another embedding model to switch to")] = None,
) -> None:
    """Calibrate the grouping on the desk's own tickets, or move it to another model; ids stay."""
    from app.detectors.embed import load_embedder
    from app.pipeline import rehearse as rehearsal

    if dial not in ("", "finer", "balanced", "broader"):
        raise Invalid(f"{dial!r} is not finer, balanced or broader", pointer="--dial")
    with _runtime(config) as runtime, _progress("embedding") as show:
        other = load_embedder(model) if model else None
        if rehearse:
            made = rehearsal.rehearse(runtime, dial=dial or None, model=other, progress=show)
        else:
            made = rehearsal.carry_out(
                runtime, dial=dial or None, model=other, actor="command line", progress=show
            )
    out.print(made.sentence, highlight=False, soft_wrap=True)
    if model and not rehearse:
        out.print(f"set model = {model} before the service starts again", highlight=False, soft_wrap=True)
    elif rehearse:
        out.print("nothing was changed; the same without --rehearse does it", highlight=False)


@app.command()
def sample(
    folder: Annotated[Path, typer.Argument(help="where to write the files")],
    seed: Annotated[int, typer.Option(help="same seed and end: same bytes")] = 7,
    end: Annotated[str, typer.Option(help="last instant of the history (default: now)")] = "",
) -> None:
    """Write the generated sample history: tickets, releases, and what was planted."""
    from app.sample import generate, write

    write(generate(seed, demonstration.instant(end)), folder)
    out.print(f"wrote a generated history (seed {seed}) to {folder}", highlight=False)


@app.command()
def demo(
    port: Port = None,
    folder: Annotated[Path, typer.Option(help="where the demo keeps its data")] = Path(".demo"),
    serve: Annotated[bool, typer.Option(help="start the service when the data is there")] = True,
    via: Annotated[str, typer.Option(help="zendesk: through a simulated desk and the real connector")] = "",
) -> None:
    """Load the generated sample history and start the service on it."""
    chosen = settings.load(None, **demonstration.overrides(folder, port))
    if not demonstration.is_ready(folder):
        way = demonstration.through(via) if via else nullcontext(demonstration.pushed)
        with _progress("loading the sample") as show, way as arrive:
            demonstration.load(folder, chosen, show, arrive=arrive)
    runtime = build(chosen)
    try:
        for line in demonstration.what_to_see(runtime):
            console.print(line, highlight=False, soft_wrap=True)
        if serve:
            server.serve(runtime, work=True, say=console.print)
    finally:
        runtime.close()


@app.command()
def doctor(config: Config = None) -> None:
    """Check settings, database, schema, model and secret, and say what to mend."""
    from app.detectors.embed import golden_in_subprocess

    chosen = settings.load(config)
    runtime = build(chosen, migrate=False)
    checks: list[tuple[str, Callable[[], str]]] = [
        ("database", lambda: _answers(runtime)),
        ("schema", lambda: _pending(runtime)),
        ("secret", lambda: f"{len(runtime.key)} bytes"),
        ("model", lambda: runtime.embedder.model_id),
        ("model's vectors", lambda: _golden(golden_in_subprocess(chosen.model))),
    ]
    failed = False
    for name, check in checks:
        try:
            out.print(f"ok    {name}: {check()}", highlight=False)
        except ForeshockError as error:
            failed = True
            out.print(f"wrong {name}: {error}", highlight=False)
    runtime.close()
    raise typer.Exit(1 if failed else 0)


def _answers(runtime: Runtime) -> str:
    runtime.store.check()
    return _safe(runtime)


def _pending(runtime: Runtime) -> str:
    pending = runtime.store.pending_migration()
    if pending:
        raise Invalid(f"run `foreshock migrate` ({pending})")
    return "up to date"


def _golden(result: Any) -> str:
    if not result.passed:
        raise Invalid("the int8 model gives other vectors than it should on this machine")
    return "as they should be"


@app.command()
def sync(name: Annotated[str, typer.Argument(help="source; none: all")] = "", config: Config = None) -> None:
    """Read the configured ticketing tools once, to their end."""
    from app.pipeline.pull import pull

    with _runtime(config) as runtime:
        names = [name] if name else [s.name for s in runtime.settings.sources]
        if not names:
            raise Invalid("no source is configured: add a [[sources]] table to foreshock.toml")
        for one in names:
            out.print(f"{one}: {pull(runtime, one):,} tickets new or changed", highlight=False)


@connected.command("check")
def source_check(name: str, config: Config = None) -> None:
    """Do credentials, permissions, fields and time zone work, and what do the first tickets look like?"""
    from app.ingest import normalise
    from app.pipeline import pull

    with _runtime(config) as runtime:
        found = pull.connection(runtime, pull.setting(runtime, name)).check()
        for line in found.lines:
            out.print(f"{'ok   ' if line.ok else 'wrong'} {line.text}", highlight=False, soft_wrap=True)
        for raw in found.tickets[:5]:
            draft = normalise.tidied(raw, key=runtime.key, keep_account_names=True, backfill=True)
            out.print(
                f"{raw.external_id}  {draft.created_at:%Y-%m-%d %H:%M} UTC  {draft.subject}", highlight=False
            )
    raise typer.Exit(0 if found.ok else 1)


@connected.command("inspect")
def source_inspect(name: str, config: Config = None) -> None:
    """List the fields an instance has, as `field_map` takes them."""
    from app.pipeline import pull

    with _runtime(config) as runtime:
        for column in pull.connection(runtime, pull.setting(runtime, name)).inspect():
            choices = f"  ({', '.join(column.choices[:8])})" if column.choices else ""
            out.print(f"{column.path:40} {column.label}{choices}", highlight=False, soft_wrap=True)


@connected.command("status")
def source_status(config: Config = None) -> None:
    """How each source is doing: last read, history and time left, remaining calls, errors in words."""
    from app.pipeline import feeds

    with _runtime(config) as runtime:
        for feed in feeds.feeds(runtime):
            out.print(f"{feed.health.name:20} {feed.state:8} {feed.says}", highlight=False, soft_wrap=True)
            if feed.history is not None:
                out.print(f"{'':20} {_told(feed.history)}", highlight=False)


@connected.command("hold")
def source_hold(name: str, config: Config = None) -> None:
    """Stop reading a source's history; what is new is read all the same."""
    from app.pipeline import pull

    with _runtime(config) as runtime:
        out.print(f"{name}: {_told(pull.hold(runtime, name, is_held=True))}", highlight=False)


@connected.command("resume")
def source_resume(name: str, config: Config = None) -> None:
    """Read a source's history on, from where it stopped."""
    from app.pipeline import pull

    with _runtime(config) as runtime:
        out.print(f"{name}: {_told(pull.hold(runtime, name, is_held=False))}", highlight=False)


def _told(history: Any) -> str:
    """How far a history has been read, in words."""
    share = "not begun" if history.share is None else f"{history.share:.0%} read"
    left = "" if not history.left_s else f", about {history.left_s / 60:,.0f} minutes left"
    return f"history {share}, {history.tickets:,} tickets{left}{' (paused)' if history.held else ''}"


@secret.command("accept")
def secret_accept(config: Config = None) -> None:
    """Go on with another secret than the database was filled under: customers known so far will look new."""
    accept_secret(settings.load(config))
    out.print("accepted; customers known so far count as others from now on", highlight=False)


@keys.command("create")
def key_create(
    name: str,
    scope: Annotated[list[str] | None, typer.Option(help="read, write or admin; repeatable")] = None,
    config: Config = None,
) -> None:
    """Make an API key; it is shown this once."""
    from app.pipeline import access

    with _runtime(config) as runtime:
        secret, key = access.make_key(runtime, name, scope or ["read"])
        console.print(f"{key.id} {key.name} ({', '.join(key.scopes)}); this is shown once:", highlight=False)
        print(secret)


@keys.command("list")
def key_list(config: Config = None) -> None:
    """List keys; never their secrets."""
    from app.store import keys as store

    with _runtime(config) as runtime, runtime.store.read() as session:
        for key in store.every(session):
            state = "revoked" if key.revoked_at else "active"
            out.print(f"{key.id}  {state:7} {','.join(key.scopes):16} {key.name}", highlight=False)


@keys.command("revoke")
def key_revoke(id_: Annotated[str, typer.Argument(metavar="ID")], config: Config = None) -> None:
    """Revoke a key at once."""
    from app.pipeline import access

    with _runtime(config) as runtime:
        out.print(f"revoked {access.revoke_key(runtime, id_).name}", highlight=False)


@people.command("add")
def user_add(
    name: Annotated[str, typer.Argument(help="how they sign in; with an identity provider, their address")],
    role: Annotated[str, typer.Option(help="viewer, lead or admin")] = "viewer",
    password_file: Annotated[
        Path | None, typer.Option(help="file that holds the password, - for standard input (default: asked)")
    ] = None,
    config: Config = None,
) -> None:
    """Add somebody; the password is asked for, or a temporary one is made where nobody can be asked."""
    from app.pipeline import accounts

    with _runtime(config) as runtime:
        user, secret = accounts.make_user(runtime, name, role, password=_password(password_file))
        out.print(f"{user.id} {user.name} ({user.role})", highlight=False)
        _say_temporary(secret)


@people.command("list")
def user_list(config: Config = None) -> None:
    """List people, their roles and when they last signed in."""
    from app.store import users

    with _runtime(config) as runtime, runtime.store.read() as session:
        for user in users.every(session):
            state = "disabled" if user.disabled_at else "active"
            seen = f"{user.signed_in_at:%Y-%m-%d %H:%M} UTC" if user.signed_in_at else "never"
            out.print(f"{user.id}  {state:8} {user.role:6} {seen:20} {user.name}", highlight=False)


@people.command("role")
def user_role(name: str, role: str, config: Config = None) -> None:
    """Give somebody another role."""
    from app.pipeline import accounts

    with _runtime(config) as runtime:
        user = accounts.set_role(runtime, _user(runtime, name), role)
        out.print(f"{user.name} is {user.role} now", highlight=False)


@people.command("password")
def user_password(
    name: str,
    password_file: Annotated[
        Path | None, typer.Option(help="file that holds the password, - for standard input (default: asked)")
    ] = None,
    config: Config = None,
) -> None:
    """Give somebody another password; their sessions are closed."""
    from app.pipeline import accounts

    with _runtime(config) as runtime:
        id_ = _user(runtime, name)
        _, secret = accounts.reset_password(runtime, id_, password=_password(password_file))
        out.print(f"{name} has another password", highlight=False)
        _say_temporary(secret)


@people.command("disable")
def user_disable(name: str, config: Config = None) -> None:
    """Keep somebody out from now on."""
    from app.pipeline import accounts

    with _runtime(config) as runtime:
        user = accounts.disable(runtime, _user(runtime, name))
        out.print(f"{user.name} may not sign in any more", highlight=False)


def _user(runtime: Runtime, name: str) -> str:
    """The id of the user of that name."""
    from app.store import users

    with runtime.store.read() as session:
        found = users.by_name(session, name)
    if found is None:
        raise NotFound(f"there is no user {name!r}: `foreshock user list` shows them")
    return found.id


def _password(file: Path | None) -> str:
    """The password from a file or the terminal; "" when there is neither, so that one is made."""
    if file is not None:
        try:
            text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
        except OSError as error:
            raise Invalid(f"cannot read the password from {file}: {error.strerror}") from error
        return text.strip("\r\n")
    if not sys.stdin.isatty():
        return ""
    typed: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    return typed


def _say_temporary(secret: str) -> None:
    if secret:
        console.print("temporary password, shown once; another is chosen at the first sign-in:")
        print(secret)


@app.command()
def erase(
    requester: Annotated[str, typer.Option(help="address or id their tickets came with")] = "",
    ticket: Annotated[str, typer.Option(help="id of one ticket (tkt_...)")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    config: Config = None,
) -> None:
    """Erase what a person or a ticket said: text, names, vectors, quotes and logs, for good."""
    from app.pipeline import erase as erasing

    if bool(requester) == bool(ticket):
        raise Invalid("give either --requester or --ticket")
    if not yes:
        typer.confirm("This cannot be undone. Erase?", abort=True)
    with _runtime(config) as runtime:
        if ticket:
            count = erasing.erase_ticket(runtime, ticket, actor="command line")
        else:
            count = erasing.erase_requester(runtime, requester, actor="command line")
        out.print(f"{count:,} tickets erased", highlight=False)


def _safe(runtime: Runtime) -> str:
    return runtime.store.engine.url.render_as_string(hide_password=True)
