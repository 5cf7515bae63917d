"""The calibration table: what makes a raw improbability "false episodes per topic-week".

Written by `python -m tests.bench calibrate`; never edited by hand. A finding carries VERSION, so that
its sentence can be reproduced after a refit.
"""

from __future__ import annotations

VERSION = "1"

WINDOW_PENALTY: dict[int, float] = {
    2: 1.75,
    6: 1.9,
    12: 1.85,
    24: 1.75,
    72: 1.4,
    168: 1.4,
    336: 1.2,
    504: 0.95,
}
"""Per window in hours: what to take off -log10 p so that all windows raise equally often by chance."""

BURN_PENALTY = 1.5
"""What to take off log10 of the slow-burn evidence, for the same reason."""

RELEASE_PENALTY = 1.0
"""What to take off -log10 p of the window that begins at a release."""

SCALE: tuple[tuple[float, float], ...] = ((0.0, -0.78), (6.0, 5.22))
"""Best window's score against strength, -log10 false episodes per topic-week; linear between and beyond."""
