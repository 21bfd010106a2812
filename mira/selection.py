"""The best records under a token budget: exact, never over it, whatever the row order.

Records are taken by score, highest first, equal scores by a stable hash of the id, until the
first that does not fit (paper 3.5 names the three granularities; the rules are ours). Skipping
to a later, shorter record instead would favour short ones at the edge.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd

from mira.errors import UserError
from mira.seeds import stable_hash

STAGE_VERSION = 1
WHOLE_CORPUS = "corpus"
RULE = (
    "score descending, equal scores by tie key ascending (64-bit BLAKE2b of seed, 'tie' and id, "
    "then the id), up to the first record that does not fit; selected: score > cut_score, or "
    "score = cut_score and (tie_key is null or the record's tie key <= tie_key)"
)
Bucketing = Literal["group", "source"] | None


def select(
    frame: pd.DataFrame, budget_tokens: int, per: Bucketing, seed: int
) -> tuple[np.ndarray, dict[str, Any]]:
    """Select records under ``budget_tokens``; returns (mask in row order, certificate).

    ``frame`` has id (unique), source, group, n_tokens and score (NaN: never selected). With
    ``per`` the budget is divided among groups or sources in proportion to their tokens, and
    what one bucket leaves unspent is not given to another. The certificate names budget, tokens
    and cut of every bucket, so the selection can be checked without running it again.

    Raises UserError where the budget is below 1 or above the corpus's tokens.
    """
    _check(frame, budget_tokens)
    tokens = frame["n_tokens"].to_numpy(dtype=np.int64)
    scores = frame["score"].to_numpy(dtype=float)
    names, bucket_of = _buckets(frame, per)
    bucket_tokens = {
        name: int(tokens[bucket_of == number].sum()) for number, name in enumerate(names)
    }
    budgets = divide_budget(budget_tokens, bucket_tokens)
    mask = np.zeros(len(frame), dtype=bool)
    buckets = []
    for number, name in enumerate(names):
        rows = np.flatnonzero(bucket_of == number)
        taken, cut = _fill(rows, scores, tokens, frame["id"], budgets[name], seed)
        mask[taken] = True
        buckets.append(
            {
                "bucket": name,
                "budget_tokens": budgets[name],
                **_counts(scores[rows], tokens[rows], mask[rows]),
                **cut,
                "tie_share": _share(cut["tie_tokens"], bucket_tokens[name]),
            }
        )
    certificate = {
        "rule": RULE,
        "per": per or WHOLE_CORPUS,
        "seed": seed,
        "budget_tokens": budget_tokens,
        **_counts(scores, tokens, mask),
        "tie_share": _share(sum(b["tie_tokens"] for b in buckets), int(tokens.sum())),
        "buckets": buckets,
        "checksum": ids_checksum(frame["id"][mask]),
    }
    return mask, certificate


def divide_budget(budget_tokens: int, bucket_tokens: Mapping[str, int]) -> dict[str, int]:
    """Shares of a budget proportional to the buckets' tokens, in whole tokens, same sum.

    Each gets the floor of its share; the tokens left over go one each to the largest
    remainders, ties by name. No share exceeds its bucket.
    """
    total = sum(bucket_tokens.values())
    products = {name: budget_tokens * tokens for name, tokens in bucket_tokens.items()}
    shares = {name: product // total for name, product in products.items()}
    left = budget_tokens - sum(shares.values())
    for name in sorted(products, key=lambda name: (-(products[name] % total), name))[:left]:
        shares[name] += 1
    return shares


def tie_key(seed: int, record_id: str) -> int:
    """The stable 64-bit key that orders records of equal score, lowest first."""
    return stable_hash(seed, "tie", record_id)


def ids_checksum(ids: pd.Series) -> str:
    """SHA-256 over the sorted ids, one a line."""
    digest = hashlib.sha256()
    for record_id in sorted(ids):
        digest.update(f"{record_id}\n".encode())
    return digest.hexdigest()


def selection_table(
    frame: pd.DataFrame, mask: np.ndarray, reasons: np.ndarray | None = None
) -> pd.DataFrame:
    """The rows of ``selection/{method}.parquet``, by source and id.

    ``reasons`` say why a record has no score. Sorting makes the file's bytes independent of
    the order in which records were scored.
    """
    table = frame[["id", "source", "group", "n_tokens", "score"]].assign(
        selected=mask, reason=None if reasons is None else reasons
    )
    table["reason"] = table["reason"].astype("string")
    return table.sort_values(["source", "id"], ignore_index=True)


def check_budget(budget_tokens: int, corpus_tokens: int) -> None:
    """Raise UserError unless the budget lies between 1 token and the whole corpus."""
    if budget_tokens < 1 or budget_tokens > corpus_tokens:
        raise UserError(
            f"selection.budget_tokens is {budget_tokens:,} tokens, but the corpus has "
            f"{corpus_tokens:,}: set it between 1 and {corpus_tokens:,}, or give "
            "selection.budget_share (0 to 1) instead."
        )


def _check(frame: pd.DataFrame, budget_tokens: int) -> None:
    check_budget(budget_tokens, int(frame["n_tokens"].sum()))
    if not frame["id"].is_unique:
        repeated = frame.loc[frame["id"].duplicated(), "id"].iloc[0]
        raise ValueError(f"record id {repeated!r} occurs more than once: ties would be undecided")


def _buckets(frame: pd.DataFrame, per: Bucketing) -> tuple[list[str], np.ndarray]:
    """Bucket names in order, and each row's bucket number."""
    if per is None:
        return [WHOLE_CORPUS], np.zeros(len(frame), dtype=np.int8)
    codes, names = pd.factorize(frame[per], sort=True)
    return [str(name) for name in names], codes


