"""Several examples in one row of tokens, each blind to the others (ours).

A row saves padding: it is filled up to a number of tokens. Attention stays within an example
because positions begin at 0 with each of them, from which transformers makes a block-diagonal
mask. Layers that carry a state along the row (Qwen3.5's gated delta net) need the examples'
boundaries, and kernels that heed them; whether a model keeps examples apart is measured.
"""

from __future__ import annotations

from itertools import accumulate
from typing import Any

import numpy as np
import torch

from mira.errors import UserError

POOL_EXAMPLES = 2048
LEAK = 0.01


def pack_lengths(lengths: np.ndarray, packed_tokens: int) -> list[list[int]]:
    """Rows of at most ``packed_tokens`` tokens, as indices into ``lengths``, every index once.

    First-fit decreasing within pools of 2,048 consecutive examples. An example longer than
    ``packed_tokens`` has a row of its own.
    """
    rows: list[list[int]] = []
    for start in range(0, len(lengths), POOL_EXAMPLES):
        pool = lengths[start : start + POOL_EXAMPLES]
        rows += [[start + i for i in row] for row in _first_fit_decreasing(pool, packed_tokens)]
    return rows


def _first_fit_decreasing(lengths: np.ndarray, capacity: int) -> list[list[int]]:
    rows: list[list[int]] = []
    free = np.zeros(len(lengths), dtype=np.int64)
    for index in np.argsort(-lengths, kind="stable"):
        fitting = free[: len(rows)] >= lengths[index]
        row = int(fitting.argmax()) if fitting.any() else len(rows)
        if row == len(rows):
            rows.append([])
            free[row] = capacity
        rows[row].append(int(index))
        free[row] -= lengths[index]
    return rows


def boundaries(lengths: list[int]) -> dict[str, torch.Tensor]:
    """The examples of one row as the kernels of state-carrying layers want to be told.

    ``cu_seq_lens_q`` (examples + 1,) where they begin and end, ``seq_idx`` (1, tokens) to which
    one a token belongs.
    """
    return {
        "cu_seq_lens_q": torch.tensor([0, *accumulate(lengths)], dtype=torch.int32),
        "seq_idx": torch.arange(len(lengths), dtype=torch.int32).repeat_interleave(
            torch.tensor(lengths)
        )[None],
    }


def carries_state(model: Any) -> bool:
    """Whether the model has layers that carry a state along the row, such as linear attention."""
    kinds = getattr(model.config.get_text_config(), "layer_types", None) or []
    return any("attention" not in kind or "linear" in kind for kind in kinds)


def check_isolated(model: Any, run: Any, device: Any) -> None:
    """Raise UserError where an example in a packed row sees the one before it.

    Measured: ``run`` (``model``, as the trainer wrapped it) reads two rows that differ in their
    first example only. The second example's logits may move by at most 1 % of what they move by
    when the two are one text. Every process must call it.
    """
    with_state = carries_state(model)
    vocabulary = model.get_input_embeddings().num_embeddings
    try:
        leak = _change(run, vocabulary, device, [24, 16], with_state)
    except ValueError as error:
        raise _refusal(with_state, str(error)) from error
    joined = _change(run, vocabulary, device, [40], with_state=False)
    if leak > LEAK * joined:
        raise _refusal(
            with_state,
            f"Examples in one row see each other: logits move by {leak:.2g}, and by {joined:.2g} "
            "where the examples are one text.",
        )


def _refusal(with_state: bool, why: str) -> UserError:
    wanted = "set it to false"
    if with_state:
        wanted += ", or install flash-linear-attention and causal-conv1d on a GPU machine"
    return UserError(f"distillation.packing cannot be used with this model here: {wanted}. {why}")


@torch.no_grad()
def _change(run: Any, vocabulary: int, device: Any, spans: list[int], with_state: bool) -> float:
    """Largest change of the last 16 of 40 logits when the first 24 tokens become others."""
    generator = torch.Generator().manual_seed(0)
    first, other = torch.randint(0, vocabulary, (2, 24), generator=generator)
    second = torch.randint(0, vocabulary, (16,), generator=generator)
    inputs = {"position_ids": torch.cat([torch.arange(span) for span in spans])[None]}
    if with_state:
        inputs |= boundaries(spans)
    inputs = {name: tensor.to(device) for name, tensor in inputs.items()}
    found = []
    for beginning in (first, other):
        ids = torch.cat([beginning, second])[None].to(device)
        found.append(run(input_ids=ids, **inputs, use_cache=False).logits[0, 24:].float())
    return float((found[0] - found[1]).abs().max())
