"""The cards' serving values, as settings that a run with published scorers starts from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mira.config import Distillation
from mira.scorers.settings import Serving, load_scorers


def serving_values(serving: Serving) -> dict[str, Any]:
    """Settings that serve a scorer as its card does: sections ``distillation`` and ``scoring``.

    The teacher's prompt, replies with rationales, sampled (cards). ``trust_remote_code`` is left
    out: code that comes with a model runs only where the user says so (ours).
    """
    return {
        "distillation": {"prompt": "full"},
        "scoring": {
            "engine": "vllm",
            "readout": "sample",
            "temperature": serving.temperature,
            "top_p": serving.top_p,
            "max_new_tokens": serving.max_tokens,
            "dtype": serving.dtype,
            "vllm": {
                "tensor_parallel": serving.tensor_parallel,
                "max_model_len": serving.max_model_len,
                "max_num_batched_tokens": serving.max_num_batched_tokens,
                "gpu_memory_utilization": serving.gpu_memory_utilization,
            },
        },
    }


def with_serving_values(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as the user wrote them, the cards' values where they say nothing.

    Unchanged unless ``distillation.students`` is 'published'. Raises UserError where the scorers
    file cannot be read.
    """
    distillation = raw.get("distillation")
    if not isinstance(distillation, Mapping) or distillation.get("students") != "published":
        return dict(raw)
    default = Distillation.model_fields["scorers_file"].default
    serving = load_scorers(str(distillation.get("scorers_file", default))).serving
    return dict(raw) if serving is None else _filled(raw, serving_values(serving))


def _filled(given: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """``given``, with the keys of ``defaults`` that it lacks, section by section."""
    filled = dict(given)
    for key, value in defaults.items():
        if key not in given:
            filled[key] = value
        elif isinstance(value, Mapping) and isinstance(given[key], Mapping):
            filled[key] = _filled(given[key], value)
    return filled
