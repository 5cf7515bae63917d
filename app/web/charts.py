"""Charts as SVG elements, drawn on the server: bars for what came, a band for what was expected.

Colours come from the stylesheet by class. A chart never stands alone: its label says what it shows, and
the page holds the same numbers as a table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from math import ceil, floor, log10

from markupsafe import Markup

from app.web.traffic import Day

GAP = 0.28  # of a day's width left free between two bars


@dataclass(frozen=True, slots=True)
class Mark:
    """A release or a fix on a day's line."""

    on: date
    kind: str  # release, fix, alert
    label: str


@dataclass(frozen=True, slots=True)
class Frame:
    """Where a chart of `days` days and values up to `top` lies on the drawing, in pixels."""

    days: int
    top: float
    left: float
    right: float
    above: float
    below: float

    @property
    def step(self) -> float:
        return (self.right - self.left) / max(self.days, 1)

    def x(self, day: float) -> float:
        return self.left + day * self.step

    def y(self, value: float) -> float:
        return self.below - (self.below - self.above) * min(value, self.top) / self.top


def spark(days: Sequence[Day], marks: Sequence[Mark] = (), *, width: int = 140, height: int = 34) -> Markup:
    """A small chart of customers a day, with the expected band and release ticks."""
    if not days:
        return Markup("")
    top = max(3.0, *(float(d.customers) for d in days), *(d.expected or 0.0 for d in days)) * 1.08
    frame = Frame(len(days), top, 0, width, 5, height - 1)
    parts = [_band(days, frame), *(_bar(d, i, frame, d.customers, "bar") for i, d in enumerate(days))]
    parts.append(_line(0, frame.below, width, frame.below, "axis"))
    parts += [_tick(i, frame, mark) for i, mark in _placed(days, marks)]
    return _svg(width, height, "spark", _spoken(days, marks), parts)


def chart(days: Sequence[Day], marks: Sequence[Mark] = (), *, width: int, height: int = 260) -> Markup:
    """Tickets and customers a day against the expected band, with dates, a scale and marked days."""
    if not days:
        return Markup("")
    highest = max(max(float(d.tickets), d.high if d.expected is not None else 0.0) for d in days)
    ticks = scale(max(highest, 3.0))
    frame = Frame(len(days), ticks[-1], 34, width - 4, 30, height - 24)
    parts = [_grid(value, frame) for value in ticks]
    parts.append(_band(days, frame))
    for i, day in enumerate(days):
        parts.append(_bar(day, i, frame, day.tickets, "bar tickets"))
        parts.append(_bar(day, i, frame, day.customers, "bar"))
    parts.append(_expected(days, frame))
    parts += _dates(days, frame)
    parts += _flags(days, marks, frame)
    return _svg(width, height, "chart", _spoken(days, marks), parts)


def scale(highest: float) -> list[float]:
    """Three to six round values from 0 to at least `highest`: steps of 1, 2 or 5 times a power of ten."""
    rough = highest / 4.0
    power = 10.0 ** floor(log10(max(rough, 1.0)))
    step = max(1.0, next(n * power for n in (1, 2, 5, 10) if n * power >= rough))
    return [step * n for n in range(ceil(highest / step) + 1)]


def _svg(width: int, height: int, name: str, label: str, parts: Sequence[str]) -> Markup:
    opening = Markup(
        '<svg class="{}" viewBox="0 0 {} {}" width="{}" height="{}" role="img" aria-label="{}">'
    ).format(name, width, height, width, height, label)
    return opening + Markup("".join(parts)) + Markup("</svg>")  # noqa: S704 - numbers, and labels escaped above


def _spoken(days: Sequence[Day], marks: Sequence[Mark]) -> str:
    busiest = max(days, key=lambda d: d.customers)
    text = (
        f"Customers a day over {len(days)} days, most on {_short(busiest.date)}: {busiest.customers}; "
        f"today so far {days[-1].customers}."
    )
    shown = [f"{m.kind} {m.label} on {_short(m.on)}" for _, m in _placed(days, marks)]
    return f"{text} Marked: {', '.join(shown)}." if shown else text


def _short(on: date) -> str:
    return f"{on.day} {on:%b}"


def _bar(day: Day, i: int, frame: Frame, value: int, name: str) -> str:
    if value <= 0:
        return ""
    inset = frame.step * GAP / 2
    top = frame.y(value)
    classes = name + (" above" if day.is_above else "") + (" partial" if day.partial else "")
    return (
        f'<rect class="{classes}" x="{frame.x(i) + inset:.1f}" y="{top:.1f}" '
        f'width="{frame.step - 2 * inset:.1f}" height="{frame.below - top:.1f}" rx="1"/>'
    )


