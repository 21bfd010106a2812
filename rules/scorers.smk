"""Distillation with published scorers: released models in place of trained students.

NEEDS   config/scorers.yaml, and for each scorer a local folder or its id on the hub
MAKES   distillation/{group}/model/, distillation/{group}/trainer_state.json
COST    fetching, about 70 GB a scorer; seconds where the folder is here, since it is linked

Included in place of distillation.smk where distillation.students is 'published'.
"""

from mira.scorers import STAGE_VERSION as SCORERS_VERSION


rule take_scorer:
    """Check a released scorer's folder and take it as the group's student."""
    output:
        model=directory("results/{run}/distillation/{group}/model"),
        state="results/{run}/distillation/{group}/trainer_state.json",
    log:
        "logs/{run}/distillation/take_scorer/{group}.log",
    benchmark:
        "benchmarks/{run}/distillation/take_scorer/{group}.tsv"
    conda:
        "../envs/train.yaml"
    threads: 1
    resources:
        mem="8GB",
        runtime="12h",
    params:
        version=SCORERS_VERSION,
        scorer=lambda wildcards: SCORERS[wildcards.group].model_dump(mode="json"),
        trust_remote_code=SETTINGS.scoring.trust_remote_code,
    script:
        "../scripts/take_scorer.py"


STUDENT = rules.take_scorer
