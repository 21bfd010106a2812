"""How far students agree with the teacher on labels they never saw."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

CELL = ["group", "source", "slot"]


@dataclass(frozen=True)
class Mask:
    """One group's cells as a grid: ``rows`` pairs each source with its cells in slot order."""

    group: str
    slots: list[tuple[str, str]]
    rows: list[tuple[str, list[Any]]]


def agreement(cells: pd.DataFrame, ridge: pd.DataFrame) -> pd.DataFrame:
    """Per group: cells, kept cells, mean Spearman over kept cells of student and ridge (ours).

    Columns ``group``, ``cells``, ``kept``, ``mae``, ``mae_constant``, ``spearman``,
    ``spearman_ridge``; the ridge regression is averaged over the student's kept cells, NaN where
    it did not run.
    """
    kept = cells[cells["keep"].astype(bool)]
    beside = ridge[[*CELL, "spearman"]].rename(columns={"spearman": "spearman_ridge"})
    kept = kept.merge(beside, on=CELL, how="left")
    means = ["mae", "mae_constant", "spearman", "spearman_ridge"]
    averages = kept.astype(dict.fromkeys(means, float)).groupby("group")[means].mean()
    numbers = cells.groupby("group").agg(cells=("slot", "size"), kept=("keep", "sum"))
    return numbers.join(averages).reset_index()


def by_readout(readouts: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """Per group and readout: mean MAE and mean Spearman over kept cells."""
    kept = cells.loc[cells["keep"].astype(bool), CELL]
    rows = readouts.merge(kept, on=CELL)
    return rows.groupby(["group", "readout"])[["mae", "spearman"]].mean().reset_index()


def masks(cells: pd.DataFrame) -> Iterator[Mask]:
    """The cells of each group as a grid of sources and slots."""
    for group, part in cells.groupby("group"):
        names = dict(zip(part["slot"], part["name"], strict=True))
        slots = sorted(names, key=_slot_number)
        grid = {(row.source, row.slot): row for row in part.itertuples()}
        rows = [
            (source, [grid.get((source, slot)) for slot in slots])
            for source in sorted(part["source"].unique())
        ]
        yield Mask(str(group), [(slot, names[slot]) for slot in slots], rows)


def _slot_number(slot: str) -> int:
    return int(slot.removeprefix("A"))
