"""How scores are read; light enough to import before torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mira.config import Scoring
from mira.seeds import derive_seed


@dataclass(frozen=True)
class ReadoutSettings:
    """One readout; ``style`` and ``max_record_tokens`` must be those of the student's training."""

    scoring: Scoring
    style: Any
    max_record_tokens: int
    seed: int

    @property
    def readout(self) -> str:
        """Name of the readout."""
        return self.scoring.readout


def readout_settings(
    scoring: Mapping[str, Any], prompt: Mapping[str, Any], seed: int
) -> ReadoutSettings:
    """From the config's scoring section and the prompt keys of its distillation section."""
    return ReadoutSettings(
        scoring=Scoring(**scoring),
        style=prompt["prompt"],
        max_record_tokens=prompt["max_record_tokens"],
        seed=derive_seed(seed, "scoring"),
    )
