"""All slots in one pass over a filled skeleton, on models of any kind.

The prompt is read once and its cache forked. A guess at all scores is written into the skeleton
and read in one pass; the slots before the first wrong guess are then right, and the pass is
repeated with what it chose, until nothing changes. The result is that of decoding slot by slot,
in two to four passes instead of one per slot. Nothing is ever taken back from a cache, which
layers with a recurrent state could not do, and padding stands only where no later token sees it.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from mira.scoring.engine import Skeleton
from mira.scoring.engines.padding import left_padded, right_padded
from mira.scoring.expected import NEGLIGIBLE_ONE, divide_ten, normalise, unreadable

FIRST_GUESS = 7


class Prefilled:
    """A batch of prompts that have been read; continuations fork their cache."""

    def __init__(self, model: Any, prompts: Sequence[Sequence[int]], pad_id: int):
        self._model = model
        self._pad_id = pad_id
        ids, self._mask = left_padded(prompts, pad_id, model.device)
        output = model(
            input_ids=ids,
            attention_mask=self._mask,
            position_ids=(self._mask.cumsum(1) - 1).clamp(min=0),
            use_cache=True,
            logits_to_keep=1,
        )
        self._cache = output.past_key_values

    def read(
        self,
        continuations: list[list[int]],
        at: list[list[int]],
        wanted: Sequence[int],
        rows: list[int] | None = None,
    ) -> np.ndarray:
        """What may follow some tokens of each continuation; the cache stays as it was.

        ``at[i]`` are positions in ``continuations[i]``, equally many for each; ``rows`` says to
        which prompt each belongs (default: one each, in order). Returns log-probabilities of shape
        (continuations, positions, wanted tokens).
        """
        cache, mask = copy.deepcopy(self._cache), self._mask
        if rows is not None:
            index = torch.tensor(rows, device=mask.device)
            cache.reorder_cache(index)
            mask = mask[index]
        ids, real = right_padded(continuations, self._pad_id, mask.device)
        kept = sorted({position for positions in at for position in positions})
        seen = mask.sum(1, keepdim=True)
        output = self._model(
            input_ids=ids,
            attention_mask=torch.cat([mask, real], dim=1),
            position_ids=seen + torch.arange(ids.shape[1], device=mask.device),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=torch.tensor(kept, device=mask.device),
        )
        told = output.logits.float().log_softmax(-1)[..., list(wanted)].cpu().numpy()
        return np.take_along_axis(told, np.searchsorted(kept, at)[..., None], axis=1)


@torch.inference_mode()
def skeleton_scores(
    model: Any, prompts: Sequence[Sequence[int]], skeleton: Skeleton, pad_id: int
) -> np.ndarray:
    """Probability of every score in every slot; float64 of shape (prompts, slots, 11)."""
    prefilled = Prefilled(model, prompts, pad_id)
    paths = np.full((len(prompts), len(skeleton.prefixes)), FIRST_GUESS)
    for _ in range(2 * len(skeleton.prefixes) + 1):  # every slot may need a pass for its ending
        told, ending = _read_paths(prefilled, paths, skeleton)
        first = normalise(told)
        chosen = _choose(first, ending, skeleton)
        if (chosen == paths).all():
            break
        paths = chosen
    if skeleton.tokens.ten_is_split:
        _ask_endings(prefilled, paths, first, ending, skeleton)
        first = divide_ten(first, ending)
    first[unreadable(told)] = np.nan
    return first


def _read_paths(
    prefilled: Prefilled, paths: np.ndarray, skeleton: Skeleton
) -> tuple[np.ndarray, np.ndarray]:
    """Log-probabilities of first tokens (rows, slots, 10 or 11), and endings of written "1"s.

    Endings (rows, slots, 2) are NaN elsewhere.
    """
    tokens = skeleton.tokens
    written, places = zip(*(_fill(path, skeleton) for path in paths), strict=True)
    asked = [[p for start in starts for p in (start - 1, start)] for starts in places]
    known = tokens.first[:10] if tokens.ten_is_split else tokens.first
    told = prefilled.read(list(written), asked, [*known, *tokens.endings])
    # Per slot: what follows the prefix, and what follows the score's first token.
    pairs = told.reshape(*paths.shape, 2, -1)
    ending = np.full((*paths.shape, 2), np.nan)
    if tokens.ten_is_split:
        ones = np.isin(paths, (1, 10))
        ending[ones] = normalise(pairs[:, :, 1, len(known) :])[ones]
    return pairs[:, :, 0, : len(known)], ending


def _fill(path: np.ndarray, skeleton: Skeleton) -> tuple[list[int], list[int]]:
    """The answer with these scores, and the place of each score's first token in it."""
    written: list[int] = []
    starts = []
    for slot, score in enumerate(path):
        starts.append(len(written) + len(skeleton.prefixes[slot]))
        written += skeleton.line(slot, int(score))
    return written, starts


def _choose(first: np.ndarray, ending: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """The greedy score of every slot; a "1" whose ending is not known yet is guessed to be 10."""
    best = first.argmax(axis=-1)
    if not skeleton.tokens.ten_is_split:
        return best
    is_ten = np.isnan(ending[..., 0]) | (ending[..., 1] > ending[..., 0])
    return np.where((best == 1) & is_ten, 10, best)


def _ask_endings(
    prefilled: Prefilled,
    paths: np.ndarray,
    first: np.ndarray,
    ending: np.ndarray,
    skeleton: Skeleton,
) -> None:
    """Fill in what follows a "1" where the path took another score but 1 or 10 may be meant."""
    tokens = skeleton.tokens
    wanted = np.isnan(ending[..., 0]) & (first[..., 1] >= NEGLIGIBLE_ONE)
    for slot in np.flatnonzero(wanted.any(axis=0)):
        rows = np.flatnonzero(wanted[:, slot]).tolist()
        asked = [
            [
                *skeleton.written(paths[row, :slot].tolist()),
                *skeleton.prefixes[slot],
                tokens.first[1],
            ]
            for row in rows
        ]
        last = [[len(text) - 1] for text in asked]
        ending[rows, slot] = normalise(prefilled.read(asked, last, tokens.endings, rows)[:, 0])
