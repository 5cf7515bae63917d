"""The calibration table: what makes a raw improbability "false episodes per topic-week".

Written by `python -m tests.bench calibrate`; never edited by hand. A finding carries VERSION, so that
its sentence can be reproduced after a refit.
"""

from __future__ import annotations

VERSION = "5"

# Per window in hours: what to take off -log10 p so that all windows raise equally often by chance.
WINDOW_PENALTY = {2: 1.34, 6: 1.45, 12: 1.46, 24: 1.3, 72: 0.96, 168: 0.86, 336: 0.46, 504: 0.42}
# What a topic ten times as busy pays besides, between BUSY_RANGE customers a week: half of what would make
# all topics raise equally often, as busy topics also have more to tell. Nothing at BUSY_USUAL.
BUSY_PENALTY = {2: 0.45, 6: 0.3, 12: 0.2, 24: 0.15, 72: 0.0, 168: 0.0, 336: 0.0, 504: 0.0}
BUSY_RANGE, BUSY_USUAL = (0.3, 18.0), 3.0
BURN_LINE = (1.66, 0.06)  # slope and base from log10 of slow-burn evidence, whose tail is steeper, to score
RELEASE_PENALTY = -0.79  # what to take off -log10 p of the window that begins at a release, likewise

# Score against strength, -log10 false episodes per topic-week; linear between and beyond.
SCALE = ((2.84, 1.52), (4.59, 3.0))
