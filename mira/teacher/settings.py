"""Whom to ask, and how."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mira.config import Teacher
from mira.errors import UserError


@dataclass(frozen=True, kw_only=True)
class TeacherSettings:
    """One model behind one or several OpenAI-compatible endpoints.

    ``api_key_env`` is the name of an environment variable, never a key. ``variant`` is anything
    else that decides replies without being sent (the embedded teacher's seed and noise): it is
    part of a reply's key. Times are seconds; retry k waits about ``backoff_s * 2**k``.
    """

    base_urls: tuple[str, ...]
    model: str
    api_key_env: str | None = None
    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int = 4096
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    variant: Mapping[str, Any] = field(default_factory=dict)
    concurrency: int = 32
    timeout_s: float = 120.0
    max_retries: int = 6
    backoff_s: float = 1.0
    backoff_max_s: float = 60.0
    max_failed_share: float = 0.05

    @classmethod
    def from_config(
        cls, teacher: Teacher, base_urls: Sequence[str] = (), seed: int = 0
    ) -> TeacherSettings:
        """Settings of the config's ``teacher`` section.

        ``base_urls`` replaces the section's own, for a teacher started by the caller; ``seed`` is
        the one the embedded teacher was started with.
        """
        embedded = teacher.kind == "embedded"
        return cls(
            base_urls=tuple(base_urls or teacher.base_urls),
            model=teacher.model,
            api_key_env=teacher.api_key_env,
            temperature=teacher.temperature,
            top_p=teacher.top_p,
            max_tokens=teacher.max_tokens,
            extra_body=teacher.extra_body,
            variant={"seed": seed, "halo": teacher.halo, "noise": teacher.noise}
            if embedded
            else {},
            concurrency=teacher.concurrency,
            timeout_s=teacher.timeout_s,
            max_retries=teacher.max_retries,
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

    def identity(self) -> dict[str, Any]:
        """What, beside model and messages, decides a reply: part of its journal key."""
        return {**self.sampling(), **({"variant": dict(self.variant)} if self.variant else {})}

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
