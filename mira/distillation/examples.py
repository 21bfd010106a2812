"""Training examples: prompt and completion as token ids, loss on the completion only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mira.distillation.prompt import Style, encode_prompt
from mira.distillation.score_loss import locate_scores
from mira.distillation.statistics import Bins
from mira.distillation.targets import complete_labels, render_target
from mira.seeds import derive_rng

IGNORE = -100


@dataclass(frozen=True)
class ExampleSettings:
    """How labels become examples; see ``Distillation`` in ``mira.config``."""

    style: Style
    max_record_tokens: int
    scores_only_share: float
    seed: int
    bins: Bins | None = None
    locate_scores: bool = False


def build_examples(
    labels: pd.DataFrame,
    texts: pd.DataFrame,
    anchors: list[dict[str, Any]],
    tokenizer: Any,
    settings: ExampleSettings,
) -> list[dict[str, Any]]:
    """Examples ``{input_ids, labels, length}`` for the labelled records, in the labels' order.

    Token ids are int32 arrays. ``texts`` has columns id, family, text. Records with an unparsed
    slot are left out. With ``settings.locate_scores`` an example has ``scores`` too: pairs of the
    index of a score's first token and the score.
    """
    records = texts.set_index("id")
    examples = []
    for label in complete_labels(labels, anchors).to_dict("records"):
        record = records.loc[label["id"]]
        rationales = not _scores_only(label["id"], settings)
        prompt = encode_prompt(
            record["text"],
            record["family"],
            anchors,
            tokenizer,
            style=settings.style,
            rationales=rationales,
            max_record_tokens=settings.max_record_tokens,
            bins=settings.bins,
        )
        target = render_target(label, anchors, rationales)
        completion = [*tokenizer.encode(target, add_special_tokens=False), tokenizer.eos_token_id]
        example = _example(prompt, completion)
        if settings.locate_scores:
            places = locate_scores(target, label, anchors, rationales, tokenizer)
            example["scores"] = [(len(prompt) + at, score) for at, score in places]
        examples.append(example)
    return examples


def _scores_only(record_id: str, settings: ExampleSettings) -> bool:
    draw = derive_rng(settings.seed, "scores_only", record_id).random()
    return bool(draw < settings.scores_only_share)


def _example(prompt: list[int], completion: list[int]) -> dict[str, Any]:
    ids = prompt + completion
    return {
        "input_ids": np.array(ids, dtype=np.int32),
        "labels": np.array([IGNORE] * len(prompt) + completion, dtype=np.int32),
        "length": len(ids),
    }


def build_blocks(
    texts: Iterable[str], tokenizer: Any, block_tokens: int, max_blocks: int
) -> list[dict[str, Any]]:
    """At most ``max_blocks`` equal blocks of running text, documents separated by end-of-text."""
    blocks: list[dict[str, Any]] = []
    buffer: list[int] = []
    for text in texts:
        if len(blocks) >= max_blocks:
            break
        buffer += tokenizer.encode(text, add_special_tokens=False)
        buffer.append(tokenizer.eos_token_id)
        while len(buffer) >= block_tokens:
            ids, buffer = buffer[:block_tokens], buffer[block_tokens:]
            blocks.append({"input_ids": ids, "labels": ids, "length": block_tokens})
    return blocks[:max_blocks]
