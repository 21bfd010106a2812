"""Whether a score follows a record's length instead of its quality (paper section 5.1)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from mira.figures.style import (
    WIDTH,
    Plot,
    look,
    method_label,
    new_figure,
    ordered_groups,
    ordered_methods,
    ordered_sources,
    styled,
)

LENGTH_BINS = 36
SCORE_BINS = 30
TREND_BINS = 6
TREND_LEAST = 8  # records behind a point of a trend
HALO = [withStroke(linewidth=2.2, foreground="white")]
COLUMNS = ["method", "kind", "group", "source", "tokens", "score", "n"]


@styled
def plot_score_length(selections: Mapping[str, pd.DataFrame], stand_in: str | None = None) -> Plot:
    """Score against tokens (log), one panel per distinct score.

    ``selections`` maps a method to its selection frame (id, source, group, n_tokens, score).
    Grey cells count records; a line joins a source's median scores within equal shares of its
    records by length. Methods that rank by the same scores share a panel; methods without
    scores have none. The data hold density cells (kind "density": lower corner and n) and trend
    points (kind "trend").
    """
    shared = methods_by_score(selections)
    scored = {methods[0]: selections[methods[0]].dropna(subset=["score"]) for methods in shared}
    columns = 2 if len(shared) in (2, 4) else min(3, max(1, len(shared)))
    rows = max(1, -(-len(shared) // columns))
    figure = new_figure(WIDTH if columns > 1 else 4.6, 2.7 * rows + 0.4, stand_in)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    parts = [pd.DataFrame(columns=COLUMNS)]
    groups = ordered_groups(g for frame in scored.values() for g in frame["group"].unique())
    for axes, methods in zip(grid, shared, strict=False):
        frame = scored[methods[0]]
        (cells, x, y), trend = _density(frame), trends(frame)
        _draw_density(axes, cells, x, y)
        _draw_trends(axes, trend, groups)
        axes.set(xscale="log", xlabel="tokens (log scale)", ylabel="score")
        rho = frame["score"].corr(frame["n_tokens"], method="spearman")
        axes.set_title(method_label(methods))
        note = axes.text(0.97, 0.96, f"Spearman ρ = {rho:.2f}".replace("-", "−"), va="top")
        note.set(transform=axes.transAxes, ha="right", path_effects=HALO)
        parts += [part.assign(method="+".join(methods)) for part in (cells, trend)]
    for axes in grid[len(shared) :]:
        axes.set_axis_off()
    keys = [
        Line2D([], [], color=look(i).colour, ls=look(i).dash, marker=look(i).marker, ms=3, label=g)
        for i, g in enumerate(groups)
    ]
    figure.legend(handles=keys, loc="outside upper left", ncols=8)
    data = pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)
    return figure, data[COLUMNS]


def methods_by_score(selections: Mapping[str, pd.DataFrame]) -> list[list[str]]:
    """Methods that have scores, in display order, those with equal scores together."""
    shared: dict[int, list[str]] = {}
    for method in ordered_methods(selections):
        frame = selections[method][["id", "score"]].dropna().sort_values("id")
        if frame["score"].nunique() > 1:
            key = hash(tuple(pd.util.hash_pandas_object(frame, index=False)))
            shared.setdefault(key, []).append(method)
    return list(shared.values())


def trends(frame: pd.DataFrame) -> pd.DataFrame:
    """Median score and geometric mean length per source, in equal shares of records by length."""
    rows = []
    for source, group in ordered_sources(frame).itertuples(index=False):
        part = frame[frame["source"] == source].sort_values(["n_tokens", "id"])
        bins = min(TREND_BINS, max(1, len(part) // TREND_LEAST))
        for chunk in np.array_split(np.arange(len(part)), bins):
            piece = part.iloc[chunk]
            tokens = float(np.exp(np.log(piece["n_tokens"].clip(lower=1)).mean()))
            rows.append(("trend", group, source, tokens, piece["score"].median(), len(piece)))
    return pd.DataFrame(rows, columns=COLUMNS[1:])


def _density(frame: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Records counted in cells of equal width in log tokens and in score, and the cells' edges.

    Empty cells are left out of the frame.
    """
    tokens = frame["n_tokens"].clip(lower=1).to_numpy(dtype=float)
    score = frame["score"].to_numpy(dtype=float)
    x = np.geomspace(tokens.min(), tokens.max() + 1, LENGTH_BINS + 1)
    y = np.linspace(score.min(), score.max(), SCORE_BINS + 1)
    # Rounding in geomspace may put the shortest record a hair below the first edge.
    x[0] = tokens.min()
    counts, _, _ = np.histogram2d(tokens, score, bins=(x, y))
    i, j = np.nonzero(counts)
    cells = pd.DataFrame({"tokens": x[i], "score": y[j], "n": counts[i, j].astype(int)})
    cells[["kind", "group", "source"]] = "density", None, None
    return cells[COLUMNS[1:]], x, y


def _draw_density(axes: Axes, cells: pd.DataFrame, x: np.ndarray, y: np.ndarray) -> None:
    counts = np.full((len(y) - 1, len(x) - 1), np.nan)
    row, column = np.searchsorted(y, cells["score"]), np.searchsorted(x, cells["tokens"])
    counts[row, column] = cells["n"]
    axes.pcolormesh(x, y, counts, cmap="Greys", norm=LogNorm(0.3, 30 * np.nanmax(counts)))


def _draw_trends(axes: Axes, trend: pd.DataFrame, groups: list[str]) -> None:
    for (group, _), line in trend.groupby(["group", "source"], sort=False):
        style = look(groups.index(str(group)))
        axes.plot(
            line["tokens"],
            line["score"],
            color=style.colour,
            ls=style.dash,
            marker=style.marker,
            ms=2.6,
            lw=1.1,
            path_effects=HALO,
        )
