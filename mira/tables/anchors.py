"""The anchors of every group, in the form of the model cards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from mira.figures.style import natural
from mira.tables.write import Table


def anchors_table(anchors: Mapping[str, Sequence[Mapping[str, Any]]]) -> Table:
    """One row a slot: name, cluster size, records, calibrated, stability, name repeats.

    ``anchors`` maps a group to the rows of anchoring/{group}.jsonl. ``same_name_as`` names the
    other slots of the group with that name, whatever its case: names are taken verbatim from
    the medoids and may recur (cards).
    """
    rows = []
    for group in sorted(anchors, key=natural):
        slots_of: dict[str, list[str]] = {}
        for anchor in anchors[group]:
            slots_of.setdefault(anchor["name"].casefold(), []).append(anchor["slot"])
        for anchor in sorted(anchors[group], key=lambda row: natural(row["slot"])):
            others = [s for s in slots_of[anchor["name"].casefold()] if s != anchor["slot"]]
            rows.append(
                {
                    "group": group,
                    "slot": anchor["slot"],
                    "name": anchor["name"],
                    "cluster_size": anchor["cluster_size"],
                    "n_records": anchor["n_records"],
                    "calibrated": bool(anchor["references"]),
                    "stability": anchor["stability"],
                    "same_name_as": ", ".join(others) or None,
                }
            )
    frame = pd.DataFrame(rows)
    repeats = int(frame["same_name_as"].notna().sum())
    return Table(
        frame=frame,
        caption=f"Anchors of {len(anchors)} groups, by cluster size.",
        note=f"{repeats} of {len(frame)} slots share their name with another slot of the group; "
        "slots are told apart by their ids. Cluster size counts judgment points.",
        titles={
            "group": "Group",
            "slot": "Slot",
            "name": "Name",
            "cluster_size": "Cluster size",
            "n_records": "Records",
            "calibrated": "Calibrated",
            "stability": "Stability",
            "same_name_as": "Same name as",
        },
        decimals={"stability": 2},
    )
