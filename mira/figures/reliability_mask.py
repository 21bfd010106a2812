"""Where the student may be trusted: the paper's Figure 3."""

from __future__ import annotations

from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Polygon, Rectangle

from mira.figures.style import (
    INK,
    MUTED,
    WIDTH,
    Plot,
    natural,
    new_figure,
    ordered_groups,
    plain_frame,
    readable_on,
    shorten,
    styled,
)

COLOURS = "YlOrBr"  # the darker, the further the student is from the teacher
CELL = 0.27  # inches
COLUMNS = ["group", "source", "slot", "name", "n", "mae", "keep", "small", "reason"]


@styled
def plot_reliability_mask(
    cells: pd.DataFrame, threshold: float | None = None, stand_in: str | None = None
) -> Plot:
    """One panel a group: source by slot, coloured by mean absolute error on held-out labels.

    ``cells`` is validation/cells.csv. Masked cells are hatched, small cells carry a corner
    mark, cells without labels stay empty. ``threshold`` (score points, 0 to 10) marks the mask
    rule on the colour bar. Paper Figure 3, as far as it is known: source by dimension.
    """
    groups = ordered_groups(cells["group"])
    panels = [cells[cells["group"] == group] for group in groups]
    rows = [panel["source"].nunique() for panel in panels]
    figure = new_figure(WIDTH, sum(rows) * CELL + 1.45 * len(groups) + 0.7, stand_in)
    grid = figure.subplots(len(groups), 1, squeeze=False, height_ratios=rows)
    scale = _scale(cells["mae"], threshold)
    for axes, group, panel in zip(grid[:, 0], groups, panels, strict=True):
        _draw_panel(axes, panel, scale)
        kept = int(panel["keep"].sum())
        axes.set_title(f"{group}: {kept} of {len(panel)} cells kept", pad=6)
    _draw_keys(figure, grid, scale, threshold)
    data = pd.concat(panels).sort_values(
        ["group", "source", "slot"], key=lambda column: column.map(natural)
    )
    return figure, data[COLUMNS].reset_index(drop=True)


def _scale(mae: pd.Series, threshold: float | None) -> Normalize:
    """Colours from zero to the larger of the 98th percentile and twice the threshold."""
    top = float(np.nanpercentile(mae, 98)) if mae.notna().any() else 1.0
    return Normalize(0, max(top, 2 * threshold if threshold else 0.0), clip=True)


def _draw_panel(axes: Axes, panel: pd.DataFrame, scale: Normalize) -> None:
    sources = sorted(panel["source"].unique(), key=natural)
    slots = sorted(panel["slot"].unique(), key=natural)
    names = panel.drop_duplicates("slot").set_index("slot")["name"]
    plain_frame(axes)
    axes.set_xlim(-0.5, len(slots) - 0.5)
    axes.set_ylim(len(sources) - 0.5, -0.5)
    axes.set_yticks(range(len(sources)), sources)
    labels = [shorten(f"{slot}  {names[slot]}") for slot in slots]
    axes.set_xticks(range(len(slots)), labels, rotation=38, ha="right", rotation_mode="anchor")
    for cell in panel.itertuples(index=False):
        _draw_cell(axes, slots.index(cell.slot), sources.index(cell.source), cell, scale)


def _draw_cell(axes: Axes, x: int, y: int, cell: Any, scale: Normalize) -> None:
    """One cell: its colour, its hatch where masked, its corner where small, its number."""
    known = pd.notna(cell.mae)
    colour: Any = matplotlib.colormaps[COLOURS](scale(cell.mae)) if known else (1.0, 1.0, 1.0, 1.0)
    ink = readable_on(colour)
    corner, width, height = (x - 0.47, y - 0.46), 0.94, 0.92
    axes.add_patch(Rectangle(corner, width, height, fc=colour, ec="none"))
    if not cell.keep:
        axes.add_patch(
            Rectangle(corner, width, height, fill=False, ec=ink, lw=0, hatch="//////", alpha=0.75)
        )
        axes.add_patch(Rectangle(corner, width, height, fill=False, ec=INK, lw=0.6))
    if cell.small:
        right, top = x + 0.47, y - 0.46
        mark = [(right, top), (right - 0.2, top), (right, top + 0.3)]
        axes.add_patch(Polygon(mark, fc=ink, ec="none"))
    axes.text(
        x,
        y,
        f"{cell.mae:.2f}" if known else "–",
        ha="center",
        va="center",
        fontsize=6,
        color=ink,
        bbox={"boxstyle": "square,pad=0.12", "fc": colour, "ec": "none"},
    )


def _draw_keys(figure: Figure, grid: np.ndarray, scale: Normalize, threshold: float | None) -> None:
    bar = figure.colorbar(
        ScalarMappable(scale, COLOURS), ax=grid[:, 0].tolist(), shrink=0.6, aspect=36, pad=0.02
    )
    bar.outline.set_visible(False)
    bar.set_label("mean absolute error of the student, points of 10")
    if threshold is not None:
        bar.ax.axhline(threshold, color="white", lw=2.2)
        bar.ax.axhline(threshold, color=INK, lw=1)
        bar.ax.annotate(
            "mask",
            (0, threshold),
            xytext=(-3, 0),
            textcoords="offset points",
            ha="right",
            va="center",
            fontsize=6.5,
            annotation_clip=False,
        )
    keys = [
        Patch(fc="white", ec=INK, hatch="//////", lw=0.6, label="masked: not used in the score"),
        Patch(fc=MUTED, ec="none", label="corner mark: few held-out labels"),
    ]
    figure.legend(handles=keys, loc="outside upper left", ncols=2, handlelength=1.6)
