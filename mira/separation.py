"""How well each method tells intact from spoiled records: the one reader of the spoil marks.

Two questions per method: does its score rank intact above spoiled (AUROC), and how clean is
what it kept (precision). Ours; the paper has no counterpart.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from mira.statistics import UNKNOWN, Estimate, pooled_auroc, wilson

STAGE_VERSION = 1
POOLED = "ALL"
WITHIN_SOURCES = "MEAN"


def distance_to_cut(selection: pd.DataFrame, certificate: Mapping[str, Any]) -> pd.Series:
    """How far each record's score lies above the cut that decided about it (ours).

    A method with one cut per group or source does not compare scores across them: what it ranks
    by, over the whole corpus, is the distance to the cut. With a single cut this is the score
    but for a constant.
    """
    cuts = {bucket["bucket"]: bucket["cut_score"] for bucket in certificate["buckets"]}
    per = certificate["per"]
    if per not in selection.columns:
        return selection["score"]
    # A bucket that keeps nothing has no cut: all its scores lie below its highest.
    highest = selection.groupby(per)["score"].max()
    cut = selection[per].map(lambda name: highest[name] if cuts[name] is None else cuts[name])
    return selection["score"] - cut.astype(float)


def evaluate_separation(
    selections: Mapping[str, pd.DataFrame], spoiled: pd.DataFrame
) -> pd.DataFrame:
    """Separation per method: over all records, within sources, and source by source.

    ``selections[method]`` has id, score (NaN: none; comparable over the whole corpus, see
    ``distance_to_cut``) and selected; ``spoiled`` id, source,
    family and spoiled. Every marked record must be in every selection.

    Row ``ALL`` pools all records; ``MEAN`` compares records of the same source only, all pairs
    weighing the same, so that differences between sources cannot help (precision is the same
    as in ``ALL``). AUROC counts scored records (``n_scored``) and is NaN for a method without
    scores; intervals are 95 % (DeLong for AUROC, Wilson for precision).
    """
    rows = []
    for method, selection in selections.items():
        marked = _mark(method, selection, spoiled)
        strata = {str(source): frame for source, frame in marked.groupby("source")}
        auroc = pooled_auroc([_sides(marked)])
        within = pooled_auroc([_sides(frame) for frame in strata.values()])
        rows.append(_row(method, POOLED, "all", marked, auroc))
        rows.append(_row(method, WITHIN_SOURCES, "all", marked, within))
        for source, frame in strata.items():
            family = str(frame["family"].iloc[0])
            rows.append(_row(method, source, family, frame, pooled_auroc([_sides(frame)])))
    return pd.DataFrame(rows)


def _mark(method: str, selection: pd.DataFrame, spoiled: pd.DataFrame) -> pd.DataFrame:
    marked = spoiled[["id", "source", "family", "spoiled"]].merge(
        selection[["id", "score", "selected"]], on="id", how="left", validate="one_to_one"
    )
    if absent := int(marked["selected"].isna().sum()):
        raise ValueError(f"selection '{method}' lacks {absent} of {len(marked)} marked records")
    return marked.astype({"selected": bool, "spoiled": bool, "score": float})


def _sides(frame: pd.DataFrame) -> tuple[Any, Any]:
    """Scores of intact and of spoiled records, those without a score left out."""
    scored = frame[frame["score"].notna()]
    return (
        scored.loc[~scored["spoiled"], "score"].to_numpy(),
        scored.loc[scored["spoiled"], "score"].to_numpy(),
    )


def _row(
    method: str, source: str, family: str, frame: pd.DataFrame, auroc: Estimate = UNKNOWN
) -> dict[str, Any]:
    n_spoiled = int(frame["spoiled"].sum())
    selected = frame[frame["selected"]]
    precision = wilson(int((~selected["spoiled"]).sum()), len(selected))
    return {
        "method": method,
        "source": source,
        "family": family,
        "n_intact": len(frame) - n_spoiled,
        "n_spoiled": n_spoiled,
        "n_scored": int(frame["score"].notna().sum()),
        "n_selected": len(selected),
        "auroc": auroc.value,
        "auroc_low": auroc.low,
        "auroc_high": auroc.high,
        "precision": precision.value,
        "precision_low": precision.low,
        "precision_high": precision.high,
        "base_rate": 1 - n_spoiled / len(frame) if len(frame) else math.nan,
    }
