"""Settings: the only truth about keys, types, defaults and where each value comes from.

``config/schema.json`` and ``config/README.md`` are generated from these models
(``python -m mira.config_docs``). Descriptions that name the paper say how the value is known;
"not published" marks a choice of ours.
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mira.errors import UserError
from mira.records import Family

Positive = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Method = Literal["raw", "random", "mira_global", "mira_group", "mira_source"]


_UNION_MEMBER = re.compile(r"^(int|str|float|constrained-int|(dict|list)\[.*\]|\[key\])$")


class Section(BaseModel):
    """A part of the settings; a key it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


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


class Prices(Section):
    """List price in money per million tokens."""

    input: float = Field(0.0, ge=0, description="Prompt tokens.")
    cached_input: float = Field(0.0, ge=0, description="Prompt tokens that the provider cached.")
    output: float = Field(0.0, ge=0, description="Reply tokens, thinking included.")


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
    concurrency: int = Field(32, ge=1, description="Requests in flight.")
    timeout_s: float = Field(120.0, gt=0, description="Limit of one request.")
    max_retries: int = Field(6, ge=0, description="Tries after a 429, 5xx, timeout or lost link.")
    max_failed_share: Share = Field(
        0.05, description="More records without a usable reply than this stop the stage."
    )
    max_chars: int = Field(
        48_000, ge=200, description="Longer records are shown head and tail, with a counted gap."
    )
    prices: Prices = Field(default_factory=Prices)
    halo: Share = Field(0.6, description="Embedded teacher: pull of the overall impression.")
    noise: float = Field(0.35, ge=0, description="Embedded teacher: sd of the seeded noise.")

    @model_validator(mode="after")
    def _endpoint_has_url(self) -> Teacher:
        if self.kind == "endpoint" and not self.base_urls:
            raise ValueError("kind 'endpoint' needs at least one entry in 'base_urls'")
        return self


class Discovery(Section):
    """Phase 1: free-form judging."""

    dimensions_per_record: int = Field(
        15, ge=3, description="Dimensions asked of the teacher per record. Secondary source: 15."
    )


class Anchoring(Section):
    """Judgment points to anchors."""

    k: int = Field(15, ge=2, description="Anchors per group (KMeans k). Model cards: 15.")
    references: int = Field(
        12, ge=0, description="Slots with calibration references, largest first. Model cards: 12."
    )
    stability_resamples: int = Field(20, ge=2, description="80 % resamples per group. Ours.")


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


class Selection(Section):
    """Keeping the best records under a token budget."""

    budget_share: Share | None = Field(
        0.5, description="Share of the corpus's tokens. Paper: 25B of about 50B."
    )
    budget_tokens: int | None = Field(None, ge=1, description="Or the budget in tokens.")
    trim: Annotated[float, Field(ge=0, lt=0.5)] = Field(
        0.1, description="Share of kept slots cut at each end of the mean. Not published."
    )
    methods: list[Method] = Field(
        default=["raw", "random", "mira_global", "mira_group", "mira_source"],
        min_length=1,
        description="Which selections to make.",
    )

    @model_validator(mode="after")
    def _one_budget(self) -> Selection:
        if (self.budget_share is None) == (self.budget_tokens is None):
            raise ValueError("give one of 'budget_share' and 'budget_tokens', null the other")
        return self


class Report(Section):
    """Figures, tables and the HTML report."""

    title: str = Field("MIRA: a data selection run", description="Heading of the report.")
    sample_records: int = Field(10, ge=0, description="Kept and dropped records shown to read.")


