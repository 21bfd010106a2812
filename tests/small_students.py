"""Students of a few thousand parameters that have learnt the answer's form, in seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from teaching import teach

from mira.config import Architecture
from mira.distillation.model import load_tokenizer, small_model
from mira.distillation.prompt import (
    add_student_tokens,
    encode_messages,
    fit_tokens,
    student_messages,
)
from mira.distillation.targets import score_prefix
from mira.sampling.tokenizer import train_tokenizer

ANCHORS: list[dict[str, Any]] = [
    {"slot": f"A{i}", "name": f"Name {i}", "definition": "d", "references": []} for i in range(1, 6)
]
WORDS = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta")


def texts(count: int) -> list[str]:
    rng = np.random.default_rng(0)
    return [" ".join(rng.choice(WORDS, rng.integers(5, 60))) + "." for _ in range(count)]


def records(count: int) -> pd.DataFrame:
    written = texts(count)
    return pd.DataFrame(
        {
            "id": [f"r{i:03d}" for i in range(count)],
            "family": "text",
            "text": written,
            "n_tokens": [len(text) for text in written],
        }
    )


def make_student(
    folder: Path, *, whole_ten: bool = False, recurrent: bool = False, steps: int = 100
) -> Path:
    """Train a student on made-up scores; returns its model folder.

    ``whole_ten`` gives 10 a token of its own; ``recurrent`` makes it a Qwen3.5-MoE.
    """
    train_tokenizer(iter(texts(50)), 320, folder / "tokenizer")
    tokenizer = load_tokenizer(str(folder / "tokenizer"))
    add_student_tokens(tokenizer, len(ANCHORS))
    if whole_ten:
        tokenizer.add_tokens(["10"])
    model = hybrid_model(tokenizer) if recurrent else dense_model(tokenizer)
    _learn(model, tokenizer, steps)
    model.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    return folder / "model"


def dense_model(tokenizer: Any) -> Any:
    size = Architecture(hidden_size=64, layers=2, heads=2, kv_heads=1, intermediate_size=64)
    return small_model(size, tokenizer, 0)


def hybrid_model(tokenizer: Any) -> Any:
    """A Qwen3.5-MoE: three gated-delta-net layers and one of attention, four experts."""
    from transformers import Qwen3_5MoeForCausalLM, Qwen3_5MoeTextConfig

    torch.manual_seed(0)
    return Qwen3_5MoeForCausalLM(
        Qwen3_5MoeTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=64,
            num_hidden_layers=4,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=32,
            linear_key_head_dim=32,
            linear_value_head_dim=32,
            linear_num_key_heads=2,
            linear_num_value_heads=2,
            moe_intermediate_size=32,
            shared_expert_intermediate_size=32,
            num_experts=4,
            num_experts_per_tok=2,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def _learn(model: Any, tokenizer: Any, steps: int) -> None:
    """Scores that differ from record to record, a third of them 1 or 10."""
    rng = np.random.default_rng(1)
    frame = records(24)
    rows = []
    for text in frame["text"]:
        messages = student_messages(
            fit_tokens(text, tokenizer, 64), "text", ANCHORS, "compact", rationales=False
        )
        prompt = encode_messages(messages, tokenizer)
        scores = rng.choice([1, 10, 10, 3, 4, 5, 6, 7, 8], len(ANCHORS))
        answer = "".join(f"{score_prefix(a)}{s}\n" for a, s in zip(ANCHORS, scores, strict=True))
        completion = [*tokenizer.encode(answer, add_special_tokens=False), tokenizer.eos_token_id]
        rows.append((prompt, completion))
    teach(model, rows, tokenizer.pad_token_id, steps=steps, batch_size=8, rate=5e-3)
