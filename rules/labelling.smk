"""Labelling: the teacher scores more records on the anchors (paper 3.3, phase 2).

NEEDS   sampling/labelling/{source}.parquet, anchoring/{group}.jsonl, a teacher
MAKES   labelling/{group}.parquet, labelling/rejected.parquet, labelling/cost.json
COST    one teacher call per sampled record: usually the largest bill of the method
"""

from mira.labelling import STAGE_VERSION as LABELLING_VERSION


rule label_records:
    """Score the labelling sample on the group's anchors."""
    input:
        samples=rules.draw_samples.output.labelling,
        groups=rules.cluster_sources.output.groups,
        anchors=rules.build_anchors.output.anchors,
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
        teacher=section("teacher"),
        journal=f"results/{RUN}/journal",
    script:
        "../scripts/label_records.py"


# What the teacher cost and what could not be labelled, over all groups.
rule merge_labelling:
    """What the teacher cost and what could not be labelled, over all groups."""
    input:
        rejected=collect(
            rules.label_records.output.rejected, group=GROUPS, allow_missing=True
        ),
        labelling=collect(
            rules.label_records.output.cost, group=GROUPS, allow_missing=True
        ),
        discovery=collect(
            rules.discover_points.output.cost, group=GROUPS, allow_missing=True
        ),
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
