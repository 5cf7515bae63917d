"""The report as the text of an e-mail; all of its rows are in the workbook that goes with it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from app.reports.figures import Panel, figure

MOST_ROWS = 8  # of a table, in the mail's text


def subject(since: date, until: date) -> str:
    return f"Foreshock report, {_days(since, until)}"


def text(panels: Sequence[Panel], since: date, until: date, *, zone: str, link: str) -> str:
    """Every table with its first rows, in columns that line up in a plain font."""
    parts = [f"{_days(since, until)}, days of {zone}, compared with as many days before.\n{link}"]
    parts += [_table(panel) for panel in panels if panel.rows]
    empty = [panel.title for panel in panels if not panel.rows]
    parts += [f"Nothing in this period: {', '.join(empty)}."] if empty else []
    return "\n\n".join(parts) + "\n"


def _days(since: date, until: date) -> str:
    last = f"{until.day} {until:%b %Y}"
    return last if since == until else f"{since.day} {since:%b %Y} to {last}"


def _table(panel: Panel) -> str:
    shown = [i for i, kind in enumerate(panel.kinds) if kind != "link"]
    rows = [[panel.head[i] for i in shown]]
    rows += [
        [str(row[i] or "") if panel.kinds[i] == "text" else figure(row[i], panel.kinds[i]) for i in shown]  # type: ignore[arg-type]
        for row in panel.rows[:MOST_ROWS]
    ]
    widths = [max(len(row[n]) for row in rows) for n in range(len(shown))]
    is_text = [panel.kinds[i] == "text" for i in shown]
    lines = [
        "  ".join(
            c.ljust(w) if left else c.rjust(w) for c, w, left in zip(row, widths, is_text, strict=True)
        ).rstrip()
        for row in rows
    ]
    more = len(panel.rows) - MOST_ROWS
    return "\n".join([panel.title.upper(), *lines, *([f"and {more} more"] if more > 0 else [])])
