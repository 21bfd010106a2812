"""How scores are read; light enough to import before torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mira.seeds import derive_seed


@dataclass(frozen=True)
class ReadoutSettings:
    """One readout; ``style`` and ``max_record_tokens`` must be those of the student's training."""

    readout: str
    style: Any
    max_record_tokens: int
    temperature: float
    top_p: float
    max_new_tokens: int
    batch_size: int
    dtype: str
    seed: int


def readout_settings(
    scoring: Mapping[str, Any], prompt: Mapping[str, Any], seed: int
) -> ReadoutSettings:
    """From the config's scoring section and the prompt keys of its distillation section."""
    return ReadoutSettings(
        readout=scoring["readout"],
        style=prompt["prompt"],
        max_record_tokens=prompt["max_record_tokens"],
        temperature=scoring["temperature"],
        top_p=scoring["top_p"],
        max_new_tokens=scoring["max_new_tokens"],
        batch_size=scoring["batch_size"],
        dtype=scoring["dtype"],
        seed=derive_seed(seed, "scoring"),
    )
