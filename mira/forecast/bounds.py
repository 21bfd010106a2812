"""What can be said of a stage's cost without a pilot: its prompts, and the most of its replies."""

from __future__ import annotations

from typing import Any

from mira.forecast.terms import Terms

Range = dict[str, float | None]

_PER = 1_000_000


def bounded_row(n: int, size: int, terms: Terms, *, in_tokens: bool) -> dict[str, Any]:
    """One call per question; ``size`` is that of all prompts, in tokens or bytes.

    A token is at least one byte, and a reply at most as long as is asked for. ``mid`` is None
    where nothing is expected rather than anything else.
    """
    most_reply = n * terms.max_reply_tokens
    input_prices = (terms.prices.input, terms.prices.cached_input)
    output_prices = (terms.prices.output, terms.prices.thinking or 0.0)
    least_prompt = size if in_tokens else 0
    least = least_prompt * min(input_prices)
    most = size * max(input_prices) + most_reply * max(output_prices)
    prompt = _range(size, size, size) if in_tokens else _range(0, None, size)
    return {
        "n": n,
        "pooled": False,
        "calls": _range(n, n, n),
        "rejected": _range(0, None, n),
        "prompt_tokens": prompt,
        "cached_tokens": _range(0, None, size),
        "completion_tokens": _range(0, None, most_reply),
        "thinking_tokens": _range(0, None, most_reply),
        "tokens": _range(least_prompt, None, size + most_reply),
        "money": _range(terms.price_share * least / _PER, None, terms.price_share * most / _PER),
        "seconds": None,
    }


def _range(low: float, mid: float | None, high: float) -> Range:
    return {"low": low, "mid": mid, "high": high}
