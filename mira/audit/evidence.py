"""What a run left behind that can be held against its own words and against the paper's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from mira.errors import UserError
from mira.io import read_json, read_jsonl, read_parquet

PER_METHOD = "downstream_macro"


@dataclass(frozen=True)
class Evidence:
    """A run's files, as far as they exist; what has not run is empty or None.

    ``comparable``: whether the run is the paper's own (its corpus and models), so that its
    numbers may be held against the published ones. ``corpus`` and ``sampled`` have source, id;
    ``labels`` has id, source, split; ``input_rows`` counts the rows read before any was left
    out; ``points`` counts judgment points per group; ``downstream`` has a
    method's macro average in percent.
    """

    comparable: bool = False
    input_rows: int | None = None
    rejected_rows: int | None = None
    corpus: pd.DataFrame | None = None
    groups: pd.DataFrame | None = None
    points: Mapping[str, int] = field(default_factory=dict)
    anchors: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)
    sampled: pd.DataFrame | None = None
    labels: pd.DataFrame | None = None
    unlabelled: pd.DataFrame | None = None
    cells: pd.DataFrame | None = None
    selections: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    certificates: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    downstream: Mapping[str, float] = field(default_factory=dict)


def gather_evidence(run: str | Path, comparable: bool) -> Evidence:
    """Read what exists below ``results/<run>``; absent files are stages that have not run."""
    run = Path(run)
    anchors = {path.stem: read_jsonl(path) for path in sorted(run.glob("anchoring/*.jsonl"))}
    selections = sorted(run.glob("selection/*.parquet"))
    rejected = run / "sampling/rejected.parquet"
    return Evidence(
        comparable=comparable,
        input_rows=_input_rows(run / "sampling/manifest.json"),
        rejected_rows=pq.read_metadata(rejected).num_rows if rejected.exists() else None,
        corpus=_tables(run, "sampling/corpus/*.parquet", ["source", "id", "n_tokens"]),
        groups=_csv(run / "clustering/groups.csv"),
        points={
            path.stem: sum(bool(line.strip()) for line in path.open("rb"))
            for path in sorted(run.glob("discovery/*.jsonl"))
        },
        anchors=anchors,
        sampled=_tables(run, "sampling/labelling/*.parquet", ["source", "id"]),
        labels=_tables(run, "labelling/*.parquet", ["id", "source", "split"], "rejected"),
        unlabelled=_tables(run, "labelling/rejected.parquet", ["id", "source"]),
        cells=_csv(run / "validation/cells.csv"),
        selections={path.stem: read_parquet(path) for path in selections},
        certificates={
            path.stem: read_json(path.with_suffix(".json"))
            for path in selections
            if path.with_suffix(".json").exists()
        },
    )


def _tables(run: Path, pattern: str, columns: list[str], skip: str = "") -> pd.DataFrame | None:
    paths = [path for path in sorted(run.glob(pattern)) if path.stem != skip]
    if not paths:
        return None
    return pd.concat([read_parquet(path, columns) for path in paths], ignore_index=True)


def _csv(path: Path) -> pd.DataFrame | None:
    return pd.read_csv(path) if path.exists() else None


def _input_rows(manifest: Path) -> int | None:
    return read_json(manifest)["counts"].get("input") if manifest.exists() else None


def _group_count(evidence: Evidence) -> float | None:
    return None if evidence.groups is None else evidence.groups["group"].nunique()


def _source_count(evidence: Evidence) -> float | None:
    return None if evidence.groups is None else evidence.groups["source"].nunique()


def _slots(evidence: Evidence) -> float | None:
    """Slots per group; None where groups differ or there are none."""
    counts = {len(rows) for rows in evidence.anchors.values()}
    return counts.pop() if len(counts) == 1 else None


def _referenced_slots(evidence: Evidence) -> float | None:
    counts = {sum(bool(row["references"]) for row in a) for a in evidence.anchors.values()}
    return counts.pop() if len(counts) == 1 else None


def _labelled_records(evidence: Evidence) -> float | None:
    return None if evidence.labels is None else len(evidence.labels)


def _validation_share(evidence: Evidence) -> float | None:
    return None if evidence.labels is None else float((evidence.labels["split"] != "train").mean())


def _kept_share(evidence: Evidence) -> float | None:
    return None if evidence.cells is None else float(evidence.cells["keep"].mean())


def _mean_spearman(evidence: Evidence) -> float | None:
    """Mean over kept cells."""
    cells = evidence.cells
    return None if cells is None else float(cells.loc[cells["keep"], "spearman"].mean())


def _mean_mae(evidence: Evidence) -> float | None:
    """Mean over all cells, since the mask itself cuts by this error."""
    return None if evidence.cells is None else float(evidence.cells["mae"].mean())


def _selected_share(evidence: Evidence) -> float | None:
    """Share of tokens kept by the method that keeps most of them, the raw mixture aside."""
    shares = [
        frame.loc[frame["selected"], "n_tokens"].sum() / frame["n_tokens"].sum()
        for method, frame in evidence.selections.items()
        if method != "raw"
    ]
    return float(max(shares)) if shares else None


def measure(name: str, evidence: Evidence, row: str) -> float | None:
    """What the run measures under ``name``; None where the run has not come that far.

    ``row`` is the row of the published table that asks, for measures that a run has once a
    method. Raises UserError for a name that is not known.
    """
    if name == PER_METHOD:
        return evidence.downstream.get(row)
    if name not in MEASURES:
        known = ", ".join(sorted([*MEASURES, PER_METHOD]))
        raise UserError(f"published claims: measure '{name}' is not known. Use one of: {known}.")
    return MEASURES[name](evidence)


MEASURES: dict[str, Callable[[Evidence], float | None]] = {
    "sources": _source_count,
    "groups": _group_count,
    "slots": _slots,
    "referenced_slots": _referenced_slots,
    "labelled_records": _labelled_records,
    "validation_share": _validation_share,
    "kept_share": _kept_share,
    "mean_spearman": _mean_spearman,
    "mean_mae": _mean_mae,
    "selected_share": _selected_share,
}
