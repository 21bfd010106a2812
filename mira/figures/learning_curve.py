"""What more labels would bring: agreement of a probe at growing label counts."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from mira.figures.style import (
    BLUE,
    MUTED,
    VERMILLION,
    WIDTH,
    Plot,
    new_figure,
    ordered_groups,
    styled,
)
from mira.learning_curve.power_law import FEWEST_POINTS, MOST_POINTS, fit_power_law

COLUMNS = 3
BEYOND, STOP = (0, (3, 1.5)), (0, (1, 1.2))


@styled
def plot_learning_curve(curves: Mapping[str, pd.DataFrame], stand_in: str | None = None) -> Plot:
    """Held-out agreement against the number of training labels, one panel a group (ours).

    ``curves`` maps a group to its table validation/learning_curve/{group}.csv. Points have 95 %
    intervals; the line is their power law, dashed where it goes on to twice the labels at hand. A
    dotted line marks the size at which the labels were, or would have been, enough. The data has
    every point, and as last row of a group the power law at twice its labels.
    """
    groups = ordered_groups(curves)
    columns = min(COLUMNS, max(1, len(groups)))
    rows = -(-max(1, len(groups)) // columns)
    figure = new_figure(WIDTH, 2.1 * rows + 0.55, stand_in)
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    for axes, group in zip(grid, groups, strict=False):
        axes.set_title(group)
        _draw_panel(axes, curves[group])
    for axes in grid[len(groups) :]:
        axes.set_axis_off()
    for row in range(rows):
        grid[row * columns].set_ylabel("Spearman ρ, probe and teacher")
    stops = any(stopping_size(curve) is not None for curve in curves.values())
    figure.legend(handles=_keys(stops), loc="outside upper left", ncols=4)
    tables = [_with_next_doubling(curves[group]).assign(group=group) for group in groups]
    data = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["group"])
    return figure, data[["group", *(column for column in data if column != "group")]]


def stopping_size(curve: pd.DataFrame) -> int | None:
    """The labels that were enough: where labelling has stopped, or the first size that would do."""
    enough = curve.loc[curve["enough"], "n"]
    if curve.empty or enough.empty:
        return None
    if curve["picked"].iloc[-1] == "all":
        return int(enough.iloc[0])
    return int(enough.iloc[-1]) if curve["enough"].iloc[-1] else None


def _with_next_doubling(curve: pd.DataFrame) -> pd.DataFrame:
    known = curve.dropna(subset=["spearman"])
    if len(known) < FEWEST_POINTS:
        return curve
    twice = 2 * int(known["n"].iloc[-1])
    fitted = fit_power_law(known["n"].to_numpy(), known["spearman"].to_numpy()).at(twice)
    beyond = pd.DataFrame({"n": [twice], "fitted": [float(fitted)]})
    return pd.concat([curve, beyond], ignore_index=True)


def _draw_panel(axes: Axes, curve: pd.DataFrame) -> None:
    known = curve.dropna(subset=["spearman"])
    axes.set_xscale("log", base=2)
    axes.grid(axis="y")
    axes.set_xlabel("training labels")
    if known.empty:
        axes.text(0.5, 0.5, "no held-out labels", transform=axes.transAxes, ha="center")
        return
    n, value = known["n"].to_numpy(), known["spearman"].to_numpy()
    axes.set_xlim(n[0] / 1.5, n[-1] * 3)
    every_other = n[::-2][::-1]
    axes.set_xticks(every_other, [f"{size:,}" for size in every_other])
    axes.set_xticks([], minor=True)
    axes.vlines(n, known["low"], known["high"], color=BLUE, lw=1.1)
    axes.plot(n, value, "o", color=BLUE, ms=4)
    if len(known) >= FEWEST_POINTS:
        line = fit_power_law(n, value)
        within, beyond = (
            np.geomspace(n[-MOST_POINTS:][0], n[-1], 60),
            np.geomspace(n[-1], 2 * n[-1], 20),
        )
        axes.plot(within, line.at(within), color=BLUE, lw=1)
        axes.plot(beyond, line.at(beyond), color=BLUE, lw=1, ls=BEYOND)
    if (stop := stopping_size(known)) is not None:
        axes.axvline(stop, color=VERMILLION, lw=1.1, ls=STOP, zorder=1)
    axes.text(0.97, 0.04, _verdict(known), transform=axes.transAxes, ha="right", color=MUTED)


def _verdict(curve: pd.DataFrame) -> str:
    last = curve.iloc[-1]
    if np.isnan(last["gain_of_next_doubling"]):
        return "too few sizes for a gain"
    gain, error = last["gain_of_next_doubling"], last["half_width"]
    return f"next doubling: {gain:+.3f}\nerror of a gain: {error:.3f}"


def _keys(stops: bool) -> list[Line2D]:
    keys = [
        Line2D([], [], color=BLUE, marker="o", ms=4, lw=1.1, label="probe"),
        Line2D([], [], color=BLUE, lw=1, label="power law"),
        Line2D([], [], color=BLUE, lw=1, ls=BEYOND, label="one doubling more"),
        Line2D([], [], color=VERMILLION, lw=1.1, ls=STOP, label="enough"),
    ]
    return keys if stops else keys[:-1]
