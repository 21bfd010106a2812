"""The order in which examples are learnt, fixed before training begins.

A trainer that draws its order as it goes draws another one after a restart; this order is data,
so a resumed run skips what it has seen and meets the rest in the same batches, and every process
knows which part of it is its own.
"""

from __future__ import annotations

import math
from itertools import count
from typing import Any

import numpy as np

from mira.distillation.packing import pack_lengths

POOL_BATCHES = 50


def count_steps(epochs: float, rows: int, per_step: int) -> int:
    """The fewest optimizer steps of ``per_step`` rows that meet every row ``epochs`` times."""
    return max(1, math.ceil(epochs * rows / per_step - 1e-9))


def order_examples(
    examples: list[dict[str, Any]], steps: int, batch_size: int, seed: int
) -> list[dict[str, Any]]:
    """``steps * batch_size`` examples in training order, epoch after epoch (ours).

    Each epoch is a new shuffle. Within pools of 50 batches, batches are made of examples of
    similar length, to save padding, and shuffled again. ``batch_size`` is what one optimizer
    step takes, in all processes together.
    """
    rng = np.random.default_rng(seed)
    lengths = np.array([example["length"] for example in examples])
    order: list[int] = []
    while len(order) < steps * batch_size:
        order += _epoch(lengths, batch_size, rng)
    return [examples[i] for i in order[: steps * batch_size]]


def _epoch(lengths: np.ndarray, batch_size: int, rng: np.random.Generator) -> list[int]:
    shuffled = rng.permutation(len(lengths))
    size = POOL_BATCHES * batch_size
    batches: list[np.ndarray] = []
    for start in range(0, len(shuffled), size):
        pool = shuffled[start : start + size]
        pool = pool[np.argsort(-lengths[pool], kind="stable")]
        batches += [pool[i : i + batch_size] for i in range(0, len(pool), batch_size)]
    whole = [batch for batch in batches if len(batch) == batch_size]
    rest = [batch for batch in batches if len(batch) < batch_size]
    chosen = [whole[i] for i in rng.permutation(len(whole))] + rest
    return [int(i) for batch in chosen for i in batch]


def order_packed(
    examples: list[dict[str, Any]], packed_tokens: int, rows: int, seed: int
) -> list[list[dict[str, Any]]]:
    """``rows`` packed rows in training order, epoch after epoch, each epoch packed anew (ours)."""
    lengths = np.array([example["length"] for example in examples])
    order: list[list[int]] = []
    for epoch in count():
        if len(order) >= rows:
            break
        order += pack_epoch(lengths, packed_tokens, seed, epoch)
    return [[examples[i] for i in row] for row in order[:rows]]


def pack_epoch(
    lengths: np.ndarray, packed_tokens: int, seed: int, epoch: int = 0
) -> list[list[int]]:
    """The rows of one epoch as indices into ``lengths``, every index once, in training order."""
    rng = np.random.default_rng([seed, epoch])
    shuffled = rng.permutation(len(lengths))
    rows = pack_lengths(lengths[shuffled], packed_tokens)
    return [[int(shuffled[i]) for i in rows[row]] for row in rng.permutation(len(rows))]
