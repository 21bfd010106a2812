"""Distillation: the teacher's labels into one student per group (paper 3.3).

NEEDS   labelling/{group}.parquet, anchoring/{group}.jsonl
MAKES   distillation/{group}/model/, distillation/{group}/trainer_state.json
COST    the training runs; GPUs at the paper's size, minutes of CPU for the demo's small models

Checkpoints live in distillation/{group}/resume/, which is no declared output and so survives a
killed job; the step removes it when its model stands.
"""

import json

from mira.distillation import STAGE_VERSION as DISTILLATION_VERSION


rule pretrain_base:
    """A small language model of the corpus, from which the demo's students start."""
    input:
        corpus=rules.draw_samples.input.corpus,
        tokenizer=rules.prepare_tokenizer.output.tokenizer,
    output:
        model=directory("results/{run}/distillation/base/model"),
        state="results/{run}/distillation/base/trainer_state.json",
    log:
        "logs/{run}/distillation/pretrain_base.log",
    benchmark:
        "benchmarks/{run}/distillation/pretrain_base.tsv"
    priority: 10
    conda:
        "../envs/train.yaml"
    threads: SETTINGS.distillation.threads
    resources:
        mem="8GB",
        runtime="12h",
    params:
        version=DISTILLATION_VERSION,
        seed=SEED,
        settings=section(
            "distillation",
            "architecture",
            "pretraining",
            "precision",
            "save_steps",
            "threads",
        ),
        slots=SETTINGS.anchoring.k,
        resume="results/{run}/distillation/base/resume",
    script:
        "../scripts/pretrain_base.py"


rule train_student:
    """Fine-tune the group's student on the teacher's labels."""
    input:
        base=student_base,
        labels=rules.label_records.output.labels,
        anchors=rules.build_anchors.output.anchors,
        samples=rules.draw_samples.output.labelling,
    output:
        model=directory("results/{run}/distillation/{group}/model"),
        state="results/{run}/distillation/{group}/trainer_state.json",
    log:
        "logs/{run}/distillation/train_student/{group}.log",
    benchmark:
        "benchmarks/{run}/distillation/train_student/{group}.tsv"
    conda:
        "../envs/train.yaml"
    threads: SETTINGS.distillation.threads * SETTINGS.distillation.processes
    resources:
        mem="8GB",
        runtime="48h",
    params:
        version=DISTILLATION_VERSION,
        seed=SEED,
        # A function of `input` is no reason to rerun: the repository may be moved.
        script=lambda wildcards, input: f"{workflow.basedir}/scripts/train_student.py",
        base=lambda wildcards, input: input.base or SETTINGS.distillation.base_model,
        resume="results/{run}/distillation/{group}/resume",
        settings_json=json.dumps(section("distillation")),
        launcher=(
            "python"
            if SETTINGS.distillation.processes == 1
            else f"torchrun --standalone --nproc_per_node {SETTINGS.distillation.processes}"
        ),
    shell:
        "{params.launcher} {params.script:q}"
        " --settings {params.settings_json:q}"
        " --seed {params.seed}"
        " --base {params.base:q}"
        " --labels {input.labels:q}"
        " --anchors {input.anchors:q}"
        " --samples {input.samples:q}"
        " --model {output.model:q}"
        " --state {output.state:q}"
        " --resume {params.resume:q}"
        " --log-file {log:q}"


STUDENT = rules.train_student
