"""Training at a size that fits: its rate as a share of the matmul rate."""

from __future__ import annotations

from statistics import median
from typing import Any

import torch
from gpu_model import random_tokens
from gpu_timing import spread, time_calls

from mira.cost.lengths import equal_lengths
from mira.cost.prefill import prefill_flop
from mira.cost.shapes import StudentShape
from mira.cost.work import Work

PASSES = 3
"""Forward, and backward at twice its work; what checkpointing computes again is not counted."""


def measure_training(
    model: Any,
    shape: StudentShape,
    *,
    rows: int,
    length: int,
    checkpointing: bool,
    repeats: int,
    peak: float,
) -> dict[str, Any]:
    """Steps of AdamW on random tokens, the loss at every position."""
    if checkpointing:
        model.gradient_checkpointing_enable()
    model.train()
    ids = random_tokens(model.config, rows, length, model.device)
    fused = model.device.type == "cuda"
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6, fused=fused)
    losses = []

    def step() -> None:
        loss = model(ids, labels=ids, use_cache=False).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.detach())

    seconds = time_calls(step, model.device, repeats)
    flop = PASSES * (
        prefill_flop(shape, equal_lengths(rows, length), Work(0, True, 0))
        + rows * length * shape.head_flop()
    )
    return {
        "layers": shape.layers,
        "parameters": shape.parameters().total,
        "rows": rows,
        "length": length,
        "gradient_checkpointing": checkpointing,
        "seconds": spread(seconds),
        "tokens_per_s": rows * length / median(seconds),
        "mfu": flop / median(seconds) / peak,
        "first_loss": float(losses[0]),
        "last_loss": float(losses[-1]),
    }
