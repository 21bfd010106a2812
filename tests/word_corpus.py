"""Records whose scores follow from their words: few words are learnt soon, many take long."""

from __future__ import annotations

import numpy as np
import pandas as pd

SCORES = ["s1", "s2", "s3"]
WORDS_PER_TEXT = 15


def word_corpus(n: int, vocabulary: int, seed: int = 0) -> pd.DataFrame:
    """``n`` records of two sources, every fifth held out; each word moves each score by its own."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(vocabulary, len(SCORES)))
    words = rng.integers(0, vocabulary, (n, WORDS_PER_TEXT))
    levels = weights[words].sum(axis=1) / np.sqrt(WORDS_PER_TEXT)
    frame = pd.DataFrame(np.clip(np.round(5 + 2 * levels), 0, 10), columns=SCORES)
    frame.insert(0, "id", [f"id{i:05}" for i in range(n)])
    frame.insert(1, "source", [f"src{i % 2}" for i in range(n)])
    frame.insert(2, "family", "text")
    frame.insert(3, "split", ["train" if i % 5 else "validation" for i in range(n)])
    frame.insert(4, "text", [" ".join(f"w{word}" for word in row) for row in words])
    return frame
