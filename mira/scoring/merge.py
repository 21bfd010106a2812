"""The shards' scores as one table: every record of the corpus exactly once."""

from __future__ import annotations

from typing import Any

import pandas as pd

from mira.errors import UserError
from mira.scoring.views import VIEWS

MIXED = ("engine", "engine_version", "readout")


def merge_scores(corpus: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """Rows of ``scoring/scores.parquet``, by source and id.

    ``corpus`` has id, source, group, n_tokens; ``scores`` the shards one below the other. Raises
    UserError where they were made in different ways, ValueError where a record is missing or
    scored twice.
    """
    check_unmixed(scores)
    merged = corpus.merge(scores, on="id", how="left", validate="one_to_one")
    if missing := int(merged["engine"].isna().sum()):
        raise ValueError(f"{missing} of {len(corpus)} records of the corpus have no scores")
    if len(scores) != len(corpus):
        raise ValueError(f"{len(scores) - len(corpus)} scored records are not in the corpus")
    return merged.sort_values(["source", "id"], ignore_index=True)


def check_unmixed(scores: pd.DataFrame) -> None:
    """Raise UserError unless one engine, of one version, and one readout made all scores.

    Each has its own errors; a selection over a mixture would prefer the more generous one.
    """
    for column in MIXED:
        if column in scores and scores[column].nunique() > 1:
            kinds = ", ".join(f"'{kind}'" for kind in sorted(scores[column].unique()))
            raise UserError(
                f"scoring: scores of different {column}s ({kinds}) must not be mixed in one "
                "selection: remove scoring/shards of the run and score it again with one."
            )


def count_scores(scores: pd.DataFrame) -> dict[str, Any]:
    """How the records were read: by view, and how many lack a slot or all of them."""
    missing = scores.filter(like="_mean").isna()
    views = scores["view"].value_counts()
    return {
        "records": len(scores),
        **{f"view_{view}": int(views.get(view, 0)) for view in VIEWS},
        "some_slot_unread": int(missing.any(axis=1).sum()),
        "no_slot_read": int(missing.all(axis=1).sum()),
    }


def sum_counters(counters: pd.DataFrame) -> dict[str, int | None]:
    """Tokens handled by all shards; cached ones None where an engine does not tell them.

    ``counters`` has a row of ``mira.scoring.engine.Counters`` per shard. A shard that was killed
    counts what its last run handled.
    """
    return {
        str(name): None if column.isna().any() else int(column.sum())
        for name, column in counters.items()
    }
