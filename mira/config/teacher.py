"""The teacher: whom to ask, what it costs, and what it may cost."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from mira.config.base import Section, Share

_DECIDING = {
    *("kind", "model", "temperature", "top_p", "max_tokens", "extra_body", "max_chars", "prices"),
    *("halo", "noise"),
}


class Prices(Section):
    """List price in money per million tokens."""

    input: float = Field(0.0, ge=0, description="Prompt tokens.")
    cached_input: float = Field(0.0, ge=0, description="Prompt tokens that the provider cached.")
    output: float = Field(0.0, ge=0, description="Reply tokens.")
    thinking: float | None = Field(
        None, ge=0, description="Thinking tokens, where they are billed apart; null: as output."
    )


class Cap(Section):
    """What a run may spend in all, restarts included; calls in flight are counted in."""

    money: float | None = Field(None, ge=0, description="In the unit of `prices`; null: no limit.")
    tokens: int | None = Field(None, ge=0, description="Prompt and reply tokens; null: no limit.")


class Batch(Section):
    """The provider's batch API (OpenAI-style files and batches)."""

    price_share: Share = Field(1.0, description="What a batched call costs, as a share of prices.")
    max_requests: int = Field(50_000, ge=1, description="Requests in one batch.")
    max_bytes: int = Field(100_000_000, ge=1_000, description="Size of one batch's input file.")
    poll_s: float = Field(30.0, gt=0, description="Seconds between looks at a batch.")
    completion_window: str = Field("24h", description="As the provider names it.")


class Teacher(Section):
    """The teacher behind an OpenAI-compatible endpoint."""

    kind: Literal["embedded", "endpoint"] = Field(
        "endpoint", description="'embedded' starts the rule-based stand-in on this machine."
    )
    base_urls: list[str] = Field(default_factory=list, description="Endpoint(s), ending in /v1.")
    model: str = Field("mira-embedded-teacher", description="Model name. Paper: Kimi-K2.6.")
    api_key_env: str | None = Field(
        None, description="Name of the environment variable that holds the key; never the key."
    )
    temperature: float = Field(0.0, ge=0, description="Not published.")
    top_p: Share = Field(1.0, description="Not published.")
    max_tokens: int = Field(4096, ge=64, description="Limit of one reply.")
    extra_body: dict[str, Any] = Field(default_factory=dict, description="Provider's own options.")
    mode: Literal["live", "batch"] = Field(
        "live",
        description="Call by call, or through the batch API of the first of base_urls: same "
        "prompts, same journal.",
    )
    batch: Batch = Field(default_factory=Batch)
    journal: str = Field(
        "results/journal",
        description="Folder of all paid replies, shared by runs; see `python -m mira journal`.",
    )
    concurrency: int = Field(32, ge=1, description="Requests in flight, over all endpoints.")
    requests_per_minute: int | None = Field(
        None, ge=1, description="Per endpoint; null: what its headers say, if anything."
    )
    tokens_per_minute: int | None = Field(
        None, ge=1, description="Per endpoint, prompt and reply; null: as above."
    )
    timeout_s: float = Field(120.0, gt=0, description="Limit of one request.")
    max_retries: int = Field(6, ge=0, description="Tries after a 429, 5xx, timeout or lost link.")
    max_outage_s: float = Field(
        600.0, ge=0, description="The stage stops when no endpoint has answered for so long."
    )
    max_failed_share: Share = Field(
        0.05, description="More records without a usable reply than this stop the stage."
    )
    max_chars: int = Field(
        48_000, ge=200, description="Longer records are shown head and tail, with a counted gap."
    )
    prices: Prices = Field(default_factory=Prices)
    cap: Cap = Field(default_factory=Cap)
    pilot_calls: int = Field(
        60,
        ge=0,
        description="Calls of each forecast. The stage uses their replies, save a third of the "
        "first forecast's.",
    )
    tokenizer: str | None = Field(
        None,
        description="Folder or id of the teacher's tokenizer, for the forecast; null: tokens are "
        "estimated from bytes, at the pilot's rate.",
    )
    halo: Share = Field(0.6, description="Embedded teacher: pull of the overall impression.")
    noise: float = Field(0.35, ge=0, description="Embedded teacher: sd of the seeded noise.")

    @model_validator(mode="after")
    def _endpoint_has_url(self) -> Teacher:
        if self.kind == "endpoint" and not self.base_urls:
            raise ValueError("kind 'endpoint' needs at least one entry in 'base_urls'")
        if self.kind == "embedded" and self.mode == "batch":
            raise ValueError("the embedded teacher has no batch API: set 'mode' to live")
        return self

    def deciding(self) -> dict[str, Any]:
        """The settings that decide what a stage writes: an edit of any other reruns nothing."""
        return self.model_dump(include=_DECIDING)
