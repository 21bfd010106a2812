"""The scores-only answer as a tokenizer writes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mira.distillation.targets import score_prefix
from mira.errors import UserError
from mira.scoring.engine import Skeleton
from mira.scoring.tokens import encode, find_score_tokens


def build_skeleton(anchors: Sequence[dict[str, Any]], tokenizer: Any) -> Skeleton:
    """The lines ``[A1] 8`` with their scores left open.

    Raises UserError where the tokenizer writes the lines differently as parts and as a whole, as
    students learnt them.
    """
    skeleton = Skeleton(
        slots=tuple(anchor["slot"] for anchor in anchors),
        prefixes=tuple(tuple(encode(tokenizer, score_prefix(anchor))) for anchor in anchors),
        separator=tuple(encode(tokenizer, "\n")),
        tokens=find_score_tokens(tokenizer, score_prefix(anchors[0])),
    )
    for score in (1, 7, 10):
        whole = "".join(f"{score_prefix(anchor)}{score}\n" for anchor in anchors)
        if encode(tokenizer, whole) != skeleton.written([score] * len(anchors)):
            raise UserError(
                "This tokenizer joins tokens over the ends of answer lines, so the readout "
                "'expected' cannot be used with it: set scoring.readout to 'sample' or 'greedy'."
            )
    return skeleton
