"""Distillation, validation and scoring: the students."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mira.config.base import Section, Share


class Architecture(Section):
    """A small Qwen3 model trained from scratch: the demo's student."""

    hidden_size: int = Field(128, ge=32, description="Width.")
    layers: int = Field(4, ge=1, description="Depth.")
    heads: int = Field(4, ge=1, description="Query heads.")
    kv_heads: int = Field(2, ge=1, description="Key-value heads.")
    intermediate_size: int = Field(384, ge=32, description="Width of the MLP.")


class Pretraining(Section):
    """Language modelling on the corpus before distillation, shared by all students (ours)."""

    steps: int = Field(0, ge=0, description="0: no pretraining.")
    batch_size: int = Field(16, ge=1, description="Blocks per step.")
    block_tokens: int = Field(512, ge=16, description="Tokens per block.")
    learning_rate: float = Field(1e-3, gt=0, description="Peak, cosine schedule.")


class Distillation(Section):
    """Training one student per group on the teacher's labels."""

    base_model: str | None = Field(
        None, description="Folder or id. Paper: Qwen3.5-35B-A3B-Base. Null: small, from scratch."
    )
    architecture: Architecture = Field(default_factory=Architecture)
    pretraining: Pretraining = Field(default_factory=Pretraining)
    prompt: Literal["full", "compact"] = Field(
        "full",
        description="'full' is the teacher's prompt with its references (paper); 'compact' the "
        "record alone, the rubric being learnt (context distillation, ours).",
    )
    statistics: bool = Field(
        False,
        description="Whole-record statistics as tokens in the prompt, for students too small to "
        "read long records; tells part of what a rule-based teacher measures (ours).",
    )
    max_record_tokens: int = Field(
        32_768, ge=32, description="Longer records keep head and tail. Cards imply 32,768."
    )
    scores_only_share: Share = Field(
        0.0, description="Share of targets without rationales, for short decoding. Paper: 0."
    )
    epochs: float = Field(2.0, gt=0, description="Not published.")
    batch_size: int = Field(16, ge=1, description="Per process. Not published.")
    learning_rate: float = Field(1e-5, gt=0, description="Not published.")
    warmup_share: Share = Field(0.05, description="Not published.")
    weight_decay: float = Field(0.0, ge=0, description="Not published.")
    save_steps: int = Field(200, ge=1, description="Checkpoint interval, for resuming.")
    precision: Literal["float32", "bfloat16"] = Field("bfloat16", description="Cards: BF16.")
    deepspeed: str | None = Field(None, description="DeepSpeed configuration file, or null.")
    processes: int = Field(1, ge=1, description="Processes (GPUs) per student.")
    threads: int = Field(1, ge=1, description="CPU threads per process.")


class Validation(Section):
    """Teacher against student on held-out labels."""

    max_mae: float = Field(
        1.0, gt=0, description="A cell is kept below this MAE. One secondary source: 1.0."
    )
    min_records: int = Field(
        30, ge=2, description="Smaller cells take their group's decision for the slot. Ours."
    )
    compare_readouts: int = Field(
        0, ge=0, description="Held-out records per group also read with 'sample' (0: none)."
    )


class Scoring(Section):
    """Scoring the whole corpus with the students."""

    engine: Literal["transformers"] = Field("transformers", description="What runs the students.")
    readout: Literal["sample", "greedy", "expected"] = Field(
        "sample", description="Cards: 'sample'. 'expected': the probability-weighted score (ours)."
    )
    temperature: float = Field(0.7, ge=0, description="Readout 'sample'. Cards: 0.7.")
    top_p: Share = Field(0.95, description="Readout 'sample'. Cards: 0.95.")
    max_new_tokens: int = Field(2048, ge=16, description="Readouts with rationales. Cards: 2,048.")
    shards: int = Field(1, ge=1, description="Shards per group, equal in tokens.")
    batch_size: int = Field(32, ge=1, description="Records per forward pass.")
    dtype: Literal["float32", "bfloat16"] = Field("bfloat16", description="Cards: BF16.")
    threads: int = Field(1, ge=1, description="CPU threads per process.")
