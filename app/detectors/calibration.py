"""The calibration table: what makes a raw improbability "false episodes per topic-week".

Written by `python -m tests.bench calibrate`; never edited by hand. A finding carries VERSION, so that
its sentence can be reproduced after a refit.
"""

from __future__ import annotations

VERSION = "3"

# Per window in hours: what to take off -log10 p so that all windows raise equally often by chance.
WINDOW_PENALTY = {2: 1.64, 6: 1.61, 12: 1.56, 24: 1.39, 72: 0.96, 168: 0.86, 336: 0.46, 504: 0.42}
BURN_PENALTY = -0.35  # what to take off log10 of the slow-burn evidence, for the same reason
RELEASE_PENALTY = 1.0  # what to take off -log10 p of the window that begins at a release

# Best score against strength, -log10 false episodes per topic-week; linear between and beyond.
SCALE = ((2.17, 1.52), (4.14, 3.0))
