"""The anchored prompt: one line per slot. Teacher and students are asked the same way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mira.prompts.fence import fence
from mira.prompts.template import Message, fill
from mira.records import Family

SUMMARY_LINES = (
    "overall: <0-100>",
    "training_recommendation: <keep | downsample | drop>",
    "domain_tag: <short tag>",
    "brief: <one-sentence summary>",
)

Anchor = Mapping[str, Any]


def build_anchored(
    text: str,
    family: Family,
    anchors: Sequence[Anchor],
    *,
    references: bool = True,
    rationales: bool = True,
) -> list[Message]:
    """System and user message asking for one score per anchor.

    ``anchors`` are rows of ``anchoring/{group}.jsonl`` (slot, name, definition, references).
    ``references`` adds the calibration lines; without ``rationales`` scores alone are asked for
    and the summary lines are left out. The line format and the references in the system message
    are the model cards'; the remaining wording is ours.
    """
    calibrated = references and any(anchor["references"] for anchor in anchors)
    system = fill(
        "anchored",
        "system",
        grounding=" and ground every score in what the record shows" if rationales else "",
        calibration=", with scores given before and why" if calibrated else "",
        dimensions="\n".join(_describe(anchor, references) for anchor in anchors),
    )
    user = fill(
        "anchored",
        "user",
        family=family,
        record=fence(text),
        instruction=_instruction(rationales),
        template=answer_template(anchors, rationales=rationales),
    )
    return [{"role": "system", "content": system}, {"role": "user", "content": user}]


def answer_template(anchors: Sequence[Anchor], *, rationales: bool = True) -> str:
    """The lines to be filled in: ``[A1] name: <score>/10 — <reason>`` and so on (model cards).

    Without rationales ``[A1] <score>``, as short as an answer can be (ours).
    """
    if not rationales:
        return "\n".join(f"[{anchor['slot']}] <score>" for anchor in anchors)
    lines = [f"[{a['slot']}] {one_line(a['name'])}: <score>/10 — <reason>" for a in anchors]
    return "\n".join([*lines, *SUMMARY_LINES])


def one_line(text: str) -> str:
    """The text with every run of white space turned into one space, so that it stays a line."""
    return " ".join(text.split())


def _describe(anchor: Anchor, references: bool) -> str:
    # A published scorer's card names its slots and does not define them.
    definition = f": {one_line(anchor['definition'])}" if anchor["definition"] else ""
    lines = [f"[{anchor['slot']}] {one_line(anchor['name'])}{definition}"]
    if references:
        lines += [f"  {r['score']:g}/10 — {one_line(r['reason'])}" for r in anchor["references"]]
    return "\n".join(lines)


def _instruction(rationales: bool) -> str:
    if rationales:
        return "Fill in this template, one line per slot, and write nothing else:"
    return "Fill in this template with scores only, one line per slot, and write nothing else:"
