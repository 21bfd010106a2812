"""Slot by slot through the scores-only answer, on models whose cache can be cut back.

Each step feeds a few tokens to all records at once, so it suits attention alone: layers with a
recurrent state cannot forget a token, nor skip the padding between records.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from mira.scoring.engine import Skeleton
from mira.scoring.engines.padding import left_padded
from mira.scoring.expected import chosen_score, divide_ten, normalise, unreadable


class SlotDecoder:
    """One batch of prompts on its way through the slots, with a shared key-value cache."""

    def __init__(self, model: Any, prompts: Sequence[Sequence[int]], pad_id: int):
        self._model = model
        self._pad_id = pad_id
        self._cache: Any = None
        self._mask = torch.zeros((len(prompts), 0), dtype=torch.long, device=model.device)
        self._pending = [list(prompt) for prompt in prompts]

    def advance(self, tails: list[list[int]], keep: int, wanted: Sequence[int]) -> np.ndarray:
        """Feed what is pending plus each row's tail; what may follow its last ``keep`` tokens.

        Rows of different length are padded on the left and masked, so the last positions of all
        rows line up. Returns log-probabilities of shape (batch, keep, wanted tokens).
        """
        rows = [pending + tail for pending, tail in zip(self._pending, tails, strict=True)]
        ids, mask = left_padded(rows, self._pad_id, self._mask.device)
        seen = self._mask.sum(1, keepdim=True)
        self._mask = torch.cat([self._mask, mask], dim=1)
        output = self._model(
            input_ids=ids,
            attention_mask=self._mask,
            position_ids=(seen + mask.cumsum(1) - 1).clamp(min=0),
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=keep,
        )
        self._cache = output.past_key_values
        self._pending = [[] for _ in rows]
        return output.logits.float().log_softmax(-1)[..., list(wanted)].cpu().numpy()

    def take_back(self, tokens: int) -> None:
        """Forget the last tokens fed to every row."""
        self._cache.crop(-tokens)
        self._mask = self._mask[:, :-tokens]


@torch.inference_mode()
def stepped_scores(
    model: Any, prompts: Sequence[Sequence[int]], skeleton: Skeleton, pad_id: int
) -> np.ndarray:
    """Probability of every score in every slot; float64 of shape (prompts, slots, 11)."""
    decoder = SlotDecoder(model, prompts, pad_id)
    tokens = skeleton.tokens
    probabilities = np.empty((len(prompts), len(skeleton.prefixes), 11))
    tails = [list(skeleton.prefixes[0]) for _ in prompts]
    for slot in range(len(skeleton.prefixes)):
        told, ending = _read_slot(decoder, tails, skeleton)
        first = normalise(told)
        probabilities[:, slot] = divide_ten(first, ending) if tokens.ten_is_split else first
        probabilities[unreadable(told), slot] = np.nan
        if slot + 1 < len(skeleton.prefixes):
            chosen = [chosen_score(f, e, tokens) for f, e in zip(first, ending, strict=True)]
            following = [*skeleton.separator, *skeleton.prefixes[slot + 1]]
            tails = [tokens.ids(score) + following for score in chosen]
    return probabilities


def _read_slot(
    decoder: SlotDecoder, tails: list[list[int]], skeleton: Skeleton
) -> tuple[np.ndarray, np.ndarray]:
    """Log-probabilities of the first tokens, and what follows a "1" where 10 is split.

    Shapes (batch, 10 or 11) and (batch, 2), or (batch, 0) where it is not.
    """
    tokens = skeleton.tokens
    if not tokens.ten_is_split:
        return decoder.advance(tails, 1, tokens.first)[:, -1], np.empty((len(tails), 0))
    forced = [[*tail, tokens.first[1]] for tail in tails]
    told = decoder.advance(forced, 2, [*tokens.first[:10], *tokens.endings])
    decoder.take_back(1)
    return told[:, 0, :10], normalise(told[:, 1, 10:])
