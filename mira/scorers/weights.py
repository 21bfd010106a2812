"""Are a model folder's weights all there? Counted in their headers, without loading them."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from mira.errors import UserError

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
ENOUGH = 0.9
"""Share of the parameters that config.json implies; a vision tower left out is under 2 % (ours)."""


@dataclass(frozen=True)
class Parameters:
    """Parameters counted in the weight files, and those that config.json implies.

    ``implied`` is None for quantised weights, whose stored numbers are not parameters.
    """

    counted: int
    implied: int | None


def check_weights(folder: Path, config: Any, *, trust_remote_code: bool = False) -> Parameters:
    """Count a folder's parameters against its (transformers) ``config``.

    The released repositories are listed with 665k parameters where their cards say 35B (cards):
    an artefact or weights that are not there, which only this count can tell.

    Raises UserError for a weight file that is missing, truncated or not safetensors, and for a
    count under 90 % of what ``config`` implies (ours).
    """
    counted = sum(_sizes(folder).values())
    if getattr(config, "quantization_config", None) is not None:
        return Parameters(counted, None)
    implied = _implied(config, trust_remote_code)
    if counted < ENOUGH * implied:
        raise UserError(
            f"{folder}: the weights hold {counted:,} parameters, but config.json describes a model "
            f"of {implied:,}: {counted / implied:.2%} of it. The weights are incomplete, or belong "
            "to another model; scores from them would mean nothing. Fetch the folder again, or "
            "another revision."
        )
    return Parameters(counted, implied)


def _sizes(folder: Path) -> dict[str, int]:
    """Number of values in every tensor of the folder's weight files."""
    sizes: dict[str, int] = {}
    for file, expected in _files(folder).items():
        found = _tensors(folder / file)
        if missing := sorted(expected - found.keys()):
            raise UserError(
                f"{folder / file}: {len(missing)} tensor(s) that {INDEX} places there are not in "
                f"it, the first being '{missing[0]}'. Fetch the folder again."
            )
        sizes |= found
    return sizes


def _files(folder: Path) -> dict[str, set[str]]:
    """Weight files, each with the tensors that the index says are in it."""
    if not (folder / INDEX).exists():
        if not (folder / SINGLE).exists():
            raise UserError(
                f"{folder}: no weights: expected {SINGLE}, or {INDEX} with the files it names. "
                "Weights in other formats are not read: convert them with save_pretrained."
            )
        return {SINGLE: set()}
    weight_map = json.loads((folder / INDEX).read_text(encoding="utf-8")).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise UserError(f"{folder / INDEX}: no 'weight_map'; fetch the file again.")
    files: dict[str, set[str]] = defaultdict(set)
    for tensor, file in weight_map.items():
        files[file].add(tensor)
    if absent := sorted(file for file in files if not (folder / file).is_file()):
        raise UserError(
            f"{folder}: {len(absent)} of {len(files)} weight files are missing: "
            f"{', '.join(absent[:3])}{', ...' if len(absent) > 3 else ''}. Fetch the folder again."
        )
    return files


def _tensors(path: Path) -> dict[str, int]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as weights:
            return {name: prod(weights.get_slice(name).get_shape()) for name in weights.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        with path.open("rb") as handle:
            pointer = handle.read(24).startswith(b"version https://git-lfs")
        todo = "it is a Git LFS pointer: run git lfs pull" if pointer else "fetch it again"
        raise UserError(f"{path}: not a whole safetensors file ({error}); {todo}.") from None


def _implied(config: Any, trust_remote_code: bool) -> int:
    """Parameters of the model that ``config`` describes, built without memory for its weights."""
    import torch
    import transformers

    # A folder of a composed model (text and vision) names its class; AutoModel takes its text part.
    names = getattr(config, "architectures", None) or [""]
    model_class = getattr(transformers, names[0], None)
    with torch.device("meta"):
        if model_class is not None:
            return int(model_class(config).num_parameters())
        model = transformers.AutoModelForCausalLM.from_config(
            config, trust_remote_code=trust_remote_code
        )
        return int(model.num_parameters())
