"""Trains tiny students one after the other: one process of those that the training tests start.

python tests/training_worker.py '[{"base": DIR, "out": DIR, "settings": {...}, "die_at": 9}, ...]'

``die_at`` kills the process at that forward pass, as a scheduler would: without a word.
``stop_at`` ends the job there instead, and the next one begins.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mira.distillation.model import check_pair, load_model, load_tokenizer
from mira.distillation.score_loss import ScoreLoss
from mira.distillation.training import TrainingSettings, train
from mira.logs import logged

DEFAULTS = {
    "learning_rate": 1e-2,
    "batch_size": 2,
    "warmup_share": 0.1,
    "weight_decay": 0.01,
    "precision": "float32",
    "save_steps": 3,
    "seed": 0,
    "epochs": 1.0,
}


def examples(count: int = 40) -> list[dict]:
    """Random texts of 8 to 30 tokens, labelled from the fourth on, with a score near the end."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(count):
        ids = rng.integers(20, 90, rng.integers(8, 30))
        score = int(rng.integers(0, 10))
        ids[-3] = score
        labels = np.where(np.arange(len(ids)) < 4, -100, ids)
        scores = [(len(ids) - 3, score)]
        found.append({"input_ids": ids, "labels": labels, "length": len(ids), "scores": scores})
    return found


class Stopped(Exception):
    """The end of a job that was to be stopped."""


def run_job(
    base: str, out: Path, settings: dict, die_at: int | None = None, stop_at: int | None = None
) -> None:
    """One training run with ``settings`` over the defaults."""
    overrides = dict(settings)
    weight = overrides.pop("score_loss_weight", 0.0)
    score_loss = ScoreLoss(weight, (*range(10), 11), None, (12,), 5.5) if weight else None

    tokenizer = load_tokenizer(base)

    def load() -> Any:
        model = load_model(base, "float32")
        check_pair(model, tokenizer, base)
        model.register_forward_pre_hook(_ending(die_at, stop_at))
        return model

    train(
        load,
        tokenizer,
        examples(),
        TrainingSettings(**DEFAULTS | overrides),
        model_dir=out / "model",
        state_path=out / "state.json",
        resume_dir=out / "resume",
        score_loss=score_loss,
    )


def _ending(die_at: int | None, stop_at: int | None) -> Callable[..., None]:
    passes = count(1)

    def end_in_time(*_: Any) -> None:
        number = next(passes)
        if number == die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if number == stop_at:
            raise Stopped

    return end_in_time


if __name__ == "__main__":
    torch.set_num_threads(1)
    for job in json.loads(sys.argv[1]):
        folder = Path(job.pop("out"))
        log = folder / f"train.{os.environ.get('RANK', 0)}.log"
        with logged(log), suppress(Stopped):
            run_job(out=folder, **job)
