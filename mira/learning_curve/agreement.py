"""Agreement of several predictions with the same held-out labels, and how sure it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mira.seeds import derive_rng

N_RESAMPLES = 200

_FEWEST = 3  # labels of a cell, as for every rank correlation here


def mean_agreements(
    predictions: Sequence[np.ndarray], teacher: np.ndarray, sources: np.ndarray, seed: int
) -> np.ndarray:
    """Mean Spearman correlation over (source, slot) cells, (len(predictions), 1 + N_RESAMPLES).

    ``predictions`` are arrays of the shape of ``teacher``, (records, slots); NaN is unknown. The
    first column is the mean on the records themselves, the others are bootstrap resamples. A
    resample draws whole records within their source, so a record's slots stay together, and it is
    the same for all predictions: the spread of the difference of two rows is the error of that
    difference (paired cluster bootstrap). A prediction that is constant in a cell agrees by 0;
    cells in which the teacher is constant or has fewer than three labels do not count. NaN where
    no cell counts.
    """
    total = np.zeros((len(predictions), 1 + N_RESAMPLES))
    cells = np.zeros(1 + N_RESAMPLES)
    for source in np.unique(sources):
        rows = np.flatnonzero(sources == source)
        weights = _resample(len(rows), derive_rng(seed, "learning_curve", source))
        for slot in range(teacher.shape[1]):
            known = ~np.isnan(teacher[rows, slot])
            if known.sum() < _FEWEST:
                continue
            inside, copies = rows[known], weights[:, known]
            truth = _centred_ranks(teacher[inside, slot], copies)
            varies = _dot(truth, truth, copies) > 0
            cells += varies
            for size, predicted in enumerate(predictions):
                guess = _centred_ranks(np.nan_to_num(predicted[inside, slot]), copies)
                total[size] += np.where(varies, _correlation(truth, guess, copies), 0.0)
    return total / np.where(cells > 0, cells, np.nan)


def _resample(n: int, rng: np.random.Generator) -> np.ndarray:
    """How often each of ``n`` records occurs, (1 + N_RESAMPLES, n): once each, then resampled."""
    return np.vstack([np.ones((1, n)), rng.multinomial(n, np.full(n, 1 / n), size=N_RESAMPLES)])


def _centred_ranks(values: np.ndarray, copies: np.ndarray) -> np.ndarray:
    """Mid-ranks of the values in every resample, less their mean; the shape of ``copies``."""
    order = np.argsort(values, kind="stable")
    starts = np.flatnonzero(np.diff(values[order], prepend=-np.inf))
    mass = np.add.reduceat(copies[:, order], starts, axis=1)
    middle = mass.cumsum(axis=1) - mass / 2
    ranks = middle[:, np.searchsorted(values[order][starts], values)]
    total = np.maximum(copies.sum(axis=1, keepdims=True), 1)
    return ranks - (copies * ranks).sum(axis=1, keepdims=True) / total


def _correlation(x: np.ndarray, y: np.ndarray, copies: np.ndarray) -> np.ndarray:
    """Correlation of centred values in every resample; 0 where a side is constant."""
    scale = np.sqrt(_dot(x, x, copies) * _dot(y, y, copies))
    return np.divide(_dot(x, y, copies), scale, out=np.zeros(len(copies)), where=scale > 0)


def _dot(x: np.ndarray, y: np.ndarray, copies: np.ndarray) -> np.ndarray:
    return np.einsum("ij,ij,ij->i", x, y, copies)
