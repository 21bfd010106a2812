"""What the teacher was forecast to take, beside what it took."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mira.report.wording import ABSENT, count, decimal, humanise

_VERDICTS = {True: "inside", False: "outside", None: ABSENT}


def forecast_lines(forecast: Mapping[str, Any]) -> list[dict[str, str]]:
    """Rows of section ``forecast`` of ``labelling/cost.json``: one per stage and quantity."""
    return [
        {
            "stage": humanise(stage),
            "quantity": humanise(name),
            "forecast": _write(name, ends["mid"]),
            "interval": f"{_write(name, ends['low'])} – {_write(name, ends['high'])}",
            "actual": _write(name, ends["actual"]),
            "verdict": _VERDICTS[ends["inside"]],
        }
        for stage, compared in forecast.items()
        for name, ends in compared.items()
        if name != "records"
    ]


def _write(name: str, value: float | None) -> str:
    if name == "money":
        return decimal(value, 4 if value is not None and abs(value) < 1 else 2)
    return count(value)
