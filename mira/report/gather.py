"""Read everything the report shows from a run's folder.

Each reader returns an empty table where its file is absent, so that a run without (say) a
separation study still gets a report. ``sampling/hidden`` is never read.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pandas as pd

from mira.errors import UserError
from mira.io import read_json, read_jsonl, read_parquets
from mira.report.figures import Figure, embed_figures
from mira.report.samples import Pick, pick_records
from mira.report.wording import method_order

SAMPLE_METHOD = "mira_group"

_TEXT_COLUMNS = {"source": str, "group": str, "method": str, "slot": str, "reason": str}
_CORPUS = ["id", "source", "family", "n_tokens"]
_REJECTED = ["source", "file", "line", "id", "reason", "detail"]
_GROUPS = ["source", "family", "group", "similarity", "n_sampled"]
_SIMILARITY = ["source_a", "source_b", "similarity"]
_LABELS = ["id", "source", "group", "split", "overall", "recommendation", "brief", "parse"]
_LABELS += [f"{kind}{i}" for kind in "sr" for i in range(1, 16)]
_CELLS = ["source", "group", "slot", "name", "n", "teacher_mean", "student_mean", "bias", "mae"]
_CELLS += ["mae_constant", "spearman", "spearman_low", "spearman_high", "small", "keep", "weight"]
_CELLS += ["reason"]
_READOUTS = ["group", "source", "slot", "readout", "n", "mae", "spearman"]
_SELECTION = ["id", "source", "group", "n_tokens", "score", "selected", "reason"]
_SEPARATION = ["method", "source", "family", "n_intact", "n_spoiled", "auroc", "auroc_low"]
_SEPARATION += ["auroc_high", "precision", "precision_low", "precision_high", "base_rate"]
_SCORES = ["id", "source", "group", "engine", "readout", "prompt_hash", "model_hash"]


@dataclass(frozen=True)
class ReportData:
    """A run's results as the report needs them; tables are empty where a file is absent.

    ``scores`` and ``texts`` hold only the records drawn in ``picks``; ``scored`` counts all
    scored records and their tokens. ``stage_seconds`` sums the wall time of a stage's jobs.
    """

    run: str
    settings: dict[str, Any]
    seed: int
    corpus: pd.DataFrame
    rejected: pd.DataFrame
    groups: pd.DataFrame
    similarity: pd.DataFrame
    points: pd.DataFrame
    anchors: dict[str, list[dict[str, Any]]]
    labels: pd.DataFrame
    label_rejected: pd.DataFrame
    cost: dict[str, Any]
    cells: pd.DataFrame
    ridge: pd.DataFrame
    readouts: pd.DataFrame
    scored: pd.DataFrame
    selections: dict[str, pd.DataFrame]
    certificates: dict[str, dict[str, Any]]
    separation: pd.DataFrame
    picks: list[Pick]
    scores: pd.DataFrame
    texts: dict[tuple[str, str], str]
    figures: list[Figure]
    audit: dict[str, Any]
    headline: pd.DataFrame
    stage_seconds: dict[str, float]
    manifests: dict[str, dict[str, Any]]


def gather(run_dir: Path, settings: dict[str, Any]) -> ReportData:
    """Read a run's results below ``run_dir`` (``results/<run>``) (ours).

    ``settings`` is the run's configuration as a plain dict; it is shown, and its ``seed`` draws
    the sample records. Raises :class:`UserError` where the run holds no sampled corpus.
    """
    run_dir = Path(run_dir)
    corpus = _corpus(run_dir)
    labels = read_labels(run_dir)
    selections = read_selections(run_dir)
    manifests = _manifests(run_dir)
    seed = _seed(settings, manifests)
    number = settings.get("report", {}).get("sample_records", 10)
    picks = pick_records(selections.get(SAMPLE_METHOD), labels, seed, number)
    return ReportData(
        run=run_dir.name,
        settings=settings,
        seed=seed,
        corpus=corpus,
        rejected=_parquet(run_dir / "sampling" / "rejected.parquet", _REJECTED),
        groups=_csv(run_dir / "clustering" / "groups.csv", _GROUPS),
        similarity=_csv(run_dir / "clustering" / "similarity.csv", _SIMILARITY),
        points=_points(run_dir),
        anchors=_anchors(run_dir),
        labels=labels,
        label_rejected=_parquet(run_dir / "labelling" / "rejected.parquet", _REJECTED),
        cost=_json(run_dir / "labelling" / "cost.json"),
        cells=read_cells(run_dir),
        ridge=read_ridge(run_dir),
        readouts=_csv(run_dir / "validation" / "readouts.csv", _READOUTS),
        scored=_parquet(run_dir / "scoring" / "scores.parquet", [*_SCORES, "n_tokens"]),
        selections=selections,
        certificates={m: _json(run_dir / "selection" / f"{m}.json") for m in selections},
        separation=read_separation(run_dir),
        picks=picks,
        scores=_scores_of(run_dir, picks),
        texts=_texts_of(run_dir, picks),
        figures=embed_figures(run_dir / "figures"),
        audit=read_audit(run_dir),
        headline=_csv(run_dir / "tables" / "headline.csv", []),
        stage_seconds=read_stage_seconds(run_dir),
        manifests=manifests,
    )


def read_selections(run_dir: Path) -> dict[str, pd.DataFrame]:
    """Every method's decisions, one row a record, in the order methods are shown in."""
    paths = {path.stem: path for path in (run_dir / "selection").glob("*.parquet")}
    return {m: _parquet(paths[m], _SELECTION) for m in sorted(paths, key=method_order)}


