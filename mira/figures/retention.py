"""What each method keeps of each source."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from mira.figures.style import (
    INK,
    MUTED,
    Plot,
    group_bands,
    look,
    method_label,
    new_figure,
    ordered_methods,
    ordered_sources,
    styled,
)

ROW = 0.21  # inches
LABELS = 1.6  # inches for the sources' names
PANEL = 1.4  # inches
NARROW_PANEL = 1.1  # inches, from five methods on


def retention_by_source(selections: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Tokens and records kept per method and source, with the group's and the method's share.

    ``selections`` maps a method to its selection frame (source, group, n_tokens, selected).
    Shares are of tokens, 0 to 1.
    """
    parts = []
    for method in ordered_methods(selections):
        frame = selections[method]
        chosen = frame["selected"].astype(bool)
        counted = frame.assign(
            records=1,
            tokens=frame["n_tokens"],
            records_kept=chosen.astype(int),
            tokens_kept=frame["n_tokens"].where(chosen, 0),
        )
        columns = ["records", "records_kept", "tokens", "tokens_kept"]
        part = counted.groupby(["group", "source"], as_index=False)[columns].sum()
        part = ordered_sources(part).merge(part, on=["source", "group"])
        part["share"] = part["tokens_kept"] / part["tokens"]
        by_group = part.groupby("group")
        part["group_share"] = by_group["tokens_kept"].transform("sum") / by_group[
            "tokens"
        ].transform("sum")
        part["method_share"] = part["tokens_kept"].sum() / part["tokens"].sum()
        parts.append(part.assign(method=method))
    data = pd.concat(parts, ignore_index=True)
    return data[["method", *[column for column in data.columns if column != "method"]]]


@styled
def plot_retention(selections: Mapping[str, pd.DataFrame], stand_in: str | None = None) -> Plot:
    """Share of tokens kept, a panel a method, a bar a source, grouped.

    The black tick is the group's share, the dashed line the whole selection's. ``raw`` keeps
    everything and is not drawn. Ours: retention per source was not published.
    """
    data = retention_by_source({m: f for m, f in selections.items() if m != "raw"})
    methods = ordered_methods(data["method"])
    sources = ordered_sources(data)
    panel = PANEL if len(methods) < 5 else NARROW_PANEL
    width = LABELS + panel * len(methods)
    figure = new_figure(width, ROW * len(sources) + 1.15, stand_in)
    grid = figure.subplots(1, len(methods), squeeze=False, sharey=True)[0]
    for index, (axes, method) in enumerate(zip(grid, methods, strict=True)):
        _draw_panel(axes, data[data["method"] == method], sources, index)
        group_bands(axes, sources, label=index == len(methods) - 1)
        axes.set_title(method_label([method]))
    grid[0].set_yticks(range(len(sources)), sources["source"])
    grid[0].set_ylim(len(sources) - 0.5, -0.5)
    keys = [
        Line2D([], [], color=INK, lw=1.4, label="its group"),
        Line2D([], [], color=MUTED, lw=0.9, ls=(0, (4, 2)), label="whole selection"),
    ]
    figure.legend(handles=keys, loc="outside upper left", ncols=2)
    return figure, data


def _draw_panel(axes: Axes, part: pd.DataFrame, sources: pd.DataFrame, index: int) -> None:
    style = look(index)
    shares = part.set_index("source").reindex(sources["source"])
    places = range(len(sources))
    axes.barh(places, 100 * shares["share"], height=0.62, color=style.colour, alpha=0.85)
    axes.vlines(
        100 * shares["group_share"],
        [y - 0.5 for y in places],
        [y + 0.5 for y in places],
        color=INK,
        lw=1.4,
    )
    axes.axvline(100 * shares["method_share"].iloc[0], color=MUTED, lw=0.9, ls=(0, (4, 2)))
    axes.set_xlim(0, 100)
    axes.set_xticks([0, 50, 100])
    axes.set_xlabel("% of tokens kept")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
