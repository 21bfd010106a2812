"""The baselines that need no model: the raw mixture and a random subset.

They have the same inputs and outputs as mira's own selections and obey the same budget rule.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from mira.seeds import stable_hash
from mira.selection import WHOLE_CORPUS, Bucketing, ids_checksum, select

STAGE_VERSION = 1


def random_scores(ids: Iterable[str], seed: int) -> np.ndarray:
    """A uniform number in [0, 1) for every id: a stable hash, so adding records moves none."""
    return np.array([stable_hash(seed, "random", i) >> 11 for i in ids], dtype=float) / 2.0**53


def select_random(
    frame: pd.DataFrame, budget_tokens: int, seed: int, stratified: bool = True
) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """A random subset; returns (scores, mask, certificate) in row order.

    ``frame`` has id, source, group and n_tokens. ``stratified`` divides the budget among
    sources by their tokens, as secondary summaries say of the paper's; else one cut.
    """
    scores = random_scores(frame["id"], seed)
    per: Bucketing = "source" if stratified else None
    mask, certificate = select(frame.assign(score=scores), budget_tokens, per, seed)
    return scores, mask, certificate


def select_raw(frame: pd.DataFrame, seed: int) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """The raw mixture: every record, no score; returns (scores, mask, certificate)."""
    tokens = int(frame["n_tokens"].sum())
    counts = {
        "records": len(frame),
        "tokens": tokens,
        "selected_records": len(frame),
        "selected_tokens": tokens,
        "unscored_records": len(frame),
        "unscored_tokens": tokens,
    }
    certificate = {
        "rule": "every record",
        "per": WHOLE_CORPUS,
        "seed": seed,
        "budget_tokens": tokens,
        **counts,
        "tie_share": 0.0,
        "buckets": [],
        "checksum": ids_checksum(frame["id"]),
    }
    return np.full(len(frame), np.nan), np.ones(len(frame), dtype=bool), certificate
