"""Whether a run's cap leaves room for what is forecast."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mira.config import Config
from mira.forecast.compare import actual_totals
from mira.io import read_json

CAPPED = ("money", "tokens")


def say_cap(config: Config, run: Path, forecast: Mapping[str, Any]) -> str:
    """Whether the upper ends fit under ``teacher.cap``, together with what discovery has taken.

    If not, about how many records of labelling the cap would pay for.
    """
    stages = dict(forecast["stages"])
    before = _discovery(run, config.group_names()) if "discovery" not in stages else {}
    lines = []
    for name in CAPPED:
        limit = getattr(config.teacher.cap, name)
        if limit is None:
            continue
        lines.append(_say_limit(name, limit, stages, before.get(name, 0.0)))
    return "\n".join(lines) or "teacher.cap sets no limit."


def _discovery(run: Path, groups: list[str]) -> dict[str, float]:
    """What discovery took, from its bills; nothing where it has not finished."""
    paths = [run / "discovery" / "cost" / f"{group}.json" for group in groups]
    if not all(path.exists() for path in paths):
        return {}
    return actual_totals(read_json(path) for path in paths)


def _say_limit(name: str, limit: float, stages: Mapping[str, Any], before: float) -> str:
    high = before + sum(stage["total"][name]["high"] for stage in stages.values())
    found = f"teacher.cap.{name} {limit:,g}: the upper end of the forecast, {high:,.6g},"
    if high <= limit:
        return f"{found} fits under it."
    *earlier, (last, stage) = stages.items()
    room = limit - before - sum(_expected(stage["total"][name]) for _, stage in earlier)
    expected = _expected(stage["total"][name])
    share = min(max(room / expected, 0.0), 1.0) if expected else 1.0
    return (
        f"{found} does not fit under it. It pays for about {math.floor(share * stage['n']):,} of "
        f"{stage['n']:,} records of {last}."
    )


def _expected(ends: Mapping[str, float | None]) -> float:
    """What is forecast; the most where nothing is."""
    expected = ends["high"] if ends["mid"] is None else ends["mid"]
    assert expected is not None
    return expected
