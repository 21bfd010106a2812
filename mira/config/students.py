"""Distillation, validation and scoring: the students."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from mira.config.base import Section, Share

_HOW_FAST: dict[str, Any] = {
    "vllm": {
        *("tensor_parallel", "max_num_batched_tokens", "gpu_memory_utilization"),
        *("enforce_eager", "python"),
    },
    **dict.fromkeys(
        ("served", "api_key_env", "concurrency", "shards", "batch_size", "threads"), True
    ),
}


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
    """Training one student per group on the teacher's labels, or naming one that is trained."""

    students: Literal["trained", "published"] = Field(
        "trained",
        description="'published' takes released scorers (config/scorers.yaml) instead of training.",
    )
    scorers: dict[str, str] = Field(
        default_factory=dict,
        description="With students: published, the scorer of each group, by its name in "
        "config/scorers.yaml.",
    )
    scorers_file: str = Field("config/scorers.yaml", description="Where scorers are described.")
    base_model: str | None = Field(
        None, description="Folder or id. Paper: Qwen3.5-35B-A3B-Base. Null: small, from scratch."
    )
    architecture: Architecture = Field(default_factory=Architecture)
    pretraining: Pretraining = Field(default_factory=Pretraining)
    prompt: Literal["full", "rubric", "compact"] = Field(
        "full",
        description="'full' is the teacher's prompt with its references (paper); 'rubric' leaves "
        "the references out; 'compact' is the record alone. What is left out is learnt (context "
        "distillation, ours).",
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
    score_loss_weight: float = Field(
        0.0,
        ge=0,
        description="Weight of a squared error of the expected score beside the cross-entropy "
        "(regression-aware, ours). Paper: 0.",
    )
    epochs: float = Field(2.0, gt=0, description="Not published.")
    batch_size: int = Field(
        16, ge=1, description="Examples, or packed rows, per process and step. Not published."
    )
    gradient_accumulation: int = Field(1, ge=1, description="Batches per step. Not published.")
    packing: bool = Field(
        False, description="Several examples in one row, each blind to the others (ours)."
    )
    packed_tokens: int = Field(8192, ge=16, description="Tokens of a packed row. Not published.")
    gradient_checkpointing: bool = Field(
        False, description="Recompute activations instead of keeping them: less memory, slower."
    )
    learning_rate: float = Field(1e-5, gt=0, description="Not published.")
    warmup_share: Share = Field(0.05, description="Not published.")
    weight_decay: float = Field(0.0, ge=0, description="Not published.")
    save_steps: int = Field(200, ge=1, description="Checkpoint interval, for resuming.")
    precision: Literal["float32", "bfloat16"] = Field("bfloat16", description="Cards: BF16.")
    deepspeed: str | None = Field(
        None,
        description="'zero2', 'zero3', a DeepSpeed configuration file, or null.",
    )
    processes: int = Field(1, ge=1, description="Processes (GPUs) per student.")
    threads: int = Field(1, ge=1, description="CPU threads per process.")


class Validation(Section):
    """Teacher against student on held-out labels."""

    mask: Literal["measured", "none"] = Field(
        "measured",
        description="'none' masks nothing and asks no teacher, for published students: nothing "
        "then says which scores can be trusted, and no report is made.",
    )
    max_mae: float = Field(
        1.0, gt=0, description="A cell is kept below this MAE. One secondary source: 1.0."
    )
    min_records: int = Field(
        30, ge=2, description="Smaller cells take their group's decision for the slot. Ours."
    )
    compare_readouts: int = Field(
        0, ge=0, description="Held-out records per group also read with 'sample' (0: none)."
    )


class Vllm(Section):
    """The engine vLLM, as the cards serve the released scorers except where it says so."""

    tensor_parallel: int = Field(
        1, ge=1, description="GPUs per replica. Cards: 8; one GPU per replica is faster (ours)."
    )
    max_model_len: int | None = Field(
        65_536, ge=128, description="Prompt and reply in tokens; null: the model's. Cards: 65,536."
    )
    max_num_batched_tokens: int | None = Field(
        16_384,
        ge=128,
        description="Tokens per scheduling step. Cards: 131,072, at which prefix caching may find "
        "nothing on hybrid models (ours: 16,384).",
    )
    gpu_memory_utilization: float = Field(0.9, gt=0, le=1, description="Cards: 0.9.")
    enforce_eager: bool = Field(False, description="No graphs: starts sooner, runs slower.")
    python: str | None = Field(
        None, description="Interpreter of the environment that has vLLM; null: the workflow's own."
    )


class Served(Section):
    """A student behind an OpenAI-compatible endpoint."""

    url: str = Field(description="Base URL, ending in /v1.")
    model: str = Field(description="Model name, as the endpoint calls it.")


class Scoring(Section):
    """Scoring the whole corpus with the students."""

    engine: Literal["transformers", "vllm", "openai"] = Field(
        "transformers",
        description="What runs the students: here (transformers, vllm) or behind `served` (vllm: "
        "a vLLM server; openai: any OpenAI-compatible endpoint).",
    )
    vllm: Vllm = Field(default_factory=Vllm)
    served: dict[str, Served] = Field(
        default_factory=dict, description="Endpoint of each group's student, by group."
    )
    api_key_env: str | None = Field(
        None, description="Name of the variable that holds the endpoints' key; never the key."
    )
    concurrency: int = Field(64, ge=1, description="Requests in flight to an endpoint.")
    readout: Literal["sample", "greedy", "expected"] = Field(
        "sample", description="Cards: 'sample'. 'expected': the probability-weighted score (ours)."
    )
    temperature: float = Field(0.7, ge=0, description="Readout 'sample'. Cards: 0.7.")
    top_p: Share = Field(0.95, description="Readout 'sample'. Cards: 0.95.")
    max_new_tokens: int = Field(2048, ge=16, description="Readouts with rationales. Cards: 2,048.")
    on_too_long: Literal["head_tail", "windows", "reject"] = Field(
        "head_tail",
        description="Records over distillation.max_record_tokens: read head and tail, average "
        "windows, or leave unscored. Every choice is counted. Not published.",
    )
    max_windows: int = Field(
        8, ge=2, description="Most windows of one record; evenly spread where it has more."
    )
    trust_remote_code: bool = Field(
        False, description="Run code that comes with a model. The cards' command turns it on."
    )
    shards: int = Field(1, ge=1, description="Shards per group, equal in tokens.")
    batch_size: int | None = Field(
        None,
        ge=1,
        description="Records handed to the engine at once; null: 32 for transformers, 1,024 else.",
    )
    dtype: Literal["float32", "bfloat16"] = Field("bfloat16", description="Cards: BF16.")
    threads: int = Field(1, ge=1, description="CPU threads per process.")

    def deciding(self) -> dict[str, Any]:
        """The settings that decide scores; the others decide how fast they come."""
        return self.model_dump(exclude=_HOW_FAST)

    @model_validator(mode="after")
    def _endpoints_are_named(self) -> Scoring:
        if self.engine == "openai" and not self.served:
            raise ValueError(
                "scoring.engine 'openai' needs scoring.served: url and model for every group"
            )
        return self
