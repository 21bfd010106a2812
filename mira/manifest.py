"""The manifest beside each stage's output: what went in, with which settings, what came out."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from mira import __version__
from mira.io import sha256, write_json

PACKAGES = (
    "numpy",
    "pandas",
    "scikit-learn",
    "scipy",
    "torch",
    "transformers",
    "sentence-transformers",
    "snakemake",
)


@cache
def code_version() -> str:
    """mira's version with the git commit it runs from, where there is one."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        commit = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return __version__
    return f"{__version__}+{commit}"


def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide results."""
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def write_manifest(
    path: str | Path,
    *,
    stage: str,
    inputs: Iterable[str | Path],
    settings: Mapping[str, Any],
    seed: int | None,
    counts: Mapping[str, Any],
    seconds: float,
    outputs: Iterable[str | Path] = (),
) -> None:
    """Write a stage's manifest as JSON.

    ``inputs`` and ``outputs`` are checksummed; ``counts`` is whatever the stage counted;
    ``seconds`` is wall time. The file is evidence, never an input that decides results (ours).
    """
    write_json(
        {
            "stage": stage,
            "inputs": {str(p): sha256(p) for p in inputs},
            "outputs": {str(p): sha256(p) for p in outputs},
            "settings": dict(settings),
            "seed": seed,
            "counts": dict(counts),
            "seconds": round(seconds, 3),
            "code_version": code_version(),
            "packages": package_versions(),
        },
        path,
    )
