"""How well the student ranks records as the teacher does, beside a plain regression."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation

from mira.figures.style import (
    BLUE,
    MUTED,
    RULE,
    VERMILLION,
    WIDTH,
    Plot,
    natural,
    new_figure,
    ordered_groups,
    shorten,
    styled,
)

COLUMNS = 2

PREDICTORS: dict[str, dict[str, Any]] = {
    "student": {"color": BLUE, "marker": "o", "mfc": BLUE, "offset": -0.15},
    "ridge": {"color": VERMILLION, "marker": "D", "mfc": "white", "offset": 0.2},
}


@styled
def plot_agreement(cells: pd.DataFrame, ridge: pd.DataFrame, stand_in: str | None = None) -> Plot:
    """Spearman correlation with the teacher per slot, one panel a group.

    ``cells`` and ``ridge`` are validation/cells.csv and validation/ridge.csv. A point is the
    mean over the group's sources (see :func:`mean_spearman`) with its 95 % interval; small ticks
    are the single cells of the student. Ours: the paper's values were not seen.
    """
    means = pd.concat([_means(cells, "student"), _means(ridge, "ridge")], ignore_index=True)
    groups = ordered_groups(means["group"])
    columns = min(COLUMNS, len(groups))
    rows = -(-len(groups) // columns)
    slots = means.groupby("group")["slot"].nunique().max()
    figure = new_figure(WIDTH, rows * (0.2 * slots + 0.55) + 0.6, stand_in)
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True).ravel()
    lift = ScaledTranslation(0, 4 / 72, figure.dpi_scale_trans)
    lowest = min(0.0, np.nanmin([means["low"].min(), cells["spearman"].min()]))
    for axes, group in zip(grid, groups, strict=False):
        _draw_panel(axes, means[means["group"] == group], cells[cells["group"] == group])
        axes.set_xlim(max(-1.0, lowest - 0.03), 1.0)
        axes.set_title(group, pad=14)
        note = axes.text(1, 1, _headline(cells, ridge, group), transform=axes.transAxes + lift)
        note.set(ha="right", in_layout=False)
    for axes in grid[len(groups) :]:
        axes.set_axis_off()
    for axes in grid[max(0, len(groups) - columns) : len(groups)]:
        axes.set_xlabel("Spearman ρ with the teacher")
        axes.tick_params(labelbottom=True)
    if len(grid) > len(groups):
        grid[-1].legend(handles=_keys(), loc="center left", labelspacing=1, fontsize=8)
    else:
        figure.legend(handles=_keys(), loc="outside upper left", ncols=3)
    return figure, means


def mean_spearman(cells: pd.DataFrame) -> tuple[float, float, float]:
    """Mean correlation of some cells, with a 95 % interval.

    The mean is over Fisher's z, weighted by n; the cells' own intervals give its standard
    error, taking cells as independent (ours). All NaN where no cell has a correlation.
    """
    known = cells.dropna(subset=["spearman"])
    if known.empty:
        return (np.nan, np.nan, np.nan)
    near = 1 - 1e-6
    z, low, high = (
        np.arctanh(known[column].clip(-near, near).to_numpy(dtype=float))
        for column in ("spearman", "spearman_low", "spearman_high")
    )
    weight = known["n"].to_numpy(dtype=float) / known["n"].sum()
    centre = float(weight @ z)
    spread = float(np.sqrt(np.nansum((weight * (high - low) / 2) ** 2)))
    return (np.tanh(centre), np.tanh(centre - spread), np.tanh(centre + spread))


def _means(cells: pd.DataFrame, predictor: str) -> pd.DataFrame:
    rows = []
    for (group, slot), part in cells.groupby(["group", "slot"]):
        mean, low, high = mean_spearman(part)
        known = int(part["spearman"].notna().sum())
        name = part["name"].iloc[0]
        rows.append((group, slot, name, predictor, mean, low, high, known, int(part["n"].sum())))
    columns = ["group", "slot", "name", "predictor", "spearman", "low", "high", "n_cells", "n"]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.sort_values(["group", "slot"], key=lambda column: column.map(natural))


def _headline(cells: pd.DataFrame, ridge: pd.DataFrame, group: str) -> str:
    """Plain means over the cells that the mask keeps, the same cells for both."""
    kept = cells[(cells["group"] == group) & cells["keep"]]
    if kept.empty:
        return "no cell kept"
    both = kept.merge(ridge, on=["group", "source", "slot"], suffixes=("", "_ridge"))
    student, regression = both["spearman"].mean(), both["spearman_ridge"].mean()
    return f"{len(kept)} kept cells: student {student:.2f}, ridge {regression:.2f}"


def _draw_panel(axes: Axes, means: pd.DataFrame, cells: pd.DataFrame) -> None:
    slots = sorted(means["slot"].unique(), key=natural)
    names = means.drop_duplicates("slot").set_index("slot")["name"]
    axes.set_ylim(len(slots) - 0.4, -0.6)
    labels = [shorten(f"{slot}  {names[slot]}", 29) for slot in slots]
    axes.set_yticks(range(len(slots)), labels)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x")
    axes.spines["left"].set_visible(False)
    axes.axvline(0, color=MUTED, lw=0.8)
    y = cells["slot"].map(slots.index)
    offset = PREDICTORS["student"]["offset"]
    axes.plot(cells["spearman"], y + offset, "|", ms=5, mew=0.7, color=MUTED, zorder=1.5)
    for predictor, style in PREDICTORS.items():
        part = means[means["predictor"] == predictor]
        place = part["slot"].map(slots.index) + style["offset"]
        axes.hlines(place, part["low"], part["high"], color=style["color"], lw=1.1)
        axes.plot(
            part["spearman"],
            place,
            linestyle="none",
            marker=style["marker"],
            ms=4.2 if predictor == "student" else 3.4,
            color=style["color"],
            mfc=style["mfc"],
        )


def _keys() -> list[Line2D]:
    student, ridge = PREDICTORS["student"], PREDICTORS["ridge"]
    return [
        Line2D([], [], color=BLUE, marker="o", mfc=student["mfc"], ms=4.2, label="student, mean"),
        Line2D([], [], color=RULE, mec=MUTED, marker="|", ls="none", label="student, one source"),
        Line2D(
            [], [], color=VERMILLION, marker="D", mfc=ridge["mfc"], ms=3.4, label="tf-idf + ridge"
        ),
    ]
