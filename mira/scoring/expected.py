"""Readout ``expected``: the probability-weighted score of every slot, by compact decoding.

The scores-only answer, lines of ``[A1] 8``, is decoded. Only the scores are the model's;
everything between them is forced. Each slot is conditioned on the scores that greedy decoding
chose in the slots before it (ours; the method is in docs/method.md). How a slot's probabilities
are had is the engine's affair; what is made of them is here.
"""

from __future__ import annotations

import numpy as np

from mira.scoring.tokens import ScoreTokens

NEGLIGIBLE_ONE = 1e-3
"""Below this probability of a first token "1", what follows it need not be asked."""

READABLE_SHARE = 0.5
"""A student that gives the scores less of its probability than this is not scoring (ours)."""


def normalise(log_probabilities: np.ndarray) -> np.ndarray:
    """Probabilities along the last axis, made to sum to 1; float64."""
    shifted = np.asarray(log_probabilities, dtype=float)
    weights = np.exp(shifted - shifted.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def unreadable(log_probabilities: np.ndarray) -> np.ndarray:
    """Where a slot must stay unread: the scores' first tokens (last axis) are improbable.

    Normalised over the scores alone, even noise would look like a score.
    """
    return np.exp(np.asarray(log_probabilities, dtype=float)).sum(axis=-1) < READABLE_SHARE


def divide_ten(first: np.ndarray, ending: np.ndarray) -> np.ndarray:
    """Probabilities of the scores 0 to 10 where 10 is written as two tokens.

    ``first`` (..., 10) are the probabilities of the first tokens 0 to 9; ``ending`` (..., 2)
    those of the line's end and of "0" after a "1", NaN where they were not asked. Unasked, the
    probability of "1" is divided evenly: at most ``NEGLIGIBLE_ONE`` of it, so that the expected
    score is off by less than 0.005.
    """
    shares = np.where(np.isnan(ending), 0.5, ending)
    one = first[..., 1, None]
    return np.concatenate(
        [first[..., :1], one * shares[..., :1], first[..., 2:], one * shares[..., 1:]], axis=-1
    )


def chosen_score(first: np.ndarray, ending: np.ndarray | None, tokens: ScoreTokens) -> int:
    """The score that greedy decoding writes in one slot, where the only choices are scores."""
    score = int(np.argmax(first))
    if tokens.ten_is_split and score == 1:
        assert ending is not None
        return 10 if ending[1] > ending[0] else 1
    return score


def summarise_scores(probabilities: np.ndarray) -> dict[str, np.ndarray]:
    """Mean, sd, median and mode of each slot's distribution; arrays of shape (records, slots).

    ``probabilities`` is (records, slots, 11); a slot with NaN stays NaN. Ranks are taken from the
    mean, errors from the median (the lowest score that half of the probability does not exceed).
    """
    scores = np.arange(11)
    mean = probabilities @ scores
    variance = probabilities @ scores**2 - mean**2
    unread = np.isnan(mean)
    median = (probabilities.cumsum(axis=-1) < 0.5).sum(axis=-1).clip(max=10).astype(float)
    mode = np.nan_to_num(probabilities).argmax(axis=-1).astype(float)
    return {
        "mean": mean,
        "sd": np.sqrt(np.clip(variance, 0, None)),
        "median": np.where(unread, np.nan, median),
        "mode": np.where(unread, np.nan, mode),
    }
