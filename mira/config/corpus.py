"""Sources, sampling and clustering: what the corpus is."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from mira.config.base import Positive, Section, Share
from mira.records import Family


class Fields(Section):
    """Which field of the user's rows holds what; dots reach into objects (``meta.path``)."""

    id: str | None = Field("id", description="Record id; null: made from a hash of the content.")
    text: str | None = Field("text", description="Plain text; null where the source has messages.")
    messages: str | None = Field("messages", description="OpenAI chat messages with tool calls.")
    meta: str | None = Field("meta", description="Anything to carry along.")


class Source(Section):
    """One source: harvested from this Python installation, or read from files."""

    family: Family = Field(description="Renderer and kind of rubric of its records.")
    harvest: str | None = Field(None, description="Demo only: name in mira.sampling.harvest.")
    path: str | list[str] | None = Field(
        None, description="JSONL (plain, .gz, .zst) or Parquet: a file, a glob, or a list of them."
    )
    fields: Fields = Field(default_factory=Fields, description="Field map of the rows.")

    @model_validator(mode="after")
    def _one_origin(self) -> Source:
        if (self.harvest is None) == (self.path is None):
            raise ValueError("give exactly one of 'harvest' and 'path'")
        return self


class Tokenizer(Section):
    """The tokenizer of the model to be mid-trained: it decides n_tokens and every budget."""

    path: str | None = Field(None, description="Folder or Hugging Face id; null: train one here.")
    vocab_size: int = Field(4096, ge=300, description="Byte-level BPE size when trained here.")


class Sampling(Section):
    """Reading, limiting and sampling the records."""

    max_records_per_source: int | None = Field(None, ge=1, description="Cap; null: all records.")
    min_chars: int = Field(80, ge=1, description="Shorter records are rejected.")
    max_chars: int = Field(24_000, ge=100, description="Longer records: see on_too_long.")
    on_too_long: Literal["reject", "cut"] = Field(
        "cut", description="Reject, or cut at a line or message boundary (meta.truncated)."
    )
    max_rejected_share: Share = Field(
        0.05, description="More rejected rows than this in one source stop the run."
    )
    spoil_share: Share = Field(
        0.0, description="Demo only: share of records damaged in known ways, kept secret."
    )
    tokenizer: Tokenizer = Field(default_factory=Tokenizer)
    discovery_per_source: int = Field(
        1_000, ge=1, description="Phase 1 sample. Derived from published cluster sizes: 1,000 (QA)."
    )
    labelling_per_source: int = Field(
        100_000, ge=2, description="Phase 2 sample. Derived from published counts: at most 100,000."
    )
    validation_share: Share = Field(
        0.1, description="Held-out share of the labels. Not published: our choice."
    )


class Clustering(Section):
    """Grouping the sources by their mean embedding."""

    embedding_model: str = Field(
        "bundled-minilm",
        description="'bundled-minilm' (ships with the packages), a folder or an id. Not published.",
    )
    dtype: Literal["float32", "bfloat16"] = Field(
        "bfloat16", description="Weights of the embedder."
    )
    records_per_source: int = Field(
        200, ge=1, description="Records averaged per source. Not published."
    )
    k: Positive | dict[Family, Positive] = Field(
        5, description="Number of groups, or one number per family. Paper: 5 groups of 21 sources."
    )
    within: Literal["all", "family"] = Field(
        "all", description="Cluster over all sources, or inside each family (groups family-1, ...)."
    )
