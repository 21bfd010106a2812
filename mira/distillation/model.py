"""Loading and making the causal language models that become students."""

from __future__ import annotations

from typing import Any

from mira.config import Architecture
from mira.errors import UserError


def small_model(architecture: Architecture, tokenizer: Any, seed: int) -> Any:
    """A Qwen3 model of the given size with seeded random weights (ours: the demo's student)."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(seed)
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=architecture.hidden_size,
        intermediate_size=architecture.intermediate_size,
        num_hidden_layers=architecture.layers,
        num_attention_heads=architecture.heads,
        num_key_value_heads=architecture.kv_heads,
        head_dim=architecture.hidden_size // architecture.heads,
        max_position_embeddings=32_768,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return Qwen3ForCausalLM(config)


def load_model(path: str, dtype: str) -> Any:
    """A causal model from a folder or the hub; UserError where there is none."""
    import torch
    from transformers import AutoModelForCausalLM

    try:
        return AutoModelForCausalLM.from_pretrained(path, dtype=getattr(torch, dtype))
    except (OSError, ValueError) as error:
        raise UserError(
            f"No causal language model could be loaded from '{path}' "
            f"(key distillation.base_model): {_first_line(error)}"
        ) from error


def load_tokenizer(path: str) -> Any:
    """The tokenizer beside a model; UserError where there is none or it has no chat template."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(path)
    except (OSError, ValueError) as error:
        raise UserError(f"No tokenizer at '{path}': {_first_line(error)}") from error
    if tokenizer.chat_template is None:
        raise UserError(f"The tokenizer at '{path}' has no chat template; use one that has.")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
