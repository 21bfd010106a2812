"""A forecast as text for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mira.report.wording import ABSENT, count, duration, short_count

_HEADING = ("source", "records", "calls", "prompt tokens", "reply tokens", "money", "time")


def render_forecast(forecast: Mapping[str, Any]) -> str:
    """A table for each stage: its total, then its sources, with their intervals, and the notes."""
    parts = [_render_stage(name, stage) for name, stage in forecast["stages"].items()]
    notes = "\n".join(f"- {note}" for note in forecast["assumed"])
    currency = f"Intervals are of {forecast['level']:.0%}. Money is in {forecast['currency']}."
    return "\n\n".join([*parts, f"{currency}\n{notes}"])


def _render_stage(name: str, stage: Mapping[str, Any]) -> str:
    pilot = stage["pilot"]
    title = (
        f"{name}: {count(stage['n'])} records; pilot of {pilot['questions']} questions, "
        f"{pilot['calls']} calls ({pilot['paid_calls']} paid when it was made)"
    )
    lines = [_HEADING, _line("all", stage["total"])]
    for source, row in stage["sources"].items():
        lines.append(_line(source + (" *" if row["pooled"] else ""), row))
    table = _align(lines)
    pooled = "\n  * rates of a pool" if any(r["pooled"] for r in stage["sources"].values()) else ""
    return f"{title}\n{table}{pooled}"


def _line(name: str, row: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        name,
        count(row["n"]),
        _range(row["calls"], short_count),
        _range(row["prompt_tokens"], short_count),
        _range(row["completion_tokens"], short_count),
        _range(row["money"], money),
        _range(row["seconds"], duration),
    )


def _range(ends: Mapping[str, float] | None, write: Any) -> str:
    """The forecast with its interval, or what it is at most."""
    if ends is None:
        return ABSENT
    if ends["mid"] is None:
        return f"at most {write(ends['high'])}"
    if write(ends["low"]) == write(ends["high"]):
        return str(write(ends["mid"]))
    return f"{write(ends['mid'])} [{write(ends['low'])}, {write(ends['high'])}]"


def money(value: float) -> str:
    """Money with two decimals, small amounts with the digits that tell them apart."""
    return f"{value:,.2f}" if value >= 1 or value == 0 else f"{value:.2g}"


def _align(lines: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  "
        + "   ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
