"""Figures: one rule each, as PDF, PNG and the tidy CSV that was drawn.

NEEDS   the tables of the stages before
MAKES   figures/{name}.{pdf,png,csv}
COST    seconds
"""

from mira.figures import STAGE_VERSION as FIGURES_VERSION


rule plot_source_similarity:
    """Similarity of the sources, ordered by group."""
    input:
        groups=rules.cluster_sources.output.groups,
        similarity=rules.cluster_sources.output.similarity,
    output:
        multiext(
            "results/{run}/figures/source_similarity",
            pdf=".pdf",
            png=".png",
            csv=".csv",
        ),
    log:
        "logs/{run}/figures/plot_source_similarity.log",
    benchmark:
        "benchmarks/{run}/figures/plot_source_similarity.tsv"
    conda:
        "../envs/base.yaml"
    threads: 1
    resources:
        mem="2GB",
        runtime="10m",
    params:
        version=FIGURES_VERSION,
        stand_in=STAND_IN,
    script:
        "../scripts/plot_source_similarity.py"


rule plot_reliability_mask:
    """The paper's Figure 3: which (source, slot) cells are trusted."""
    input:
        cells=rules.merge_validation.output.cells,
    output:
        multiext(
            "results/{run}/figures/reliability_mask",
            pdf=".pdf",
            png=".png",
            csv=".csv",
        ),
    log:
        "logs/{run}/figures/plot_reliability_mask.log",
    benchmark:
        "benchmarks/{run}/figures/plot_reliability_mask.tsv"
    conda:
        "../envs/base.yaml"
    threads: 1
    resources:
        mem="2GB",
        runtime="10m",
    params:
        version=FIGURES_VERSION,
        stand_in=STAND_IN,
        max_mae=SETTINGS.validation.max_mae,
    script:
        "../scripts/plot_reliability_mask.py"


rule plot_agreement:
    """Teacher-student rank correlation per slot, beside the ridge reference."""
    input:
        cells=rules.merge_validation.output.cells,
        ridge=rules.merge_validation.output.ridge,
    output:
        multiext("results/{run}/figures/agreement", pdf=".pdf", png=".png", csv=".csv"),
    log:
        "logs/{run}/figures/plot_agreement.log",
    benchmark:
        "benchmarks/{run}/figures/plot_agreement.tsv"
    conda:
        "../envs/base.yaml"
    threads: 1
    resources:
        mem="2GB",
        runtime="10m",
    params:
        version=FIGURES_VERSION,
        stand_in=STAND_IN,
    script:
        "../scripts/plot_agreement.py"


rule plot_learning_curve:
    """Held-out agreement of a probe against the number of labels, and where they are enough."""
    input:
        curves=collect(
            rules.measure_learning_curve.output.curve, group=GROUPS, allow_missing=True
        ),
    output:
        multiext(
            "results/{run}/figures/learning_curve", pdf=".pdf", png=".png", csv=".csv"
        ),
    log:
        "logs/{run}/figures/plot_learning_curve.log",
    benchmark:
        "benchmarks/{run}/figures/plot_learning_curve.tsv"
    conda:
        "../envs/base.yaml"
    threads: 1
    resources:
        mem="2GB",
        runtime="10m",
    params:
        version=FIGURES_VERSION,
        stand_in=STAND_IN,
    script:
        "../scripts/plot_learning_curve.py"


rule plot_score_length:
    """Record score against length, per method (paper 5.1)."""
    input:
        selections=collect(
            rules.select_records.output.selection, method=METHODS, allow_missing=True
        ),
    output:
        multiext(
            "results/{run}/figures/score_length", pdf=".pdf", png=".png", csv=".csv"
        ),
    log:
        "logs/{run}/figures/plot_score_length.log",
    benchmark:
        "benchmarks/{run}/figures/plot_score_length.tsv"
    conda:
        "../envs/base.yaml"
    threads: 1
    resources:
        mem="4GB",
        runtime="10m",
    params:
        version=FIGURES_VERSION,
        stand_in=STAND_IN,
        methods=METHODS,
    script:
        "../scripts/plot_score_length.py"


rule plot_loss_curves:
    """Training loss of the base and of every student."""
    input:
        states=collect(STUDENT.output.state, group=GROUPS, allow_missing=True),
        base=(
            rules.pretrain_base.output.state
            if SETTINGS.distillation.students == "trained"
            and SETTINGS.distillation.base_model is None
            else []
        ),
    output:
        multiext(
            "results/{run}/figures/loss_curves", pdf=".pdf", png=".png", csv=".csv"
        ),
    log:
        "logs/{run}/figures/plot_loss_curves.log",
    benchmark:
        "benchmarks/{run}/figures/plot_loss_curves.tsv"
    conda:
        "../envs/base.yaml"
    threads: 1
    resources:
        mem="2GB",
        runtime="10m",
    params:
        version=FIGURES_VERSION,
        stand_in=STAND_IN,
    script:
        "../scripts/plot_loss_curves.py"


rule plot_retention:
    """Share of tokens each method keeps, per source and group."""
    input:
        selections=rules.plot_score_length.input.selections,
    output:
        multiext("results/{run}/figures/retention", pdf=".pdf", png=".png", csv=".csv"),
    log:
        "logs/{run}/figures/plot_retention.log",
    benchmark:
        "benchmarks/{run}/figures/plot_retention.tsv"
    conda:
        "../envs/base.yaml"
    threads: 1
    resources:
        mem="4GB",
        runtime="10m",
    params:
        version=FIGURES_VERSION,
        stand_in=STAND_IN,
        methods=METHODS,
    script:
        "../scripts/plot_retention.py"


rule plot_separation:
    """Intact against spoiled records, per method and source."""
    input:
        separation=rules.evaluate_separation.output.separation,
    output:
        multiext("results/{run}/figures/separation", pdf=".pdf", png=".png", csv=".csv"),
    log:
        "logs/{run}/figures/plot_separation.log",
    benchmark:
        "benchmarks/{run}/figures/plot_separation.tsv"
    conda:
        "../envs/base.yaml"
    threads: 1
    resources:
        mem="2GB",
        runtime="10m",
    params:
        version=FIGURES_VERSION,
        stand_in=STAND_IN,
    script:
        "../scripts/plot_separation.py"


# All figures that this run can make.
rule figures:
    """All figures that this run can make."""
    input:
        collect(
            "results/{run}/figures/{name}.{extension}",
            run=RUN,
            name=FIGURES,
            extension=["pdf", "png", "csv"],
        ),
    localrule: True
