"""How each stage asks about a record and reads the reply, group by group.

Prompts and readers are the stages' own, so that the pilot's calls, the second ones too, have the
journal keys that the stage will look up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mira.anchoring import SCORE_BANDS, Point
from mira.parsing import parse_anchored, parse_points
from mira.prompts import Message, build_anchored, build_freeform, fit_text
from mira.records import Family
from mira.teacher.ladder import Reading


@dataclass(frozen=True, eq=False)
class Asking:
    """``build`` makes the prompt of a record's text, ``read`` reads a reply to it, given the
    record that the prompt shows."""

    build: Callable[[str, Family], list[Message]]
    read: Callable[[str, str], Reading[Any]]


def ask_freely(n_dimensions: int, max_chars: int) -> Asking:
    """As discovery asks."""

    def build(text: str, family: Family) -> list[Message]:
        return build_freeform(fit_text(text, max_chars), family, n_dimensions)

    def read(text: str, record: str) -> Reading[Any]:
        reply = parse_points(text, n_dimensions, record=record)
        return Reading(reply.points, reply.status, len(reply.points), n_dimensions, reply.problems)

    return Asking(build, read)


def ask_on_anchors(anchors: Sequence[Mapping[str, Any]], max_chars: int) -> Asking:
    """As labelling asks with a group's anchors."""
    names = {anchor["slot"]: anchor["name"] for anchor in anchors}

    def build(text: str, family: Family) -> list[Message]:
        return build_anchored(fit_text(text, max_chars), family, anchors)

    def read(text: str, record: str) -> Reading[Any]:
        reply = parse_anchored(text, list(names), names=names, record=record)
        return Reading(reply, reply.status, reply.n_scores, len(names), reply.problems)

    return Asking(build, read)


def provisional_anchors(
    points: Sequence[Point], k: int, n_references: int, n_bands: int = len(SCORE_BANDS)
) -> list[dict[str, Any]]:
    """Anchors in form and length like those that anchoring will make, from a pilot's points (ours).

    ``k`` points spread evenly over the list give names and definitions; the first
    ``n_references`` slots get a reason of each of ``n_bands`` score bands that the points have.
    Their content decides nothing. Raises ValueError without points.
    """
    if not points:
        raise ValueError("no judgment points to make provisional anchors of")
    bands = [[p for p in points if low <= p["score"] < high] for low, high in SCORE_BANDS]
    bands = [band for band in bands if band][:n_bands]
    anchors = []
    for number in range(k):
        point = points[number * len(points) // k]
        references = [band[number % len(band)] for band in bands] if number < n_references else []
        anchors.append(
            {
                "slot": f"A{number + 1}",
                "name": point["dimension"],
                "definition": point["reason"],
                "references": [{"score": r["score"], "reason": r["reason"]} for r in references],
            }
        )
    return anchors


def longer_half(points: Sequence[Point]) -> list[Point]:
    """The longer half of the points, by name and reason, in their order."""
    lengths = [len(point["dimension"]) + len(point["reason"]) for point in points]
    middle = sorted(lengths)[len(lengths) // 2]
    return [point for point, length in zip(points, lengths, strict=True) if length >= middle]
