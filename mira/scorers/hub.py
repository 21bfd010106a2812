"""Fetching a released scorer."""

from __future__ import annotations

from pathlib import Path

from mira.errors import UserError

# Weights in other formats than safetensors, and the optimiser's state, are tens of gigabytes.
_LEFT_OUT = ["*.bin", "*.pt", "*.pth", "*.gguf", "*.onnx", "global_step*/*", "checkpoint-*/*"]


def fetch(hub_id: str, revision: str | None, name: str) -> Path:
    """Folder of the model in the local cache, fetched where it is not there yet.

    The last part of the path is the commit. Raises UserError where it cannot be fetched: no such
    model or revision, no access, no network (HF_HUB_OFFLINE).
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, RevisionResolutionError

    try:
        return Path(snapshot_download(hub_id, revision=revision, ignore_patterns=_LEFT_OUT))
    except (OSError, HFValidationError, RevisionResolutionError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        at = f" at revision '{revision}'" if revision else ""
        raise UserError(
            f"Scorer '{name}': {hub_id}{at} could not be fetched ({type(error).__name__}: "
            f"{reason[0]}). Fetch it where there is a network and give the folder as 'path' in "
            "the scorer's entry, or check hub_id, revision, HF_HUB_OFFLINE and HF_TOKEN."
        ) from None
