"""The shards' scores as one table: every record of the corpus exactly once."""

from __future__ import annotations

import pandas as pd

MIXED = ("engine", "readout")


def merge_scores(corpus: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """Rows of ``scoring/scores.parquet``, by source and id.

    ``corpus`` has id, source, group, n_tokens; ``scores`` the shards one below the other. Raises
    ValueError where a record is missing or scored twice, or where engines or readouts are mixed.
    """
    for column in MIXED:
        if scores[column].nunique() > 1:
            kinds = ", ".join(sorted(scores[column].unique()))
            raise ValueError(f"scores made with different {column}s ({kinds}) must not be mixed")
    merged = corpus.merge(scores, on="id", how="left", validate="one_to_one")
    if missing := int(merged["engine"].isna().sum()):
        raise ValueError(f"{missing} of {len(corpus)} records of the corpus have no scores")
    if len(scores) != len(corpus):
        raise ValueError(f"{len(scores) - len(corpus)} scored records are not in the corpus")
    return merged.sort_values(["source", "id"], ignore_index=True)
