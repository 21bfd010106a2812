"""Anchoring: judgment points to 15 anchors per group (paper 3.2).

NEEDS   discovery/{group}.jsonl; or {group}.jsonl of an earlier run (anchoring.reuse); or a
        published scorer per group (distillation.scorers), whose card has the anchors
MAKES   anchoring/{group}.jsonl
COST    one embedding per judgment point; CPU or GPU
"""

from mira.anchoring import STAGE_VERSION as ANCHORING_VERSION
from mira.scorers.choice import scorers_of_run

try:
    SCORERS = scorers_of_run(SETTINGS)
except UserError as error:
    raise WorkflowError(str(error)) from None


rule build_anchors:
    """Cluster the judgment points; the point nearest each centroid is the anchor."""
    input:
        source=(
            rules.cluster_sources.output.groups
            if SCORERS
            else (
                f"{SETTINGS.anchoring.reuse}/{{group}}.jsonl"
                if SETTINGS.anchoring.reuse
                else rules.discover_points.output.points
            )
        ),
    output:
        anchors="results/{run}/anchoring/{group}.jsonl",
    log:
        "logs/{run}/anchoring/build_anchors/{group}.log",
    benchmark:
        "benchmarks/{run}/anchoring/build_anchors/{group}.tsv"
    conda:
        "../envs/train.yaml"
    threads: 1
    resources:
        mem="8GB",
        runtime="2h",
    params:
        version=ANCHORING_VERSION,
        seed=SEED,
        settings=section("anchoring"),
        scorer=lambda wildcards: (
            SCORERS[wildcards.group].model_dump(mode="json") if SCORERS else None
        ),
        embedding=section("clustering", "embedding_model", "dtype"),
    script:
        "../scripts/build_anchors.py"
