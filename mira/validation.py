"""Teacher against student on held-out labels: the reliability of every cell, and the mask.

A cell is one (source, slot). The paper keeps a cell where the mean absolute error is below 1.0
(3.4, "Residual diagnostics"; the threshold from one secondary source); n, the error of a
constant predictor and Spearman's rho stand beside it, because the error alone can keep a
useless cell.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mira.errors import UserError
from mira.statistics import spearman

STAGE_VERSION = 2
CELL_COLUMNS = [
    *("source", "group", "slot", "name", "n", "teacher_mean", "student_mean", "bias"),
    *("mae", "mae_constant", "spearman", "spearman_low", "spearman_high"),
    *("small", "keep", "weight", "reason"),
]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MaskPolicy:
    """When a cell is kept: ``max_mae`` on the 0-10 scale; below ``min_records`` it is small."""

    max_mae: float = 1.0
    min_records: int = 30


@dataclass(frozen=True)
class _Decision:
    keep: bool
    small: bool
    reason: str


def score_column(slot: str) -> str:
    """Column of a slot's score: ``A3`` is ``s3``."""
    return f"s{slot.removeprefix('A')}"


def predictions_from_scores(scores: pd.DataFrame, statistic: str = "mean") -> pd.DataFrame:
    """Student scores as id, s1, s2, ... from a scoring table with ``s1_mean``, ``s1_mode``, ..."""
    suffix = f"_{statistic}"
    columns = [c for c in scores.columns if c.startswith("s") and c.endswith(suffix)]
    wide = scores[["id", *columns]]
    return wide.rename(columns={column: column.removesuffix(suffix) for column in columns})


