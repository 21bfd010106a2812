"""Whom to ask, and how."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from mira.config import Batch, Cap, Prices, Teacher
from mira.errors import UserError
from mira.prompts import Message
from mira.teacher.journal import reply_key


@dataclass(frozen=True, kw_only=True)
class TeacherSettings:
    """One model behind one or several OpenAI-compatible endpoints.

    ``api_key_env`` is the name of an environment variable, never a key. ``variant`` is anything
    else that decides replies without being sent (the embedded teacher's seed and noise): it is
    part of a reply's key. ``payer`` is the run whose ``cap`` counts. Rates are per endpoint and
    minute. Times are seconds; retry k waits about ``backoff_s * 2**k``.
    """

    base_urls: tuple[str, ...]
    model: str
    api_key_env: str | None = None
    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int = 4096
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    variant: Mapping[str, Any] = field(default_factory=dict)
    prices: Prices = field(default_factory=Prices)
    cap: Cap = field(default_factory=Cap)
    payer: str = ""
    mode: Literal["live", "batch"] = "live"
    batch: Batch = field(default_factory=Batch)
    concurrency: int = 32
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    timeout_s: float = 120.0
    max_retries: int = 6
    backoff_s: float = 1.0
    backoff_max_s: float = 60.0
    max_outage_s: float = 600.0
    max_failed_share: float = 0.05

    @classmethod
    def from_config(
        cls,
        teacher: Teacher,
        payer: str = "",
        *,
        base_urls: Sequence[str] = (),
        variant: Mapping[str, Any] | None = None,
    ) -> TeacherSettings:
        """Settings of the config's ``teacher`` section, for the run ``payer``.

        ``base_urls`` replaces the section's own, for a teacher started by the caller, who names
        what decides its replies in ``variant``.
        """
        return cls(
            base_urls=tuple(base_urls or teacher.base_urls),
            model=teacher.model,
            api_key_env=teacher.api_key_env,
            temperature=teacher.temperature,
            top_p=teacher.top_p,
            max_tokens=teacher.max_tokens,
            extra_body=teacher.extra_body,
            variant=variant or {},
            prices=teacher.prices,
            cap=teacher.cap,
            payer=payer,
            mode=teacher.mode,
            batch=teacher.batch,
            concurrency=teacher.concurrency,
            requests_per_minute=teacher.requests_per_minute,
            tokens_per_minute=teacher.tokens_per_minute,
            timeout_s=teacher.timeout_s,
            max_retries=teacher.max_retries,
            max_outage_s=teacher.max_outage_s,
            max_failed_share=teacher.max_failed_share,
        )

    def sampling(self) -> dict[str, Any]:
        """The parameters sent with every request."""
        return {
            "temperature": float(self.temperature),
            "top_p": float(self.top_p),
            "max_tokens": self.max_tokens,
            **self.extra_body,
        }

    def max_reply_tokens(self) -> int:
        """The most tokens that one reply may have, thinking included."""
        limits = (self.extra_body.get(name) for name in ("max_tokens", "max_completion_tokens"))
        return max(self.max_tokens, *(limit for limit in limits if isinstance(limit, int)), 0)

    def identity(self) -> dict[str, Any]:
        """What, beside model and messages, decides a reply: part of its journal key."""
        return {**self.sampling(), **({"variant": dict(self.variant)} if self.variant else {})}

    def body(self, messages: Sequence[Message]) -> bytes:
        """The request that asks these messages."""
        return orjson.dumps({"model": self.model, "messages": messages, **self.sampling()})

    def key(self, messages: Sequence[Message], sample: int) -> str:
        """The journal's key of their reply."""
        return reply_key(self.model, messages, self.identity(), sample)

    def api_key(self) -> str | None:
        """The key from the environment; raises UserError naming the variable when it is not set."""
        if self.api_key_env is None:
            return None
        key = os.environ.get(self.api_key_env, "").strip()
        if not key:
            raise UserError(
                f"The environment variable {self.api_key_env} (teacher.api_key_env) is not set: "
                f"put the key of the teacher's endpoint into it and start again."
            )
        return key
