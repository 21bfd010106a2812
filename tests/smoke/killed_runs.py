"""Runs of the smoke workflow that are killed with SIGKILL at chosen moments."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from smoke_run import CONFIG, expand
from workflow_runs import command, environment, snakemake

from mira.teacher.journal.segment import iter_frames

POLL_S = 0.005
LIMIT_S = 240
TARGETS = [
    *expand("results/smoke/selection/{method}.parquet"),
    "results/smoke/labelling/cost.json",
]


def journal_keys(results: Path) -> list[str]:
    """Key of every stored reply; a frame torn by a kill holds none."""
    keys = []
    for segment in (results.parent / "journal").glob("[!.]*.jsonl.zst"):
        with segment.open("rb") as handle:
            for frame in iter_frames(handle, 0):
                stored = [json.loads(line) for line in frame.lines or ()]
                keys += [line["key"] for line in stored if "text" in line]
    return keys


def some_replies(results: Path) -> bool:
    return len(journal_keys(results)) >= 5


def student_has_a_checkpoint(results: Path) -> bool:
    return any(results.glob("distillation/g*/resume/**/checkpoint-*/trainer_state.json"))


def some_records_scored(results: Path) -> bool:
    return any(part.stat().st_size for part in results.glob("scoring/resume/g*/*.jsonl"))


def kill_all(process: subprocess.Popen) -> None:
    """SIGKILL to the process group and to whatever its members have started."""
    family = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGKILL)
    for child in family:
        if child.is_running():
            child.kill()
    process.wait()
    psutil.wait_procs(family, timeout=10)


def run_until_killed(directory: Path, moment: Callable[[Path], bool]) -> None:
    results = directory / "results" / "smoke"
    with (directory / "killed.txt").open("ab") as output:
        process = subprocess.Popen(
            command(directory, CONFIG, *TARGETS, "--rerun-incomplete"),
            stdout=output,
            stderr=output,
            env=environment(),
            start_new_session=True,
        )
    end = time.monotonic() + LIMIT_S
    while not moment(results):
        seen = (directory / "killed.txt").read_text(encoding="utf-8")
        assert process.poll() is None, f"the run ended before {moment.__name__}:\n{seen}"
        assert time.monotonic() < end, f"{moment.__name__} never came:\n{seen}"
        time.sleep(POLL_S)
    kill_all(process)
    assert snakemake(directory, CONFIG, "--unlock")[0] == 0


def finish_after_kills(directory: Path) -> Path:
    """Results of a run that was killed three times."""
    for moment in (some_replies, student_has_a_checkpoint, some_records_scored):
        run_until_killed(directory, moment)
    status, seen = snakemake(directory, CONFIG, *TARGETS, "--rerun-incomplete")
    assert status == 0, seen
    return directory / "results" / "smoke"