def evaluate_cells(
    labels: pd.DataFrame,
    predictions: pd.DataFrame,
    anchors: Sequence[Mapping[str, Any]],
    policy: MaskPolicy,
    *,
    group: str,
    sources: Sequence[str] | None = None,
    reported: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Agreement and mask decision of every (source, slot) of one group: validation/cells.csv.

    ``labels`` has id, source, split and s1, s2, ...; ``predictions`` id and s1, s2, ... for the
    validation ids; ``anchors`` slot and name; ``sources`` names all sources of the group where
    labels may lack some. Only pairs with both scores count. ``mae_constant`` is the error of
    always predicting the median of the cell's training labels (the group's where the cell has
    none). A small cell takes the decision of the slot's pairs pooled over the group, and its
    reason says so. ``weight`` is 1 where kept, else 0.

    Where a readout knows the whole distribution, ``predictions`` are its means, by which records
    are ranked, and ``reported`` its medians, from which errors are taken: a mean shrinks to the
    middle and pays for it in absolute error, which the median makes least (ours).
    """
    slots = [score_column(anchor["slot"]) for anchor in anchors]
    pairs = _pairs(labels, predictions, predictions if reported is None else reported, slots)
    training = labels[labels["split"] == "train"]
    names = sorted(labels["source"].unique() if sources is None else sources)
    rows = []
    for anchor in anchors:
        slot = score_column(anchor["slot"])
        slot_pairs = _known_pairs(pairs, slot)
        slot_training = training[["source", slot]].dropna()
        for source in names:
            own = slot_training.loc[slot_training["source"] == source, slot]
            constant = own.median() if len(own) else slot_training[slot].median()
            agreement = _agreement(slot_pairs[slot_pairs["source"] == source], constant)
            decision = _decide(agreement, slot_pairs, policy, group)
            rows.append(
                {"source": source, "group": group, "slot": anchor["slot"], "name": anchor["name"]}
                | agreement
                | {
                    "small": decision.small,
                    "keep": decision.keep,
                    "weight": float(decision.keep),
                    "reason": decision.reason,
                }
            )
    return pd.DataFrame(rows, columns=CELL_COLUMNS)


def _pairs(
    labels: pd.DataFrame, predictions: pd.DataFrame, reported: pd.DataFrame, slots: list[str]
) -> pd.DataFrame:
    """Held-out records that all have seen: source, s1_teacher, s1_student, s1_reported, ..."""
    held_out = labels.loc[labels["split"] == "validation", ["id", "source", *slots]]
    frames = {"teacher": held_out, "student": predictions, "reported": reported}
    merged = held_out[["id", "source"]]
    for name, frame in frames.items():
        named = frame[["id", *slots]].rename(columns={slot: f"{slot}_{name}" for slot in slots})
        merged = merged.merge(named, on="id", validate="one_to_one")
    return merged


def _known_pairs(pairs: pd.DataFrame, slot: str) -> pd.DataFrame:
    """Source and scores (teacher, student, reported) of the pairs in which all are known."""
    names = ("teacher", "student", "reported")
    columns = {f"{slot}_{name}": name for name in names}
    known = pairs[["source", *columns]].rename(columns=columns).dropna()
    return known.astype(dict.fromkeys(names, float))


def _agreement(pairs: pd.DataFrame, constant: float) -> dict[str, float]:
    teacher, student = pairs["teacher"].to_numpy(), pairs["student"].to_numpy()
    reported = pairs["reported"].to_numpy()
    rho = spearman(teacher, student)
    return {
        "n": len(pairs),
        "teacher_mean": _mean(teacher),
        "student_mean": _mean(student),
        "bias": _mean(reported - teacher),
        "mae": _mean(np.abs(reported - teacher)),
        "mae_constant": _mean(np.abs(constant - teacher)),
        "spearman": rho.value,
        "spearman_low": rho.low,
        "spearman_high": rho.high,
    }


def _decide(
    agreement: Mapping[str, float], slot_pairs: pd.DataFrame, policy: MaskPolicy, group: str
) -> _Decision:
    """The mask decision of a cell, from its own pairs or, where small, the group's."""
    n = int(agreement["n"])
    if n >= policy.min_records:
        keep = agreement["mae"] < policy.max_mae
        return _Decision(
            keep,
            False,
            f"{_verdict(keep)}: MAE {agreement['mae']:.2f} {_against(policy, keep)} on {n} records "
            f"(constant predictor {_figure(agreement['mae_constant'])}, "
            f"Spearman {_figure(agreement['spearman'])})",
        )
    small = f"small cell ({n} of at least {policy.min_records} records)"
    if slot_pairs.empty:
        return _Decision(False, True, f"masked: {small}, and group {group} has no held-out pair")
    pooled = _mean((slot_pairs["reported"] - slot_pairs["teacher"]).abs().to_numpy())
    keep = pooled < policy.max_mae
    return _Decision(
        keep,
        True,
        f"{_verdict(keep)}: {small}, so group {group} decides: pooled MAE {pooled:.2f} "
        f"{_against(policy, keep)} on {len(slot_pairs)} records",
    )


def _verdict(keep: bool) -> str:
    return "kept" if keep else "masked"


def _against(policy: MaskPolicy, keep: bool) -> str:
    return f"{'below' if keep else 'not below'} {policy.max_mae:.2f}"


def _figure(value: float) -> str:
    return "unknown" if math.isnan(value) else f"{value:.2f}"


def evaluate_readouts(
    labels: pd.DataFrame,
    predictions: Mapping[str, pd.DataFrame],
    anchors: Sequence[Mapping[str, Any]],
    *,
    group: str,
) -> pd.DataFrame:
    """Each readout's agreement per cell, on the records that every readout has scored.

    ``predictions[readout]`` is as for :func:`evaluate_cells`. Columns: group, source, slot,
    readout, n, mae, spearman.
    """
    shared = set.intersection(*(set(frame["id"]) for frame in predictions.values()))
    held_out = labels[labels["id"].isin(shared)]
    frames = []
    for readout, frame in predictions.items():
        cells = evaluate_cells(held_out, frame, anchors, MaskPolicy(), group=group)
        frames.append(cells.assign(readout=readout))
    columns = ["group", "source", "slot", "readout", "n", "mae", "spearman"]
    return pd.concat(frames, ignore_index=True)[columns]


