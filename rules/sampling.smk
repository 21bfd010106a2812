"""Sampling: sources to normalised records, and the two samples that the teacher will see.

NEEDS   the sources of the config: files, or harvesters for the demo
MAKES   sampling/corpus/{source}.parquet, sampling/rejected.parquet, sampling/tokenizer/,
        sampling/discovery/{source}.parquet, sampling/labelling/{source}.parquet,
        sampling/manifest.json
COST    reading the corpus twice; CPU only
"""

from mira.sampling import STAGE_VERSION as SAMPLING_VERSION


rule harvest_sources:
    """Collect the demo's sources from this Python installation and spoil a known share."""
    output:
        raw=collect(
            "results/{run}/sampling/raw/{source}.jsonl", run=RUN, source=HARVESTED
        ),
        spoiled=f"results/{RUN}/sampling/hidden/spoiled.parquet",
    log:
        f"logs/{RUN}/sampling/harvest_sources.log",
    benchmark:
        f"benchmarks/{RUN}/sampling/harvest_sources.tsv"
    conda:
        "../envs/train.yaml"
    threads: 1
    resources:
        mem="2GB",
        runtime="30m",
    params:
        version=SAMPLING_VERSION,
        seed=SEED,
        harvesters={name: SETTINGS.sources[name].harvest for name in HARVESTED},
        limits=section("sampling", "max_records_per_source", "min_chars", "max_chars"),
        spoil_share=SETTINGS.sampling.spoil_share,
    script:
        "../scripts/harvest_sources.py"


rule read_source:
    """Read one source into records, and list every row that is left out."""
    input:
        rows=rows_of_source,
    output:
        records=temp("results/{run}/sampling/records/{source}.parquet"),
        rejected="results/{run}/sampling/rejected/{source}.parquet",
    log:
        "logs/{run}/sampling/read_source/{source}.log",
    benchmark:
        "benchmarks/{run}/sampling/read_source/{source}.tsv"
    conda:
        "../envs/base.yaml"
    threads: 1
    resources:
        mem="4GB",
        runtime="2h",
    params:
        version=SAMPLING_VERSION,
        seed=SEED,
        source=lambda wildcards: SETTINGS.sources[wildcards.source].model_dump(),
        limits=section(
            "sampling",
            "max_records_per_source",
            "min_chars",
            "max_chars",
            "on_too_long",
            "max_rejected_share",
        ),
    script:
        "../scripts/read_source.py"


rule prepare_tokenizer:
    """Train the tokenizer on the corpus, or copy the one that the config names."""
    input:
        records=collect(
            "results/{run}/sampling/records/{source}.parquet",
            source=SOURCES,
            allow_missing=True,
        ),
    output:
        tokenizer=directory("results/{run}/sampling/tokenizer"),
    log:
        "logs/{run}/sampling/prepare_tokenizer.log",
    benchmark:
        "benchmarks/{run}/sampling/prepare_tokenizer.tsv"
    conda:
        "../envs/train.yaml"
    threads: 2
    resources:
        mem="8GB",
        runtime="2h",
    params:
        version=SAMPLING_VERSION,
        tokenizer=section("sampling", "tokenizer")["tokenizer"],
    script:
        "../scripts/prepare_tokenizer.py"


rule count_tokens:
    """Add n_tokens, the currency of every budget, to one source's records."""
    input:
        records="results/{run}/sampling/records/{source}.parquet",
        tokenizer="results/{run}/sampling/tokenizer",
    output:
        corpus="results/{run}/sampling/corpus/{source}.parquet",
    log:
        "logs/{run}/sampling/count_tokens/{source}.log",
    benchmark:
        "benchmarks/{run}/sampling/count_tokens/{source}.tsv"
    conda:
        "../envs/train.yaml"
    threads: 1
    resources:
        mem="8GB",
        runtime="4h",
    params:
        version=SAMPLING_VERSION,
    script:
        "../scripts/count_tokens.py"


rule draw_samples:
    """Check the corpus as a whole and draw the discovery and labelling samples."""
    input:
        corpus=collect(
            "results/{run}/sampling/corpus/{source}.parquet",
            source=SOURCES,
            allow_missing=True,
        ),
        rejected=collect(
            "results/{run}/sampling/rejected/{source}.parquet",
            source=SOURCES,
            allow_missing=True,
        ),
    output:
        rejected="results/{run}/sampling/rejected.parquet",
        discovery=collect(
            "results/{run}/sampling/discovery/{source}.parquet",
            source=SOURCES,
            allow_missing=True,
        ),
        labelling=collect(
            "results/{run}/sampling/labelling/{source}.parquet",
            source=SOURCES,
            allow_missing=True,
        ),
        manifest="results/{run}/sampling/manifest.json",
    log:
        "logs/{run}/sampling/draw_samples.log",
    benchmark:
        "benchmarks/{run}/sampling/draw_samples.tsv"
    conda:
        "../envs/base.yaml"
    threads: 1
    resources:
        mem="16GB",
        runtime="2h",
    params:
        version=SAMPLING_VERSION,
        seed=SEED,
        budget_tokens=SETTINGS.selection.budget_tokens,
        settings=section(
            "sampling",
            "discovery_per_source",
            "labelling_per_source",
            "validation_share",
        ),
    script:
        "../scripts/draw_samples.py"
