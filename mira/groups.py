"""Group membership: which sources, and so which records, belong to a group."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from mira.io import read_parquets


def sources_of_group(group: str, groups: pd.DataFrame) -> list[str]:
    """The group's sources in order of name; ``groups`` is ``clustering/groups.csv``."""
    return sorted(groups.loc[groups["group"] == group, "source"])


def group_by_source(groups: pd.DataFrame) -> dict[str, str]:
    """Group of every source."""
    return dict(zip(groups["source"], groups["group"], strict=True))


def records_of_group(
    group: str, groups_csv: str | Path, tables: Iterable[str], columns: list[str] | None = None
) -> pd.DataFrame:
    """The records of a group's sources, from tables named ``{source}.parquet``."""
    members = set(sources_of_group(group, pd.read_csv(groups_csv)))
    return read_parquets([path for path in tables if Path(path).stem in members], columns)
