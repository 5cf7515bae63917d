"""Settings changed while running: checked, stored and audited together, in force in every process at once.

A process reads what was chosen before each request and each step of its worker (`Runtime.refresh`). What
a variable or the command line says stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.errors import Conflict, Invalid
from app.runtime import Runtime
from app.settings import CHOOSABLE, Settings
from app.store import audit, choices


def apply_settings(runtime: Runtime, values: Mapping[str, Any], *, actor: str) -> Settings:
    """Choose values for settings named in `CHOOSABLE`; the settings as they are then.

    Raises Invalid for an unknown name or a value out of range, Conflict for a setting that is fixed.
    """
    before = runtime.refresh()
    _check(before, list(values))
    after = before.overlaid(values)
    plain = {name: getattr(after, name) for name in values}
    changed = {n: v for n, v in plain.items() if v != getattr(before, n)}
    if changed:
        at = runtime.now()
        told = {n: {"from": getattr(before, n), "to": v} for n, v in changed.items()}
        with runtime.store.write() as session:
            choices.save(session, changed, at=at, actor=actor)
            audit.write(session, "settings.changed", "settings", told, at=at, actor=actor)
    return runtime.refresh()


def reset_settings(runtime: Runtime, names: Sequence[str], *, actor: str) -> Settings:
    """Let the file's values count again."""
    before, at = runtime.refresh(), runtime.now()
    _check(before, names)
    told = {
        n: {"from": getattr(before, n), "to": getattr(runtime.given, n)}
        for n in names if getattr(before, n) != getattr(runtime.given, n)
    }  # fmt: skip
    with runtime.store.write() as session:
        choices.forget(session, list(names))
        if told:
            audit.write(session, "settings.changed", "settings", told, at=at, actor=actor)
    return runtime.refresh()


def _check(now: Settings, names: Sequence[str]) -> None:
    for name in names:
        if name not in CHOOSABLE:
            raise Invalid(
                f"{name} cannot be changed while running; these can: {', '.join(CHOOSABLE)}", pointer=name
            )
        if now.is_fixed(name):
            raise Conflict(
                f"{name} is fixed by the variable FORESHOCK_{name.upper()} or the command line: change it there"
            )
