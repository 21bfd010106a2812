"""The probe: hashed word counts and a ridge regression per slot (ours).

It stands for the student where the question is what more labels would bring, because it trains
in seconds. Its features are not fitted to any text, unlike those of ``mira.ridge``: a record has
the same features whichever others are labelled, so the sizes of a curve can be compared and a
curve measured later is the same curve.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mira.seeds import derive_rng

MAX_CHARS = 8_000
N_FEATURES = 2**16
ALPHAS = (0.1, 0.3, 1.0, 3.0, 10.0)
COMMITTEE = 4

_EXACT_UP_TO = 2_048  # records; their leave-one-out error takes a square matrix


def text_features(texts: Sequence[str]) -> Any:
    """Sparse matrix (len(texts), N_FEATURES) of words and word pairs, each row of unit length.

    Counts enter as 1 + log. Only the first ``MAX_CHARS`` characters of a text are read.
    """
    from sklearn.feature_extraction.text import HashingVectorizer
    from sklearn.preprocessing import normalize

    vectorizer = HashingVectorizer(
        ngram_range=(1, 2),
        token_pattern=r"\w+|[^\w\s]",
        n_features=N_FEATURES,
        alternate_sign=False,
        norm=None,
        dtype=np.float32,
    )
    counts = vectorizer.transform([text[:MAX_CHARS] for text in texts])
    counts.data = 1 + np.log(counts.data)
    return normalize(counts, copy=False)


def predict(features: Any, scores: np.ndarray, new_features: Any) -> np.ndarray:
    """Scores of new records, (rows of ``new_features``, slots), by ridge regression.

    ``scores`` is (rows of ``features``, slots). A missing score (NaN) counts as the slot's mean,
    so that all slots share one decomposition; a slot without any score is predicted as NaN. The
    penalty of each slot has the least leave-one-out error on the first 2,048 records.
    """
    from sklearn.linear_model import Ridge, RidgeCV

    known = ~np.isnan(scores)
    labelled = known.any(axis=0)
    predictions = np.full((new_features.shape[0], scores.shape[1]), np.nan)
    if not labelled.any():
        return predictions
    means = np.nanmean(scores[:, labelled], axis=0)
    targets = np.where(known[:, labelled], scores[:, labelled], means)
    first = slice(None, _EXACT_UP_TO)
    model = RidgeCV(alphas=ALPHAS, alpha_per_target=True).fit(features[first], targets[first])
    if len(targets) > _EXACT_UP_TO:
        model = Ridge(alpha=model.alpha_, solver="sparse_cg", tol=1e-4).fit(features, targets)
    predictions[:, labelled] = model.predict(new_features).reshape(len(predictions), -1)
    return predictions


def disagreement(features: Any, scores: np.ndarray, new_features: Any, seed: int) -> np.ndarray:
    """How far a committee of probes is apart on each new record, (rows of ``new_features``,).

    Each of the ``COMMITTEE`` members is trained on a random half of the records; the value is the
    standard deviation of their predictions, averaged over slots. 0 where nothing is known.
    """
    half = max(1, len(scores) // 2)
    members = []
    for member in range(COMMITTEE):
        rng = derive_rng(seed, "learning_curve", "committee", member)
        chosen = np.sort(rng.permutation(len(scores))[:half])
        members.append(predict(features[chosen], scores[chosen], new_features))
    return np.nan_to_num(np.std(members, axis=0)).mean(axis=1)
