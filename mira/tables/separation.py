"""How well each method tells intact records from spoiled ones."""

from __future__ import annotations

import pandas as pd

from mira.figures.style import ordered_methods
from mira.tables.write import Table

POOLED = "ALL"
WITHIN = "MEAN"


def separation_table(separation: pd.DataFrame) -> Table:
    """One row a method and source, pooled rows first; ``separation`` is separation.csv.

    AUROC of intact above spoiled, and the share of intact among the selected records, with
    their 95 % intervals.
    """
    methods = ordered_methods(separation["method"])
    rank = {POOLED: 0, WITHIN: 1}
    frame = separation.assign(
        _method=separation["method"].map(methods.index),
        _rank=separation["source"].map(rank).fillna(2),
    )
    frame = frame.sort_values(["_rank", "family", "source", "_method"], ignore_index=True)
    frame = frame.drop(columns=["_method", "_rank"])
    measures = ["auroc", "precision"]
    numbers = [f"{m}{end}" for m in measures for end in ("", "_low", "_high")]
    pooled = frame[frame["source"] == POOLED].dropna(subset=["auroc"])
    caption = "Separation of intact from spoiled records."
    if len(pooled):
        best = pooled.sort_values("auroc", ascending=False, kind="stable").iloc[0]
        caption += f" Highest AUROC over all records: {best['auroc']:.2f} ({best['method']})."
    return Table(
        frame=frame,
        caption=caption,
        note="ALL: all records pooled. MEAN: pairs of records of the same source. Precision: "
        "share of intact among selected records; base rate: the same before selection.",
        decimals=dict.fromkeys([*numbers, "base_rate"], 3),
    )
