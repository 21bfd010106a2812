"""Scoring: the students score the whole corpus (paper 3.3).

NEEDS   distillation/{group}/model/, sampling/corpus/{source}.parquet
MAKES   scoring/scores.parquet
COST    one student pass over the corpus, sharded by tokens and resumable by record

Finished batches live in scoring/resume/, which survives a killed job.
"""

from mira.scoring import STAGE_VERSION as SCORING_VERSION


rule score_shard:
    """Score one shard of a group's records with the group's student."""
    input:
        model=rules.train_student.output.model,
        anchors=rules.build_anchors.output.anchors,
        groups=rules.cluster_sources.output.groups,
        corpus=rules.draw_samples.input.corpus,
    output:
        scores="results/{run}/scoring/shards/{group}/{shard}.parquet",
    log:
        "logs/{run}/scoring/score_shard/{group}/{shard}.log",
    benchmark:
        "benchmarks/{run}/scoring/score_shard/{group}/{shard}.tsv"
    conda:
        "../envs/train.yaml"
    threads: SETTINGS.scoring.threads
    resources:
        mem="8GB",
        runtime="12h",
    params:
        version=SCORING_VERSION,
        seed=SEED,
        scoring=section("scoring"),
        prompt=section("distillation", "prompt", "max_record_tokens"),
        resume="results/{run}/scoring/resume/{group}/{shard}.jsonl",
    script:
        "../scripts/score_shard.py"


rule merge_scores:
    """All scores in one table; every record of the corpus exactly once."""
    input:
        shards=collect(
            rules.score_shard.output.scores,
            group=GROUPS,
            shard=SHARDS,
            allow_missing=True,
        ),
        groups=rules.cluster_sources.output.groups,
        corpus=rules.draw_samples.input.corpus,
    output:
        scores="results/{run}/scoring/scores.parquet",
        manifest="results/{run}/scoring/manifest.json",
    log:
        "logs/{run}/scoring/merge_scores.log",
    benchmark:
        "benchmarks/{run}/scoring/merge_scores.tsv"
    conda:
        "../envs/base.yaml"
    threads: 1
    resources:
        mem="16GB",
        runtime="1h",
    params:
        version=SCORING_VERSION,
        seed=SEED,
        scoring=section("scoring"),
    script:
        "../scripts/merge_scores.py"
