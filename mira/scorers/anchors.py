"""A scorer's rubric as rows of ``anchoring/{group}.jsonl``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import orjson
from pydantic import ValidationError

from mira.errors import UserError
from mira.scorers.settings import Anchor, AnchorField, Scorer

_FIELDS: tuple[AnchorField, ...] = get_args(AnchorField)


def anchor_rows(scorer: Scorer, k: int) -> list[dict[str, Any]]:
    """The scorer's anchors in the form of :func:`mira.anchoring.build_anchors`.

    From ``anchors_file`` where the entry names one, else as its card lists them. What a card
    does not publish stays open: the definition is empty, there are no references, and records,
    medoid and stability are None.

    Raises UserError where the slot list is not published and no file gives it, where the file
    cannot be read, or where the scorer has not ``k`` slots (anchoring.k).
    """
    anchors = list(scorer.anchors or ()) if scorer.anchors_file is None else _read(scorer)
    if not anchors:
        raise UserError(
            f"Scorer '{scorer.name}': its list of slots is not published ({_card(scorer)}), and "
            "without it the scorer cannot be asked. Give the list with 'anchors_file' in the "
            "scorer's entry (a copy of the project's file, or anchoring/{group}.jsonl of a run), "
            "or choose a scorer whose entry has 'anchors'."
        )
    if len(anchors) != k:
        raise UserError(
            f"Scorer '{scorer.name}' has {len(anchors)} slots, but anchoring.k is {k}: set "
            f"anchoring.k to {len(anchors)}. All scorers of a run need the same number of slots."
        )
    return [_row(anchor) for anchor in anchors]


def _card(scorer: Scorer) -> str:
    file = f", project file {scorer.anchor_file}" if scorer.anchor_file else ""
    return f"grade of what is known: {scorer.grade}{file}"


def _row(anchor: Anchor) -> dict[str, Any]:
    return {
        "name": anchor.name,
        "definition": anchor.definition,
        "cluster_size": anchor.cluster_size,
        "n_records": None,
        "medoid_id": None,
        "medoid_source": None,
        "medoid_score": None,
        "medoid_reason": None,
        "references": [reference.model_dump() for reference in anchor.references],
        "names": {},
        "stability": None,
        "slot": anchor.slot,
    }


def _read(scorer: Scorer) -> list[Anchor]:
    """The anchors of ``anchors_file``: JSON lines; rows without a slot are numbered in order."""
    path = Path(str(scorer.anchors_file))
    if not path.is_file():
        raise UserError(
            f"Scorer '{scorer.name}': anchors_file {path} not found. Give the path of a JSONL file "
            "with one slot a line."
        )
    keys = {field: scorer.anchor_fields.get(field, field) for field in _FIELDS}
    lines = [line for line in path.read_bytes().splitlines() if line.strip()]
    anchors = []
    for number, line in enumerate(lines, start=1):
        where = f"Scorer '{scorer.name}': {path}, line {number}"
        anchors.append(_parse(line, keys, number, where))
    slots = [anchor.slot for anchor in anchors]
    expected = [f"A{number}" for number in range(1, len(slots) + 1)]
    if slots != expected:
        raise UserError(
            f"Scorer '{scorer.name}': {path}: expected the slots A1 to A{len(slots)} in order, "
            f"found {', '.join(slots)}."
        )
    return anchors


def _parse(line: bytes, keys: Mapping[AnchorField, str], number: int, where: str) -> Anchor:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise UserError(f"{where}: not valid JSON ({error}).") from None
    if not isinstance(row, dict):
        raise UserError(f"{where}: expected an object with '{keys['name']}'.")
    # A key that is not ours is no guess of ours: how the project's files call theirs is unknown.
    if keys["name"] not in row:
        raise UserError(
            f"{where}: no key '{keys['name']}' among {', '.join(map(str, row))}. Say which one is "
            "the dimension's name: 'anchor_fields: {name: ...}' in the scorer's entry."
        )
    found = {field: row[key] for field, key in keys.items() if row.get(key) is not None}
    try:
        return Anchor.model_validate({"slot": f"A{number}", **found})
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(map(str, problem["loc"]))
        raise UserError(f"{where}: '{key}': {problem['msg']}.") from None
