"""Readout ``expected``: the probability-weighted score of every slot, by compact decoding.

The scores-only answer, lines of ``[A1] 8``, is decoded. Only the scores are the model's;
everything between them is forced. Each slot is conditioned on the most probable scores of the
slots before it, as in greedy decoding (ours; the method is in docs/method.md).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from mira.scoring.tokens import ScoreTokens


class SlotDecoder:
    """One batch of prompts on its way through the slots, with a shared key-value cache."""

    def __init__(self, model: Any, prompts: list[list[int]], pad_id: int):
        self._model = model
        self._pad_id = pad_id
        self._cache: Any = None
        self._mask = torch.zeros((len(prompts), 0), dtype=torch.long, device=model.device)
        self._pending = prompts

    def advance(self, tails: list[list[int]], keep: int) -> torch.Tensor:
        """Feed what is pending plus each row's tail; logits of the last ``keep`` positions.

        Rows of different length are padded on the left and masked, so the last positions of all
        rows line up. Returns a float tensor of shape (batch, keep, vocabulary).
        """
        rows = [pending + tail for pending, tail in zip(self._pending, tails, strict=True)]
        width = max(map(len, rows))
        device = self._mask.device
        ids = torch.tensor([[self._pad_id] * (width - len(r)) + r for r in rows], device=device)
        mask = torch.tensor([[0] * (width - len(r)) + [1] * len(r) for r in rows], device=device)
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
        return output.logits.float()

    def take_back(self, tokens: int) -> None:
        """Forget the last tokens fed to every row."""
        self._cache.crop(-tokens)
        self._mask = self._mask[:, :-tokens]


@torch.inference_mode()
def expected_scores(
    model: Any,
    prompts: list[list[int]],
    prefixes: list[list[int]],
    separator: list[int],
    tokens: ScoreTokens,
    pad_id: int,
) -> np.ndarray:
    """Probability of every score in every slot.

    ``prompts`` are token ids per record; ``prefixes`` the tokens of ``[Ai] `` per slot;
    ``separator`` the tokens between a score and the next line. Returns
    float64 of shape (records, slots, 11), each row summing to 1.
    """
    decoder = SlotDecoder(model, prompts, pad_id)
    probabilities = np.empty((len(prompts), len(prefixes), 11))
    tails = [list(prefixes[0]) for _ in prompts]
    for slot in range(len(prefixes)):
        probabilities[:, slot] = _read_slot(decoder, tails, tokens)
        if slot + 1 < len(prefixes):
            modes = probabilities[:, slot].argmax(axis=1)
            tails = [tokens.ids(int(mode)) + separator + prefixes[slot + 1] for mode in modes]
    return probabilities


def _read_slot(decoder: SlotDecoder, tails: list[list[int]], tokens: ScoreTokens) -> np.ndarray:
    if not tokens.ten_is_split:
        logits = decoder.advance(tails, keep=1)[:, -1]
        return _normalised(logits[:, list(tokens.first)])
    one = tokens.first[1]
    logits = decoder.advance([[*tail, one] for tail in tails], keep=2)
    decoder.take_back(1)
    scores = _normalised(logits[:, 0][:, list(tokens.first[:10])])
    ending = _normalised(logits[:, 1][:, [tokens.end, tokens.zero]])
    return np.column_stack(
        [scores[:, 0], scores[:, 1] * ending[:, 0], scores[:, 2:], scores[:, 1] * ending[:, 1]]
    )


def _normalised(logits: torch.Tensor) -> np.ndarray:
    return torch.softmax(logits.double(), dim=-1).cpu().numpy()


def summarise_scores(probabilities: np.ndarray) -> dict[str, np.ndarray]:
    """Mean, sd, median and mode of each slot's distribution; arrays of shape (records, slots).

    Ranks are taken from the mean, errors from the median (the lowest score that half of the
    probability does not exceed).
    """
    scores = np.arange(11)
    mean = probabilities @ scores
    variance = probabilities @ scores**2 - mean**2
    return {
        "mean": mean,
        "sd": np.sqrt(np.clip(variance, 0, None)),
        "median": (probabilities.cumsum(axis=-1) < 0.5).sum(axis=-1).clip(max=10).astype(float),
        "mode": probabilities.argmax(axis=-1).astype(float),
    }
