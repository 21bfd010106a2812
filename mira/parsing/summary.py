"""Reading the four summary lines: overall, recommendation, domain tag and brief."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import regex as re

from mira.parsing.plain import plain, without_markup, without_zero_width
from mira.parsing.result import RECOMMENDATIONS

KEYS = {
    "overall": "overall",
    "training_recommendation": "recommendation",
    "domain_tag": "domain_tag",
    "brief": "brief",
}
"""Names of the summary lines, in the order asked for, and of what they hold."""

_LINE = re.compile(
    r"[\s#|_•·+-]*+(?:[0-9]{1,3}[.)]\s++)?"
    r"(?:(?P<overall>overall(?:[ _]score)?|总体?评?分|总体|总评|综合(?:评分|得分)|整体(?:评分)?)"
    r"|(?P<recommendation>(?:training[ _])?recommendation|(?:训练)?建议)"
    r"|(?P<domain_tag>domain[ _]tag|领域(?:标签)?)"
    r"|(?P<brief>brief(?:[ _]summary)?|简介|摘要|概述|总结))"
    r"\s*+_*+\s*+(?:[:=|—–]|-(?=\s))\s*+",
    re.IGNORECASE,
)
_PLACEHOLDER = re.compile(r"<[^<>]{1,60}>")
_OVERALL = re.compile(
    r"(?P<value>[0-9]{1,3}(?:\.[0-9]{1,3})?)(?!\d)"
    r"(?P<of>\s*+(?:(?:/|out\s++of)\s*+100(?![0-9./])|%))?(?:\s*+(?:points?\b|分(?!\w)))?"
    r"(?!\s*+(?:[-–—~,;]|to\b|or\b|至|到|或)\s*+[0-9])"
    r"(?:$|\s*+(?:$|[—|:;()]|[.,](?!\d)|[-–](?!\w)))",
    re.IGNORECASE,
)
_WORDS = re.compile(r"[a-z']+|保留|降采样|下采样|丢弃|删除|舍弃|不")
_RECOMMENDED = {
    **{word: word for word in RECOMMENDATIONS},
    **{"保留": "keep", "降采样": "downsample", "下采样": "downsample"},
    **dict.fromkeys(("丢弃", "删除", "舍弃"), "drop"),
}
_NEGATIONS = {"not", "no", "never", "don't", "不"}


@dataclass(frozen=True)
class SummaryLine:
    """The value of one summary line as written, and whether it has the form asked for."""

    key: str
    value: str
    as_asked: bool

    @property
    def unfilled(self) -> bool:
        """Whether this is the template's line, repeated without being filled in."""
        return _PLACEHOLDER.fullmatch(self.value) is not None


def read_summary_line(line: str) -> SummaryLine | None:
    """The summary line that this line is, or None."""
    name, colon, value = line.partition(": ")
    if colon and name in KEYS:
        key, value = KEYS[name], value.strip()
        return SummaryLine(key, value, _is_as_asked(key, value))
    clean, _ = without_zero_width(line)
    match = _LINE.match(plain(clean))
    if match is None or match.lastgroup is None:
        return None
    value = without_markup(clean[match.end() :].strip(" \t|_"))
    return SummaryLine(match.lastgroup, value, as_asked=False)


def settle_summaries(lines: Mapping[str, list[str]], problems: list[str]) -> dict[str, Any]:
    """The value of every summary, None where it is missing, unreadable or contradicted.

    ``lines`` has the written values by key; what stays empty is added to ``problems``.
    """
    settled: dict[str, Any] = {}
    for key, read in _READERS.items():
        written = lines.get(key, ())
        values = {read(value) for value in written} - {None}
        settled[key] = values.pop() if len(values) == 1 else None
        if len(values) > 1:
            problems.append(f"{key} has {len(values)} different values")
        elif settled[key] is None:
            problems.append(f"{key} is {'unreadable' if written else 'missing'}")
    return settled


def _is_as_asked(key: str, value: str) -> bool:
    if key == "overall":
        return value.isdecimal() and value.isascii()
    return value in RECOMMENDATIONS if key == "recommendation" else True


def _read_overall(value: str) -> float | None:
    match = _OVERALL.match(plain(value).strip())
    number = float(match["value"]) if match else -1.0
    return number if 0 <= number <= 100 else None


def _read_recommendation(value: str) -> str | None:
    words = set(_WORDS.findall(value.casefold()))
    if words & _NEGATIONS:
        return None
    said = {_RECOMMENDED[word] for word in words if word in _RECOMMENDED}
    return said.pop() if len(said) == 1 else None


def _read_text(value: str) -> str | None:
    return value or None


_READERS: dict[str, Callable[[str], Any]] = {
    "overall": _read_overall,
    "recommendation": _read_recommendation,
    "domain_tag": _read_text,
    "brief": _read_text,
}