class Config(Section):
    """All settings of one run."""

    run: Name = Field(description="Name: results/<run>/, logs/<run>/, benchmarks/<run>/.")
    seed: int = Field(20260528, ge=0, description="Root of every random draw.")
    sources: dict[Name, Source] = Field(min_length=1, description="The corpus, source by source.")
    sampling: Sampling = Field(default_factory=Sampling)
    clustering: Clustering = Field(default_factory=Clustering)
    teacher: Teacher = Field(description="Who judges: an endpoint, or the embedded stand-in.")
    discovery: Discovery = Field(default_factory=Discovery)
    anchoring: Anchoring = Field(default_factory=Anchoring)
    distillation: Distillation = Field(default_factory=Distillation)
    validation: Validation = Field(default_factory=Validation)
    scoring: Scoring = Field(default_factory=Scoring)
    selection: Selection = Field(default_factory=Selection)
    report: Report = Field(default_factory=Report)

    @model_validator(mode="after")
    def _groups_fit_sources(self) -> Config:
        for family, k in self.groups_by_family().items():
            members = [s for s in self.sources.values() if family in (None, s.family)]
            if k > len(members):
                where = f" of family '{family}'" if family else ""
                raise ValueError(
                    f"clustering.k asks for {k} groups{where}, but there are only {len(members)} "
                    f"such sources: lower clustering.k or add sources"
                )
        return self

    @model_validator(mode="after")
    def _short_answers_are_learnt(self) -> Config:
        trained = self.distillation.scores_only_share > 0
        if self.scoring.readout == "expected" and not trained:
            raise ValueError(
                "scoring.readout 'expected' decodes scores-only answers, which students never saw: "
                "set distillation.scores_only_share above 0 (0.5, say)"
            )
        return self

    def groups_by_family(self) -> dict[Family | None, int]:
        """Number of groups per family, or under None when clustering runs over all sources."""
        if self.clustering.within == "all":
            if isinstance(self.clustering.k, dict):
                raise ValueError("clustering.k must be one number when clustering.within is 'all'")
            return {None: self.clustering.k}
        families = sorted({source.family for source in self.sources.values()})
        k = self.clustering.k
        if isinstance(k, int):
            return dict.fromkeys(families, k)
        if missing := [family for family in families if family not in k]:
            raise ValueError(f"clustering.k has no entry for family {', '.join(missing)}")
        return {family: k[family] for family in families}

    def group_names(self) -> list[str]:
        """Names of all groups, known before clustering: g1..gk, or family-1.. ."""
        return [
            f"{family}-{i}" if family else f"g{i}"
            for family, k in self.groups_by_family().items()
            for i in range(1, k + 1)
        ]

    def stand_in(self) -> str | None:
        """The notice for outputs made with stand-in models, or None for a real run."""
        parts = []
        if self.teacher.kind == "embedded":
            parts.append("an embedded rule-based teacher")
        if self.distillation.base_model is None:
            parts.append("toy students trained from scratch")
        if not parts:
            return None
        return f"Stand-in run: made with {' and '.join(parts)}; not a result about real models."


def load_config(path: str | Path) -> Config:
    """Read and check a YAML config; every problem is one readable UserError."""
    path = Path(path)
    if not path.exists():
        raise UserError(f"Config file not found: {path}. Give one with --configfile.")
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not valid YAML: {error}") from error
    return parse_config(raw, str(path))


def parse_config(raw: Any, where: str = "config") -> Config:
    """Check settings given as nested dicts; ``where`` names their origin in messages."""
    if not isinstance(raw, dict):
        raise UserError(f"{where}: expected a mapping of settings, found {type(raw).__name__}.")
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        lines = [_explain(problem) for problem in error.errors()]
        listing = "\n".join(f"  - {line}" for line in lines)
        raise UserError(f"{where}: {len(lines)} problem(s) in the settings\n{listing}") from None


def _explain(problem: Any) -> str:
    # pydantic names the members of a union; they are no keys of the user's.
    location = [str(part) for part in problem["loc"] if not _UNION_MEMBER.match(str(part))]
    key = ".".join(location) or "(top level)"
    if problem["type"] == "extra_forbidden":
        known = _known_keys(location[:-1])
        near = difflib.get_close_matches(location[-1], known, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known keys: {', '.join(sorted(known))}"
        return f"unknown key '{key}': {hint}"
    if problem["type"] == "missing":
        return f"missing key '{key}'"
    message = problem["msg"].removeprefix("Value error, ")
    found = "" if isinstance(problem.get("input"), dict) else f" (found {problem.get('input')!r})"
    return f"'{key}': {message}{found}"


def _known_keys(location: list[str]) -> list[str]:
    model: Any = Config
    for part in location:
        if part in getattr(model, "model_fields", {}):
            model = model.model_fields[part].annotation
        elif model == dict[Name, Source]:
            model = Source
    return list(getattr(model, "model_fields", {}))
