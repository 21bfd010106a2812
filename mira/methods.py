"""The selection methods by name: each turns scores and trust into a selection.

Every method has the same inputs, outputs and budget rule; MIRA's three differ only in where the
cut is made (paper 3.5).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mira.aggregation import record_scores
from mira.baselines import select_random, select_raw
from mira.scoring.merge import check_unmixed
from mira.selection import Bucketing, select, selection_table

MIRA_BUCKETS: dict[str, Bucketing] = {
    "mira_global": None,
    "mira_group": "group",
    "mira_source": "source",
}


def token_budget(corpus_tokens: int, share: float | None, tokens: int | None) -> int:
    """The budget in tokens: given as such, or as a share of the corpus (rounded down)."""
    if tokens is not None:
        return tokens
    assert share is not None
    return int(corpus_tokens * share)


def select_by_method(
    method: str,
    scores: pd.DataFrame,
    cells: pd.DataFrame,
    budget_tokens: int,
    trim: float,
    seed: int,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """A method's selection table and certificate.

    ``scores`` is ``scoring/scores.parquet``, ``cells`` is ``validation/cells.csv``. Raises
    UserError where the budget does not fit the corpus, or where the scores were made in different
    ways.
    """
    if method == "raw":
        values, mask, certificate = select_raw(scores, seed)
        return selection_table(scores.assign(score=values), mask), certificate
    if method == "random":
        values, mask, certificate = select_random(scores, budget_tokens, seed)
        return selection_table(scores.assign(score=values), mask), certificate
    check_unmixed(scores)
    values, reasons = record_scores(slot_means(scores), scores["source"].to_numpy(), cells, trim)
    scored = scores.assign(score=values)
    mask, certificate = select(scored, budget_tokens, MIRA_BUCKETS[method], seed)
    return selection_table(scored, mask, reasons), {**certificate, "trim": trim}


def slot_means(scores: pd.DataFrame) -> np.ndarray:
    """Array (records, slots) of the slots' mean scores, in slot order."""
    n_slots = sum(column.endswith("_mean") for column in scores.columns)
    return scores[[f"s{i}_mean" for i in range(1, n_slots + 1)]].to_numpy(float)
