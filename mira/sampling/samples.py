"""The two samples the teacher sees: discovery (phase 1) and labelling (phase 2)."""

from __future__ import annotations

import pandas as pd

from mira.sampling.fields import Reason
from mira.seeds import stable_hash


def draw_samples(
    corpus: pd.DataFrame,
    discovery_per_source: int,
    labelling_per_source: int,
    validation_share: float,
    seed: int,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draw both samples per source by a stable hash of the id (ours).

    ``corpus`` needs the columns id and source; both results have all its columns, sorted by
    source and id. The labelling sample has in addition ``split``: exactly
    ``round(validation_share * n)`` of a source's n labelled records are "validation", the rest
    "train". A small source gives all it has. Discovery records are labelled only where a source
    has too few others. The order of rows and the other sources change nothing.
    """
    discovery: list[pd.DataFrame] = []
    labelling: list[pd.DataFrame] = []
    for _, records in corpus.groupby("source", sort=True):
        ranked = _ranked(records, seed, "sample")
        discovery.append(ranked.iloc[:discovery_per_source])
        others_first = pd.concat(
            [ranked.iloc[discovery_per_source:], ranked.iloc[:discovery_per_source]]
        )
        labelling.append(_split(others_first.iloc[:labelling_per_source], validation_share, seed))
    return _sorted(discovery), _sorted(labelling)


def cap_records(corpus: pd.DataFrame, max_records: int, seed: int) -> pd.DataFrame:
    """At most ``max_records`` of each source, drawn by a stable hash of the id, sorted (ours)."""
    groups = corpus.groupby("source", sort=True)
    return _sorted([_ranked(records, seed, "cap").iloc[:max_records] for _, records in groups])


def reject_over_cap(
    kept: pd.DataFrame, rejected: pd.DataFrame, max_records: int, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Apply the cap to one source; what it leaves out joins the rejected rows, so none is lost."""
    capped = cap_records(kept, max_records, seed)
    over = kept.loc[~kept["id"].isin(capped["id"]), ["source", "id"]].assign(
        file="", line=0, reason=Reason.OVER_CAP.value, detail=f"beyond {max_records} records"
    )
    columns = list(rejected.columns)
    return capped, pd.concat([rejected, over[columns]], ignore_index=True).astype(rejected.dtypes)


def _split(records: pd.DataFrame, validation_share: float, seed: int) -> pd.DataFrame:
    ranked = _ranked(records, seed, "split")
    n_validation = round(validation_share * len(ranked))
    split = ["validation"] * n_validation + ["train"] * (len(ranked) - n_validation)
    return ranked.assign(split=split)


def _ranked(records: pd.DataFrame, seed: int, purpose: str) -> pd.DataFrame:
    """The records in the order of their hash; ties, which need equal hashes, go by id."""
    keys = [(stable_hash(seed, "sampling", purpose, i), i) for i in records["id"]]
    return records.iloc[sorted(range(len(keys)), key=keys.__getitem__)]


def _sorted(parts: list[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(parts).sort_values(["source", "id"]).reset_index(drop=True)