def assume_cells(
    groups: pd.DataFrame, anchors: Mapping[str, Sequence[Mapping[str, Any]]]
) -> pd.DataFrame:
    """Every cell kept without a measurement, in the columns of :func:`evaluate_cells` (ours).

    ``groups`` is ``clustering/groups.csv``, ``anchors`` the anchors of each group. For published
    students that no labels were bought for; every reason says that nothing was measured.
    """
    rows = [
        {
            **{"source": row.source, "group": row.group, "slot": anchor["slot"]},
            **{"name": anchor["name"], "n": 0, "small": True, "keep": True, "weight": 1.0},
            "reason": "kept: not measured (validation.mask: none)",
        }
        for row in groups.itertuples()
        for anchor in anchors[str(row.group)]
    ]
    return pd.DataFrame(rows, columns=CELL_COLUMNS)


def check_groups(cells: pd.DataFrame, max_mae: float) -> None:
    """Raise UserError where a group keeps no slot; warn of sources that keep none."""
    for group, in_group in cells.groupby("group"):
        if not in_group["keep"].any():
            raise UserError(
                f"validation: group '{group}' keeps no slot at validation.max_mae = {max_mae:g}; "
                f"{_best_cell(in_group)}. Train the student longer or on more labels "
                "(distillation.epochs, sampling.labelling_per_source), or raise "
                "validation.max_mae."
            )
        for source, in_source in in_group.groupby("source"):
            if not in_source["keep"].any():
                log.warning("source %s keeps no slot: none of its records can be scored", source)


def _best_cell(cells: pd.DataFrame) -> str:
    measured = cells.dropna(subset=["mae"])
    if measured.empty:
        return "it has no held-out pair of scores"
    best = measured.sort_values("mae").iloc[0]
    return (
        f"the best MAE seen is {best['mae']:.2f} ({best['slot']} of source '{best['source']}', "
        f"{best['n']} records)"
    )


def summarise(
    cells: pd.DataFrame, ridge: pd.DataFrame, readouts: pd.DataFrame | None = None
) -> dict[str, Any]:
    """Per group: cells kept, mean agreement of student and ridge, and of each readout.

    Means run over the student's kept cells, so that student, ridge and readouts are compared
    on the same cells; cells without a rho are left out and counted. ``ridge`` is a cells table
    of the ridge model; ``readouts`` comes from :func:`evaluate_readouts`.
    """
    key = ["group", "source", "slot"]
    reference = ridge[[*key, "spearman", "mae"]]
    both = cells.merge(reference, on=key, suffixes=("", "_ridge"), validate="one_to_one")
    groups: dict[str, dict[str, Any]] = {}
    for group, in_group in both.groupby("group"):
        kept = in_group[in_group["keep"]]
        compared = kept.dropna(subset=["spearman", "spearman_ridge"])
        groups[str(group)] = {
            "n_cells": len(in_group),
            "kept_cells": len(kept),
            "kept_share": len(kept) / len(in_group),
            "small_cells": int(in_group["small"].sum()),
            "kept_cells_without_spearman": int(kept["spearman"].isna().sum()),
            "mean_spearman_kept": _known_mean(kept["spearman"]),
            "mean_mae_kept": _known_mean(kept["mae"]),
            "mean_mae_constant": _known_mean(kept["mae_constant"]),
            "mean_mae_ridge": _known_mean(kept["mae_ridge"]),
            "mean_spearman_ridge": _known_mean(compared["spearman_ridge"]),
            "student_minus_ridge": _known_mean(compared["spearman"] - compared["spearman_ridge"]),
            "compared_cells": len(compared),
            "readouts": {},
        }
        if readouts is not None:
            groups[str(group)]["readouts"] = _by_readout(readouts.merge(kept[key], on=key))
    return {"groups": groups}


def _by_readout(readouts: pd.DataFrame) -> dict[str, dict[str, float | None]]:
    return {
        str(readout): {
            "mean_spearman": _known_mean(frame["spearman"]),
            "mean_mae": _known_mean(frame["mae"]),
            "cells": len(frame),
        }
        for readout, frame in readouts.groupby("readout")
    }


def _known_mean(values: pd.Series) -> float | None:
    known = values.dropna()
    return float(known.mean()) if len(known) else None


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else math.nan
