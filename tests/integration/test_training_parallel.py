"""Training in two processes: the same as in one, under every option, and after a kill.

All jobs run in two launches of ``torchrun``, on gloo: starting is what takes the time.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_models import save_dense, save_hybrid

from mira.distillation.model import load_student

WORKER = Path(__file__).parents[1] / "training_worker.py"
HALF = {"epochs": 0.5}
# Two batches of one in two processes, or one of four, are the same step.
JOBS = {
    "ddp": {"batch_size": 1, "gradient_accumulation": 2, **HALF},
    "checkpointing": {"batch_size": 2, "gradient_checkpointing": True, **HALF},
    "zero2": {"batch_size": 2, "deepspeed": "zero2", **HALF},
    "zero3": {
        "batch_size": 1,
        "gradient_accumulation": 2,
        "gradient_checkpointing": True,
        "deepspeed": "zero3",
        **HALF,
    },
}
PACKED = {"batch_size": 1, "packed_tokens": 64, "score_loss_weight": 1.0}
MOE = {"batch_size": 1, "deepspeed": "zero3", "epochs": 0.5}
# Float noise of sums taken in another order, over some steps of training.
NOISE = 1e-4


def torchrun(jobs: list[dict]) -> subprocess.CompletedProcess:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command = [*launcher, "--nproc_per_node", "2", str(WORKER), json.dumps(jobs)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two launches have left: the second takes up what the first was killed in."""
    root = tmp_path_factory.mktemp("parallel")
    dense, hybrid = (str(root / name) for name in ("dense", "hybrid"))
    save_dense(Path(dense))
    save_hybrid(Path(hybrid))

    def job(name: str, base: str, settings: dict, **more: int) -> dict:
        return {"base": base, "out": str(root / name), "settings": settings, **more}

    first = [job(name, dense, settings) for name, settings in JOBS.items()]
    first += [
        job("packed", dense, PACKED),
        job("packed-zero3", dense, PACKED | {"deepspeed": "zero3"}),
        job("zero2-resumed", dense, JOBS["zero2"], stop_at=5),
        job("zero2-resumed", dense, JOBS["zero2"]),
        job("moe", hybrid, MOE),
        job("moe-resumed", hybrid, MOE, die_at=8),
    ]
    killed = torchrun(first)
    assert (root / "moe/state.json").exists(), killed.stderr[-3000:]
    assert killed.returncode != 0
    assert list((root / "moe-resumed/resume").glob("*/checkpoint-6/whole.json"))
    assert not (root / "moe-resumed/model").exists()
    done = torchrun([job("moe-resumed", hybrid, MOE)])
    assert done.returncode == 0, done.stderr[-3000:]
    return root


def losses(folder: Path) -> list[tuple[int, float]]:
    history = json.loads((folder / "state.json").read_text())["log_history"]
    return [(entry["step"], entry["loss"]) for entry in history if "loss" in entry]


def assert_same(first: Path, second: Path) -> None:
    steps, values = zip(*losses(first), strict=True)
    other_steps, other_values = zip(*losses(second), strict=True)
    assert steps == other_steps
    assert values == pytest.approx(other_values, abs=NOISE)
    weights, others = (load_file(f / "model/model.safetensors") for f in (first, second))
    assert weights.keys() == others.keys()
    for name, weight in weights.items():
        torch.testing.assert_close(weight, others[name], rtol=0, atol=10 * NOISE)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in JOBS if name != "ddp"])
def test_every_way_of_sharing_the_work_learns_the_same(folder: Path, name: str):
    assert len(losses(folder / "ddp")) > 2
    assert_same(folder / "ddp", folder / name)


@pytest.mark.slow
def test_packing_and_score_loss_under_zero3_are_those_without(folder: Path):
    assert_same(folder / "packed", folder / "packed-zero3")


@pytest.mark.slow
def test_stopped_zero2_training_resumes_to_the_same_model(folder: Path):
    assert_same(folder / "zero2", folder / "zero2-resumed")
    assert "resuming from checkpoint-3" in (folder / "zero2-resumed/train.0.log").read_text()


@pytest.mark.slow
def test_killed_zero3_training_of_a_qwen_moe_resumes_to_the_same_model(folder: Path):
    assert_same(folder / "moe", folder / "moe-resumed")
    assert "resuming from checkpoint-6" in (folder / "moe-resumed/train.0.log").read_text()
    assert not (folder / "moe-resumed/resume").exists()


@pytest.mark.slow
def test_a_model_trained_under_zero3_loads_whole(folder: Path):
    model, _ = load_student(str(folder / "moe/model"), "float32")
    assert model.config.model_type == "qwen3_5_moe_text"
    state = json.loads((folder / "moe/state.json").read_text())
    assert state["parameters"] == sum(p.numel() for p in model.parameters())