def read_cells(run_dir: Path) -> pd.DataFrame:
    """The students' agreement with the teacher per (source, slot) on held-out labels."""
    return _csv(run_dir / "validation" / "cells.csv", _CELLS)


def read_ridge(run_dir: Path) -> pd.DataFrame:
    """The same cells for tf-idf with ridge regression."""
    return _csv(run_dir / "validation" / "ridge.csv", _CELLS)


def read_separation(run_dir: Path) -> pd.DataFrame:
    """How well each method tells intact from spoiled records; empty on a user's own data."""
    return _csv(run_dir / "downstream" / "separation.csv", _SEPARATION)


def read_audit(run_dir: Path) -> dict[str, Any]:
    """The audit as written; ``{}`` where it has not run."""
    return _json(run_dir / "audit" / "audit.json")


def read_labels(run_dir: Path) -> pd.DataFrame:
    """The teacher's anchored labels of all groups, without the raw replies."""
    frames = []
    for path in sorted((run_dir / "labelling").glob("*.parquet")):
        if path.stem != "rejected":
            frames.append(_parquet(path, _LABELS).assign(group=path.stem))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=_LABELS)


def read_stage_seconds(run_dir: Path) -> dict[str, float]:
    """Wall seconds of each stage's jobs, summed, from Snakemake's benchmark files.

    The files lie in ``benchmarks/<run>/<stage>/`` beside ``results/``; jobs that ran side by
    side both count in full. ``{}`` where there are none.
    """
    folder = run_dir.resolve().parents[1] / "benchmarks" / run_dir.name
    seconds: dict[str, float] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            stage = path.relative_to(folder).parts[0].split(".")[0]
            seconds[stage] = seconds.get(stage, 0.0) + _benchmark_seconds(path)
    return seconds


def _benchmark_seconds(path: Path) -> float:
    lines = path.read_text(encoding="utf-8").splitlines()
    rows: Iterable[dict[str, Any]]
    if path.suffix == ".jsonl":
        rows = (orjson.loads(line) for line in lines if line.strip())
    else:
        rows = csv.DictReader(lines, delimiter="\t")
    return sum(float(row["s"]) for row in rows)


def _corpus(run_dir: Path) -> pd.DataFrame:
    folder = run_dir / "sampling" / "corpus"
    paths = sorted(folder.glob("*.parquet"))
    if not paths:
        raise UserError(
            f"{folder}: no sampled corpus there, so there is nothing to report. Expected one "
            "Parquet file for each source; run the workflow first (for the demo: make demo)."
        )
    return read_parquets(paths, _CORPUS)


def _points(run_dir: Path) -> pd.DataFrame:
    rows = [
        {"group": path.stem, "source": point["source"], "id": point["id"]}
        for path in sorted((run_dir / "discovery").glob("*.jsonl"))
        for point in read_jsonl(path)
    ]
    return pd.DataFrame(rows, columns=["group", "source", "id"])


def _anchors(run_dir: Path) -> dict[str, list[dict[str, Any]]]:
    paths = sorted((run_dir / "anchoring").glob("*.jsonl"))
    return {path.stem: read_jsonl(path) for path in paths}


def _scores_of(run_dir: Path, picks: list[Pick]) -> pd.DataFrame:
    columns = ["id", "source", *(f"s{i}_mean" for i in range(1, 16))]
    wanted = sorted({pick.id for pick in picks})
    return _parquet(run_dir / "scoring" / "scores.parquet", columns, ids=wanted)


def _texts_of(run_dir: Path, picks: list[Pick]) -> dict[tuple[str, str], str]:
    texts = {}
    for source in sorted({pick.source for pick in picks}):
        wanted = [pick.id for pick in picks if pick.source == source]
        path = run_dir / "sampling" / "corpus" / f"{source}.parquet"
        frame = pd.read_parquet(path, columns=["id", "text"], filters=[("id", "in", wanted)])
        texts.update({(source, str(row.id)): str(row.text) for row in frame.itertuples()})
    return texts


def _manifests(run_dir: Path) -> dict[str, dict[str, Any]]:
    paths = [*run_dir.glob("*/manifest.json"), *run_dir.glob("*/*/manifest.json")]
    names = {path.parent.relative_to(run_dir).as_posix(): path for path in paths}
    return {name: read_json(names[name]) for name in sorted(names) if "hidden" not in name}


def _seed(settings: dict[str, Any], manifests: dict[str, dict[str, Any]]) -> int:
    recorded = (m["seed"] for m in manifests.values() if m.get("seed") is not None)
    return int(settings.get("seed", next(recorded, 0)))


def _csv(path: Path, columns: list[str]) -> pd.DataFrame:
    if not path.exists():
        return pd.DataFrame(columns=columns)
    return pd.read_csv(path, dtype={k: v for k, v in _TEXT_COLUMNS.items() if k in columns})


def _parquet(path: Path, columns: list[str], ids: list[str] | None = None) -> pd.DataFrame:
    """The columns of a table that are there, of all rows or some; the others are added, empty."""
    if not path.exists() or ids == []:
        return pd.DataFrame(columns=columns)
    import pyarrow.parquet as pq

    present = [name for name in pq.read_schema(path).names if name in columns]
    rows = [("id", "in", ids)] if ids else None
    frame = pd.read_parquet(path, columns=present, filters=rows)
    return frame.reindex(columns=columns)


def _json(path: Path) -> dict[str, Any]:
    return read_json(path) if path.exists() else {}
