"""Engines by name. Importing this is light; opening one loads its library."""

from __future__ import annotations

from typing import Any

from mira.config import Scoring
from mira.errors import UserError
from mira.scoring.engine import Engine


def open_engine(model: str, scoring: Scoring, group: str) -> tuple[Engine, Any]:
    """The engine that the settings name, with a group's student in it, and its tokenizer.

    ``model`` is a folder or an id. Raises UserError where it cannot be used.
    """
    from mira.distillation.model import load_student, load_tokenizer

    if scoring.engine == "transformers":
        from mira.scoring.engines.transformers import TransformersEngine

        loaded, tokenizer = load_student(model, scoring.dtype, scoring.trust_remote_code)
        return TransformersEngine(loaded, tokenizer), tokenizer
    tokenizer = load_tokenizer(model)
    if not scoring.served:
        from mira.scoring.engines.vllm import VllmEngine

        return VllmEngine(model, scoring), tokenizer
    served = scoring.served.get(group)
    if served is None:
        raise UserError(
            f"scoring.served has no endpoint for group '{group}' (it has "
            f"{', '.join(sorted(scoring.served))}): give its url and model."
        )
    if scoring.engine == "vllm":
        from mira.scoring.engines.served_vllm import ServedVllmEngine

        return ServedVllmEngine(served, scoring), tokenizer
    from mira.scoring.engines.openai import OpenaiEngine

    return OpenaiEngine(served, scoring, tokenizer), tokenizer
