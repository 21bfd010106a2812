"""From a pilot's calls to the totals of all calls, with prediction intervals (ours).

How far such a forecast may miss is found by a bootstrap. Each draw makes another pilot and
another set of the calls still to come from the pilot's relative residuals; what these calls need,
over what that pilot would have forecast, is a ratio by which the forecast at hand may be off. So
an interval covers the pilot's error and the chance in the calls to come, shrinks to nothing when
the pilot is everything, and is skewed as reply lengths are. A sum's ratio is that of the sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mira.forecast.cells import QUANTITIES, Cell, Prompts, Sample, arrange, assign_cells
from mira.forecast.pilot import Call
from mira.statistics import LEVEL

DRAWS = 2_000
MIN_CALLS = 2

# No drawn pilot forecasts less than this share of the truth: keeps ratios finite.
_LEAST_FORECAST = 0.1

_PROMPT, _SECONDS = QUANTITIES.index("prompt_tokens"), QUANTITIES.index("seconds")

Totals = dict[str, np.ndarray]


@dataclass(frozen=True)
class Prediction:
    """Totals by quantity, "calls" and "rejected" among them: the forecast, then the draws.

    ``rows`` are the sources', in the order of the table; all arrays are (1 + draws,). ``pooled``
    marks sources with too few calls of their own: they have the rates of a pool, and their rows the
    chance that they are unlike it. ``timed`` tells whether any call's duration is known.
    """

    rows: list[Totals]
    total: Totals
    pooled: list[bool]
    prompts: Prompts
    timed: bool


def predict(
    table: pd.DataFrame,
    calls: Sequence[Call],
    rng: np.random.Generator,
    *,
    in_tokens: bool,
    draws: int = DRAWS,
) -> Prediction:
    """Totals over all questions of a stage, from at least MIN_CALLS piloted calls.

    ``table`` has a row per source: family, n (questions) and size (of their prompts); asked,
    asked_again and rejected (the pilot's questions, and how they ended); done and done_size (those
    of them that are the stage's own); less and more (how much smaller or larger the prompts may
    turn out in all). Sizes are tokens or bytes (``in_tokens``).
    """
    sample = arrange(calls, list(table.index), in_tokens=in_tokens)
    cells = assign_cells(sample, table["family"].to_numpy(), table["n"].to_numpy())
    # Sources of one pool share its rates, and so the error of a drawn pilot.
    errors = {cell: _draw_errors(cell, cell.calls, rng, draws) for cell in dict.fromkeys(cells)}
    asked = int(table["asked"].sum())
    chances = _Chances(
        again=_draw_share(int(table["asked_again"].sum()), asked, rng, draws),
        rejected=_draw_share(int(table["rejected"].sum()), asked, rng, draws),
        luck=rng.triangular(-1, 0, 1, draws),
    )
    parts = [
        _draw_source(_source(number, row, sample, cell), cell, errors[cell], chances, rng)
        for number, (cell, (_, row)) in enumerate(zip(cells, table.iterrows(), strict=True))
    ]
    rows = [_by_name(_move(part.row, part.foreseen)) | part.events for part in parts]
    needed = np.sum([part.needed for part in parts], axis=0)
    foreseen = np.sum([part.foreseen for part in parts], axis=0)
    events = {
        name: np.sum([part.events[name] for part in parts], axis=0) for name in parts[0].events
    }
    return Prediction(
        rows=rows,
        total=_by_name(_move(needed, foreseen)) | events,
        pooled=[cell.pooled for cell in cells],
        prompts=sample.prompts,
        timed=bool(sample.drivers[:, _SECONDS].any()),
    )


def interval(values: np.ndarray) -> tuple[float, float, float]:
    """Low end, forecast and high end of an array (1 + draws,)."""
    low, high = np.quantile(values[1:], [0.5 - LEVEL / 2, 0.5 + LEVEL / 2])
    mid = float(values[0])
    return min(float(low), mid), mid, max(float(high), mid)


@dataclass(frozen=True)
class _Chances:
    """What all sources have in common in a draw.

    The shares of questions asked again and rejected (1 + draws,), and where between -1 and 1,
    smaller or larger than measured, prompts turn out (draws,).
    """

    again: np.ndarray
    rejected: np.ndarray
    luck: np.ndarray


@dataclass(frozen=True)
class _Source:
    """Calls done and ``left`` to make, and tokens and seconds (quantities,).

    ``seen``: what the calls done took. ``known``: what is certain of those left; their
    ``expected`` rest comes from a cell's rates. ``less`` and ``more``: prompt tokens by which all
    of it may be off. ``lost`` of the questions done were rejected.
    """

    done: int
    left: int
    lost: int
    seen: np.ndarray
    known: np.ndarray
    expected: np.ndarray
    less: float
    more: float

    def totals(self, errors: np.ndarray, again: np.ndarray) -> np.ndarray:
        """The forecast, then totals with the expected rest off by relative errors.

        ``errors`` are (draws, quantities), ``again`` the numbers of calls that repeat a question.
        """
        factors = np.vstack([np.ones(len(QUANTITIES)), np.maximum(1 + errors, 0)])
        growth = 1 + again / max(self.left, 1)
        return self.seen + growth[:, None] * (self.known + self.expected * factors)


@dataclass(frozen=True)
class _Part:
    """A source's draws: what a stage needs for it, what pilots foresee, and its own row's needs.

    The row of a source with a pool's rates has the chance that the source is unlike the pool.
    """

    needed: np.ndarray
    foreseen: np.ndarray
    row: np.ndarray
    events: Totals


def _source(number: int, row: pd.Series, sample: Sample, cell: Cell) -> _Source:
    done = (sample.source == number) & (row["done"] > 0)
    left = int(row["n"] - row["done"])
    size_left = float(row["size"] - row["done_size"])
    counted = sample.prompts == "counted"
    seen = sample.values[done].sum(axis=0)
    seen[_PROMPT] += sample.base[done].sum()
    seen[_SECONDS] += (1 - sample.drivers[done, _SECONDS]).sum() * cell.rate[_SECONDS]
    known = np.zeros(len(QUANTITIES))
    known[_PROMPT] = size_left if counted else 0.0
    driver = np.full(len(QUANTITIES), float(left))
    driver[_PROMPT] = left if counted else size_left
    per_size = 1.0 if counted else float(cell.rate[_PROMPT])
    return _Source(
        done=int(done.sum()),
        left=left,
        lost=int(row["rejected"]) if row["done"] else 0,
        seen=seen,
        known=known,
        expected=cell.rate * driver,
        less=float(row["less"]) * per_size,
        more=float(row["more"]) * per_size,
    )


def _draw_source(
    source: _Source,
    cell: Cell,
    pilot_errors: np.ndarray,
    chances: _Chances,
    rng: np.random.Generator,
) -> _Part:
    luck, draws = chances.luck, len(chances.luck)
    again = _draw_events(source.left, chances.again, rng)
    rejected = _draw_events(source.left, chances.rejected, rng)
    surplus = np.zeros((1 + draws, len(QUANTITIES)))
    surplus[1:, _PROMPT] = luck * np.where(luck > 0, source.more, source.less)
    chance = _draw_errors(cell, source.left, rng, draws)
    needed = row = source.totals(chance, again) + surplus
    if cell.pooled:
        unlike = (1 + chance) * (1 + _draw_unlikeness(cell, rng, draws)) - 1
        row = source.totals(unlike, again) + surplus
    if cell.borrowed:
        needed = row
    return _Part(
        needed=needed,
        foreseen=source.totals(pilot_errors, again[:1]),
        row=row,
        events={"calls": source.done + source.left + again, "rejected": source.lost + rejected},
    )


def _move(needed: np.ndarray, foreseen: np.ndarray) -> np.ndarray:
    """The forecast, then what it becomes where needs differ from what a pilot foresees."""
    forecast = needed[0]
    foreseen = np.maximum(foreseen, _LEAST_FORECAST * forecast)
    return forecast * np.divide(needed, foreseen, out=np.ones_like(needed), where=foreseen > 0)


def _by_name(values: np.ndarray) -> Totals:
    named = {name: values[..., place] for place, name in enumerate(QUANTITIES)}
    named["cached_tokens"] = np.minimum(named["cached_tokens"], named["prompt_tokens"])
    named["thinking_tokens"] = np.minimum(named["thinking_tokens"], named["completion_tokens"])
    return named


def _draw_errors(cell: Cell, n: int, rng: np.random.Generator, draws: int) -> np.ndarray:
    """Relative errors of means of ``n`` calls, (draws, quantities)."""
    size = len(cell.residuals)
    times = rng.multinomial(n, np.full(size, 1 / size), draws)
    return times @ cell.residuals / max(n, 1)


def _draw_unlikeness(cell: Cell, rng: np.random.Generator, draws: int) -> np.ndarray:
    """How far a source may differ from its pool: as much as single calls do."""
    picked = cell.residuals[rng.integers(len(cell.residuals), size=draws)]
    return np.maximum(picked, -1)


def _draw_share(events: int, n: int, rng: np.random.Generator, draws: int) -> np.ndarray:
    """The observed share of events, then draws of the true one.

    Half of them resample the pilot, so that what it has not seen need not happen; the others are
    from Jeffreys' posterior, so that it may.
    """
    half = draws // 2
    resampled = rng.binomial(n, events / n, half) / n
    posterior = rng.beta(events + 0.5, n - events + 0.5, draws - half)
    return np.concatenate([[events / n], resampled, posterior])


def _draw_events(n: int, shares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The expected number of events among ``n``, then draws of it."""
    return np.concatenate([[n * shares[0]], rng.binomial(n, shares[1:])])
