"""Labelling: the teacher scores more records on the anchors (paper 3.3, phase 2).

NEEDS   sampling/labelling/{source}.parquet, anchoring/{group}.jsonl, a teacher
MAKES   labelling/forecast.json, labelling/{group}.parquet, labelling/rejected.parquet,
        labelling/cost.json
COST    one teacher call per sampled record: usually the largest bill of the method
"""

from mira.labelling import STAGE_VERSION as LABELLING_VERSION


rule forecast_labelling:
    """Forecast labelling's tokens, money and time from a pilot with the anchors it will use."""
    input:
        samples=rules.draw_samples.output.labelling,
        groups=rules.cluster_sources.output.groups,
        anchors=collect(
            rules.build_anchors.output.anchors, group=GROUPS, allow_missing=True
        ),
    output:
        forecast="results/{run}/labelling/forecast.json",
    log:
        "logs/{run}/labelling/forecast_labelling.log",
    benchmark:
        "benchmarks/{run}/labelling/forecast_labelling.tsv"
    conda:
        "../envs/teacher.yaml"
    threads: 1
    resources:
        mem="8GB",
        runtime="12h",
    # The stage's own, so that a forecast is made anew only when the stage has to run again.
    params:
        version=FORECAST_VERSION,
        seed=SEED,
        teacher=SETTINGS.teacher.deciding(),
        settings=section("labelling"),
    script:
        "../scripts/forecast_labelling.py"


rule label_records:
    """Score the labelling sample on the group's anchors."""
    input:
        samples=rules.draw_samples.output.labelling,
        groups=rules.cluster_sources.output.groups,
        anchors=rules.build_anchors.output.anchors,
        forecast=rules.forecast_labelling.output.forecast,
    output:
        labels="results/{run}/labelling/{group}.parquet",
        rejected="results/{run}/labelling/rejected/{group}.parquet",
        cost="results/{run}/labelling/cost/{group}.json",
    log:
        "logs/{run}/labelling/label_records/{group}.log",
    benchmark:
        "benchmarks/{run}/labelling/label_records/{group}.tsv"
    conda:
        "../envs/teacher.yaml"
    threads: 1
    resources:
        mem="4GB",
        runtime="48h",
    params:
        version=LABELLING_VERSION,
        seed=SEED,
        teacher=SETTINGS.teacher.deciding(),
        settings=section("labelling"),
    script:
        "../scripts/label_records.py"


rule merge_labelling:
    """What the teacher cost, against what was forecast, and what could not be labelled."""
    input:
        rejected=collect(
            rules.label_records.output.rejected, group=GROUPS, allow_missing=True
        ),
        labelling=collect(
            rules.label_records.output.cost, group=GROUPS, allow_missing=True
        ),
        discovery=(
            []
            if SCORERS
            else collect(
                rules.discover_points.output.cost, group=GROUPS, allow_missing=True
            )
        ),
        forecast_discovery=([] if SCORERS else rules.forecast_discovery.output.forecast),
        forecast_labelling=rules.forecast_labelling.output.forecast,
    output:
        rejected="results/{run}/labelling/rejected.parquet",
        cost="results/{run}/labelling/cost.json",
    log:
        "logs/{run}/labelling/merge_labelling.log",
    benchmark:
        "benchmarks/{run}/labelling/merge_labelling.tsv"
    localrule: True
    conda:
        "../envs/base.yaml"
    threads: 1
    resources:
        mem="4GB",
        runtime="30m",
    params:
        version=LABELLING_VERSION,
    script:
        "../scripts/merge_labelling.py"
