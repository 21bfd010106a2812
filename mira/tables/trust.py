"""How far each group's student may be trusted, beside a plain regression."""

from __future__ import annotations

import pandas as pd

from mira.figures.style import ordered_groups
from mira.tables.write import Table


def trust_table(cells: pd.DataFrame, ridge: pd.DataFrame) -> Table:
    """One row a group: kept cells, mean Spearman and MAE of student and ridge on kept cells.

    ``cells`` and ``ridge`` are validation/cells.csv and validation/ridge.csv. Both predictors
    are averaged over the cells that the student's mask keeps; MAE in points of 10.
    """
    keys = ["group", "source", "slot"]
    both = cells.merge(
        ridge[[*keys, "mae", "spearman"]], on=keys, how="left", suffixes=("", "_ridge")
    )
    rows = []
    for group in ordered_groups(cells["group"]):
        part = both[both["group"] == group]
        kept = part[part["keep"]]
        rows.append(
            {
                "group": group,
                "cells": len(part),
                "kept_cells": len(kept),
                "kept_share": len(kept) / len(part),
                "small_cells": int(part["small"].sum()),
                "spearman": kept["spearman"].mean(),
                "spearman_ridge": kept["spearman_ridge"].mean(),
                "mae": kept["mae"].mean(),
                "mae_ridge": kept["mae_ridge"].mean(),
                "mae_constant": kept["mae_constant"].mean(),
            }
        )
    frame = pd.DataFrame(rows)
    return Table(
        frame=frame,
        caption=f"Agreement with the teacher on held-out labels: {frame['kept_cells'].sum()} of "
        f"{frame['cells'].sum()} cells kept.",
        note="Plain means over the cells that the mask keeps, the same cells for every column. "
        "MAE in points of 10; constant: always the mean label.",
        titles={
            "group": "Group",
            "cells": "Cells",
            "kept_cells": "Kept",
            "kept_share": "Share kept",
            "small_cells": "Small",
            "spearman": "Spearman",
            "spearman_ridge": "Spearman, ridge",
            "mae": "MAE",
            "mae_ridge": "MAE, ridge",
            "mae_constant": "MAE, constant",
        },
        decimals=dict.fromkeys(
            ["kept_share", "spearman", "spearman_ridge", "mae", "mae_ridge", "mae_constant"], 2
        ),
    )
