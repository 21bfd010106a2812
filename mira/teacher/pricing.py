"""Tokens and what they cost."""

from __future__ import annotations

from typing import NamedTuple

from mira.config import Prices

_PER = 1_000_000


class Usage(NamedTuple):
    """Tokens of one or several calls.

    ``cached_tokens`` are part of ``prompt_tokens``, ``thinking_tokens`` of ``completion_tokens``.
    """

    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    thinking_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:  # type: ignore[override]
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.cached_tokens + other.cached_tokens,
            self.completion_tokens + other.completion_tokens,
            self.thinking_tokens + other.thinking_tokens,
        )

    @property
    def total_tokens(self) -> int:
        """Prompt and completion tokens together."""
        return self.prompt_tokens + self.completion_tokens

    def as_dict(self) -> dict[str, int]:
        """The counts by name."""
        return self._asdict()


class Charge(NamedTuple):
    """What calls cost, or may cost: money in the unit of the prices, and tokens."""

    money: float = 0.0
    tokens: int = 0

    def __add__(self, other: Charge) -> Charge:  # type: ignore[override]
        return Charge(self.money + other.money, self.tokens + other.tokens)

    def __sub__(self, other: Charge) -> Charge:
        return Charge(self.money - other.money, self.tokens - other.tokens)


def cost(usage: Usage, prices: Prices) -> float:
    """Money for the tokens at list prices per million.

    Cached prompt tokens and thinking tokens have their own prices; thinking is billed as output
    where it has none.
    """
    thinking_price = prices.output if prices.thinking is None else prices.thinking
    return (
        (usage.prompt_tokens - usage.cached_tokens) * prices.input
        + usage.cached_tokens * prices.cached_input
        + (usage.completion_tokens - usage.thinking_tokens) * prices.output
        + usage.thinking_tokens * thinking_price
    ) / _PER


def charge_of(usage: Usage, prices: Prices) -> Charge:
    """Money and tokens of a call whose usage is known."""
    return Charge(cost(usage, prices), usage.total_tokens)


def worst_charge(prompt_bytes: int, max_tokens: int, prices: Prices) -> Charge:
    """The most a call can cost before it is sent (ours).

    A token of a byte-level tokenizer is at least one byte, so the request's bytes bound its prompt
    tokens; the reply, thinking included, is bounded by ``max_tokens``.
    """
    input_price = max(prices.input, prices.cached_input)
    output_price = max(prices.output, prices.thinking or 0.0)
    money = (prompt_bytes * input_price + max_tokens * output_price) / _PER
    return Charge(money, prompt_bytes + max_tokens)


def worst_usage(most_tokens: int, max_tokens: int) -> Usage:
    """The usage of a call of ``most_tokens`` whose tokens nobody counted: all that it may be."""
    return Usage(max(0, most_tokens - max_tokens), 0, max_tokens)
