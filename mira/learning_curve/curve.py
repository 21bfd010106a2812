"""The learning curve of a group's labels, and whether they are enough (ours)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import NormalDist

import numpy as np
import pandas as pd

from mira.learning_curve.agreement import mean_agreements
from mira.learning_curve.picking import stratified_order
from mira.learning_curve.power_law import FEWEST_POINTS, MOST_POINTS, fit_power_law
from mira.learning_curve.probe import predict, text_features

LEVEL = 0.95
SMALLEST = 25  # labels; fewer teach a probe nothing that a power law could continue
MOST_PARTS = 4

CURVE_DTYPES = {
    "n": "int64",
    **dict.fromkeys(("spearman", "low", "high", "fitted"), "float64"),
    **dict.fromkeys(("gain_of_next_doubling", "half_width"), "float64"),
    "enough": "bool",
}

_Z = NormalDist().inv_cdf(0.5 + LEVEL / 2)


def measure_curve(
    labels: pd.DataFrame, texts: Mapping[str, str], slots: Sequence[str], seed: int
) -> pd.DataFrame:
    """Held-out agreement of the probe at n, n/2, n/4, ... of n training labels, smallest first.

    ``labels`` has id, source, split and a column of scores for each of ``slots``; ``texts`` has the
    text of every id. The columns are those of ``CURVE_DTYPES``; there are no rows without training
    or held-out labels.

    ``spearman`` is the mean over (source, slot) cells, of up to four disjoint parts of the labels
    that have the row's size: the noise of drawing few labels would else pass for a gain. ``low``
    and ``high`` are the ends of its 95 % interval over the held-out records. A row judges its size
    by the rows up to it: ``gain_of_next_doubling`` as their power law has it (the last gain, where
    there are fewer than three); ``half_width``, of the 95 % interval of the last gain, from the
    same resamples of the held-out records on both sides; ``enough`` where the first is below the
    second. ``fitted`` is the power law of the last five rows.
    """
    labels = labels.sort_values("id")
    training, held_out = (labels[labels["split"] == part] for part in ("train", "validation"))
    if training.empty or held_out.empty:
        return pd.DataFrame(columns=list(CURVE_DTYPES)).astype(CURVE_DTYPES)
    spread = training.assign(text=training["id"].map(texts))
    training = training.iloc[stratified_order(spread, seed)]
    known, asked = (text_features([texts[i] for i in part["id"]]) for part in (training, held_out))
    scores, truth = (part[list(slots)].to_numpy(dtype=float) for part in (training, held_out))
    sizes = curve_sizes(len(training))
    parts = [parts_of(len(training), size) for size in sizes]
    agreements = mean_agreements(
        [predict(known[p], scores[p], asked) for of_size in parts for p in of_size],
        truth,
        held_out["source"].to_numpy(),
        seed,
    )
    ends = np.cumsum([len(of_size) for of_size in parts])
    means = [rows.mean(axis=0) for rows in np.split(agreements, ends[:-1])]
    return judge_sizes(np.array(sizes), np.array(means))


def curve_sizes(n: int) -> list[int]:
    """``n`` and its halves down to ``SMALLEST``, smallest first; ``n`` itself in any case."""
    sizes = [n]
    while sizes[0] // 2 >= SMALLEST:
        sizes.insert(0, sizes[0] // 2)
    return sizes


def parts_of(n: int, size: int) -> list[slice]:
    """Up to ``MOST_PARTS`` disjoint runs of ``size`` among ``n`` rows."""
    count = min(MOST_PARTS, n // size)
    return [slice(start, start + size) for start in range(0, count * size, size)]


def judge_sizes(sizes: np.ndarray, agreements: np.ndarray) -> pd.DataFrame:
    """The curve from a row of agreements per size: the mean itself, then its resamples."""
    values = agreements[:, 0].round(6)
    margin = _Z * agreements[:, 1:].std(axis=1, ddof=1)
    steps = _Z * np.diff(agreements[:, 1:], axis=0).std(axis=1, ddof=1)
    gains = [next_gain(sizes[:count], values[:count]) for count in range(1, len(sizes) + 1)]
    fitted = np.full(len(sizes), np.nan)
    if len(sizes) >= FEWEST_POINTS and not np.isnan(values).any():
        fitted[-MOST_POINTS:] = fit_power_law(sizes, values).at(sizes[-MOST_POINTS:])
    curve = pd.DataFrame(
        {
            "n": sizes,
            "spearman": values,
            "low": np.maximum(values - margin, -1),
            "high": np.minimum(values + margin, 1),
            "fitted": fitted,
            "gain_of_next_doubling": gains,
            "half_width": np.insert(steps, 0, np.nan),
        }
    )
    # Rounded, so that the last bits of a regression cannot decide what is paid for.
    curve = curve.round(6)
    settled = np.arange(1, len(sizes) + 1) >= FEWEST_POINTS
    curve["enough"] = settled & (curve["gain_of_next_doubling"] < curve["half_width"])
    return curve.astype(CURVE_DTYPES)


def next_gain(sizes: np.ndarray, values: np.ndarray) -> float:
    """Agreement that twice the last size would add.

    From the power law of the points; from two points, the last gain seen; else NaN.
    """
    if len(sizes) == 1 or np.isnan(values).any():
        return float("nan")
    if len(sizes) < FEWEST_POINTS:
        return float(values[-1] - values[-2])
    return fit_power_law(sizes, values).next_gain(int(sizes[-1]))
