"""Training as short as a test can be: a few steps on prompts and completions in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

Row = tuple[Sequence[int], Sequence[int]]
"""Token ids of a prompt and of what is to follow it."""


def teach(
    model: Any, rows: Sequence[Row], pad_id: int, *, steps: int, batch_size: int, rate: float
) -> None:
    """Learn the completions, at a rate that falls to a twentieth; leaves the model in eval mode."""
    rng = np.random.default_rng(0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.05, total_iters=steps)
    model.train()
    for _ in range(steps):
        chosen = [rows[i] for i in rng.integers(0, len(rows), batch_size)]
        _loss(model, chosen, pad_id).backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    model.eval()


def _loss(model: Any, rows: Sequence[Row], pad_id: int) -> torch.Tensor:
    width = max(len(prompt) + len(target) for prompt, target in rows)
    ids = torch.full((len(rows), width), pad_id)
    labels = torch.full_like(ids, -100)
    for row, (prompt, target) in enumerate(rows):
        end = len(prompt) + len(target)
        ids[row, :end] = torch.tensor([*prompt, *target])
        labels[row, len(prompt) : end] = torch.tensor(list(target))
    return model(input_ids=ids, labels=labels).loss
