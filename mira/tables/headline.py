"""The published headline table, with its averages recomputed."""

from __future__ import annotations

import pandas as pd

from mira.audit.claims import Claims, MeanCheck
from mira.audit.published import recompute_means
from mira.tables.write import Table

TABLE = "headline"
RECOMPUTED, AGREES = "recomputed", "agrees"


def headline_table(claims: Claims, runs: pd.DataFrame | None = None) -> Table:
    """The table ``headline`` of the claims with the mean of each row beside the published one.

    ``runs`` holds our own runs' rows in the same columns as the published table (``run`` and
    the categories); they stand below the published rows, marked by their ``origin``.
    """
    table = claims.tables[TABLE]
    means = {
        row: mean
        for check in claims.checks
        if isinstance(check, MeanCheck) and check.each_row_of == TABLE
        for row, mean in recompute_means(claims, check).items()
    }
    rows = []
    for row_id, row in table.rows.items():
        values = [None if value is None else float(value) for value in row.values]
        mean = means.get(row_id)
        rows.append(
            {
                "run": row.title,
                "origin": "published",
                **dict(zip(table.columns, values, strict=True)),
            }
            | {
                RECOMPUTED: None if mean is None else float(mean.half_up),
                AGREES: None if mean is None else mean.agrees,
            }
        )
    frame = pd.DataFrame(rows)
    if runs is not None and len(runs):
        frame = pd.concat([frame, runs.assign(origin="this run")], ignore_index=True)
    wrong = frame.loc[frame[AGREES].eq(False), "run"].tolist()
    note = f"{table.unit.capitalize()}. Recomputed: plain mean of the categories, half-up. "
    note += f"Does not follow from its row: {', '.join(wrong)}." if wrong else "All rows agree."
    place = claims.places[table.place]
    return Table(
        frame=frame,
        caption=f"{table.title}, as published on {place.title}.",
        note=note,
        titles={**table.columns, "run": "Run", "origin": "Origin"}
        | {RECOMPUTED: "Recomputed", AGREES: "Agrees"},
        decimals=dict.fromkeys([*table.columns, RECOMPUTED], table.decimals),
    )
