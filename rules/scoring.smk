"""Scoring: the students score the whole corpus (paper 3.3).

NEEDS   distillation/{group}/model/, sampling/corpus/{source}.parquet
MAKES   scoring/scores.parquet
COST    one student pass over the corpus, sharded by tokens and resumable by record:
        python -m mira scoring cost

Finished batches live in scoring/resume/, which survives a killed job. Engines may need an
interpreter of their own, so the rule runs a command.
"""

from mira.scoring import STAGE_VERSION as SCORING_VERSION


rule score_shard:
    """Score one shard of a group's records with the group's student."""
    input:
        model=STUDENT.output.model,
        anchors=rules.build_anchors.output.anchors,
        groups=rules.cluster_sources.output.groups,
        corpus=rules.draw_samples.input.corpus,
    output:
        scores="results/{run}/scoring/shards/{group}/{shard}.parquet",
        counters="results/{run}/scoring/shards/{group}/{shard}.json",
    log:
        "logs/{run}/scoring/score_shard/{group}/{shard}.log",
    benchmark:
        "benchmarks/{run}/scoring/score_shard/{group}/{shard}.tsv"
    conda:
        SCORING_ENV
    threads: SETTINGS.scoring.threads
    resources:
        mem="8GB",
        runtime="12h",
        gpu=SCORING_GPUS,
    params:
        version=SCORING_VERSION,
        seed=SEED,
        deciding=SETTINGS.scoring.deciding(),
        shards=SETTINGS.scoring.shards,
        prompt=section("distillation", "prompt", "max_record_tokens"),
        part="results/{run}/scoring/resume/{group}/{shard}.jsonl",
        # Functions of `input` are no reason to rerun: speed and place may change.
        python=lambda wildcards, input: SCORING_PYTHON,
        script=lambda wildcards, input: f"{workflow.basedir}/scripts/score_shard.py",
        settings=lambda wildcards, input: SCORING_SETTINGS,
    shell:
        "{params.python:q} {params.script:q}"
        " --settings {params.settings:q}"
        " --group {wildcards.group}"
        " --shard {wildcards.shard}"
        " --model {input.model:q}"
        " --anchors {input.anchors:q}"
        " --groups {input.groups:q}"
        " --corpus {input.corpus:q}"
        " --part {params.part:q}"
        " --scores {output.scores:q}"
        " --counters {output.counters:q}"
        " --log {log:q}"


rule merge_scores:
    """All scores in one table; every record of the corpus exactly once."""
    input:
        shards=collect(
            rules.score_shard.output.scores,
            group=GROUPS,
            shard=SHARDS,
            allow_missing=True,
        ),
        counters=collect(
            rules.score_shard.output.counters,
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
        scoring=SETTINGS.scoring.deciding(),
    script:
        "../scripts/merge_scores.py"
