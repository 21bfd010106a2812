"""Running the real workflow from a test, in a directory of the test's own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
DEMO = ROOT / "config" / "demo.yaml"
SHARED_CORPUS = ROOT.parent / "shared" / "corpus"
OFFLINE = {
    "OMP_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "DS_ACCELERATOR": "cpu",
}
TRACEBACK = "Traceback (most recent call last)"


def environment() -> dict[str, str]:
    """The Makefile's environment, with this Python first on the search path."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return {**os.environ, **OFFLINE, "PATH": path}


def command(directory: Path, config: Path, *arguments: str) -> list[str]:
    """Targets and options stand before the options that take lists."""
    return [
        *(sys.executable, "-m", "snakemake", *arguments),
        *("--cores", "2", "--snakefile", str(ROOT / "Snakefile")),
        *("--directory", str(directory), "--configfile", str(config)),
    ]


def snakemake(
    directory: Path, config: Path, *arguments: str, timeout: float = 400
) -> tuple[int, str]:
    """Exit status, and all that a user sees."""
    done = subprocess.run(
        command(directory, config, *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(),
        timeout=timeout,
        check=False,
    )
    return done.returncode, done.stdout


def write_config(path: Path, settings: dict) -> Path:
    path.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    return path
