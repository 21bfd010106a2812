"""Scoring as the rule runs it: killed at any moment, by either engine, with damaged models."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from small_students import ANCHORS, make_student, records
from vllm_server import PYTHON, environment, needs_vllm

from mira.config import Scoring
from mira.distillation.model import load_tokenizer
from mira.io import write_csv, write_jsonl, write_parquet

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
RECORDS = 160


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scoring")
    make_student(folder)
    frame = records(RECORDS)
    write_parquet(frame, folder / "web.parquet")
    write_jsonl(ANCHORS, folder / "anchors.jsonl")
    write_csv(pd.DataFrame({"source": ["web"], "group": ["g1"]}), folder / "groups.csv")
    return folder


def command(inputs: Path, out: Path, model: Path | None = None, **scoring: object) -> list[str]:
    settings = {
        "scoring": Scoring(
            readout="expected", dtype="float32", batch_size=4, **scoring
        ).model_dump(),
        "prompt": {"prompt": "compact", "max_record_tokens": 64},
        "seed": 1,
    }
    return [
        *(sys.executable, str(ROOT / "scripts" / "score_shard.py")),
        *("--settings", json.dumps(settings), "--group", "g1", "--shard", "0"),
        *("--model", str(model or inputs / "model"), "--anchors", str(inputs / "anchors.jsonl")),
        *("--groups", str(inputs / "groups.csv"), "--corpus", str(inputs / "web.parquet")),
        *("--part", str(out / "part.jsonl"), "--scores", str(out / "scores.parquet")),
        *("--counters", str(out / "counters.json"), "--log", str(out / "score.log")),
    ]


def test_killed_scoring_ends_with_the_same_bytes(inputs: Path, tmp_path: Path):
    quiet, killed = tmp_path / "quiet", tmp_path / "killed"
    subprocess.run(command(inputs, quiet), check=True, capture_output=True)
    written = [0]
    for _ in range(3):
        kill_once_more_is_written(command(inputs, killed), killed, written)
    assert len(written) == 4 and sorted(written) == written, written
    subprocess.run(command(inputs, killed), check=True, capture_output=True)
    assert (killed / "scores.parquet").read_bytes() == (quiet / "scores.parquet").read_bytes()
    assert len(pd.read_parquet(killed / "scores.parquet")) == RECORDS
    left = {path.name for path in killed.iterdir()}
    assert left == {"scores.parquet", "counters.json", "score.log"}


def kill_once_more_is_written(arguments: list[str], out: Path, written: list[int]) -> None:
    """Start, wait until the part file has grown, kill; no final file may stand meanwhile."""
    part = out / "part.jsonl"
    with subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
        deadline = time.monotonic() + 120
        while not (part.exists() and part.stat().st_size > written[-1]):
            assert run.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.001)
        run.send_signal(signal.SIGKILL)
    written.append(part.stat().st_size)
    assert not (out / "scores.parquet").exists()


@pytest.mark.parametrize("damage", ["weights", "config", "tokenizer"])
def test_a_damaged_model_folder_is_a_clear_error(inputs: Path, tmp_path: Path, damage: str):
    model = tmp_path / "model"
    subprocess.run(["cp", "-r", str(inputs / "model"), str(model)], check=True)
    if damage == "weights":
        weights = model / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-1000])
    elif damage == "config":
        (model / "config.json").write_text('{"model_type": "qwen3", ')
    else:
        tokenizer = load_tokenizer(str(model))
        tokenizer.add_tokens([f"<other {i}>" for i in range(9)])
        tokenizer.save_pretrained(model)
    done = subprocess.run(command(inputs, tmp_path, model), capture_output=True, text=True)
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    assert str(model) in done.stderr
    assert not (tmp_path / "scores.parquet").exists()


def test_vllm_scores_the_shard_alike(inputs: Path, tmp_path: Path):
    needs_vllm()
    tables = {}
    for engine, python in (("transformers", sys.executable), ("vllm", str(PYTHON))):
        out = tmp_path / engine
        arguments = [python, *command(inputs, out, engine=engine)[1:]]
        subprocess.run(arguments, check=True, capture_output=True, env=environment())
        tables[engine] = pd.read_parquet(out / "scores.parquet")
    ours, vllms = tables["transformers"], tables["vllm"]
    assert ours["prompt_hash"].tolist() == vllms["prompt_hash"].tolist()
    assert set(vllms["engine"]) == {"vllm"} and set(vllms["readout"]) == {"expected"}
    means = [f"s{i}_mean" for i in range(1, 6)]
    # Endings of a "1" that has less than 0.001 of the probability are not asked by vLLM.
    assert (ours[means] - vllms[means]).abs().max(axis=None) < 0.005
