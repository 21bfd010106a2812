"""Claim: reading expected scores beats sampling answers with rationales, in speed and in quality.

    make demo; python bench/scoring.py [--run results/demo]

At least 6 times the records per second, and a Spearman correlation with the teacher at least 0.03
higher, on the held-out labelled records of a finished run, with its own students and the engine
transformers. The readouts take turns over the same blocks of records in an order drawn anew for
each, in one process with one loaded model. Then both read everything once more, `sample` under
another seed: how much of the selected half do two runs share?

`--student FOLDER` reads with another student of the one group named by `--group`, such as one of
bench/distillation.py that has learnt more rationales. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import yaml
from measure import RESULTS, machine, timed, versions

from mira.aggregation import record_scores
from mira.io import read_jsonl, read_parquet, read_parquets
from mira.methods import slot_means
from mira.scoring.settings import ReadoutSettings, readout_settings
from mira.scoring.student import Student, batches, open_student
from mira.selection import select
from mira.statistics import spearman

CLAIMED_SPEED = 6.0
CLAIMED_GAIN = 0.03
READOUTS = ("expected", "sample")
PROMPT_KEYS = ("prompt", "max_record_tokens")
RESAMPLES = 500


def held_out(run: Path, group: str, limit: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The group's held-out records and their labels, at most ``limit``, by id."""
    labels = read_parquet(run / "labelling" / f"{group}.parquet")
    labels = labels[labels["split"] == "validation"].sort_values("id").head(limit)
    samples = read_parquets(sorted((run / "sampling" / "labelling").glob("*.parquet")))
    records = samples[samples["id"].isin(labels["id"])]
    return records[["id", "source", "family", "text", "n_tokens"]], labels


def open_for(run: Path, group: str, student: Path | None, settings: ReadoutSettings) -> Student:
    """The group's student, or another one in its place."""
    anchors = read_jsonl(run / "anchoring" / f"{group}.jsonl")
    folder = student or run / "distillation" / group / "model"
    return open_student(folder, anchors, settings, group)


def read_in_turns(
    readers: dict[str, Student], records: pd.DataFrame, blocks: int
) -> tuple[dict[str, pd.DataFrame], dict[str, list[float]]]:
    """Scores by reader, and records per second of each block; the blocks are always the same."""
    order = records.sample(frac=1, random_state=0)
    scores: defaultdict[str, list[pd.DataFrame]] = defaultdict(list)
    rates: defaultdict[str, list[float]] = defaultdict(list)
    for number, block in enumerate(np.array_split(np.arange(len(order)), blocks)):
        chosen = order.iloc[block]
        for name in random.Random(number).sample(sorted(readers), len(readers)):
            with timed() as watch:
                scores[name].append(read_all(readers[name], chosen))
            rates[name].append(len(chosen) / watch.seconds)
            print(f"block {number + 1} {name}: {rates[name][-1]:.1f}/s", file=sys.stderr)
    return {name: pd.concat(parts) for name, parts in scores.items()}, dict(rates)


def read_all(student: Student, records: pd.DataFrame) -> pd.DataFrame:
    """Scores of all records, batch by batch."""
    return pd.concat([student.score(batch) for batch in batches(records, student.batch_size)])


def agreement(scores: pd.DataFrame, labels: pd.DataFrame) -> dict[tuple[str, str], np.ndarray]:
    """Teacher and student scores, (records, 2), per cell (source, slot)."""
    merged = labels.merge(scores, on="id")
    slots = [c.removesuffix("_mean") for c in scores if c.endswith("_mean")]
    return {
        (str(source), slot): frame[[slot, f"{slot}_mean"]].to_numpy(float)
        for source, frame in merged.groupby("source")
        for slot in slots
    }


def mean_rho(cells: dict[tuple[str, str], np.ndarray], rows: dict[str, np.ndarray]) -> float:
    """Mean Spearman correlation over cells, on the given rows of each source."""
    found = []
    for (source, _), pairs in cells.items():
        chosen = pairs[rows[source]]
        known = chosen[~np.isnan(chosen).any(axis=1)]
        if len(known) >= 5:
            found.append(spearman(known[:, 0], known[:, 1]).value)
    return float(np.nanmean(found)) if found else float("nan")


