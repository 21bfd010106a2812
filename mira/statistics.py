"""Agreement and separation statistics, each with its interval.

Rank correlation with the Bonett-Wright interval, proportions with Wilson's, AUROC with DeLong's.
What cannot be computed (a constant column, an empty side) is NaN, never zero.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import optimize, stats

LEVEL = 0.95


class Estimate(NamedTuple):
    """A value with the ends of its interval; NaN where unknown."""

    value: float
    low: float
    high: float


UNKNOWN = Estimate(math.nan, math.nan, math.nan)


def spearman(x: np.ndarray, y: np.ndarray, level: float = LEVEL) -> Estimate:
    """Spearman's rho of two equally long arrays, with its Bonett-Wright interval.

    NaN where either side is constant or has fewer than three values. Source: Bonett and Wright
    2000, with the variance ``(1 + rho^2/2)/(n-3)`` of Fisher's z.
    """
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return UNKNOWN
    # Rounding lets perfect agreement be exactly 1.
    rho = round(float(np.corrcoef(stats.rankdata(x), stats.rankdata(y))[0, 1]), 12)
    return Estimate(rho, *bonett_wright(rho, len(x), level))


def bonett_wright(rho: float, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Interval of a Spearman correlation from ``n`` pairs.

    (NaN, NaN) below four pairs and at rho of exactly 1 or -1, where Fisher's z is infinite.
    """
    if n < 4 or math.isnan(rho) or abs(rho) == 1:
        return math.nan, math.nan
    half = _z(level) * math.sqrt(fisher_z_variance(rho, n))
    z = math.atanh(rho)
    return math.tanh(z - half), math.tanh(z + half)


def fisher_z_variance(rho: float, n: int) -> float:
    """Bonett-Wright variance of Fisher's z of a Spearman correlation from ``n`` > 3 pairs."""
    return (1 + rho**2 / 2) / (n - 3)


def wilson(successes: int, n: int, level: float = LEVEL) -> Estimate:
    """A proportion with Wilson's score interval; NaN without trials."""
    if n == 0:
        return UNKNOWN
    z2 = _z(level) ** 2
    share = successes / n
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = math.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n**2))) / (1 + z2 / n)
    return Estimate(share, max(0.0, middle - half), min(1.0, middle + half))


def auroc(positive: np.ndarray, negative: np.ndarray, level: float = LEVEL) -> Estimate:
    """Probability that a positive outscores a negative (ties half), with DeLong's interval."""
    return pooled_auroc([(positive, negative)], level)


def pooled_auroc(strata: Sequence[tuple[np.ndarray, np.ndarray]], level: float = LEVEL) -> Estimate:
    """AUROC over the (positive, negative) pairs within strata, all pairs weighing the same.

    Strata with an empty side have no pairs and are left out; NaN where no pair is left. The
    interval is DeLong's (1988), on the logit scale so that it stays within 0 and 1; the strata
    are independent. Where no pair disagrees with the others (perfect separation, constant
    scores) the sample variance is zero, and it is Newcombe's score interval (2006, method 5).
    """
    strata = [(p, n) for p, n in strata if len(p) and len(n)]
    if not strata:
        return UNKNOWN
    pairs = np.array([len(p) * len(n) for p, n in strata], dtype=float)
    weights = pairs / pairs.sum()
    parts = np.array([_delong(p, n) for p, n in strata])
    value = float(np.clip(weights @ parts[:, 0], 0.0, 1.0))
    variance = float(weights**2 @ parts[:, 1])
    if 0 < value < 1 and variance > 0:
        return Estimate(value, *_logit_interval(value, variance, level))
    n_positive = sum(len(p) for p, _ in strata)
    n_negative = sum(len(n) for _, n in strata)
    return Estimate(value, *_newcombe(value, n_positive, n_negative, level))


def _delong(positive: np.ndarray, negative: np.ndarray) -> tuple[float, float]:
    """AUROC and its DeLong variance."""
    n_positive, n_negative = len(positive), len(negative)
    ranks = stats.rankdata(np.concatenate([positive, negative]))
    beaten = (ranks[:n_positive] - stats.rankdata(positive)) / n_negative
    beating = 1 - (ranks[n_positive:] - stats.rankdata(negative)) / n_positive
    value = float(beaten.mean())
    return value, _mean_variance(beaten, value) + _mean_variance(beating, value)


def _mean_variance(shares: np.ndarray, mean: float) -> float:
    """Variance of the mean of shares; of a single share the largest possible."""
    if len(shares) == 1:
        return mean * (1 - mean)
    return float(shares.var(ddof=1)) / len(shares)


def _logit_interval(value: float, variance: float, level: float) -> tuple[float, float]:
    logit = math.log(value / (1 - value))
    half = _z(level) * math.sqrt(variance) / (value * (1 - value))
    return _expit(logit - half), _expit(logit + half)


def _newcombe(value: float, n_positive: int, n_negative: int, level: float) -> tuple[float, float]:
    """Ends at which the observed AUROC lies ``z`` Hanley-McNeil standard errors away."""
    z = _z(level)
    extra = (n_positive + n_negative) / 2 - 1

    def error(theta: float) -> float:
        spread = (1 - theta) / (2 - theta) + theta / (1 + theta)
        variance = theta * (1 - theta) * (1 + extra * spread) / (n_positive * n_negative)
        return z * math.sqrt(variance)

    def end(edge: float) -> float:
        """Where the distance from the observed value equals the error, on the edge's side."""
        near = value + 1e-9 * (edge - value)
        return float(optimize.brentq(lambda t: abs(t - value) - error(t), near, edge))

    return 0.0 if value == 0 else end(0.0), 1.0 if value == 1 else end(1.0)


def _expit(x: float) -> float:
    return 0.5 * (1 + math.tanh(x / 2))


def _z(level: float) -> float:
    return float(stats.norm.ppf(0.5 + level / 2))
