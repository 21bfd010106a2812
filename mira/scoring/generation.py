"""Readouts ``sample`` and ``greedy``: let the student write, then parse what it wrote.

``sample`` is the paper's (cards: temperature 0.7, top-p 0.95). Each record has its own seed, so
a reply depends neither on the batch it was in nor on when it was made (ours).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from transformers import (
    LogitsProcessor,
    LogitsProcessorList,
    TemperatureLogitsWarper,
    TopPLogitsWarper,
)

from mira.parsing import parse_anchored
from mira.seeds import derive_seed


class SeededNoise(LogitsProcessor):
    """Adds Gumbel noise from each row's own generator: the argmax is then a sample."""

    def __init__(self, seeds: list[int]):
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Perturbed logits of shape (batch, vocabulary)."""
        uniform = torch.stack([torch.rand(scores.shape[1], generator=g) for g in self._generators])
        gumbel = -torch.log(-torch.log(uniform.clamp(1e-20, 1 - 1e-7)))
        return scores + gumbel.to(scores)


@torch.inference_mode()
def generate_replies(
    model: Any,
    tokenizer: Any,
    prompts: list[list[int]],
    *,
    max_new_tokens: int,
    sampler: LogitsProcessorList | None,
) -> list[str]:
    """One reply per prompt; greedy unless a sampler is given."""
    width = max(map(len, prompts))
    pad = tokenizer.pad_token_id
    ids = torch.tensor([[pad] * (width - len(p)) + p for p in prompts], device=model.device)
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
    output = model.generate(
        input_ids=ids,
        attention_mask=mask.to(model.device),
        do_sample=False,
        max_new_tokens=max_new_tokens,
        logits_processor=sampler,
        pad_token_id=pad,
        eos_token_id=tokenizer.eos_token_id,
    )
    return tokenizer.batch_decode(output[:, width:], skip_special_tokens=True)


def make_sampler(
    record_ids: list[str], seed: int, temperature: float, top_p: float
) -> LogitsProcessorList:
    """The paper's sampling as processors, with one seed per record."""
    seeds = [derive_seed(seed, "sample", record_id) for record_id in record_ids]
    return LogitsProcessorList(
        [TemperatureLogitsWarper(temperature), TopPLogitsWarper(top_p), SeededNoise(seeds)]
    )


def parse_replies(replies: list[str], slots: list[str]) -> np.ndarray:
    """Scores (replies, slots); NaN where a slot could not be read, never a default."""
    parsed = [parse_anchored(reply, slots) for reply in replies]
    return np.array([[_float(reply.scores[slot]) for slot in slots] for reply in parsed])


def _float(score: float | None) -> float:
    return float("nan") if score is None else float(score)
