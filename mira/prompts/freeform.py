"""The discovery prompt: the teacher names and scores its own dimensions."""

from __future__ import annotations

from mira.prompts.fence import fence
from mira.prompts.template import Message, fill
from mira.records import Family


def build_freeform(text: str, family: Family, n_dimensions: int = 15) -> list[Message]:
    """System and user message asking for ``n_dimensions`` judgment points as one JSON object.

    Free-form judging and the number 15 are the paper's; the wording is ours, since the paper
    publishes none.
    """
    system = fill("freeform", "system", n_dimensions=n_dimensions)
    user = fill("freeform", "user", family=family, record=fence(text), n_dimensions=n_dimensions)
    return [{"role": "system", "content": system}, {"role": "user", "content": user}]
