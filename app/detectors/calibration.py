"""The calibration table: what makes a raw improbability "false episodes per topic-week".

Written by `python -m tests.bench calibrate`; never edited by hand. A finding carries VERSION, so that
its sentence can be reproduced after a refit.
"""

from __future__ import annotations

VERSION = "1"

# Per window in hours: what to take off -log10 p so that all windows raise equally often by chance.
WINDOW_PENALTY = {2: 1.75, 6: 1.65, 12: 1.6, 24: 1.4, 72: 1.2, 168: 0.9, 336: 0.6, 504: 0.7}
BURN_PENALTY = -0.1  # what to take off log10 of the slow-burn evidence, for the same reason
RELEASE_PENALTY = 1.0  # what to take off -log10 p of the window that begins at a release

# Best score against strength, -log10 false episodes per topic-week; linear between and beyond.
SCALE = ((0.0, -0.78), (6.0, 5.22))
