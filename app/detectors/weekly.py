"""The weekly form, for topics with a year or more of history: trend, season, and what a week may bring.

Quasi-Poisson regression with a trend and two harmonics of the year, past outbreaks weighted down, after
Farrington et al. (1996) and Noufaily et al. (2013); exact negative binomial tails with the uncertainty of
the fit inside the variance; windows of one to three weeks that add up.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from app.detectors.calendar import Floats, Ints
from app.detectors.scan import mid_p, together

YEAR_WEEKS = 52.0
MIN_WEEKS = 52
HARMONICS = 2
RIDGE_SEASON = 0.5  # prior standard deviation of a harmonic's coefficient
RIDGE_TREND = 0.3  # of the log change over YEARS_OF_TREND
YEARS_OF_TREND = 3.0
OUTLIER_Z = 2.58  # past weeks beyond are weighted by (OUTLIER_Z / z)^2 (Noufaily et al. 2013)
WINDOW_PENALTY = {1: 0.0, 2: 1.4, 3: 1.4}  # weeks: an outbreak mostly shows in its first, or lasts
ROUNDS = 6


@dataclass(frozen=True, slots=True)
class Fit:
    """`beta` (n, p) coefficients, `cov` (n, p, p) theirs, `phi` (n,) the dispersion: variance over mean."""

    beta: Floats
    cov: Floats
    phi: Floats


def design(weeks: Floats, *, origin: float) -> Floats:
    """(T, p) intercept, trend from `origin` and harmonics of the year for week numbers `weeks`."""
    angle = 2.0 * np.pi * np.outer(weeks, np.arange(1, HARMONICS + 1)) / YEAR_WEEKS
    trend = (weeks - origin) / (YEARS_OF_TREND * YEAR_WEEKS)
    return np.column_stack([np.ones(len(weeks)), trend, np.cos(angle), np.sin(angle)])


def fit(counts: Floats, x: Floats, start: Floats | None = None) -> Fit:
    """Fit (n, T) weekly counts; `start` (n, p) are coefficients to begin from, as of the week before."""
    n, p = len(counts), x.shape[1]
    ridge = np.diag([1e-6, RIDGE_TREND**-2, *[RIDGE_SEASON**-2] * (p - 2)])
    pairs = (x[:, :, None] * x[:, None, :]).reshape(len(x), p * p)
    beta = np.zeros((n, p)) if start is None else start
    if start is None:
        beta[:, 0] = np.log(np.maximum(counts.mean(1), 0.02))
    phi = np.ones(n)
    cov = np.empty((n, p, p))
    for _ in range(ROUNDS if start is None else 2):
        mean = np.exp(np.clip(beta @ x.T, -10.0, 12.0))
        weight = _robust_weight(counts, mean, phi)
        pearson = (weight * (counts - mean) ** 2 / np.maximum(mean, 1e-9)).sum(1)
        phi = np.maximum(1.0, pearson / np.maximum(weight.sum(1) - p, 1.0))
        working = weight * mean
        information = (working @ pairs).reshape(n, p, p) / phi[:, None, None] + ridge
        gradient = (weight * (counts - mean)) @ x / phi[:, None] - beta @ ridge
        cov = np.linalg.inv(information)
        beta = beta + np.clip(np.einsum("npq,nq->np", cov, gradient), -1.0, 1.0)
    return Fit(beta, cov, phi)


def _robust_weight(counts: Floats, mean: Floats, phi: Floats) -> Floats:
    """1 for ordinary weeks, (OUTLIER_Z / z)^2 beyond, z by Anscombe's transformation."""
    z = 1.5 * (counts ** (2 / 3) - mean ** (2 / 3)) / (mean ** (1 / 6) * np.sqrt(phi)[:, None])
    return np.asarray(np.where(z > OUTLIER_Z, (OUTLIER_Z / np.maximum(z, 1e-9)) ** 2, 1.0))


def weekly_score(counts: Floats | Ints, start: Floats | None = None) -> tuple[Floats, Floats]:
    """The evidence (n,) of the last weeks of (n, T) counts, as a -log10 p, and the fit's (n, p) coefficients.

    The windows are left out of their own baseline. Raises ValueError below MIN_WEEKS weeks.
    """
    weeks = counts.shape[1]
    longest = max(WINDOW_PENALTY)
    if weeks < MIN_WEEKS + longest:
        raise ValueError(f"the weekly form needs {MIN_WEEKS + longest} weeks of history, got {weeks}")
    x = design(np.arange(weeks, dtype=float), origin=float(weeks))
    known = fit(counts[:, :-longest].astype(float), x[:-longest], start)
    scores = [_surprise(counts, x, known, w) - penalty for w, penalty in WINDOW_PENALTY.items()]
    return together(np.stack(scores, axis=1)), known.beta


def _surprise(counts: Floats | Ints, x: Floats, known: Fit, span: int) -> Floats:
    """-log10 mid-p of the sum of the last `span` weeks."""
    ahead = x[-span:]
    mean = np.exp(np.clip(known.beta @ ahead.T, -10.0, 12.0))
    total = mean.sum(1)
    lever = (mean[:, :, None] * ahead).sum(1) / total[:, None]
    relative = np.einsum("np,npq,nq->n", lever, known.cov, lever)
    variance = known.phi * total + total**2 * relative
    observed = counts[:, -span:].sum(1).astype(float)
    return -np.log10(np.maximum(mid_p(observed, total, variance), 1e-300))
