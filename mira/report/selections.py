"""What each method kept: totals, shares per source, and how far methods agree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

Selections = Mapping[str, pd.DataFrame]


@dataclass(frozen=True)
class Kept:
    """One method's selection in numbers; ``budget`` is None where no certificate names it."""

    method: str
    records: int
    tokens: int
    all_records: int
    all_tokens: int
    budget: int | None
    unscored: int


def kept_rows(selection: pd.DataFrame) -> pd.DataFrame:
    """The rows of a selection that were kept."""
    return selection[selection["selected"].astype(bool)]


def kept_by_method(
    selections: Selections, certificates: Mapping[str, Mapping[str, Any]]
) -> list[Kept]:
    """Records and tokens that each method kept, beside its budget."""
    rows = []
    for method, frame in selections.items():
        kept = kept_rows(frame)
        rows.append(
            Kept(
                method=method,
                records=len(kept),
                tokens=int(kept["n_tokens"].sum()),
                all_records=len(frame),
                all_tokens=int(frame["n_tokens"].sum()),
                budget=certificates.get(method, {}).get("budget_tokens"),
                unscored=int(frame["reason"].notna().sum()),
            )
        )
    return rows


def retention(selections: Selections, by: str) -> pd.DataFrame:
    """Share of tokens kept: rows are sources or groups (``by``), columns methods."""
    shares = {}
    for method, frame in selections.items():
        tokens = frame["n_tokens"].groupby(frame[by]).sum()
        kept = frame["n_tokens"].where(frame["selected"].astype(bool), 0).groupby(frame[by]).sum()
        shares[method] = kept / tokens
    return pd.DataFrame(shares)


def overlap(selections: Selections) -> pd.DataFrame:
    """Share of the row method's kept tokens that the column method keeps as well."""
    kept = {
        method: kept_rows(frame).set_index(["source", "id"])["n_tokens"]
        for method, frame in selections.items()
    }
    return pd.DataFrame(
        {
            column: {
                row: mine[mine.index.isin(theirs.index)].sum() / mine.sum() if len(mine) else None
                for row, mine in kept.items()
            }
            for column, theirs in kept.items()
        },
        dtype=float,
    )
