"""What a pilot tells of each source: rates per call, and how far such rates may be off (ours)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from mira.forecast.pilot import Call
from mira.statistics import LEVEL

QUANTITIES = ("prompt_tokens", "cached_tokens", "completion_tokens", "thinking_tokens", "seconds")
MIN_OWN_CALLS = 3
MIN_POOL_CALLS = 10

# Chat templates differ by a token or two between requests; another tokenizer by per cents.
_COUNTED_SPREAD = 16

Prompts = Literal["counted", "scaled", "estimated"]


@dataclass(frozen=True)
class Sample:
    """A pilot's calls as arrays (calls, quantities): values, and what they are proportional to.

    ``prompts``: counted tokens to which each call adds its overhead; counted tokens that the
    endpoint counts differently; or estimated from bytes. ``base`` is what is known of a prompt:
    its counted tokens, or nothing. Cached tokens are proportional to the calls that are not the
    first with their prefix, seconds to the calls that were timed.
    """

    values: np.ndarray
    drivers: np.ndarray
    base: np.ndarray
    source: np.ndarray
    prompts: Prompts


@dataclass(frozen=True, eq=False)
class Cell:
    """Rates per driver from ``calls`` calls, and relative residuals (n, quantities) around them.

    Residuals are scaled for the rates fitted to them, and as Student's t widens a normal interval.
    A ``pooled`` cell serves several sources; with ``borrowed`` rates, these are of others as well.
    """

    rate: np.ndarray
    residuals: np.ndarray
    calls: int
    pooled: bool = False
    borrowed: bool = False


def arrange(calls: Sequence[Call], sources: Sequence[str], *, in_tokens: bool) -> Sample:
    """The calls as arrays; ``in_tokens`` tells whether their sizes are tokens or bytes."""
    place = {source: number for number, source in enumerate(sources)}
    size = np.array([call.size for call in calls], dtype=float)
    prompt = np.array([call.usage.prompt_tokens for call in calls], dtype=float)
    warm = np.array([not call.cold for call in calls], dtype=float)
    timed = np.array([call.seconds is not None for call in calls])
    one = np.ones(len(calls))
    prompts: Prompts = "estimated"
    if in_tokens:
        prompts = "counted" if np.ptp(prompt - size) <= _COUNTED_SPREAD else "scaled"
    base = size if prompts == "counted" else np.zeros_like(size)
    values = [
        prompt - base,
        warm * [call.usage.cached_tokens for call in calls],
        np.array([call.usage.completion_tokens for call in calls]),
        np.array([call.usage.thinking_tokens for call in calls]),
        np.array([call.seconds or 0.0 for call in calls]),
    ]
    drivers = [one if prompts == "counted" else size, warm, one, one, timed]
    return Sample(
        values=np.stack(values, axis=1).astype(float),
        drivers=np.stack(drivers, axis=1).astype(float),
        base=base,
        source=np.array([place[call.source] for call in calls]),
        prompts=prompts,
    )


def assign_cells(sample: Sample, families: np.ndarray, questions: np.ndarray) -> list[Cell]:
    """The cell of each source, in the order of ``families`` and ``questions`` (their numbers).

    A source with MIN_OWN_CALLS has its own. The others share pools: those of a family where they
    have MIN_POOL_CALLS together, then those of the remaining families.
    """
    n_calls = np.bincount(sample.source, minlength=len(families))
    thin = n_calls < MIN_OWN_CALLS
    cells = _own_cells(sample, families, np.flatnonzero(~thin))
    for alike in _pools(families, n_calls, thin):
        # Too few calls for rates of their own: the sources borrow everybody's.
        borrowed = n_calls[alike].sum() < MIN_OWN_CALLS
        lenders = np.ones_like(thin) if borrowed else alike
        cell = _pooled_cell(sample, lenders, questions, borrowed=borrowed)
        cells.update({int(number): cell for number in np.flatnonzero(alike)})
    return [cells[number] for number in range(len(families))]


def _pools(families: np.ndarray, n_calls: np.ndarray, thin: np.ndarray) -> list[np.ndarray]:
    """Masks of the sources that share a pool.

    A pool's calls are those of its sources alone, so that their differences even out in the sum.
    """
    pools, rest = [], thin.copy()
    for family in sorted(set(families[thin])):
        alike = thin & (families == family)
        if n_calls[alike].sum() >= MIN_POOL_CALLS:
            pools.append(alike)
            rest &= ~alike
    if pools and rest.any() and n_calls[rest].sum() < MIN_OWN_CALLS:
        return [thin]
    return [*pools, *([rest] if rest.any() else [])]


def _own_cells(sample: Sample, families: np.ndarray, own: np.ndarray) -> dict[int, Cell]:
    """Cells with the source's own rates; sources of a family share their relative residuals."""
    rates, residuals = {}, np.zeros_like(sample.values)
    for number in own:
        rows = sample.source == number
        rates[number] = ratio(sample.values[rows].sum(0), sample.drivers[rows].sum(0))
        residuals[rows] = _relative(sample, rows, rates[number])
    cells = {}
    for number, rate in rates.items():
        alike = own[families[own] == families[number]]
        if np.isin(sample.source, alike).sum() - len(alike) < MIN_POOL_CALLS:
            alike = own
        rows = np.isin(sample.source, alike)
        scaled = _scale(residuals[rows], freedom=int(rows.sum()) - len(alike))
        n_calls = int((sample.source == number).sum())
        cells[int(number)] = Cell(rate, scaled, n_calls)
    return cells


def _pooled_cell(
    sample: Sample, sources: np.ndarray, questions: np.ndarray, *, borrowed: bool
) -> Cell:
    """One cell for the marked sources; a call stands for its share of its source's questions.

    Differences between the sources are among the residuals, which is cautious (collapsed strata).
    """
    rows = sources[sample.source]
    weight = (questions[sample.source] / np.bincount(sample.source)[sample.source])[rows, None]
    weight = weight / weight.mean()
    driver = (weight * sample.drivers[rows]).sum(0)
    rate = ratio((weight * sample.values[rows]).sum(0), driver)
    residuals = weight * _relative(sample, rows, rate)
    n_calls = int(rows.sum())
    scaled = _scale(residuals, freedom=n_calls - 1)
    return Cell(rate, scaled, n_calls, pooled=True, borrowed=borrowed)


def ratio(values: np.ndarray, drivers: np.ndarray) -> np.ndarray:
    """values / drivers, 0 where there is nothing to divide by."""
    return np.divide(values, drivers, out=np.zeros(np.shape(values)), where=drivers != 0)


def _relative(sample: Sample, rows: np.ndarray, rate: np.ndarray) -> np.ndarray:
    values, drivers = sample.values[rows], sample.drivers[rows]
    expected = np.broadcast_to(rate * drivers.mean(0), values.shape)
    return ratio(values - rate * drivers, expected)


def _scale(residuals: np.ndarray, freedom: int) -> np.ndarray:
    tail = 0.5 + LEVEL / 2
    widening = stats.t.ppf(tail, freedom) / stats.norm.ppf(tail)
    return residuals * math.sqrt(len(residuals) / freedom) * float(widening)
