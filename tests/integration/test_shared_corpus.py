"""A user's own data: slices of the corpus beside the repository, read through the workflow."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pandas as pd
import pytest
from workflow_runs import SHARED_CORPUS, snakemake, write_config

SLICE = 30
FAMILIES = {"glaive_toolcall_en": "agent", "belle_zh_instruct": "qa", "exercism_unit_tests": "text"}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not SHARED_CORPUS.is_dir(), reason=f"the real corpus is not there: {SHARED_CORPUS}"
    ),
]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sampling and clustering of 30 records of each of three sources."""
    directory = tmp_path_factory.mktemp("own")
    for name in FAMILIES:
        with (SHARED_CORPUS / f"{name}.jsonl").open(encoding="utf-8") as rows:
            lines = itertools.islice(rows, SLICE)
            (directory / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    settings = {
        "run": "own",
        "sources": {n: {"family": f, "path": f"{n}.jsonl"} for n, f in FAMILIES.items()},
        "sampling": {
            "min_chars": 20,
            "discovery_per_source": 5,
            "labelling_per_source": 10,
            "tokenizer": {"vocab_size": 1000},
        },
        "clustering": {"k": 2, "records_per_source": 5},
        "teacher": {"kind": "embedded"},
    }
    config = write_config(directory / "own.yaml", settings)
    status, seen = snakemake(directory, config, "results/own/clustering/manifest.json")
    assert status == 0, seen
    return directory


def table(directory: Path, path: str) -> pd.DataFrame:
    return pd.read_parquet(directory / "results" / "own" / path)


def test_every_row_is_kept_or_rejected_with_its_line(directory: Path) -> None:
    rejected = table(directory, "sampling/rejected.parquet")
    for name in FAMILIES:
        kept = table(directory, f"sampling/corpus/{name}.parquet")
        assert len(kept) + (rejected["source"] == name).sum() == SLICE
        assert len(kept) > 0.9 * SLICE


def test_turns_and_tool_calls_are_in_the_rendered_text(directory: Path) -> None:
    for name, family in FAMILIES.items():
        kept = table(directory, f"sampling/corpus/{name}.parquet")
        assert (kept["family"] == family).all() and (kept["n_tokens"] > 0).all()
        whole = kept[~kept["meta"].fillna("").str.contains("truncated")].set_index("id")["text"]
        for line in (directory / f"{name}.jsonl").open(encoding="utf-8"):
            row = json.loads(line)
            for message in row.get("messages", []) if row["id"] in whole else []:
                words = (message.get("content") or "").split()
                assert set(words) <= set(whole[row["id"]].split())
                for call in message.get("tool_calls") or []:
                    assert f"<|tool_call|> {call['function']['name']}" in whole[row["id"]]


def test_samples_and_groups(directory: Path) -> None:
    for name in FAMILIES:
        kept = set(table(directory, f"sampling/corpus/{name}.parquet")["id"])
        discovery = table(directory, f"sampling/discovery/{name}.parquet")
        labelling = table(directory, f"sampling/labelling/{name}.parquet")
        assert (len(discovery), len(labelling)) == (5, 10)
        assert set(discovery["id"]) | set(labelling["id"]) <= kept
        assert not set(discovery["id"]) & set(labelling["id"])
    groups = pd.read_csv(directory / "results" / "own" / "clustering" / "groups.csv")
    assert set(groups["source"]) == set(FAMILIES) and set(groups["group"]) == {"g1", "g2"}
