"""The environment in which the alternatives run: bench/.venv, made when it is first needed."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

from measure import BENCH

REQUIREMENTS = BENCH / "requirements.txt"
FOLDER = BENCH / ".venv"
PYTHON = FOLDER / "bin" / "python"
READY = FOLDER / ".ready"


def python_with(package: str) -> str:
    """An interpreter that has the package at the version in ``requirements.txt``: this one, or
    that of bench/.venv, which is made if need be.

    Raises RuntimeError with the end of pip's output when it cannot be made.
    """
    return sys.executable if _is_here(package) else str(_make_environment())


def is_at_hand(package: str) -> bool:
    """Whether ``python_with`` has nothing to install."""
    return _is_here(package) or _is_ready()


def _is_here(package: str) -> bool:
    try:
        return f"{package}=={metadata.version(package)}" in REQUIREMENTS.read_text().splitlines()
    except metadata.PackageNotFoundError:
        return False


def _is_ready() -> bool:
    return READY.exists() and READY.read_text() == REQUIREMENTS.read_text()


def _make_environment() -> Path:
    if not _is_ready():
        print(f"making {FOLDER.relative_to(BENCH.parent)} (once)", file=sys.stderr)
        _run([sys.executable, "-m", "venv", "--clear", str(FOLDER)])
        _run([str(PYTHON), "-m", "pip", "install", "--quiet", "-r", str(REQUIREMENTS)])
        READY.write_text(REQUIREMENTS.read_text())
    return PYTHON


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:4])} failed:\n{done.stderr[-1_000:]}")
