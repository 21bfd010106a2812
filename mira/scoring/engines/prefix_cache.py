"""Whether a prefix cache does what prompts with a common beginning let one expect."""

from __future__ import annotations

from collections.abc import Sequence

from mira.scoring.engine import Counters, Prompt

_WANTED_SHARE = 0.5


def shared_prefix(prompts: Sequence[Prompt]) -> int:
    """Number of leading tokens that all prompts have in common."""
    if not prompts:
        return 0
    first, last = min(p.ids for p in prompts), max(p.ids for p in prompts)
    for length, (one, other) in enumerate(zip(first, last, strict=False)):
        if one != other:
            return length
    return min(len(first), len(last))


def check_prefix_cache(
    counters: Counters, shared_tokens: int, n: int, *, block_tokens: int = 16
) -> str | None:
    """A warning where the prefix cache spared less than half of what it should have, else None.

    ``n`` prompts began with the same ``shared_tokens`` tokens; a cache keeps whole blocks of
    ``block_tokens``, and the first prompt finds nothing (ours).
    """
    predicted = (n - 1) * (shared_tokens // block_tokens) * block_tokens
    cached = counters.cached_tokens
    if predicted <= 0 or (cached is not None and cached >= _WANTED_SHARE * predicted):
        return None
    said = "does not say what it" if cached is None else f"spared {cached:,} tokens:"
    found = "spared" if cached is None else f"{cached / predicted:.0%}"
    return (
        f"PREFIX CACHE NOT SEEN TO WORK: {n:,} prompts share {shared_tokens:,} leading tokens, so "
        f"at least {predicted:,} prompt tokens need not be computed; the engine {said} {found}. "
        "Scores are right, but may cost several times as much. Lower "
        "scoring.vllm.max_num_batched_tokens (hybrid models find nothing in large batches), or "
        "leave the shared part out with distillation.prompt 'rubric' or 'compact'."
    )
