"""Provisional anchors: what labelling will be asked on, as far as a pilot can tell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mira.anchoring import SCORE_BANDS, Point


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
