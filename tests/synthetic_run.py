"""A small finished run written file by file, as the stages would leave it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from mira.audit.findings import Finding, Kind
from mira.baselines import select_raw
from mira.io import write_csv, write_json, write_jsonl, write_parquet, write_text
from mira.selection import select, selection_table

GROUPS = {
    "g1": {"python_modules": "text", "package_tests": "text"},
    "g2": {"docstring_qa": "qa", "worked_algebra": "qa"},
    "g3": {"shell_traces": "agent", "sqlite_traces": "agent"},
}
PER_SOURCE = 10
SLOTS = range(1, 16)
NAMES = (
    "Parseability",
    "Identifier Quality",
    "Specificity",
    "Structure",
    "Answer Completeness",
    "Tool-Call Validity",
    "Error Recovery",
    "Evidence for Claims",
    "Comment Quality",
    "Repetition",
    "Factual Precision",
    "Language Consistency",
    "Answer Match",
    "Formatting",
    "Self-Containment",
)
HOSTILE = "<script>window.broken = 1</script><img src=x onerror=alert(1)>\x00\x1b[31m"
SETTINGS = {
    "run": "demo",
    "seed": 7,
    "report": {"title": "MIRA on a Python installation", "sample_records": 10},
    "teacher": {"kind": "embedded", "model": "mira-embedded-teacher"},
    "distillation": {"base_model": None},
    "selection": {"budget_share": 0.5},
}
TEXT = '''def parse_header(line):
    """Split one header line into its name and its value.

    >>> parse_header("Host: example")
    ('Host', 'example')
    """
    name, _, value = line.partition(":")
    return name.strip(), value.strip()
'''


def build_run(root: Path) -> Path:
    """Write ``results/demo`` and ``benchmarks/demo`` below ``root``; returns the former."""
    run = root / "results" / "demo"
    rng = np.random.default_rng(0)
    records = _records(rng)
    _write_sampling(run, records)
    _write_grouping(run, records, rng)
    _write_labels(run, records, rng)
    _write_validation(run, rng)
    _write_scores(run, records, rng)
    _write_selections(run, records, rng)
    _write_separation(run)
    _write_figures(run)
    _write_evidence(root, run)
    return run


def _records(rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    for group, sources in GROUPS.items():
        for source, family in sources.items():
            for i in range(PER_SOURCE):
                text = TEXT * int(rng.integers(1, 12)) + (HOSTILE if i % 5 == 0 else "")
                rows.append(
                    {
                        "id": f"{source}/{i:03d}",
                        "source": source,
                        "family": family,
                        "group": group,
                        "text": text,
                        "n_chars": len(text),
                        "n_tokens": len(text) // 4,
                        "score": float(np.clip(rng.normal(6.2, 1.6), 0, 10)),
                    }
                )
    return pd.DataFrame(rows)


def _write_sampling(run: Path, records: pd.DataFrame) -> None:
    for source, part in records.groupby("source"):
        corpus = part.drop(columns=["group", "score"]).assign(messages=None, meta="{}")
        write_parquet(corpus, run / "sampling" / "corpus" / f"{source}.parquet")
    rejected = pd.DataFrame(
        {
            "source": ["python_modules"] * 3,
            "file": ["a.py"] * 3,
            "line": [1, 2, 3],
            "id": ["x", "y", "z"],
            "reason": ["too short", "too short", "duplicate id"],
            "detail": [""] * 3,
        }
    )
    write_parquet(rejected, run / "sampling" / "rejected.parquet")
    write_text("no stage may read this", run / "sampling" / "hidden" / "spoiled.parquet")


def _write_grouping(run: Path, records: pd.DataFrame, rng: np.random.Generator) -> None:
    sources = records[["source", "family", "group"]].drop_duplicates()
    groups = sources.assign(similarity=rng.uniform(0.8, 0.95, len(sources)), n_sampled=PER_SOURCE)
    write_csv(groups, run / "clustering" / "groups.csv")
    group = dict(zip(sources["source"], sources["group"], strict=True))
    pairs = [
        {
            "source_a": a,
            "source_b": b,
            "similarity": 1.0 if a == b else 0.9 if group[a] == group[b] else 0.45,
        }
        for a in group
        for b in group
    ]
    write_csv(pd.DataFrame(pairs), run / "clustering" / "similarity.csv")
    for name in GROUPS:
        ids = records.loc[records["group"] == name, ["id", "source"]].head(4)
        points = [
            {**row, "dimension": NAMES[s - 1], "score": 7, "reason": "clear", "prompt_hash": "ab"}
            for row in ids.to_dict("records")
            for s in SLOTS
        ]
        write_jsonl(points, run / "discovery" / f"{name}.jsonl")
        anchors = [_anchor(slot, rng) for slot in SLOTS]
        write_jsonl(anchors, run / "anchoring" / f"{name}.jsonl")


def _anchor(slot: int, rng: np.random.Generator) -> dict:
    name = NAMES[slot - 1]
    references = [
        {"score": 9, "reason": "All 14 functions parse, and the doctests agree with the code."},
        {"score": 3, "reason": "Indentation is lost after line 12; the module cannot be parsed."},
    ]
    return {
        "slot": f"A{slot}",
        "name": name,
        "definition": f"How far the record shows {name.lower()}, judged by what it states.",
        "cluster_size": 400 - 22 * slot,
        "n_records": 40,
        "medoid_id": "python_modules/000",
        "medoid_source": "python_modules",
        "medoid_score": 7,
        "medoid_reason": "clear",
        "references": references if slot <= 12 else [],
        "stability": float(rng.uniform(0.4, 0.98)),
        "names": {name: 30, f"Overall {name}": 9},
    }


def _write_labels(run: Path, records: pd.DataFrame, rng: np.random.Generator) -> None:
    for group in GROUPS:
        part = records[records["group"] == group].iloc[::2]
        labels = part[["id", "source"]].assign(
            split=["validation" if i % 3 == 0 else "train" for i in range(len(part))],
            overall=72.0,
            recommendation="keep",
            domain_tag="python",
            brief="A small parser with a doctest & a <clear> purpose.",
            raw="",
            parse="strict",
            prompt_hash="ab",
            prompt_tokens=900,
            completion_tokens=300,
            cost=0.0,
        )
        for slot in SLOTS:
            labels[f"s{slot}"] = rng.integers(2, 10, len(part)).astype(float)
            labels[f"r{slot}"] = "Names say what they hold; one helper lacks a docstring."
        labels.loc[labels.index[0], ["s1", "r1"]] = [None, None]
        write_parquet(labels, run / "labelling" / f"{group}.parquet")
    failed = pd.DataFrame(
        [["python_modules/009", "python_modules", "g1", "unparsed", ""]],
        columns=["id", "source", "group", "reason", "detail"],
    )
    write_parquet(failed, run / "labelling" / "rejected.parquet")
    cost = {"calls": 42, "prompt_tokens": 37_800, "completion_tokens": 12_600, "money": 0.0}
    write_json({"labelling": cost, "forecast_money": 0.0}, run / "labelling" / "cost.json")


def _write_validation(run: Path, rng: np.random.Generator) -> None:
    cells, readouts = [], []
    for group, sources in GROUPS.items():
        for source in sources:
            for slot in SLOTS:
                cells.append(_cell(group, source, slot, rng))
                for readout, loss in (("expected", 0.0), ("sample", 0.1)):
                    row = {"group": group, "source": source, "slot": f"A{slot}", "n": 40}
                    measured = {"mae": 0.8 + loss, "spearman": cells[-1]["spearman"] - loss}
                    readouts.append({**row, "readout": readout, **measured})
    frame = pd.DataFrame(cells)
    write_csv(frame, run / "validation" / "cells.csv")
    ridge = frame.assign(spearman=frame["spearman"] - 0.15)
    write_csv(ridge, run / "validation" / "ridge.csv")
    write_csv(pd.DataFrame(readouts), run / "validation" / "readouts.csv")
    write_json({"g1": {"n_cells": 30}}, run / "validation" / "summary.json")


def _cell(group: str, source: str, slot: int, rng: np.random.Generator) -> dict:
    spearman = float(rng.uniform(0.3, 0.9))
    keep = slot % 6 != 5
    return {
        "source": source,
        "group": group,
        "slot": f"A{slot}",
        "name": NAMES[slot - 1],
        "n": 40,
        "teacher_mean": 6.1,
        "student_mean": 6.0,
        "bias": -0.1,
        "mae": 0.7 if keep else 1.2,
        "mae_constant": 1.3,
        "spearman": spearman,
        "spearman_low": spearman - 0.15,
        "spearman_high": min(1.0, spearman + 0.12),
        "small": slot == 15,
        "keep": keep,
        "weight": float(keep),
        "reason": "kept: MAE 0.70 below 1.00" if keep else "masked: MAE 1.20 not below 1.00",
    }


def _write_scores(run: Path, records: pd.DataFrame, rng: np.random.Generator) -> None:
    scores = records[["id", "source", "group", "n_tokens"]].copy()
    for slot in SLOTS:
        scores[f"s{slot}_mean"] = np.clip(records["score"] + rng.normal(0, 1, len(records)), 0, 10)
        scores[f"s{slot}_sd"] = 0.8
        scores[f"s{slot}_mode"] = 7
    scores = scores.assign(engine="transformers", readout="expected", prompt_hash="ab")
    scores["model_hash"] = "4f" + scores["group"]
    write_parquet(scores, run / "scoring" / "scores.parquet")


def _write_selections(run: Path, records: pd.DataFrame, rng: np.random.Generator) -> None:
    budget = int(records["n_tokens"].sum() // 2)
    chance = records.assign(score=rng.random(len(records)))
    plans = {
        "mira_global": (records, None),
        "mira_group": (records, "group"),
        "mira_source": (records, "source"),
        "random": (chance, "source"),
    }
    for method, (frame, per) in plans.items():
        mask, certificate = select(frame, budget, per, 7)  # type: ignore[arg-type]
        write_parquet(selection_table(frame, mask), run / "selection" / f"{method}.parquet")
        write_json(certificate, run / "selection" / f"{method}.json")
    scores, mask, certificate = select_raw(records, 7)
    write_parquet(
        selection_table(records.assign(score=scores), mask), run / "selection" / "raw.parquet"
    )
    write_json(certificate, run / "selection" / "raw.json")


def _write_separation(run: Path) -> None:
    auroc: dict[str, float] = {
        "mira_source": 0.79,
        "mira_group": 0.84,
        "mira_global": 0.84,
        "random": 0.51,
        "raw": np.nan,
    }
    rows = [
        {
            "method": method,
            "source": source,
            "family": "all",
            "n_intact": 42,
            "n_spoiled": 18,
            "auroc": value,
            "auroc_low": value - 0.05,
            "auroc_high": value + 0.04,
            "precision": value,
            "precision_low": value - 0.06,
            "precision_high": value + 0.05,
            "base_rate": 0.7,
        }
        for method, value in auroc.items()
        for source in ("ALL", "MEAN", *(s for sources in GROUPS.values() for s in sources))
    ]
    write_csv(pd.DataFrame(rows), run / "downstream" / "separation.csv")


def _write_figures(run: Path) -> None:
    from PIL import Image

    folder = run / "figures"
    folder.mkdir(parents=True)
    Image.linear_gradient("L").resize((1800, 900)).save(folder / "reliability_mask.png")
    Image.radial_gradient("L").resize((800, 500)).save(folder / "loss_curves.png")


def _write_evidence(root: Path, run: Path) -> None:
    within: Kind = "published against published"
    findings = [
        Finding("c1", within, "Average of MIRA", "49.7", "49.7", "agrees", "mean of the row", "T1"),
        Finding("c2", within, "Average of DSIR", "46.1", "45.3", "disagrees", "mean of row", "T1"),
        Finding("c3", within, "Anchors per group", "15", "15", "agrees", "cards", "cards"),
        Finding("c4", within, "Learning rate", "", "", "not published", "", "appendix A.4"),
    ]
    write_json({"findings": [asdict(f) for f in findings]}, run / "audit" / "audit.json")
    headline = pd.DataFrame({"run": ["MIRA", "DSIR"], "recomputed": [49.7, 45.3]})
    write_csv(headline, run / "tables" / "headline.csv")
    for stage in ("sampling", "scoring"):
        manifest = {
            "stage": stage,
            "inputs": {},
            "settings": {"seed": 7},
            "seed": 7,
            "counts": {"records": 60},
            "seconds": 1.5,
            "code_version": "0.1.0+abc",
            "packages": {"python": "3.11.4", "numpy": "2.4.6"},
        }
        write_json(manifest, run / stage / "manifest.json")
    benchmarks = root / "benchmarks" / "demo"
    write_jsonl([{"s": 12.5, "h:m:s": "0:00:12"}], benchmarks / "sampling" / "corpus.jsonl")
    for group, seconds in zip(GROUPS, (61.0, 80.5, 64.5), strict=True):
        table = f"s\th:m:s\tmax_rss\n{seconds}\t0:01:00\t512\n"
        write_text(table, benchmarks / "distillation" / "train" / f"{group}.tsv")