def _runs(days: Sequence[Day]) -> list[range]:
    """Stretches of days for which something was expected."""
    runs: list[range] = []
    for i, day in enumerate(days):
        if day.expected is None:
            continue
        if runs and runs[-1].stop == i:
            runs[-1] = range(runs[-1].start, i + 1)
        else:
            runs.append(range(i, i + 1))
    return runs


def _band(days: Sequence[Day], frame: Frame) -> str:
    parts = []
    for run in _runs(days):
        upper = [p for i in run for p in _stair(i, frame.y(days[i].high), frame)]
        lower = [p for i in reversed(run) for p in reversed(_stair(i, frame.y(days[i].low), frame))]
        parts.append(f'<polygon class="band" points="{" ".join(upper + lower)}"/>')
    return "".join(parts)


def _expected(days: Sequence[Day], frame: Frame) -> str:
    parts = []
    for run in _runs(days):
        points = [p for i in run for p in _stair(i, frame.y(days[i].expected or 0.0), frame)]
        parts.append(f'<polyline class="expected" points="{" ".join(points)}"/>')
    return "".join(parts)


def _stair(i: int, y: float, frame: Frame) -> list[str]:
    return [f"{frame.x(i):.1f},{y:.1f}", f"{frame.x(i + 1):.1f},{y:.1f}"]


def _grid(value: float, frame: Frame) -> str:
    y = frame.y(value)
    name = "axis" if value == 0 else "grid"
    label = f'<text class="scale" x="{frame.left - 7:.0f}" y="{y + 4:.1f}">{value:,.0f}</text>'
    return _line(frame.left, y, frame.right, y, name) + label


def _line(x1: float, y1: float, x2: float, y2: float, name: str) -> str:
    return f'<line class="{name}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _dates(days: Sequence[Day], frame: Frame) -> list[str]:
    """The date under every Monday, where there is room."""
    mondays = [i for i, d in enumerate(days) if d.date.weekday() == 0 and i + 2 < len(days)]
    every = max(1, ceil(52 / max(7 * frame.step, 1)))
    shown = mondays[::-every]
    parts = [_line(frame.x(i), frame.below, frame.x(i), frame.below + 4, "axis") for i in mondays]
    return parts + [
        f'<text class="date" x="{frame.x(i) + 2:.1f}" y="{frame.below + 17:.1f}">{_short(days[i].date)}</text>'
        for i in shown
    ]


def _placed(days: Sequence[Day], marks: Sequence[Mark]) -> list[tuple[int, Mark]]:
    """Marks that lie on the chart, with their day's index, oldest first."""
    place = {d.date: i for i, d in enumerate(days)}
    found = [(place[m.on], m) for m in marks if m.on in place]
    return sorted(found, key=lambda row: row[0])


def _tick(i: int, frame: Frame, mark: Mark) -> str:
    x = frame.x(i) + frame.step / 2
    return f'<path class="mark {mark.kind}" d="M{x - 3:.1f},0h6l-3,4.5z"/>'


def _flags(days: Sequence[Day], marks: Sequence[Mark], frame: Frame) -> list[str]:
    """A line down to its day for every mark; a label only where it does not run into the one before it.

    Pointing at a mark shows its label anyway.
    """
    lines, texts, free = [], [], [0.0, 0.0]
    for i, mark in _placed(days, marks):
        x = frame.x(i) + frame.step / 2
        length = 6.4 * len(mark.label) + 16
        before = x + length > frame.right  # no room to the right: write to the left
        start = x - length if before else x
        row = next((n for n, until in enumerate(free) if start >= until), None)
        y = frame.above - 20 + 14 * (row if row is not None else len(free))
        lines.append(_line(x, y, x, frame.below, f"mark {mark.kind}"))
        flag = Markup('<path class="mark {}" d="M{},{}h8l-4,6z"><title>{}</title></path>')
        lines.append(str(flag.format(mark.kind, f"{x - 4:.1f}", f"{y:.1f}", mark.label)))
        if row is not None:
            free[row] = start + length
            text = Markup('<text class="flag{}" x="{}" y="{}">{}</text>').format(
                " before" if before else "", f"{x - 7 if before else x + 7:.1f}", f"{y + 6:.1f}", mark.label
            )
            texts.append(str(text))
    return lines + texts  # a line may pass behind a label
