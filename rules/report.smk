"""Report: one self-contained page that opens offline.

NEEDS   everything before
MAKES   report.html
COST    seconds
"""

from mira.report import STAGE_VERSION as REPORT_VERSION


rule write_report:
    """What was run, what came out, how far to trust it, records to read."""
    input:
        figures=collect(
            "results/{run}/figures/{name}.png", name=FIGURES, allow_missing=True
        ),
        tables=collect(
            "results/{run}/tables/{name}.csv", name=TABLES, allow_missing=True
        ),
        audit=rules.audit_claims.output.json,
        cost=rules.merge_labelling.output.cost,
        summary=rules.merge_validation.output.summary,
        scores=rules.merge_scores.output.scores,
        exported=collect(
            "results/{run}/selection/{method}/manifest.json",
            method=METHODS,
            allow_missing=True,
        ),
    output:
        html="results/{run}/report.html",
    log:
        "logs/{run}/report/write_report.log",
    benchmark:
        "benchmarks/{run}/report/write_report.tsv"
    conda:
        "../envs/base.yaml"
    threads: 1
    resources:
        mem="8GB",
        runtime="30m",
    params:
        version=REPORT_VERSION,
        settings=SETTINGS.model_dump(mode="json"),
        stand_in=STAND_IN,
        results="results/{run}",
    script:
        "../scripts/write_report.py"
