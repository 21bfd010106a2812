"""The reference model beside the student: tf-idf features and ridge regression (ours).

It is trained on the same labels and asked the same question, so a reader sees what a student
adds over word and character counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

ALPHAS = (0.1, 0.3, 1.0, 3.0, 10.0)
MAX_CHARS = 8_000


def predict_ridge(
    train_texts: Sequence[str],
    train_scores: np.ndarray,
    texts: Sequence[str],
    max_features: int = 20_000,
    max_chars: int = MAX_CHARS,
) -> np.ndarray:
    """Scores of ``texts``, shape (len(texts), slots), from a ridge regression per slot.

    ``train_scores`` is (len(train_texts), slots) with NaN where a label is missing; a slot
    without any label is predicted as NaN. Features are tf-idf of word 1-2-grams and of
    character 3-4-grams, ``max_features`` each, from the first ``max_chars`` characters (a
    quarter of them for the characters' n-grams); the penalty is chosen per slot by
    leave-one-out error on the training labels. Predictions are clipped to 0..10.
    """
    from sklearn.linear_model import RidgeCV

    predictions = np.full((len(texts), train_scores.shape[1]), np.nan)
    if not len(texts) or not len(train_texts):
        return predictions
    features, new_features = _tfidf(train_texts, texts, max_features, max_chars)
    known = ~np.isnan(train_scores)
    for pattern in np.unique(known, axis=1).T:
        if not pattern.any():
            continue
        # Slots labelled on the same records share one decomposition.
        slots = np.flatnonzero((known == pattern[:, None]).all(axis=0))
        model = RidgeCV(alphas=ALPHAS, alpha_per_target=True)
        model.fit(features[pattern], train_scores[np.ix_(pattern, slots)])
        predictions[:, slots] = model.predict(new_features).reshape(len(texts), -1)
    return np.clip(predictions, 0.0, 10.0)


def _tfidf(
    train_texts: Sequence[str], texts: Sequence[str], max_features: int, max_chars: int
) -> tuple[Any, Any]:
    """Sparse feature matrices of the training texts and of the texts to predict."""
    from scipy.sparse import hstack
    from sklearn.feature_extraction.text import TfidfVectorizer

    words = TfidfVectorizer(
        ngram_range=(1, 2),
        token_pattern=r"\w+|[^\w\s]",
        max_features=max_features,
        sublinear_tf=True,
        dtype=np.float32,
    )
    characters = TfidfVectorizer(
        analyzer="char_wb",
        ngram_range=(3, 4),
        max_features=max_features,
        sublinear_tf=True,
        dtype=np.float32,
    )
    blocks = [(words, max_chars), (characters, max_chars // 4)]
    fitted = [v.fit_transform([text[:cut] for text in train_texts]) for v, cut in blocks]
    applied = [v.transform([text[:cut] for text in texts]) for v, cut in blocks]
    return hstack(fitted, format="csr"), hstack(applied, format="csr")