def compare_quality(
    scores: dict[str, pd.DataFrame], labels: pd.DataFrame, seed: int
) -> dict[str, Any]:
    """Mean Spearman of each readout, and their difference with a 95 % bootstrap interval."""
    cells = {name: agreement(frame, labels) for name, frame in scores.items()}
    sizes = {source: len(pairs) for (source, _), pairs in cells["expected"].items()}
    everything = {source: np.arange(n) for source, n in sizes.items()}
    rng = np.random.default_rng(seed)
    gains = []
    for _ in range(RESAMPLES):
        rows = {source: rng.integers(0, n, n) for source, n in sizes.items()}
        gains.append(mean_rho(cells["expected"], rows) - mean_rho(cells["sample"], rows))
    rhos = {name: mean_rho(found, everything) for name, found in cells.items()}
    return {
        "spearman": {name: round(rho, 4) for name, rho in rhos.items()},
        "gain": round(rhos["expected"] - rhos["sample"], 4),
        "gain_95": [round(float(q), 4) for q in np.quantile(gains, [0.025, 0.975])],
        "records": sum(sizes.values()),
        "cells": len(cells["expected"]),
        "unread_slots": {
            name: int(frame.filter(like="_mean").isna().to_numpy().sum())
            for name, frame in scores.items()
        },
    }


def selected_half(scores: pd.DataFrame, records: pd.DataFrame, cells: pd.DataFrame) -> set[str]:
    """Ids of the better half of the tokens of every source."""
    frame = records.merge(scores, on="id").sort_values("id", ignore_index=True)
    values, _ = record_scores(slot_means(frame), frame["source"].to_numpy(), cells, trim=0.1)
    frame = frame.assign(score=values)
    mask, _ = select(frame, int(frame["n_tokens"].sum() // 2), "source", seed=0)
    return set(frame.loc[mask, "id"])


def reproducibility(
    first: dict[str, pd.DataFrame], second: dict[str, pd.DataFrame], *what: pd.DataFrame
) -> dict[str, Any]:
    """Share of the selection that two runs of a readout have in common; are scores the same?"""
    found = {}
    for readout in READOUTS:
        a, b = (selected_half(scores[readout], *what) for scores in (first, second))
        tables = [
            scores[readout].sort_values("id").filter(regex="^s").to_csv()
            for scores in (first, second)
        ]
        found[readout] = {
            "shared": round(len(a & b) / max(1, len(a | b)), 4),
            "selected": len(a),
            "same_bytes": tables[0] == tables[1],
        }
    return found


def measure_group(
    arguments: argparse.Namespace, group: str, config: dict[str, Any]
) -> dict[str, Any]:
    """All measurements of one group."""
    scoring = {**config.get("scoring", {}), "engine": "transformers", "readout": "expected"}
    prompt = {key: config["distillation"][key] for key in PROMPT_KEYS}
    settings = readout_settings(scoring, prompt, config["seed"])
    records, labels = held_out(arguments.run, group, arguments.records)
    student = open_for(arguments.run, group, arguments.student, settings)
    read_all(student, records.head(student.batch_size))
    expected = student.reading("expected")
    readers = {"expected": expected, "sample": student.reading("sample")}
    scores, rates = read_in_turns(readers, records, arguments.blocks)
    again = {"expected": expected, "sample": student.reading("sample", seed=settings.seed + 1)}
    second, _ = read_in_turns(again, records, arguments.blocks)
    cells = pd.read_csv(arguments.run / "validation" / "cells.csv")
    kept = cells[cells["group"] == group]
    speeds = [e / s for e, s in zip(rates["expected"], rates["sample"], strict=True)]
    return {
        "records_per_s": {name: round(median(found), 2) for name, found in rates.items()},
        "times_as_fast": round(median(speeds), 2),
        "times_as_fast_blocks": [round(speed, 2) for speed in speeds],
        "quality": compare_quality(scores, labels, seed=0),
        "reproducibility": reproducibility(scores, second, records, kept),
    }


def main() -> None:
    """Measure every group and print the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, default=RESULTS / "demo")
    parser.add_argument("--config", type=Path, default=RESULTS.parent / "config" / "demo.yaml")
    parser.add_argument("--group", help="this group alone")
    parser.add_argument("--student", type=Path, help="another student's folder; needs --group")
    parser.add_argument("--records", type=int, default=10_000, help="per group, at most")
    parser.add_argument("--blocks", type=int, default=3)
    arguments = parser.parse_args()
    if arguments.student and not arguments.group:
        parser.error("--student needs --group")
    config = yaml.safe_load(arguments.config.read_text(encoding="utf-8"))
    names = sorted(path.stem for path in (arguments.run / "anchoring").glob("*.jsonl"))
    where = machine()
    groups = {
        name: measure_group(arguments, name, config)
        for name in names
        if arguments.group in (None, name)
    }
    speed = min(found["times_as_fast"] for found in groups.values())
    gain = float(np.mean([found["quality"]["gain"] for found in groups.values()]))
    same = all(found["reproducibility"]["expected"]["same_bytes"] for found in groups.values())
    report = {
        "bench": "scoring",
        "claim_holds": bool(speed >= CLAIMED_SPEED and gain >= CLAIMED_GAIN and same),
        "slowest_group_times_as_fast": speed,
        "mean_gain": round(gain, 4),
        "groups": groups,
        "student": str(arguments.student or "the run's own"),
        "machine": where,
        "versions": versions(["torch", "transformers"]),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
