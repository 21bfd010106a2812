"""The quiet run that all smoke tests look at, and one that was killed again and again."""

from __future__ import annotations

from pathlib import Path

import pytest
from killed_runs import finish_after_kills
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


@pytest.fixture(scope="session")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of a run that was killed again and again."""
    return finish_after_kills(tmp_path_factory.mktemp("interrupted"))
