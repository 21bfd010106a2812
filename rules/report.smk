"""Report: one self-contained page that opens offline.

NEEDS   everything before
MAKES   report.html
COST    seconds
"""

from mira.report import STAGE_VERSION as REPORT_VERSION

STAGE_OUTPUTS = {
    **(
        {}
        if SCORERS
        else {
            "discovery": collect(
                rules.discover_points.output.points, run=RUN, group=GROUPS
            )
        }
    ),
    "anchoring": collect(rules.build_anchors.output.anchors, run=RUN, group=GROUPS),
    "labelling": [
        *collect(rules.label_records.output.labels, run=RUN, group=GROUPS),
        *collect(rules.merge_labelling.output, run=RUN),
    ],
    "distillation": collect(STUDENT.output, run=RUN, group=GROUPS),
    "validation": collect(rules.merge_validation.output, run=RUN),
}


rule describe_stage:
    """The manifest of a stage whose outputs several jobs wrote."""
    input:
        outputs=lambda wildcards: STAGE_OUTPUTS[wildcards.stage],
    output:
        manifest="results/{run}/{stage}/manifest.json",
    log:
        "logs/{run}/{stage}/describe_stage.log",
    benchmark:
        "benchmarks/{run}/{stage}/describe_stage.tsv"
    wildcard_constraints:
        stage="|".join(STAGE_OUTPUTS),
    conda:
        "../envs/base.yaml"
    threads: 1
    resources:
        mem="4GB",
        runtime="30m",
    params:
        version=REPORT_VERSION,
        seed=SEED,
        settings=lambda wildcards: (
            section(wildcards.stage)
            if wildcards.stage != "labelling"
            else section("teacher")
        ),
        results="results/{run}",
    script:
        "../scripts/describe_stage.py"


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
        manifests=collect(
            "results/{run}/{stage}/manifest.json",
            stage=list(STAGE_OUTPUTS),
            allow_missing=True,
        ),
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
        results=lambda wildcards, output: str(Path(output.html).parent),
    script:
        "../scripts/write_report.py"
