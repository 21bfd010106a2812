"""Rows of token ids as tensors of one width."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

Padded = tuple[torch.Tensor, torch.Tensor]


def left_padded(rows: Sequence[Sequence[int]], pad_id: int, device: Any) -> Padded:
    """Ids and mask (1 where a token is), both (rows, longest), padding first."""
    width = max(map(len, rows))
    ids = [[pad_id] * (width - len(row)) + list(row) for row in rows]
    mask = [[0] * (width - len(row)) + [1] * len(row) for row in rows]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)


def right_padded(rows: Sequence[Sequence[int]], pad_id: int, device: Any) -> Padded:
    """Ids and mask (1 where a token is), both (rows, longest), padding last."""
    width = max(map(len, rows))
    ids = [list(row) + [pad_id] * (width - len(row)) for row in rows]
    mask = [[1] * len(row) + [0] * (width - len(row)) for row in rows]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)
