"""How many records and tokens reach each step."""

from __future__ import annotations

import pandas as pd

from mira.figures.style import BLUE, WIDTH, Plot, new_figure, styled


@styled
def plot_token_flow(steps: pd.DataFrame, stand_in: str | None = None) -> Plot:
    """Bars of records (left) and tokens (right), one row a step, in the order given.

    ``steps`` has step, records, tokens (NaN where a step counts records only).
    """
    figure = new_figure(WIDTH, 0.26 * len(steps) + 0.6, stand_in)
    grid = figure.subplots(1, 2, sharey=True)
    for axes, column in zip(grid, ("records", "tokens"), strict=True):
        values = steps[column]
        bars = axes.barh(range(len(steps)), values.fillna(0), height=0.62, color=BLUE, alpha=0.85)
        labels = [f"{value:,.0f}" if pd.notna(value) else "–" for value in values]
        axes.bar_label(bars, labels, padding=3, fontsize=7)
        axes.set_xlim(0, 1.22 * max(1.0, float(values.max())))
        axes.set_title(column)
        axes.set_xticks([])
        axes.spines[["left", "bottom"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
    grid[0].set_yticks(range(len(steps)), steps["step"])
    grid[0].set_ylim(len(steps) - 0.5, -0.5)
    return figure, steps[["step", "records", "tokens"]].reset_index(drop=True)
