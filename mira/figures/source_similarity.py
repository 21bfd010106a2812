"""How alike the sources are, and the groups that clustering made of them."""

from __future__ import annotations

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.patches import Rectangle

from mira.figures.style import (
    INK,
    SEQUENTIAL,
    Plot,
    new_figure,
    ordered_sources,
    plain_frame,
    readable_on,
    styled,
)

NUMBERS_UP_TO = 24  # more sources than this leave no room for a number in each cell


@styled
def plot_source_similarity(
    groups: pd.DataFrame, similarity: pd.DataFrame, stand_in: str | None = None
) -> Plot:
    """Heat map of cosine similarity between mean embeddings, ordered and outlined by group.

    ``groups`` has source, group; ``similarity`` has source_a, source_b, similarity for all
    ordered pairs. Ours: the paper publishes one similarity only.
    """
    sources = ordered_sources(groups)
    names = sources["source"].tolist()
    matrix = similarity.pivot(index="source_a", columns="source_b", values="similarity")
    values = matrix.reindex(index=names, columns=names).to_numpy(dtype=float)
    count = len(names)
    side = max(3.4, 1.9 + 0.31 * count)
    figure = new_figure(side + 0.5, side, stand_in)
    axes = figure.add_subplot()
    plain_frame(axes)
    axes.set_aspect("equal")
    low = np.floor(np.nanmin(values) * 10) / 10
    mesh = axes.pcolormesh(
        np.arange(count + 1) - 0.5,
        np.arange(count + 1) - 0.5,
        values,
        cmap=SEQUENTIAL,
        vmin=low,
        vmax=1,
        edgecolors="white",
        linewidth=0.5,
    )
    axes.invert_yaxis()
    axes.set_xticks(range(count), names, rotation=90)
    axes.set_yticks(range(count), names)
    colours = matplotlib.colormaps[SEQUENTIAL]
    if count <= NUMBERS_UP_TO:
        for (row, column), value in np.ndenumerate(values):
            ink = readable_on(colours((value - low) / (1 - low)))
            axes.text(
                column, row, f"{value:.2f}", ha="center", va="center", fontsize=5.5, color=ink
            )
    for group, rows in sources.groupby("group", sort=False):
        start, size = rows.index[0] - 0.5, len(rows)
        axes.add_patch(
            Rectangle((start, start), size, size, fill=False, ec=INK, lw=2.2, clip_on=False)
        )
        axes.annotate(
            str(group),
            (count - 0.5, start + size / 2),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontweight="bold",
            annotation_clip=False,
        )
    bar = figure.colorbar(mesh, ax=axes, shrink=0.5, aspect=28, pad=0.02)
    bar.outline.set_visible(False)
    bar.set_label("cosine similarity of mean embeddings")
    group_of = dict(zip(sources["source"], sources["group"], strict=True))
    data = pd.DataFrame(
        [
            (a, group_of[a], b, group_of[b], values[i, j])
            for i, a in enumerate(names)
            for j, b in enumerate(names)
        ],
        columns=["source_a", "group_a", "source_b", "group_b", "similarity"],
    )
    return figure, data
