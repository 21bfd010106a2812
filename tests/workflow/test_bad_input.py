"""A user's mistakes, through the real command line: a message, and no traceback."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from workflow_runs import TRACEBACK, snakemake, write_config

from mira.errors import UserError
from mira.validation import check_groups

MANIFEST = "results/own/sampling/manifest.json"
SENTENCE = "The second half of the ledger was copied by hand before the flood. "


def write_rows(path: Path, n: int = 30) -> list[str]:
    """Rows of one source, good ones; the lines are returned too."""
    rows = [{"id": f"{path.stem}-{i}", "text": f"Entry {i}. {SENTENCE * 3}"} for i in range(n)]
    lines = [json.dumps(row) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return lines


@pytest.fixture
def own(tmp_path: Path) -> dict:
    """Settings of a good run on two sources of 30 records."""
    write_rows(tmp_path / "ledgers.jsonl")
    write_rows(tmp_path / "answers.jsonl")
    return {
        "run": "own",
        "sources": {
            "ledgers": {"family": "text", "path": "ledgers.jsonl"},
            "answers": {"family": "qa", "path": "answers.jsonl"},
        },
        "sampling": {"tokenizer": {"vocab_size": 300}},
        "clustering": {"k": 2},
        "teacher": {"kind": "embedded"},
    }


def refused(directory: Path, settings: dict, target: str = MANIFEST) -> str:
    """What the user reads of a run that must fail."""
    status, seen = snakemake(directory, write_config(directory / "own.yaml", settings), target)
    assert status != 0, seen
    assert TRACEBACK not in seen, seen
    assert "rule_expression" not in seen, seen
    assert not (directory / target).exists()
    return seen


def one_line(text: str, *words: str) -> str:
    """The line that holds all the words."""
    found = [line for line in text.splitlines() if all(word in line for word in words)]
    assert found, f"no line with {words} in:\n{text}"
    return found[0]


@pytest.mark.slow
def test_broken_jsonl_lines_above_the_allowed_share(tmp_path: Path, own: dict) -> None:
    lines = write_rows(tmp_path / "answers.jsonl")
    lines[6:9] = ['{"id": "half", "text": "no end', "not json at all", "[1, 2]"]
    (tmp_path / "answers.jsonl").write_text("\n".join(lines), encoding="utf-8")
    target = "results/own/sampling/rejected/answers.parquet"
    seen = refused(tmp_path, own, target)
    assert one_line(seen, "answers.jsonl", "7")
    assert "sampling.max_rejected_share" in seen


@pytest.mark.slow
def test_wrong_field_name(tmp_path: Path, own: dict) -> None:
    own["sources"]["answers"]["fields"] = {"text": "body"}
    seen = refused(tmp_path, own, "results/own/sampling/rejected/answers.parquet")
    assert one_line(seen, "answers.jsonl", "no row has the mapped field")
    assert one_line(seen, "sources.answers.fields.text", "'body'")
    assert one_line(seen, "Fields present: id, text", "Correct the field map")


@pytest.mark.slow
def test_budget_larger_than_the_corpus(tmp_path: Path, own: dict) -> None:
    own["selection"] = {"budget_share": None, "budget_tokens": 10**9}
    seen = refused(tmp_path, own)
    assert one_line(seen, "selection.budget_tokens", "1,000,000,000", "set it between")


def test_missing_file(tmp_path: Path, own: dict) -> None:
    own["sources"]["answers"]["path"] = "answers_v2.jsonl"
    seen = refused(tmp_path, own)
    assert one_line(seen, "answers_v2.jsonl", "sources.answers.path", "Correct the path")


def test_unknown_config_key(tmp_path: Path, own: dict) -> None:
    own["sampling"]["max_record_per_source"] = 10
    seen = refused(tmp_path, own)
    assert one_line(seen, "own.yaml")
    assert one_line(seen, "sampling.max_record_per_source", "did you mean")


def test_more_groups_than_sources(tmp_path: Path, own: dict) -> None:
    own["clustering"]["k"] = 3
    seen = refused(tmp_path, own)
    assert one_line(seen, "clustering.k", "3 groups", "only 2", "lower clustering.k")


def test_no_settings_at_all(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("{}\n", encoding="utf-8")
    status, seen = snakemake(tmp_path, tmp_path / "own.yaml", "-n")
    assert status != 0
    assert TRACEBACK not in seen
    assert one_line(seen, "--profile demo", "config/own-data.yaml")


def test_group_without_a_kept_slot() -> None:
    cells = pd.DataFrame(
        {
            "source": ["ledgers", "ledgers", "answers"],
            "group": ["g1", "g1", "g2"],
            "slot": ["A1", "A2", "A1"],
            "n": [30, 30, 30],
            "mae": [2.5, 1.75, 0.4],
            "keep": [False, False, True],
        }
    )
    with pytest.raises(UserError) as raised:
        check_groups(cells, 1.0)
    message = str(raised.value)
    assert "'g1'" in message and "'g2'" not in message
    assert "1.75 (A2 of source 'ledgers'" in message
    assert "validation.max_mae" in message and "distillation.epochs" in message
    check_groups(cells[cells["group"] == "g2"], 1.0)
