"""Tiny random models of the families that mira trains, and a tokenizer for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models
from transformers import (
    PreTrainedTokenizerFast,
    Qwen3_5MoeForCausalLM,
    Qwen3_5MoeTextConfig,
    Qwen3Config,
    Qwen3ForCausalLM,
)

VOCABULARY = 100
TEMPLATE = "{% for m in messages %}{{ m['content'] }}{% endfor %}"


def make_dense(**overrides: Any) -> Qwen3ForCausalLM:
    """A Qwen3 of two layers, in evaluation mode."""
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        initializer_range=0.2,
        eos_token_id=VOCABULARY - 1,
        **overrides,
    )
    return Qwen3ForCausalLM(config).eval()


def make_hybrid() -> Qwen3_5MoeForCausalLM:
    """A Qwen3.5-MoE of three delta-net layers and one of attention, in evaluation mode."""
    torch.manual_seed(0)
    config = Qwen3_5MoeTextConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        linear_num_key_heads=2,
        linear_num_value_heads=2,
        linear_key_head_dim=16,
        linear_value_head_dim=16,
        moe_intermediate_size=32,
        shared_expert_intermediate_size=32,
        num_experts=4,
        num_experts_per_tok=2,
        initializer_range=0.2,
        eos_token_id=VOCABULARY - 1,
    )
    return Qwen3_5MoeForCausalLM(config).eval()


def make_tokenizer(size: int = VOCABULARY) -> PreTrainedTokenizerFast:
    """Numbers as words; the last of ``size`` tokens ends a text, by the name Qwen gives it."""
    words = {str(number): number for number in range(size - 1)} | {"<|endoftext|>": size - 1}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="0"))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|endoftext|>",
        pad_token="<|endoftext|>",
        chat_template=TEMPLATE,
    )


def save_dense(folder: Path) -> None:
    """A dense model's folder, with its tokenizer."""
    make_dense().save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)


def save_hybrid(folder: Path) -> None:
    """A hybrid model's folder, with its tokenizer."""
    make_hybrid().save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
