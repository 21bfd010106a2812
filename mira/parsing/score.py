"""Reading one score at a place in a plain line."""

from __future__ import annotations

from typing import NamedTuple

import regex as re

LABEL = r"(?:score|rating|评分|得分|分数|打分)\s*+[:=]?\s*+"
"""Pattern of a word that may stand right before a score."""

# A guard after "/10" keeps dates (8/10/2024), 8/10ths and 8/10.5 out.
_SCORE = re.compile(
    rf"(?P<label>{LABEL})?"
    r"(?P<sign>[-–]?)(?P<value>[0-9]{1,4}(?P<decimals>[.,][0-9]{1,6})?)(?!\d)"
    r"(?:\s*+(?P<by>/|out\s++of)\s*+(?P<of>[0-9]{1,4}(?:\.[0-9]{1,3})?)"
    r"(?![0-9A-Za-z_/%+~])(?![.,]\d))?"
    r"(?P<unit>\s*+(?:points?\b|分(?!\w)))?",
    re.IGNORECASE,
)
_END = re.compile(r"\s*+(?:$|[—:|;()]|[.,](?!\d)|[-–](?!\w))")
_NUMBER_AHEAD = re.compile(r"\W*+(?:(?:to|or|and|至|到|或者?|和)\W*+)?[0-9]", re.IGNORECASE)
_CHOICE = re.compile(
    r"\s*+(?:~|[-=]>|→|…|\.{2,}|(?:to|or|and)\b|至|到|或者?|和)\s*+", re.IGNORECASE
)
_TIGHT = re.compile(r"[-–][0-9]")
_LINK = re.compile(r"(?P<dash>\s*+[-–]\s*+|—(?=[0-9]))|\s*+[—,;:|(]?\s*+")
_NOTHING = re.compile(r"[\s.,;:|)]*+$")


class Score(NamedTuple):
    """A score that stands in a line, or what is wrong with it; ``end`` is where it ends."""

    value: float | None
    end: int
    problem: str | None = None
    repairs: tuple[str, ...] = ()


def find_score(line: str, place: int) -> Score | None:
    """The score that begins at ``place`` of a plain line, after a word such as "score", or None.

    A number counts as a score if it is out of ten or followed by a sign that ends it. It has no
    value if it is out of range, one of a range, or followed by another score.
    """
    match = _SCORE.match(line, place)
    if match is None:
        return None
    if _NUMBER_AHEAD.match(line, match.end()) and _has_second(line, match):
        return Score(None, match.end(), "score_range")
    if not _is_whole(line, match):
        return None
    value = float(match["value"].replace(",", "."))
    of_ten = match["of"] is None or float(match["of"]) == 10
    if match["sign"] or not of_ten or value > 10:
        return Score(None, match.end(), "out_of_range")
    return Score(value, match.end(), None, _repairs(match))


def find_whole_score(text: str) -> float | None:
    """The score that a plain text consists of, or None."""
    score = find_score(text, 0)
    return score.value if score and not text[score.end :].strip() else None


def ends_score(line: str, place: int) -> bool:
    """Whether what stands at ``place`` of a plain line can follow a complete score."""
    return _END.match(line, place) is not None


def _is_whole(line: str, match: re.Match[str]) -> bool:
    if match["by"] == "/":
        return True
    decimal_comma = match["of"] is None and not match["unit"] and "," in (match["decimals"] or "")
    return not decimal_comma and ends_score(line, match.end())


def _has_second(line: str, first: re.Match[str]) -> bool:
    """Whether another score follows as an alternative, not as the rationale's first number."""
    if _TIGHT.match(line, first.end()):
        return True
    choice = _CHOICE.match(line, first.end())
    link = choice or _LINK.match(line, first.end())
    second = _SCORE.match(line, link.end()) if link else None
    if link is None or second is None or _same(first, second):
        return False
    if choice or _NOTHING.match(line, second.end()):
        return True
    if first["of"] is None:
        spaced = link["dash"] is not None and _END.match(line, second.end()) is not None
        return spaced or second["of"] is not None
    return False


def _same(first: re.Match[str], second: re.Match[str]) -> bool:
    values = {float(match["value"].replace(",", ".")) for match in (first, second)}
    return len(values) == 1 and not second["sign"] and (second["of"] or "10") == "10"


def _repairs(match: re.Match[str]) -> tuple[str, ...]:
    label, _, value, decimals, by, of, unit = match.groups()
    repairs = []
    if label or unit:
        repairs.append("label")
    if of is None:
        repairs.append("bare_score")
    elif by != "/":
        repairs.append("out_of_words")
    elif match.end("of") - match.start("value") != len(value) + len(of) + 1:
        repairs.append("white_space")
    if decimals:
        repairs.append("decimal_comma" if "," in decimals else "decimal")
    return tuple(repairs)
