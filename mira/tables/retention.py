"""What each method keeps of each source."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from mira.figures.retention import retention_by_source
from mira.figures.style import ordered_methods, ordered_sources
from mira.tables.write import Table


def retention_table(selections: Mapping[str, pd.DataFrame]) -> Table:
    """Share of tokens kept (0 to 1), one row a source and a column a method, totals last.

    ``selections`` maps a method to its selection frame (source, group, n_tokens, selected).
    """
    data = retention_by_source(selections)
    methods = ordered_methods(data["method"])
    frame = ordered_sources(data)[["group", "source"]]
    tokens = data.drop_duplicates("source").set_index("source")["tokens"]
    frame["tokens"] = frame["source"].map(tokens)
    shares = data.pivot(index="source", columns="method", values="share")
    for method in methods:
        frame[method] = frame["source"].map(shares[method])
    whole = data.drop_duplicates("method").set_index("method")["method_share"]
    total = {"group": "all", "source": "all", "tokens": frame["tokens"].sum(), **whole}
    frame = pd.concat([frame, pd.DataFrame([total])], ignore_index=True)[frame.columns]
    return Table(
        frame=frame,
        caption=f"Share of tokens kept per source by {len(methods)} methods.",
        note="Tokens: of the source before selection.",
        titles={"group": "Group", "source": "Source", "tokens": "Tokens"},
        decimals=dict.fromkeys(methods, 3),
    )
