"""Tokens and what they cost."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from mira.config import Prices

_PER = 1_000_000


@dataclass(frozen=True)
class Usage:
    """Tokens of one or several calls; ``cached_tokens`` are part of ``prompt_tokens``."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.cached_tokens + other.cached_tokens,
            self.completion_tokens + other.completion_tokens,
        )

    @property
    def total_tokens(self) -> int:
        """Prompt and completion tokens together."""
        return self.prompt_tokens + self.completion_tokens

    def as_dict(self) -> dict[str, int]:
        """The three counts by name."""
        return asdict(self)


def cost(usage: Usage, prices: Prices) -> float:
    """Money for the tokens at list prices per million; cached prompt tokens at their own price."""
    fresh = usage.prompt_tokens - usage.cached_tokens
    return (
        fresh * prices.input
        + usage.cached_tokens * prices.cached_input
        + usage.completion_tokens * prices.output
    ) / _PER
