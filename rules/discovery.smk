"""Discovery: the teacher judges sampled records freely (paper 3.2, phase 1).

NEEDS   sampling/discovery/{source}.parquet, sampling/labelling/{source}.parquet,
        clustering/groups.csv, a teacher
MAKES   discovery/forecast.json, discovery/{group}.jsonl, discovery/rejected/{group}.parquet,
        discovery/cost/{group}.json
COST    one teacher call per sampled record; replies are kept in the journal (teacher.journal)
"""

from mira.discovery import STAGE_VERSION as DISCOVERY_VERSION
from mira.forecast import STAGE_VERSION as FORECAST_VERSION


rule forecast_discovery:
    """Forecast both stages' tokens, money and time from a pilot, before either is paid for."""
    input:
        discovery=rules.draw_samples.output.discovery,
        labelling=rules.draw_samples.output.labelling,
        groups=rules.cluster_sources.output.groups,
        anchors=(
            [f"{SETTINGS.anchoring.reuse}/{group}.jsonl" for group in GROUPS]
            if SETTINGS.anchoring.reuse
            else []
        ),
    output:
        forecast="results/{run}/discovery/forecast.json",
    log:
        "logs/{run}/discovery/forecast_discovery.log",
    benchmark:
        "benchmarks/{run}/discovery/forecast_discovery.tsv"
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
        settings=section("discovery"),
    script:
        "../scripts/forecast_discovery.py"


rule discover_points:
    """Ask the teacher for its own dimensions, scores and reasons."""
    input:
        samples=rules.draw_samples.output.discovery,
        groups=rules.cluster_sources.output.groups,
        forecast=rules.forecast_discovery.output.forecast,
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
        teacher=SETTINGS.teacher.deciding(),
        settings=section("discovery"),
    script:
        "../scripts/discover_points.py"
