"""Fixtures shared by unit and integration tests, and the order of all tests."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from synthetic_run import SETTINGS, build_run


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Quick tests first, the whole workflow last."""
    items.sort(key=lambda item: [bool(item.get_closest_marker(m)) for m in ("smoke", "slow")])


@pytest.fixture(scope="session")
def _pristine_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pristine")
    build_run(root)
    return root


@pytest.fixture
def synthetic_run(_pristine_run: Path, tmp_path: Path) -> Path:
    """A small finished run of one's own: 3 groups, 6 sources, 15 slots, 60 records."""
    shutil.copytree(_pristine_run, tmp_path, dirs_exist_ok=True)
    return tmp_path / "results" / "demo"


@pytest.fixture
def synthetic_settings() -> dict:
    return SETTINGS
