"""The look all figures share, and the one way they are saved."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple, ParamSpec, TypeVar

import matplotlib.style
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mira.io import atomic_path, write_csv

Plot = tuple[Figure, pd.DataFrame]

INK = "#222222"
MUTED = "#6b6b6b"
RULE = "#d9d9d9"
BAND = "#f4f4f2"
SEQUENTIAL = "Blues"  # one hue, lightness falls steadily: safe in grey and colour-blind
DPI = 200
WIDTH = 7.2  # inches: a text-wide figure

# Okabe and Ito's palette without its yellow, which is too light for lines on white.
BLUE, VERMILLION, GREEN = "#0072B2", "#D55E00", "#009E73"
PALETTE = (BLUE, VERMILLION, GREEN, "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "D", "s", "^", "v", "P", "X")
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.6)), (0, (1.4, 1.2)), (0, (5, 1.2, 1.2, 1.2)))
HATCHES = ("", "////", "....", "\\\\\\\\", "xxxx", "----", "++++")
METHODS = ("raw", "random", "ppl", "dsir", "dataman", "mira_global", "mira_group", "mira_source")

RC: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # ships with matplotlib, so every machine draws the same
    "font.size": 7.5,
    "axes.titlesize": 8,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 7.5,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "grid.color": RULE,
    "grid.linewidth": 0.5,
    "legend.frameon": False,
    "legend.fontsize": 7,
    "lines.linewidth": 1.3,
    "hatch.linewidth": 0.6,
    "pdf.fonttype": 42,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}

P = ParamSpec("P")
T = TypeVar("T")


class Look(NamedTuple):
    """How one group or method is drawn: never told apart by colour alone."""

    colour: str
    marker: str
    dash: Any
    hatch: str


def styled(plot: Callable[P, T]) -> Callable[P, T]:
    """Run a plotting function under mira's settings, leaving matplotlib's own untouched."""

    @wraps(plot)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        with matplotlib.style.context(["default", RC]):
            return plot(*args, **kwargs)

    return wrapper


def new_figure(width: float, height: float, stand_in: str | None) -> Figure:
    """An empty figure (inches) with the stand-in notice at its foot, where there is one."""
    figure = Figure(figsize=(width, height), layout="constrained")
    if stand_in:
        figure.supxlabel(stand_in, x=0.008, ha="left", fontsize=6, color=MUTED, style="italic")
    return figure


def natural(name: str) -> tuple[Any, ...]:
    """Sorting key under which g2 stands before g10."""
    return tuple(int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name))


def ordered_groups(groups: Iterable[str]) -> list[str]:
    """Distinct groups in natural order."""
    return sorted(set(groups), key=natural)


def ordered_sources(frame: pd.DataFrame) -> pd.DataFrame:
    """Distinct (source, group) rows, by group and then by name: the order of every figure."""
    pairs = frame[["source", "group"]].drop_duplicates()
    rows = sorted(
        pairs.itertuples(index=False), key=lambda r: (natural(str(r.group)), natural(str(r.source)))
    )
    return pd.DataFrame(rows, columns=["source", "group"])


def ordered_methods(methods: Iterable[str]) -> list[str]:
    """Distinct methods, the known ones first in the order of the design."""
    return sorted(set(methods), key=lambda m: (METHODS.index(m) if m in METHODS else 99, m))


def look(index: int) -> Look:
    """The look of the index-th group or method in a figure."""
    return Look(
        PALETTE[index % len(PALETTE)],
        MARKERS[index % len(MARKERS)],
        DASHES[index % len(DASHES)],
        HATCHES[index % len(HATCHES)],
    )


def method_label(methods: Sequence[str]) -> str:
    """A readable name for one method, or for several that share their scores."""
    variants = [m.removeprefix("mira_") for m in methods if m.startswith("mira_")]
    others = [m.upper() if m in ("ppl", "dsir") else m for m in methods if m[:5] != "mira_"]
    mira = [f"MIRA {variants[0]}" if len(variants) == 1 else f"MIRA ({', '.join(variants)})"]
    return ", ".join(others + (mira if variants else []))


def shorten(text: str, length: int = 30) -> str:
    """Cut a label at a given number of characters."""
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def readable_on(colour: tuple[float, float, float, float]) -> str:
    """Ink that can be read on a colour: dark or white by relative luminance (WCAG)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return INK if luminance > 0.2 else "white"


def plain_frame(axes: Axes) -> None:
    """Remove an axes' box and tick marks: heat maps need neither."""
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)


def group_bands(axes: Axes, sources: pd.DataFrame, *, label: bool) -> None:
    """Shade every other group's rows and, where asked, name the groups at the right edge.

    ``sources`` is what :func:`ordered_sources` returns; row i is drawn at y = i.
    """
    for index, (group, rows) in enumerate(sources.groupby("group", sort=False)):
        top, bottom = rows.index[0] - 0.5, rows.index[-1] + 0.5
        if index % 2 == 0:
            axes.axhspan(top, bottom, color=BAND, lw=0, zorder=0)
        if label:
            axes.annotate(
                str(group),
                (1.0, (top + bottom) / 2),
                xycoords=("axes fraction", "data"),
                xytext=(5, 0),
                textcoords="offset points",
                rotation=90 if bottom - top > 1 else 0,
                va="center",
                color=MUTED,
                annotation_clip=False,
            )


def save_figure(figure: Figure, data: pd.DataFrame, stem: str | Path) -> None:
    """Write ``stem``.pdf (fonts embedded), ``stem``.png (200 dpi) and ``stem``.csv.

    Each write is atomic, and the bytes depend on the figure alone: no dates, no versions of
    tools.
    """
    stem = Path(stem)
    no_dates = {"CreationDate": None, "ModDate": None, "Producer": None, "Creator": None}
    with matplotlib.style.context(["default", RC]):
        with atomic_path(stem.with_name(stem.name + ".pdf")) as path:
            figure.savefig(path, format="pdf", metadata=no_dates)
        with atomic_path(stem.with_name(stem.name + ".png")) as path:
            figure.savefig(path, format="png", dpi=DPI, metadata={"Software": None})
    write_csv(data, stem.with_name(stem.name + ".csv"))


def stem_of(path: str | Path) -> Path:
    """The path without its extension: the stem that figures and tables are written under."""
    return Path(path).with_suffix("")
