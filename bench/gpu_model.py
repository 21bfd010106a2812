"""A student of the true shapes with random weights, for speed and nothing else."""

from __future__ import annotations

import importlib.util
from typing import Any

import torch
from transformers import AutoModelForCausalLM, Qwen3_5MoeTextConfig

from mira.cost.shapes import StudentShape, shape_of

TOY = {
    "vocab_size": 512,
    "hidden_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 16,
    "linear_value_head_dim": 16,
    "moe_intermediate_size": 32,
    "shared_expert_intermediate_size": 32,
    "num_experts": 16,
    "num_experts_per_tok": 4,
}
LAYERS_PER_ROUND = 4


def configuration(layers: int, toy: bool) -> Qwen3_5MoeTextConfig:
    """The shapes of Qwen3.5-35B-A3B in so many layers (a multiple of 4), or toy ones."""
    sizes = TOY if toy else {}
    return Qwen3_5MoeTextConfig(**sizes, num_hidden_layers=layers)


def shape(config: Qwen3_5MoeTextConfig) -> StudentShape:
    """What the cost formulas need of it."""
    return shape_of(config.to_dict(), "random weights")


def build(config: Qwen3_5MoeTextConfig, device: torch.device, dtype: torch.dtype) -> Any:
    """The model on the device, made there: 69 GB pass through no other memory."""
    torch.manual_seed(0)
    with device:
        model = AutoModelForCausalLM.from_config(
            config, dtype=dtype, attn_implementation="sdpa", experts_implementation="grouped_mm"
        )
    return model.to(device)


def random_tokens(config: Qwen3_5MoeTextConfig, rows: int, length: int, device: Any) -> Any:
    """Token ids, drawn evenly."""
    return torch.randint(config.vocab_size, (rows, length), device=device)


@torch.inference_mode()
def busiest_expert(model: Any, tokens: Any) -> float:
    """Load of the busiest expert over the mean, the worst layer's: 1 is perfectly even."""
    config = model.config
    found = model(tokens, output_router_logits=True, use_cache=False, logits_to_keep=1)
    loads = []
    for logits in found.router_logits:
        chosen = logits.reshape(-1, config.num_experts).topk(config.num_experts_per_tok).indices
        counts = torch.bincount(chosen.flatten(), minlength=config.num_experts).float()
        loads.append(float(counts.max() / counts.mean()))
    return max(loads)


def kernels() -> dict[str, bool]:
    """Which packages are installed whose kernels transformers then uses by itself.

    Without ``fla`` linear layers run as a slow reference, and no rate means anything.
    """
    return {name: importlib.util.find_spec(name) is not None for name in ("fla", "causal_conv1d")}
