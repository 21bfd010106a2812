"""The loss curves of the students and of the base model they start from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from mira.figures.style import MUTED, Plot, look, natural, new_figure, ordered_groups, styled

BASE = "base"
COLUMNS = ["curve", "step", "epoch", "split", "loss"]


def loss_history(states: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """The losses in trainer states as a tidy frame: curve, step, epoch, split, loss.

    ``states`` maps a curve's name (a group, or ``base`` for pretraining) to the content of its
    trainer_state.json; entries of log_history carry ``loss`` or ``eval_loss``.
    """
    rows = [
        (curve, entry["step"], entry.get("epoch"), split, float(entry[key]))
        for curve, state in states.items()
        for entry in state["log_history"]
        for split, key in (("train", "loss"), ("validation", "eval_loss"))
        if key in entry
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


@styled
def plot_loss_curves(history: pd.DataFrame, stand_in: str | None = None) -> Plot:
    """Loss against optimiser steps: the base model's pretraining, then the students together.

    ``history`` is what :func:`loss_history` returns. Lines are training loss, open markers are
    loss on held-out labels. In the paper: trainer_state.json of each student, values not seen.
    """
    students = ordered_groups(history.loc[history["curve"] != BASE, "curve"])
    panels = [("base model: pretraining", [BASE])] if (history["curve"] == BASE).any() else []
    if students:
        panels.append(("students: distillation", students))
    figure = new_figure(3.6 * max(1, len(panels)), 2.6, stand_in)
    grid = figure.subplots(1, max(1, len(panels)), squeeze=False)[0]
    for axes, (title, curves) in zip(grid, panels, strict=False):
        _draw_panel(axes, history, curves)
        axes.set_title(title)
    grid[0].set_ylabel("cross-entropy, nats per token")
    data = history.sort_values(
        ["curve", "split", "step"], key=lambda c: c.map(natural) if c.name == "curve" else c
    )
    return figure, data.reset_index(drop=True)


def _draw_panel(axes: Axes, history: pd.DataFrame, curves: list[str]) -> None:
    for index, curve in enumerate(curves):
        style = look(index)
        own = history[history["curve"] == curve].sort_values("step")
        train, held_out = own[own["split"] == "train"], own[own["split"] == "validation"]
        axes.plot(train["step"], train["loss"], color=style.colour, ls=style.dash, label=curve)
        axes.plot(
            held_out["step"],
            held_out["loss"],
            color=style.colour,
            ls="none",
            marker=style.marker,
            mfc="white",
            ms=4,
        )
    axes.grid(axis="y")
    axes.set_xlim(left=0)
    axes.set_xlabel("optimiser step")
    keys, _ = axes.get_legend_handles_labels()
    if (history["curve"].isin(curves) & (history["split"] == "validation")).any():
        keys.append(
            Line2D([], [], color=MUTED, ls="none", marker="o", mfc="white", ms=4, label="held out")
        )
    if len(keys) > 1:
        axes.legend(handles=keys)
