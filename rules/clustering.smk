"""Clustering: sources to groups, by the mean embedding of sampled records (paper 3.2).

NEEDS   sampling/corpus/{source}.parquet
MAKES   clustering/groups.csv, clustering/similarity.csv, clustering/manifest.json
COST    one embedding per sampled record; seconds on a GPU, half a minute on a CPU
"""

from mira.clustering import STAGE_VERSION as CLUSTERING_VERSION


rule cluster_sources:
    """Embed sampled records of every source and group the sources."""
    input:
        corpus=rules.draw_samples.input.corpus,
        checked=rules.draw_samples.output.manifest,
    output:
        groups="results/{run}/clustering/groups.csv",
        similarity="results/{run}/clustering/similarity.csv",
        manifest="results/{run}/clustering/manifest.json",
    log:
        "logs/{run}/clustering/cluster_sources.log",
    benchmark:
        "benchmarks/{run}/clustering/cluster_sources.tsv"
    conda:
        "../envs/train.yaml"
    threads: 1
    resources:
        mem="8GB",
        runtime="1h",
    params:
        version=CLUSTERING_VERSION,
        seed=SEED,
        settings=section("clustering"),
    script:
        "../scripts/cluster_sources.py"
