"""Reading a free-form reply: a JSON object of judgment points."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import regex as re

from mira.parsing.plain import plain
from mira.parsing.result import USABLE_SHARE, PointsReply, Status, in_order
from mira.parsing.score import find_whole_score
from mira.parsing.unsaid import find_answer
from mira.prompts import well_formed

Point = dict[str, Any]

# A string ends at its quote or its line: an odd quote in prose costs one line, not the reply.
_TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*+"?|[{}]')


def parse_points(reply: str, n: int, *, record: str = "") -> PointsReply:
    """Read a free-form reply that should hold ``n`` judgment points.

    ``strict``: exactly the JSON object asked for, every point valid. ``repaired``: extra text,
    code fence, bare list, trailing commas, cut end, invalid or missing points; ``repairs`` says
    which. ``failed``: fewer than half of the points, or, where the object is not alone, more than
    asked for: there may be two answers. A dimension with two different scores is left out.
    ``record`` is the text that was shown: points that stand in it are not taken. Never raises,
    and takes time linear in the length of the reply.
    """
    repairs: set[str] = set()
    problems: list[str] = []
    found = _read_json(reply.strip(), record)
    if found is None:
        text, repairs = find_answer(reply, record)
        repairs.add("not_alone")
        problems.append("not the JSON object alone")
        found = _read_json(text[text.find("{") : text.rfind("}") + 1], record)
        if found is None:
            found = list(_scan_points(text, record, repairs))
    points = [point for one in found if (point := _read_point(one, repairs)) is not None]
    if len(points) < len(found):
        repairs.add("invalid_points")
    if repairs & {"invalid_points", "text_score"}:
        problems.append("points without dimension, reason or a score from 0 to 10")
    points = _settle(points, problems, repairs)
    if len(points) != n:
        problems.append(f"{len(points)} valid points instead of {n}")
        repairs.add("missing_points" if len(points) < n else "extra_points")
    many = "not_alone" in repairs and len(points) > n
    if many:
        repairs.add("two_answers")
    if many or len(points) < USABLE_SHARE * n or not points:
        return PointsReply(points[:n], "failed", problems, in_order(repairs))
    status: Status = "repaired" if repairs else "strict"
    return PointsReply(points[:n], status, problems, in_order(repairs))


def _read_json(text: str, record: str) -> list[Any] | None:
    reply = None if text in record else _load(text)
    if not isinstance(reply, dict) or not isinstance(reply.get("points"), list):
        return None
    if text.count('"score"') > len(reply["points"]):
        reply = _load(text, _without_repeats)
    return reply["points"] if isinstance(reply.get("points"), list) else None


def _scan_points(text: str, record: str, repairs: set[str]) -> Iterator[Any]:
    """Every flat JSON object with a ``dimension``, so that a cut list gives what is whole."""
    start = -1
    for token in _TOKEN.finditer(text):
        if token.group() == "{":
            start = token.start()
        elif token.group() == "}" and start >= 0:
            written = text[start : token.end()]
            body = written[:-1].rstrip()
            start = -1
            value = _load(body.removesuffix(",") + "}", _without_repeats)
            if isinstance(value, dict) and "dimension" in value and written not in record:
                if body.endswith(","):
                    repairs.add("trailing_comma")
                yield value


def _load(text: str, hook: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    try:
        return json.loads(text, object_pairs_hook=hook)
    except (ValueError, RecursionError):
        return None


def _without_repeats(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object, empty where a name is given twice: neither value is the answer."""
    value = dict(members)
    return value if len(value) == len(members) else {}


def _read_point(candidate: Any, repairs: set[str]) -> Point | None:
    if not isinstance(candidate, dict):
        return None
    dimension, reason = candidate.get("dimension"), candidate.get("reason")
    if not isinstance(dimension, str) or not dimension.strip():
        return None
    if not isinstance(reason, str) or not reason.strip():
        return None
    score = _read_score(candidate.get("score"), repairs)
    if score is None:
        return None
    return {
        "dimension": well_formed(dimension.strip()),
        "score": score,
        "reason": well_formed(reason.strip()),
    }


def _read_score(value: Any, repairs: set[str]) -> float | None:
    if isinstance(value, str):
        score = find_whole_score(plain(value).strip())
        if score is not None:
            repairs.add("text_score")
        return score
    if type(value) in (int, float) and 0 <= value <= 10:
        return float(value)
    return None


def _settle(points: list[Point], problems: list[str], repairs: set[str]) -> list[Point]:
    """The points without repetitions, and without dimensions that have two different scores."""
    by_name: dict[str, list[Point]] = {}
    for point in points:
        by_name.setdefault(point["dimension"].casefold(), []).append(point)
    if len(by_name) == len(points):
        return points
    settled = [same[0] for same in by_name.values() if len({p["score"] for p in same}) == 1]
    if len(settled) < len(by_name):
        problems.append("a dimension with two different scores")
        repairs.add("two_answers")
    if any(len(by_name[point["dimension"].casefold()]) > 1 for point in settled):
        repairs.add("repeated")
    return settled
