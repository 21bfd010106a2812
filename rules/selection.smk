"""Selection: the best records under the token budget, and the baselines (paper 3.4, 3.5).

NEEDS   scoring/scores.parquet, validation/cells.csv, sampling/corpus/{source}.parquet
MAKES   selection/{method}.parquet, selection/{method}.json (the certificate),
        selection/{method}/{source}.jsonl.zst
COST    seconds
"""

from mira.selection import STAGE_VERSION as SELECTION_VERSION


rule select_records:
    """Score, mask, trim, cut at the budget."""
    input:
        scores=rules.merge_scores.output.scores,
        cells=(
            rules.assume_cells.output.cells
            if SETTINGS.validation.mask == "none"
            else rules.merge_validation.output.cells
        ),
    output:
        selection="results/{run}/selection/{method}.parquet",
        certificate="results/{run}/selection/{method}.json",
    log:
        "logs/{run}/selection/select_records/{method}.log",
    benchmark:
        "benchmarks/{run}/selection/select_records/{method}.tsv"
    conda:
        "../envs/base.yaml"
    threads: 1
    resources:
        mem="16GB",
        runtime="1h",
    params:
        version=SELECTION_VERSION,
        seed=SEED,
        settings=section("selection", "budget_share", "budget_tokens", "trim"),
    script:
        "../scripts/select_records.py"


rule export_selection:
    """Write the selected text itself, ready for training."""
    input:
        selection=rules.select_records.output.selection,
        corpus=rules.draw_samples.input.corpus,
    output:
        text=collect(
            "results/{run}/selection/{method}/{source}.jsonl.zst",
            source=SOURCES,
            allow_missing=True,
        ),
        manifest="results/{run}/selection/{method}/manifest.json",
    log:
        "logs/{run}/selection/export_selection/{method}.log",
    benchmark:
        "benchmarks/{run}/selection/export_selection/{method}.tsv"
    conda:
        "../envs/base.yaml"
    threads: 1
    resources:
        mem="8GB",
        runtime="4h",
    params:
        version=SELECTION_VERSION,
        stand_in=STAND_IN,
    script:
        "../scripts/export_selection.py"
