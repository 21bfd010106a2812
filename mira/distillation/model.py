"""Loading and making the causal language models that become students."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mira.config import Architecture
from mira.errors import UserError, first_line

# What the name of a model class that writes text ends in.
GENERATIVE = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")


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


def load_student(path: str, dtype: str, trust_remote_code: bool = False) -> tuple[Any, Any]:
    """Model and tokenizer of one student, checked against each other.

    ``dtype`` is a torch dtype's name. Raises UserError for a folder that is damaged or holds
    something else than a causal language model, and for a tokenizer that does not fit it.
    """
    model = load_model(path, dtype, trust_remote_code)
    tokenizer = load_tokenizer(path, trust_remote_code)
    check_pair(model, tokenizer, path)
    return model, tokenizer


def load_model(path: str, dtype: str, trust_remote_code: bool = False) -> Any:
    """A causal language model from a folder or the hub, with every weight from there.

    Raises UserError where there is none, where it is another kind of model, and where weights
    are damaged, missing or of another shape (the library would draw the missing at random).
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        config = AutoConfig.from_pretrained(path, trust_remote_code=trust_remote_code)
        _check_generative(config, path)
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            path,
            dtype=getattr(torch, dtype),
            trust_remote_code=trust_remote_code,
            output_loading_info=True,
        )
    except (UserError, MemoryError, torch.OutOfMemoryError, AssertionError):
        raise
    except Exception as error:  # damage shows in every way that a library's parser can fail
        raise UserError(
            f"No causal language model could be loaded from '{path}': "
            f"{first_line(error).rstrip('.')}. "
            "The folder needs a whole config.json and whole safetensors weights: copy or download "
            "it again, or name another (distillation.base_model or the scorer)."
        ) from error
    model, report = loaded
    absent = {*report["missing_keys"], *(key[0] for key in report["mismatched_keys"])}
    if absent:
        raise UserError(
            f"The model in '{path}' lacks {len(absent)} of its weights or has them in another "
            f"shape ({_some(absent)}): the folder is damaged or its config.json belongs to "
            "another model. Copy or download it again."
        )
    return model


def _check_generative(config: Any, path: str) -> None:
    classes = getattr(config, "architectures", None) or []
    if classes and not any(name.endswith(GENERATIVE) for name in classes):
        raise UserError(
            f"'{path}' holds a {classes[0]}, which is no causal language model (its config.json, "
            "'architectures'): name a model that writes text."
        )


def load_tokenizer(path: str, trust_remote_code: bool = False) -> Any:
    """The tokenizer beside a model; UserError where there is none or it has no chat template."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=trust_remote_code)
    except Exception as error:  # damage shows in every way that a library's parser can fail
        raise UserError(
            f"No tokenizer could be loaded from '{path}': {first_line(error).rstrip('.')}"
        ) from error
    if tokenizer.chat_template is None:
        raise UserError(f"The tokenizer at '{path}' has no chat template; use one that has.")
    if tokenizer.eos_token_id is None:
        raise UserError(f"The tokenizer at '{path}' has no end-of-text token; use one that has.")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def check_pair(model: Any, tokenizer: Any, where: str) -> None:
    """Raise UserError where the tokenizer writes ids that the model has no row for.

    A model may have more rows than its tokenizer has tokens: released ones are padded. Another
    vocabulary of the same size cannot be told by its numbers.
    """
    rows = model.get_input_embeddings().num_embeddings
    largest = max(tokenizer.get_vocab().values())
    if largest >= rows:
        raise UserError(
            f"The tokenizer does not belong to the model in '{where}': its token ids go up to "
            f"{largest} and the model has {rows} rows (config.json, 'vocab_size'). Put the "
            "tokenizer files that came with the model there."
        )
    stops = _as_list(model.config.get_text_config().eos_token_id)
    unknown = [stop for stop in stops if stop > largest]
    if unknown:
        raise UserError(
            f"The tokenizer does not belong to the model in '{where}': the model ends its text "
            f"with token {unknown[0]} (config.json, 'eos_token_id'), and the tokenizer knows ids "
            f"up to {largest}. Put the tokenizer files that came with the model there."
        )


def _as_list(value: int | list[int] | None) -> list[int]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _some(names: Iterable[str]) -> str:
    first = sorted(names)[:3]
    return ", ".join(first)
