"""Which training records are labelled next (ours)."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mira.seeds import stable_hash

LENGTH_CLASSES = 3


def stratified_order(records: pd.DataFrame, seed: int) -> np.ndarray:
    """Row numbers in an order of which every beginning is spread evenly over sources and lengths.

    ``records`` has id, source and text. A stratum is a third of a source by length; within it
    records come by a stable hash. A stratum that is used up leaves its turns to the others.
    """
    hashes = _hashes(records["id"], seed)
    source = pd.factorize(records["source"], sort=True)[0]
    by_length = np.lexsort((hashes, records["text"].str.len()))
    third = _places(source, by_length) * LENGTH_CLASSES // np.bincount(source)[source]
    return _take_turns(source * LENGTH_CLASSES + third, np.argsort(hashes), hashes)


def uncertain_order(records: pd.DataFrame, uncertainty: np.ndarray, seed: int) -> np.ndarray:
    """Row numbers by falling uncertainty, the sources taking turns so that none starves."""
    hashes = _hashes(records["id"], seed)
    source = pd.factorize(records["source"], sort=True)[0]
    # Rounded, so that the last bits of a regression cannot decide what is paid for.
    return _take_turns(source, np.lexsort((hashes, -np.round(uncertainty, 6))), hashes)


def _take_turns(strata: np.ndarray, order: np.ndarray, hashes: np.ndarray) -> np.ndarray:
    """Every stratum's first row in the given order, then every stratum's second, and so on."""
    return np.lexsort((hashes, _places(strata, order)))


def _places(strata: np.ndarray, order: np.ndarray) -> np.ndarray:
    """The place of each row among those of its stratum, from 0, in the given order."""
    places = np.empty(len(order), dtype=np.int64)
    places[order] = pd.Series(order).groupby(strata[order]).cumcount()
    return places


def _hashes(ids: pd.Series, seed: int) -> np.ndarray:
    return np.array([stable_hash(seed, "learning_curve", i) for i in ids], dtype=np.uint64)
