"""How well each method's score tells intact records from spoiled ones."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from mira.figures.style import (
    BAND,
    INK,
    MUTED,
    RULE,
    WIDTH,
    Look,
    Plot,
    look,
    method_label,
    natural,
    new_figure,
    ordered_methods,
    styled,
)

ROW = 0.34  # inches
POOLED = {"ALL": "all records", "MEAN": "within sources"}
COLUMNS = [
    "panel",
    "methods",
    "source",
    "family",
    "value",
    "low",
    "high",
    "n_intact",
    "n_spoiled",
    "base_rate",
]


@styled
def plot_separation(separation: pd.DataFrame, stand_in: str | None = None) -> Plot:
    """AUROC of intact against spoiled (left), share of intact among the kept (right).

    ``separation`` is downstream/separation.csv. Points carry their 95 % intervals; the line at
    0.5 is chance, the tick in the right panel the share of intact records before selection.
    Methods that rank by the same scores share a point at the left; ``raw`` is not drawn. Ours:
    the paper has no such test.
    """
    shown = separation[separation["method"] != "raw"]
    rows = _rows(shown)
    order = {method: look(i) for i, method in enumerate(ordered_methods(shown["method"]))}
    auroc = _tidy(shown, "auroc", _shared(shown))
    precision = _tidy(shown, "precision", [[method] for method in order])
    figure = new_figure(WIDTH, ROW * len(rows) + 1.15, stand_in)
    left, right = figure.subplots(1, 2, sharey=True)
    _draw_panel(left, auroc, rows, order)
    _draw_panel(right, precision, rows, order)
    left.axvline(0.5, color=MUTED, lw=0.9, ls=(0, (4, 2)))
    left.set(title="ranking", xlabel="AUROC, intact above spoiled")
    right.set(title="selection", xlabel="share of intact among selected records")
    base = shown.drop_duplicates("source").set_index("source")["base_rate"].reindex(rows["source"])
    right.vlines(base, rows.index - 0.42, rows.index + 0.42, color=INK, lw=1.2)
    left.set_yticks(rows.index, rows["label"])
    left.set_ylim(len(rows) - 0.5, -0.5)
    figure.legend(handles=_keys(auroc, precision, order), loc="outside upper left", ncols=4)
    return figure, pd.concat([auroc, precision], ignore_index=True)[COLUMNS]


def _rows(separation: pd.DataFrame) -> pd.DataFrame:
    """The rows from top to bottom: pooled rows, then sources by family and name."""
    present = separation.drop_duplicates("source").set_index("source")["family"]
    pooled = [name for name in POOLED if name in present.index]
    sources = sorted(present.index.difference(pooled), key=lambda s: (present[s], natural(s)))
    frame = pd.DataFrame({"source": [*pooled, *sources]})
    frame["block"] = ["" if s in POOLED else present[s] for s in frame["source"]]
    frame["label"] = [POOLED.get(s, s) for s in frame["source"]]
    return frame


def _shared(separation: pd.DataFrame) -> list[list[str]]:
    """Methods in display order, those with the same AUROC in every row together."""
    table = separation.pivot(index="source", columns="method", values="auroc")
    shared: dict[bytes, list[str]] = {}
    for method in ordered_methods(separation["method"]):
        if table[method].notna().any():
            shared.setdefault(table[method].to_numpy(dtype=float).tobytes(), []).append(method)
    return list(shared.values())


def _tidy(separation: pd.DataFrame, measure: str, shared: list[list[str]]) -> pd.DataFrame:
    names = {measure: "value", f"{measure}_low": "low", f"{measure}_high": "high"}
    parts = [
        separation[separation["method"] == methods[0]]
        .rename(columns=names)
        .assign(panel=measure, methods="+".join(methods))
        for methods in shared
    ]
    return pd.concat(parts, ignore_index=True)[COLUMNS]


def _draw_panel(axes: Axes, data: pd.DataFrame, rows: pd.DataFrame, order: dict[str, Look]) -> None:
    for index, (_, block) in enumerate(rows.groupby("block", sort=False)):
        if index % 2 == 0:
            axes.axhspan(block.index[0] - 0.5, block.index[-1] + 0.5, color=BAND, lw=0, zorder=0)
    place = dict(zip(rows["source"], rows.index, strict=True))
    entries = list(dict.fromkeys(data["methods"]))
    offsets = np.linspace(-0.28, 0.28, len(entries)) if len(entries) > 1 else [0.0]
    for entry, offset in zip(entries, offsets, strict=True):
        style = _look(entry, order)
        part = data[data["methods"] == entry]
        y = part["source"].map(place) + offset
        axes.hlines(y, part["low"], part["high"], color=style.colour, lw=1.1)
        axes.plot(part["value"], y, ls="none", marker=style.marker, ms=3.6, color=style.colour)
    axes.grid(axis="x", color=RULE)
    low = np.nanmin([data["low"].min(), data["value"].min(), 0.5])
    axes.set_xlim(max(0.0, low - 0.03), 1.01)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _look(entry: str, order: dict[str, Look]) -> Look:
    """A single method's own look; ink and a plus for methods that share a point."""
    return order[entry] if entry in order else Look(INK, "P", "-", "")


def _keys(auroc: pd.DataFrame, precision: pd.DataFrame, order: dict[str, Look]) -> list[Line2D]:
    """Keys for every point drawn; a shared point is named with all its methods."""
    entries = dict.fromkeys([*auroc["methods"], *precision["methods"]])
    keys = []
    for entry in entries:
        style = _look(entry, order)
        keys.append(
            Line2D(
                [],
                [],
                color=style.colour,
                marker=style.marker,
                ms=4,
                label=method_label(entry.split("+")),
            )
        )
    keys.append(
        Line2D([], [], color=INK, marker="|", ms=8, ls="none", label="intact before selection")
    )
    return keys