def _fill(
    rows: np.ndarray,
    scores: np.ndarray,
    tokens: np.ndarray,
    ids: pd.Series,
    budget: int,
    seed: int,
) -> tuple[np.ndarray, dict[str, Any]]:
    """Rows of one bucket that fit its budget, and where the cut lies.

    Only the records of the score at which the budget is crossed need a tie key.
    """
    scored = rows[~np.isnan(scores[rows])]
    values, position = np.unique(-scores[scored], return_inverse=True)
    held = np.zeros(len(values), dtype=np.int64)
    np.add.at(held, position, tokens[scored])
    whole = int(np.searchsorted(np.cumsum(held), budget, side="right"))
    taken = scored[position < whole]
    cut: dict[str, Any] = {
        "cut_score": float(-values[whole - 1]) if whole else None,
        "tie_key": None,
        "tie_tokens": 0,
    }
    if whole == len(values):
        return taken, cut
    tied = scored[position == whole]
    tied_ids = ids.iloc[tied].to_numpy()
    keys = [tie_key(seed, record_id) for record_id in tied_ids]
    order = sorted(range(len(tied)), key=lambda i: (keys[i], tied_ids[i]))
    room = budget - int(held[:whole].sum())
    fitting = int(np.searchsorted(np.cumsum(tokens[tied[order]]), room, side="right"))
    if len(tied) > 1:
        cut["tie_tokens"] = int(held[whole])
    if fitting:
        cut["cut_score"] = float(-values[whole])
        cut["tie_key"] = f"{keys[order[fitting - 1]]:016x}"
    return np.concatenate([taken, tied[order[:fitting]]]), cut


def _counts(scores: np.ndarray, tokens: np.ndarray, mask: np.ndarray) -> dict[str, int]:
    unscored = np.isnan(scores)
    return {
        "records": len(tokens),
        "tokens": int(tokens.sum()),
        "selected_records": int(mask.sum()),
        "selected_tokens": int(tokens[mask].sum()),
        "unscored_records": int(unscored.sum()),
        "unscored_tokens": int(tokens[unscored].sum()),
    }


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
