"""Discovery: the teacher judges sampled records freely (paper 3.2, phase 1).

NEEDS   sampling/discovery/{source}.parquet, clustering/groups.csv, a teacher
MAKES   discovery/{group}.jsonl, discovery/rejected/{group}.parquet, discovery/cost/{group}.json
COST    one teacher call per sampled record; replies are journalled in results/<run>/journal
"""

from mira.discovery import STAGE_VERSION as DISCOVERY_VERSION


rule discover_points:
    """Ask the teacher for its own dimensions, scores and reasons."""
    input:
        samples=rules.draw_samples.output.discovery,
        groups=rules.cluster_sources.output.groups,
    output:
        points="results/{run}/discovery/{group}.jsonl",
        rejected="results/{run}/discovery/rejected/{group}.parquet",
        cost="results/{run}/discovery/cost/{group}.json",
    log:
        "logs/{run}/discovery/discover_points/{group}.log",
    benchmark:
        "benchmarks/{run}/discovery/discover_points/{group}.tsv"
    conda:
        "../envs/teacher.yaml"
    threads: 1
    resources:
        mem="4GB",
        runtime="12h",
    params:
        version=DISCOVERY_VERSION,
        seed=SEED,
        teacher=section("teacher"),
        settings=section("discovery"),
        journal=f"results/{RUN}/journal",
    script:
        "../scripts/discover_points.py"
