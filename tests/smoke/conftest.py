"""The one quiet run that all smoke tests look at."""

from __future__ import annotations

from pathlib import Path

import pytest
from smoke_run import CONFIG
from workflow_runs import TRACEBACK, snakemake


@pytest.fixture(scope="session")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Working directory of the finished run."""
    directory = tmp_path_factory.mktemp("smoke")
    status, seen = snakemake(directory, CONFIG, "--show-failed-logs")
    assert status == 0, seen
    assert TRACEBACK not in seen
    return directory


@pytest.fixture(scope="session")
def results(directory: Path) -> Path:
    return directory / "results" / "smoke"
