"""How the report and the terminal summary write numbers and names."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

ABSENT = "–"

METHODS: dict[str, tuple[str, str]] = {
    "mira_source": ("MIRA per source", "the best records of each source, by MIRA's score"),
    "mira_group": ("MIRA per group", "the best records of each group, by MIRA's score"),
    "mira_global": ("MIRA overall", "the best records overall, by MIRA's score"),
    "ppl": ("Perplexity", "records a language model finds likely"),
    "dsir": ("DSIR", "importance resampling towards a target"),
    "dataman": ("DataMan", "one generic rubric for all sources"),
    "random": ("Random", "a seeded draw, per source"),
    "raw": ("Raw", "everything, as it comes"),
}


def is_number(value: Any) -> bool:
    """Whether ``value`` is a number that can be shown (NaN and None cannot)."""
    return isinstance(value, Real) and not math.isnan(value)


def count(value: Any) -> str:
    """An integer with thousands separators."""
    return f"{int(value):,}" if is_number(value) else ABSENT


def short_count(value: Any) -> str:
    """A count to three digits: ``812``, ``41.3 k``, ``1.28 M``."""
    if not is_number(value):
        return ABSENT
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= size:
            scale = 1e3 if unit == "k" else size
            return f"{value / scale:.3g} {unit}"
    return count(value)


def decimal(value: Any, digits: int = 2) -> str:
    """A number with a fixed count of decimals and a true minus sign."""
    return f"{value:.{digits}f}".replace("-", "−") if is_number(value) else ABSENT


def percent(value: Any, digits: int = 0) -> str:
    """A share between 0 and 1 as per cent."""
    return f"{100 * value:.{digits}f} %" if is_number(value) else ABSENT


def interval(low: Any, high: Any) -> str:
    """An interval in brackets, or nothing where it is unknown."""
    return f"[{decimal(low)}, {decimal(high)}]" if is_number(low) and is_number(high) else ""


def duration(seconds: Any) -> str:
    """Seconds as ``4.2 s``, ``3 min 05 s`` or ``2 h 10 min``."""
    if not is_number(seconds):
        return ABSENT
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def plural(number: int, singular: str, many: str | None = None) -> str:
    """``1 record``, ``2,000 records``."""
    return f"{count(number)} {singular if number == 1 else many or singular + 's'}"


def method_name(method: str) -> str:
    """A selection method's name for people."""
    return METHODS.get(method, (method, ""))[0]


def method_meaning(method: str) -> str:
    """One line on what a selection method keeps."""
    return METHODS.get(method, ("", ""))[1]


def method_order(method: str) -> tuple[int, str]:
    """Sort key: MIRA's methods first, then the baselines, unknown ones last."""
    names = list(METHODS)
    return (names.index(method) if method in names else len(names), method)


def is_mira(method: str) -> bool:
    """Whether a method ranks by MIRA's own score."""
    return method.startswith("mira_")


def humanise(name: str) -> str:
    """``score_against_length`` as ``Score against length``."""
    words = name.replace("_", " ").replace("-", " ").strip()
    return words[:1].upper() + words[1:]
