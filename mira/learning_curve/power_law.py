"""The form of a learning curve: ``limit - scale * n ** -exponent``."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

FEWEST_POINTS, MOST_POINTS = 3, 5

_EXPONENTS = np.geomspace(0.02, 2.0, 100)


class PowerLaw(NamedTuple):
    """Agreement as a function of the number of labels."""

    limit: float
    scale: float
    exponent: float

    def at(self, n: np.ndarray | int) -> np.ndarray:
        """The curve at ``n`` labels."""
        return self.limit - self.scale * np.asarray(n, dtype=float) ** -self.exponent

    def next_gain(self, n: int) -> float:
        """What a doubling of ``n`` labels adds."""
        return float(self.at(2 * n) - self.at(n))


def fit_power_law(sizes: np.ndarray, values: np.ndarray) -> PowerLaw:
    """The curve with the least squared error at the last ``MOST_POINTS`` of three or more points.

    The points before them say little about what comes next. The curve never falls and never passes
    1. The exponent comes from a fixed grid, limit and scale are exact for each of its values, so
    the result is the same everywhere and needs no start value. Of equally good exponents the
    smallest is taken, which expects most of further labels. Raises ValueError below three points.
    """
    if len(sizes) < FEWEST_POINTS:
        raise ValueError(f"a power law takes {FEWEST_POINTS} points, not {len(sizes)}")
    sizes, values = sizes[-MOST_POINTS:], values[-MOST_POINTS:]
    fits = [_fit_with(exponent, sizes, values) for exponent in _EXPONENTS]
    errors = [round(float(np.sum((fit.at(sizes) - values) ** 2)), 12) for fit in fits]
    return fits[int(np.argmin(errors))]


def _fit_with(exponent: float, sizes: np.ndarray, values: np.ndarray) -> PowerLaw:
    """Limit and scale for one exponent, within ``limit <= 1`` and ``scale >= 0``."""
    fall = -(np.asarray(sizes, dtype=float) ** -exponent)
    spread = fall - fall.mean()
    scale = max(0.0, float(spread @ (values - values.mean()) / (spread @ spread)))
    limit = float(values.mean() - scale * fall.mean())
    if limit > 1:
        limit, scale = 1.0, max(0.0, float(fall @ (values - 1) / (fall @ fall)))
    return PowerLaw(limit, scale, float(exponent))
