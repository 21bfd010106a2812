"""Rows of examples as tensors: padded, one example a row, or packed, several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from mira.distillation.examples import IGNORE
from mira.distillation.packing import boundaries

Row = Sequence[dict[str, Any]]


class PaddedCollator:
    """One example a row, padded on the left, so that completions end together."""

    def __init__(self, pad_token_id: int):
        self.pad_token_id = pad_token_id

    def __call__(self, rows: Sequence[Row]) -> dict[str, torch.Tensor]:
        """Tensors of shape (rows, longest example); ``position_ids`` count real tokens."""
        width = max(example["length"] for row in rows for example in row)
        batch = _empty(len(rows), width, self.pad_token_id)
        mask = torch.zeros((len(rows), width), dtype=torch.long)
        scores = []
        for number, (example,) in enumerate(rows):
            start = width - example["length"]
            scores += _place(batch, number, start, example)
            mask[number, start:] = 1
        batch["attention_mask"] = mask
        batch["scores"] = torch.tensor(scores, dtype=torch.long).reshape(-1, 3)
        return batch


class PackedCollator:
    """Several examples a row, one after the other; what is left of a row is padding.

    There is no attention mask: positions that begin anew keep examples apart, and every padding
    token is an example by itself. With ``with_state`` the boundaries go along for layers that
    carry a state, which takes batches of one row.
    """

    def __init__(self, pad_token_id: int, with_state: bool):
        self.pad_token_id = pad_token_id
        self.with_state = with_state

    def __call__(self, rows: Sequence[Row]) -> dict[str, torch.Tensor]:
        """Tensors of shape (rows, longest row)."""
        width = max(sum(example["length"] for example in row) for row in rows)
        batch = _empty(len(rows), width, self.pad_token_id)
        scores = []
        for number, row in enumerate(rows):
            start = 0
            for example in row:
                scores += _place(batch, number, start, example)
                start += example["length"]
        if self.with_state:
            batch |= boundaries([example["length"] for example in rows[0]])
        batch["scores"] = torch.tensor(scores, dtype=torch.long).reshape(-1, 3)
        return batch


def _empty(rows: int, width: int, pad_token_id: int) -> dict[str, torch.Tensor]:
    return {
        "input_ids": torch.full((rows, width), pad_token_id),
        "labels": torch.full((rows, width), IGNORE),
        "position_ids": torch.zeros((rows, width), dtype=torch.long),
    }


def _place(
    batch: dict[str, torch.Tensor], row: int, start: int, example: dict[str, Any]
) -> list[tuple[int, int, int]]:
    """Write one example into the batch; returns its scores as (row, column, score)."""
    end = start + example["length"]
    batch["input_ids"][row, start:end] = torch.as_tensor(np.asarray(example["input_ids"]))
    batch["labels"][row, start:end] = torch.as_tensor(np.asarray(example["labels"]))
    # Nothing before an example's first token is its own, so nothing can predict it.
    batch["labels"][row, start] = IGNORE
    batch["position_ids"][row, start:end] = torch.arange(example["length"])
    return [(row, start + at, score) for at, score in example.get("scores", ())]
