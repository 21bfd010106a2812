"""Sources, their groups, and how much of each was read, sampled and labelled."""

from __future__ import annotations

import pandas as pd

from mira.figures.style import ordered_sources
from mira.tables.write import Table


def groups_table(
    groups: pd.DataFrame, corpus: pd.DataFrame, sampled: pd.DataFrame, labels: pd.DataFrame
) -> Table:
    """One row a source: family, group, similarity, records, tokens, sampled, labelled.

    ``groups`` is clustering/groups.csv; ``corpus`` has source, n_tokens; ``sampled`` (drawn for
    labelling) and ``labels`` have source. Paper appendix A.2, as far as it is known.
    """
    by_source = corpus.groupby("source")["n_tokens"]
    frame = ordered_sources(groups).merge(groups, on=["source", "group"])
    counted = {
        "records": by_source.size(),
        "tokens": by_source.sum(),
        "sampled": sampled["source"].value_counts(),
        "labelled": labels["source"].value_counts(),
    }
    for column, counts in counted.items():
        frame[column] = frame["source"].map(counts).fillna(0).astype(int)
    columns = ["group", "source", "family", "similarity", *counted]
    total = frame[list(counted)].sum()
    return Table(
        frame=frame[columns],
        caption=f"{len(frame)} sources in {frame['group'].nunique()} groups: "
        f"{total['records']:,} records, {total['tokens']:,} tokens.",
        note=f"Sampled and labelled count records for the anchored labels: "
        f"{total['labelled']:,} of {total['sampled']:,} sampled records were labelled. "
        "Similarity: cosine to the centre of the group.",
        titles={column: column.capitalize() for column in columns},
        decimals={"similarity": 3},
    )
