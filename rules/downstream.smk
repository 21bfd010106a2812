"""Downstream: what a selection is worth.

NEEDS   selection/{method}.parquet, and the hidden list of spoiled records
MAKES   downstream/separation.csv
COST    seconds

This is the only stage that reads sampling/hidden/.
"""

from mira.separation import STAGE_VERSION as DOWNSTREAM_VERSION


rule evaluate_separation:
    """How well each method's score tells intact from spoiled records."""
    input:
        selections=collect(
            "results/{run}/selection/{method}.parquet",
            method=METHODS,
            allow_missing=True,
        ),
        certificates=collect(
            "results/{run}/selection/{method}.json", method=METHODS, allow_missing=True
        ),
        spoiled="results/{run}/sampling/hidden/spoiled.parquet",
    output:
        separation="results/{run}/downstream/separation.csv",
    log:
        "logs/{run}/downstream/evaluate_separation.log",
    benchmark:
        "benchmarks/{run}/downstream/evaluate_separation.tsv"
    conda:
        "../envs/base.yaml"
    threads: 1
    resources:
        mem="8GB",
        runtime="1h",
    params:
        version=DOWNSTREAM_VERSION,
        methods=METHODS,
    script:
        "../scripts/evaluate_separation.py"
