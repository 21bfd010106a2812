"""The command line of scripts that score: a student, how it is read, where it goes on."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mira.scoring.devices import lease_devices
from mira.scoring.settings import readout_settings
from mira.scoring.student import Student, open_student


def add_student_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--settings`` (keys scoring, prompt, seed), ``--model`` and the rest."""
    parser.add_argument("--settings", type=json.loads, required=True)
    parser.add_argument("--group", required=True)
    for name in ("model", "anchors", "part", "log"):
        parser.add_argument(f"--{name}", type=Path, required=True)


@contextmanager
def open_named_student(
    arguments: argparse.Namespace, anchors: list[dict[str, Any]]
) -> Iterator[Student]:
    """The student of the command line, on GPUs of its own where there are any."""
    settings = readout_settings(**arguments.settings)
    scoring = settings.scoring
    with lease_devices(scoring.vllm.tensor_parallel if scoring.engine == "vllm" else 1):
        if scoring.engine == "transformers":
            _use_threads(scoring.threads)
        student = open_student(arguments.model, anchors, settings, arguments.group)
        try:
            yield student
        finally:
            student.engine.close()


def _use_threads(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)
