"""Slot scores to one record score: mask, then trimmed mean (paper 3.4).

The mask acts here and not on the prompt, because a student asked for fewer lines would score
the remaining ones differently.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from mira.errors import UserError

STAGE_VERSION = 1
QUANTUM = 4096
NO_CELL = "its source has no validated cell"
NO_KEPT_SLOT = "its source keeps no slot"
NO_SCORE = "no score in any kept slot"
_BLOCK_ROWS = 1 << 18


def record_scores(
    scores: np.ndarray, sources: np.ndarray, cells: pd.DataFrame, trim: float
) -> tuple[np.ndarray, np.ndarray]:
    """The score of every record and, where it has none, the reason.

    ``scores`` is (n, slots), columns in slot order A1, A2, ..., NaN where unparsed; ``sources``
    (n,) names; ``cells`` has source, slot and weight (0 masks a slot). Of a record's m kept and
    scored slots the floor(trim * m) lowest and highest are cut, the rest averaged by weight.

    Returns float64 scores rounded to 1/4096 (NaN where there is none), so that sums in another
    order cannot move a record across a cut, and an object array of reasons (None where there
    is a score). Paper: trimmed mean over kept slots; the fraction is not published, the
    quantum is ours.
    """
    if not 0 <= trim < 0.5:
        raise UserError(f"selection.trim is {trim}: expected at least 0 and below 0.5.")
    names, weights = weight_table(cells, scores.shape[1])
    rows = pd.Index(names).get_indexer(pd.Index(sources))
    # A last row of zeros serves the sources without cells (row -1).
    weights = np.vstack([weights, np.zeros(scores.shape[1])])
    result = np.empty(len(scores))
    for begin in range(0, len(scores), _BLOCK_ROWS):
        block = slice(begin, begin + _BLOCK_ROWS)
        result[block] = _trimmed_mean(scores[block], weights[rows[block]], trim)
    reasons = np.full(len(scores), None, dtype=object)
    missing = np.isnan(result)
    reasons[missing] = NO_SCORE
    reasons[missing & (weights[rows].sum(axis=1) == 0)] = NO_KEPT_SLOT
    reasons[rows == -1] = NO_CELL
    return np.round(result * QUANTUM) / QUANTUM, reasons


def weight_table(cells: pd.DataFrame, n_slots: int) -> tuple[list[str], np.ndarray]:
    """Source names and their (sources, slots) weights; a slot without a cell weighs 0."""
    table = cells.pivot(index="source", columns="slot", values="weight")
    table = table.reindex(columns=[f"A{i}" for i in range(1, n_slots + 1)]).fillna(0.0)
    return [str(name) for name in table.index], table.to_numpy(dtype=float)


def _trimmed_mean(scores: np.ndarray, weights: np.ndarray, trim: float) -> np.ndarray:
    """Weighted trimmed mean along the rows; NaN where no slot counts."""
    counted = (weights > 0) & ~np.isnan(scores)
    values = np.where(counted, scores, np.inf).astype(float)
    order = np.argsort(values, axis=1, kind="stable")
    values = np.take_along_axis(values, order, axis=1)
    weights = np.take_along_axis(np.where(counted, weights, 0.0), order, axis=1)
    kept = counted.sum(axis=1, keepdims=True)
    cut = np.floor(trim * kept).astype(int)
    position = np.arange(scores.shape[1])
    inside = (position >= cut) & (position < kept - cut)
    total = np.where(inside, weights, 0.0).sum(axis=1)
    weighted = np.where(inside, values, 0.0) * weights
    return np.divide(weighted.sum(axis=1), total, out=np.full(len(scores), np.nan), where=total > 0)
