"""What a student learns to write: the anchored answer format of the model cards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd


def score_prefix(anchor: Mapping[str, Any]) -> str:
    """The start of a slot's line in a scores-only answer, up to its score: ``[A1] ``."""
    return f"[{anchor['slot']}] "


def rationale_prefix(anchor: Mapping[str, Any]) -> str:
    """The start of a slot's line in an answer with rationales, up to its score (cards)."""
    return f"[{anchor['slot']}] {anchor['name']}: "


def score_text(score: float) -> str:
    """A score as students write it: an integer 0 to 10."""
    return str(round(score))


def render_target(label: Mapping[Any, Any], anchors: list[dict[str, Any]], rationales: bool) -> str:
    """The completion for one labelled record.

    With rationales, the format of the model cards: ``[A1] name: 8/10 — reason`` per slot, then
    the summary lines. Without, ``[A1] 8`` per slot and nothing else, so that short decoding
    meets what it was trained on (ours).
    """
    scores = [score_text(label[f"s{number}"]) for number in range(1, len(anchors) + 1)]
    if not rationales:
        lines = [score_prefix(a) + score for a, score in zip(anchors, scores, strict=True)]
        return "\n".join(lines) + "\n"
    lines = [
        f"{rationale_prefix(anchor)}{score}/10 — {label[f'r{number}'] or ''}".rstrip()
        for number, (anchor, score) in enumerate(zip(anchors, scores, strict=True), start=1)
    ]
    lines += [
        f"overall: {_number(label['overall'])}",
        f"training_recommendation: {label['recommendation'] or ''}",
        f"domain_tag: {label['domain_tag'] or ''}",
        f"brief: {label['brief'] or ''}",
    ]
    return "\n".join(lines) + "\n"


def _number(value: Any) -> str:
    return "" if pd.isna(value) else str(round(value))


def complete_labels(labels: pd.DataFrame, anchors: list[dict[str, Any]]) -> pd.DataFrame:
    """The labels in which every slot has a score; a missing score is never filled in."""
    columns = [f"s{number}" for number in range(1, len(anchors) + 1)]
    return labels[labels[columns].notna().all(axis=1)]
