"""What each training option does to a student: agreement with the teacher, and speed.

    make demo; python bench/distillation.py --group agent-1 [--variants plain half score_loss]

Trains one student per variant on the labels of a finished run, all else equal, and reads the held-
out records with each, in turns over the same blocks of records. `plain` is the run's own setting;
a variant changes what its name says. No claim is judged: the figures are the result. With
--labels and --epochs small, variants with long prompts can be compared on a CPU; compare only
figures of one call. Students stay in --folder, so that a stopped call goes on, and
bench/scoring.py can read with them. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import yaml
from measure import RESULTS, machine, timed, versions
from scoring import PROMPT_KEYS, held_out, read_in_turns

from mira.config import Distillation
from mira.distillation.student import distil
from mira.io import read_json, read_jsonl, read_parquet, read_parquets, write_json
from mira.scoring.settings import readout_settings
from mira.scoring.student import Student, open_student
from mira.seeds import stable_hash
from mira.statistics import spearman

VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "half": {"scores_only_share": 0.5},
    "rationales": {"scores_only_share": 0.0},
    "score_loss": {"score_loss_weight": 1.0},
    "packed": {"packing": True, "packed_tokens": 2048, "batch_size": 1},
    "compact": {"prompt": "compact"},
    "rubric": {"prompt": "rubric"},
    "full": {"prompt": "full"},
}


def training_labels(run: Path, group: str, limit: int | None) -> pd.DataFrame:
    """The group's training labels, at most ``limit``, by a stable hash of the id."""
    labels = read_parquet(run / "labelling" / f"{group}.parquet")
    labels = labels[labels["split"] == "train"]
    order = sorted(labels["id"], key=lambda record_id: stable_hash("bench", record_id))
    return labels[labels["id"].isin(order[:limit])]


def train_variant(
    arguments: argparse.Namespace, name: str, config: dict[str, Any]
) -> dict[str, Any]:
    """Train one variant, unless its folder stands; what training took."""
    settings = variant_settings(arguments, name, config)
    folder = arguments.folder / arguments.group / name
    cost = folder / "cost.json"
    if cost.exists():
        return read_json(cost)
    samples = sorted((arguments.run / "sampling" / "labelling").glob("*.parquet"))
    with timed() as watch:
        state = distil(
            training_labels(arguments.run, arguments.group, arguments.labels),
            read_parquets(samples, ["id", "family", "text"]),
            read_jsonl(arguments.run / "anchoring" / f"{arguments.group}.jsonl"),
            settings,
            config["seed"],
            base=str(arguments.run / "distillation" / "base" / "model"),
            model_dir=folder / "model",
            state_path=folder / "trainer_state.json",
            resume_dir=folder / "resume",
        )
    found = {
        "train_seconds": round(watch.seconds, 1),
        "train_cpu_seconds": round(watch.cpu_seconds, 1),
        "steps": state["global_step"],
        "examples": state["examples"],
    }
    write_json(found, cost)
    return found


def variant_settings(
    arguments: argparse.Namespace, name: str, config: dict[str, Any]
) -> Distillation:
    """The run's distillation settings with what the variant changes."""
    changed = {**config["distillation"], **VARIANTS[name]}
    if arguments.epochs:
        changed["epochs"] = arguments.epochs
    return Distillation(**changed)


def open_variant(arguments: argparse.Namespace, name: str, config: dict[str, Any]) -> Student:
    """The variant's student, under the readout that it was trained for."""
    settings = variant_settings(arguments, name, config)
    readout = "expected" if settings.scores_only_share > 0 else "sample"
    scoring = {**config.get("scoring", {}), "engine": "transformers", "readout": readout}
    prompt = {key: getattr(settings, key) for key in PROMPT_KEYS}
    anchors = read_jsonl(arguments.run / "anchoring" / f"{arguments.group}.jsonl")
    folder = arguments.folder / arguments.group / name / "model"
    return open_student(
        folder, anchors, readout_settings(scoring, prompt, config["seed"]), arguments.group
    )


def agreement(scores: pd.DataFrame, labels: pd.DataFrame) -> dict[str, Any]:
    """Mean Spearman and MAE over cells (source, slot), with their quartiles, and missing slots."""
    merged = labels.merge(scores, on="id")
    slots = [column.removesuffix("_mean") for column in scores if column.endswith("_mean")]
    rhos, errors = [], []
    for _, frame in merged.groupby("source"):
        for slot in slots:
            known = frame[[slot, f"{slot}_mean", f"{slot}_median"]].dropna().astype(float)
            if len(known) >= 5:
                rhos.append(
                    spearman(known[slot].to_numpy(), known[f"{slot}_mean"].to_numpy()).value
                )
                errors.append(float((known[f"{slot}_median"] - known[slot]).abs().mean()))
    quartiles = np.nanquantile(rhos, [0.25, 0.75]) if rhos else []
    return {
        "spearman": round(float(np.nanmean(rhos)), 4) if rhos else None,
        "spearman_quartiles": [round(float(q), 3) for q in quartiles],
        "mae": round(float(np.mean(errors)), 4) if errors else None,
        "cells": len(rhos),
        "records": len(merged),
        "unread_share": round(float(scores.filter(like="_mean").isna().to_numpy().mean()), 4),
    }


def main() -> None:
    """Train and measure every variant and print the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, default=RESULTS / "demo")
    parser.add_argument("--config", type=Path, default=RESULTS.parent / "config" / "demo.yaml")
    parser.add_argument("--group", default="agent-1")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=sorted(VARIANTS))
    parser.add_argument("--labels", type=int, help="training labels, at most")
    parser.add_argument("--epochs", type=float, help="instead of the run's")
    parser.add_argument("--records", type=int, default=10_000, help="held-out records, at most")
    parser.add_argument("--blocks", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=RESULTS / "bench" / "students")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    config = yaml.safe_load(arguments.config.read_text(encoding="utf-8"))
    where = machine()
    costs = {name: train_variant(arguments, name, config) for name in arguments.variants}
    students = {name: open_variant(arguments, name, config) for name in arguments.variants}
    records, labels = held_out(arguments.run, arguments.group, arguments.records)
    scores, rates = read_in_turns(students, records, arguments.blocks)
    variants = {
        name: {
            "changed": VARIANTS[name],
            "readout": students[name].readout,
            **costs[name],
            **agreement(scores[name], labels),
            "records_per_s": round(median(rates[name]), 2),
        }
        for name in arguments.variants
    }
    report = {
        "bench": "distillation",
        "group": arguments.group,
        "labels": arguments.labels,
        "epochs": arguments.epochs or config["distillation"]["epochs"],
        "variants": variants,
        "machine": where,
        "versions": versions(["torch", "transformers"]),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
