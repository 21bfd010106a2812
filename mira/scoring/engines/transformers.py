"""Engine ``transformers``: the student in this process, by its own library.

Seeds belong to records, so a reply depends neither on its batch nor on when it was made (ours).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import transformers
from transformers import (
    LogitsProcessor,
    LogitsProcessorList,
    TemperatureLogitsWarper,
    TopPLogitsWarper,
)

from mira.scoring.engine import Counters, Decoding, Prompt, Skeleton
from mira.scoring.engines.padding import left_padded
from mira.scoring.engines.skeleton import skeleton_scores
from mira.scoring.engines.stepping import stepped_scores


class TransformersEngine:
    """A loaded model and its tokenizer, ready to score on their device."""

    name = "transformers"
    version = transformers.__version__
    block_tokens = None

    def __init__(self, model: Any, tokenizer: Any, batch_size: int = 32):
        self.batch_size = batch_size
        self._model = model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
        self._tokenizer = tokenizer
        self._counters = Counters()
        kinds = getattr(model.config.get_text_config(), "layer_types", None) or []
        self._recurrent = any("linear" in kind for kind in kinds)

    def expected(self, prompts: Sequence[Prompt], skeleton: Skeleton) -> np.ndarray:
        """Probability of every score in every slot: see ``Engine.expected``."""
        # Where 10 is split, the skeleton must ask for many endings; steps find them on the way.
        stepping = skeleton.tokens.ten_is_split and not self._recurrent
        read = stepped_scores if stepping else skeleton_scores
        ids = [prompt.ids for prompt in prompts]
        found = read(self._model, ids, skeleton, self._tokenizer.pad_token_id)
        self._count(prompts, len(prompts) * len(skeleton.written([0] * len(skeleton.slots))))
        return found

    @torch.inference_mode()
    def write(self, prompts: Sequence[Prompt], decoding: Decoding) -> list[str | None]:
        """One reply per prompt; greedy without seeds."""
        pad = self._tokenizer.pad_token_id
        ids, mask = left_padded([p.ids for p in prompts], pad, self._model.device)
        output = self._model.generate(
            input_ids=ids,
            attention_mask=mask,
            do_sample=False,
            max_new_tokens=decoding.max_new_tokens,
            logits_processor=_sampler(decoding),
            pad_token_id=pad,
            eos_token_id=self._tokenizer.eos_token_id,
        )[:, ids.shape[1] :]
        self._count(prompts, int((output != pad).sum()))
        return list(self._tokenizer.batch_decode(output, skip_special_tokens=True))

    def counters(self) -> Counters:
        """What was handled so far; there is no prefix cache."""
        return self._counters

    def close(self) -> None:
        """Nothing to give back: the model goes with the process."""

    def _count(self, prompts: Sequence[Prompt], output_tokens: int) -> None:
        self._counters = Counters(
            self._counters.prompt_tokens + sum(len(p.ids) for p in prompts),
            self._counters.output_tokens + output_tokens,
        )


class SeededNoise(LogitsProcessor):
    """Adds Gumbel noise from each row's own generator: the argmax is then a sample."""

    def __init__(self, seeds: Sequence[int]):
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Perturbed logits of shape (batch, vocabulary)."""
        uniform = torch.stack([torch.rand(scores.shape[1], generator=g) for g in self._generators])
        gumbel = -torch.log(-torch.log(uniform.clamp(1e-20, 1 - 1e-7)))
        return scores + gumbel.to(scores)


def _sampler(decoding: Decoding) -> LogitsProcessorList | None:
    if decoding.seeds is None:
        return None
    return LogitsProcessorList(
        [
            TemperatureLogitsWarper(decoding.temperature),
            TopPLogitsWarper(decoding.top_p),
            SeededNoise(decoding.seeds),
        ]
    )
