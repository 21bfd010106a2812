"""Validation: can the student be trusted in this (source, slot) cell? (paper 3.4, Figure 3)

NEEDS   labelling/{group}.parquet (its validation split), distillation/{group}/model/
MAKES   validation/cells.csv, validation/ridge.csv, validation/readouts.csv,
        validation/summary.json, validation/learning_curve/{group}.csv; or, without labels
        (validation.mask: none), validation/assumed.csv
COST    scoring the held-out records once, some of them twice
"""

from mira.learning_curve import STAGE_VERSION as LEARNING_CURVE_VERSION
from mira.validation import STAGE_VERSION as VALIDATION_VERSION


rule score_holdout:
    """The student's scores of the held-out labelled records, for each readout compared."""
    input:
        model=STUDENT.output.model,
        labels=rules.label_records.output.labels,
        anchors=rules.build_anchors.output.anchors,
        samples=rules.draw_samples.output.labelling,
    output:
        scores="results/{run}/validation/holdout/{group}.parquet",
        compared="results/{run}/validation/holdout/{group}.sample.parquet",
    log:
        "logs/{run}/validation/score_holdout/{group}.log",
    benchmark:
        "benchmarks/{run}/validation/score_holdout/{group}.tsv"
    conda:
        SCORING_ENV
    threads: SETTINGS.scoring.threads
    resources:
        mem="8GB",
        runtime="4h",
        gpu=SCORING_GPUS,
    params:
        version=VALIDATION_VERSION,
        seed=SEED,
        deciding=SETTINGS.scoring.deciding(),
        prompt=section("distillation", "prompt", "max_record_tokens"),
        compare=SETTINGS.validation.compare_readouts,
        part="results/{run}/validation/resume/{group}/part",
        # Functions of `input` are no reason to rerun: speed and place may change.
        python=lambda wildcards, input: SCORING_PYTHON,
        script=lambda wildcards, input: f"{workflow.basedir}/scripts/score_holdout.py",
        settings=lambda wildcards, input: SCORING_SETTINGS,
    shell:
        "{params.python:q} {params.script:q}"
        " --settings {params.settings:q}"
        " --group {wildcards.group}"
        " --model {input.model:q}"
        " --anchors {input.anchors:q}"
        " --labels {input.labels:q}"
        " --samples {input.samples:q}"
        " --compare {params.compare}"
        " --part {params.part:q}"
        " --scores {output.scores:q}"
        " --compared {output.compared:q}"
        " --log {log:q}"


rule evaluate_group:
    """Agreement per cell, the same for a tf-idf + ridge reference, and per readout."""
    input:
        labels=rules.label_records.output.labels,
        anchors=rules.build_anchors.output.anchors,
        samples=rules.draw_samples.output.labelling,
        scores=rules.score_holdout.output.scores,
        compared=rules.score_holdout.output.compared,
    output:
        cells="results/{run}/validation/cells/{group}.csv",
        ridge="results/{run}/validation/ridge/{group}.csv",
        readouts="results/{run}/validation/readouts/{group}.csv",
    log:
        "logs/{run}/validation/evaluate_group/{group}.log",
    benchmark:
        "benchmarks/{run}/validation/evaluate_group/{group}.tsv"
    conda:
        "../envs/base.yaml"
    threads: 1
    resources:
        mem="8GB",
        runtime="1h",
    params:
        version=VALIDATION_VERSION,
        seed=SEED,
        settings=section("validation", "max_mae", "min_records"),
    script:
        "../scripts/evaluate_group.py"


rule merge_validation:
    """One table of all cells; a group without a kept slot stops here."""
    input:
        cells=collect(
            rules.evaluate_group.output.cells, group=GROUPS, allow_missing=True
        ),
        ridge=collect(
            rules.evaluate_group.output.ridge, group=GROUPS, allow_missing=True
        ),
        readouts=collect(
            rules.evaluate_group.output.readouts, group=GROUPS, allow_missing=True
        ),
    output:
        cells="results/{run}/validation/cells.csv",
        ridge="results/{run}/validation/ridge.csv",
        readouts="results/{run}/validation/readouts.csv",
        summary="results/{run}/validation/summary.json",
    log:
        "logs/{run}/validation/merge_validation.log",
    benchmark:
        "benchmarks/{run}/validation/merge_validation.tsv"
    localrule: True
    conda:
        "../envs/base.yaml"
    threads: 1
    resources:
        mem="4GB",
        runtime="30m",
    params:
        version=VALIDATION_VERSION,
        max_mae=SETTINGS.validation.max_mae,
    script:
        "../scripts/merge_validation.py"


rule measure_learning_curve:
    """What more labels would bring, by a cheap probe at growing label counts."""
    input:
        labels=rules.label_records.output.labels,
        anchors=rules.build_anchors.output.anchors,
        samples=rules.draw_samples.output.labelling,
    output:
        curve="results/{run}/validation/learning_curve/{group}.csv",
    log:
        "logs/{run}/validation/measure_learning_curve/{group}.log",
    benchmark:
        "benchmarks/{run}/validation/measure_learning_curve/{group}.tsv"
    conda:
        "../envs/base.yaml"
    threads: 1
    resources:
        mem="8GB",
        runtime="2h",
    params:
        version=LEARNING_CURVE_VERSION,
        seed=SEED,
        picked=(
            SETTINGS.labelling.pick
            if SETTINGS.labelling.budget == "learning_curve"
            else "all"
        ),
    script:
        "../scripts/measure_learning_curve.py"


if SETTINGS.validation.mask == "none":

    rule assume_cells:
        """Every cell kept, since nothing was measured."""
        input:
            groups=rules.cluster_sources.output.groups,
            anchors=collect(
                rules.build_anchors.output.anchors, group=GROUPS, allow_missing=True
            ),
        output:
            cells="results/{run}/validation/assumed.csv",
        log:
            "logs/{run}/validation/assume_cells.log",
        benchmark:
            "benchmarks/{run}/validation/assume_cells.tsv"
        localrule: True
        conda:
            "../envs/base.yaml"
        threads: 1
        resources:
            mem="4GB",
            runtime="30m",
        params:
            version=VALIDATION_VERSION,
        script:
            "../scripts/assume_cells.py"
