"""From tokens and call-seconds to money and time, on the teacher's terms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mira.config import Prices
from mira.teacher.pricing import Usage, cost
from mira.teacher.settings import TeacherSettings

_MINUTE = 60.0


@dataclass(frozen=True)
class Terms:
    """Prices, of which ``price_share`` is charged, and what limits the pace of calls.

    Rates are per minute over all endpoints; None: no limit known. ``window`` is the batch API's,
    None for live calls.
    """

    prices: Prices
    price_share: float
    concurrency: int
    requests_per_minute: float | None
    tokens_per_minute: float | None
    max_reply_tokens: int
    window: str | None

    @classmethod
    def of(cls, settings: TeacherSettings) -> Terms:
        """The terms under which these settings ask."""
        batch = settings.mode == "batch"
        endpoints = len(settings.base_urls)
        per_minute = (settings.requests_per_minute, settings.tokens_per_minute)
        requests, tokens = (rate and rate * endpoints for rate in per_minute)
        return cls(
            prices=settings.prices,
            price_share=settings.batch.price_share if batch else 1.0,
            concurrency=settings.concurrency,
            requests_per_minute=requests,
            tokens_per_minute=tokens,
            max_reply_tokens=settings.max_reply_tokens(),
            window=settings.batch.completion_window if batch else None,
        )

    def money(self, totals: Mapping[str, np.ndarray]) -> np.ndarray:
        """Money for totals of tokens by name."""
        prompt, cached = totals["prompt_tokens"], totals["cached_tokens"]
        completion, thinking = totals["completion_tokens"], totals["thinking_tokens"]
        money = (prompt - cached) * cost(Usage(prompt_tokens=1), self.prices)
        money += cached * cost(Usage(prompt_tokens=1, cached_tokens=1), self.prices)
        money += (completion - thinking) * cost(Usage(completion_tokens=1), self.prices)
        money += thinking * cost(Usage(completion_tokens=1, thinking_tokens=1), self.prices)
        return self.price_share * money

    def seconds(
        self, call_seconds: np.ndarray | None, calls: np.ndarray, tokens: np.ndarray
    ) -> np.ndarray | None:
        """Seconds that calls take: the longest of their work, their number and their tokens.

        ``call_seconds`` is the time of all calls over those in flight, None where unknown. None
        where nothing is known, and for the batch API, which promises its window alone.
        """
        if self.window is not None:
            return None
        known = [] if call_seconds is None else [call_seconds]
        if self.requests_per_minute is not None:
            known.append(calls / self.requests_per_minute * _MINUTE)
        if self.tokens_per_minute is not None:
            known.append(tokens / self.tokens_per_minute * _MINUTE)
        return np.maximum.reduce(known) if known else None
