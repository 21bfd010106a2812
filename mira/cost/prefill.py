"""Floating-point work of reading prompts and records."""

from __future__ import annotations

from mira.cost.lengths import Lengths
from mira.cost.shapes import StudentShape
from mira.cost.work import Work


def prefill_flop(shape: StudentShape, lengths: Lengths, work: Work) -> float:
    """Operations to read every record, in all (ours, docs/cost.md).

    A record of L tokens after a prompt of S, with ``n = L`` (plus the skeleton in one pass),
    costs ``n`` times the linear work and, for attention, ``n S + n^2 / 2`` positions: a cached
    prompt is not free, since every token of the record still attends to it. An uncached prompt
    adds its own work. The head counts at a skeleton's slots alone.
    """
    linear = shape.linear_flop_per_token()
    attention = shape.attention_flop_per_position()
    skeleton = work.output if work.one_pass else 0.0
    tokens = lengths.tokens + lengths.records * skeleton
    squares = lengths.squares + 2 * skeleton * lengths.tokens + lengths.records * skeleton**2
    flop = tokens * linear + attention * (tokens * work.prompt + squares / 2)
    if not work.cached:
        flop += lengths.records * (work.prompt * linear + attention * work.prompt**2 / 2)
    if work.one_pass:
        flop += lengths.records * work.slots * shape.head_flop()
    return flop


def prefill_tokens(lengths: Lengths, work: Work) -> float:
    """Tokens that pass through the layers before anything is written."""
    skeleton = work.output if work.one_pass else 0.0
    prompt = 0.0 if work.cached else work.prompt
    return lengths.tokens + lengths.records * (skeleton + prompt)
