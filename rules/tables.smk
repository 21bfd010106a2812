"""Tables: one rule each, as CSV, Markdown and LaTeX.

NEEDS   the tables of the stages before; config/claims.yaml for what the paper published
MAKES   tables/{name}.{csv,md,tex}
COST    seconds
"""

from mira.tables import STAGE_VERSION as TABLES_VERSION


rule make_headline_table:
    """The published headline table, its macro averages recomputed."""
    input:
        claims=workflow.source_path("../config/claims.yaml"),
    output:
        multiext("results/{run}/tables/headline", csv=".csv", md=".md", tex=".tex"),
    log:
        "logs/{run}/tables/make_headline_table.log",
    benchmark:
        "benchmarks/{run}/tables/make_headline_table.tsv"
    conda:
        "../envs/base.yaml"
    threads: 1
    resources:
        mem="2GB",
        runtime="10m",
    params:
        version=TABLES_VERSION,
        stand_in=STAND_IN,
    script:
        "../scripts/make_headline_table.py"


rule make_groups_table:
    """Sources, groups, and how much of each was sampled and labelled."""
    input:
        groups=rules.cluster_sources.output.groups,
        corpus=rules.draw_samples.input.corpus,
        samples=rules.draw_samples.output.labelling,
        labels=collect(
            rules.label_records.output.labels, group=GROUPS, allow_missing=True
        ),
    output:
        multiext("results/{run}/tables/groups", csv=".csv", md=".md", tex=".tex"),
    log:
        "logs/{run}/tables/make_groups_table.log",
    benchmark:
        "benchmarks/{run}/tables/make_groups_table.tsv"
    conda:
        "../envs/base.yaml"
    threads: 1
    resources:
        mem="4GB",
        runtime="10m",
    params:
        version=TABLES_VERSION,
        stand_in=STAND_IN,
    script:
        "../scripts/make_groups_table.py"


rule make_anchors_table:
    """The anchors of every group in the form of the model cards."""
    input:
        anchors=collect(
            rules.build_anchors.output.anchors, group=GROUPS, allow_missing=True
        ),
    output:
        multiext("results/{run}/tables/anchors", csv=".csv", md=".md", tex=".tex"),
    log:
        "logs/{run}/tables/make_anchors_table.log",
    benchmark:
        "benchmarks/{run}/tables/make_anchors_table.tsv"
    conda:
        "../envs/base.yaml"
    threads: 1
    resources:
        mem="2GB",
        runtime="10m",
    params:
        version=TABLES_VERSION,
        stand_in=STAND_IN,
    script:
        "../scripts/make_anchors_table.py"


rule make_trust_table:
    """Kept cells and agreement per group, student beside ridge."""
    input:
        cells=rules.merge_validation.output.cells,
        ridge=rules.merge_validation.output.ridge,
    output:
        multiext("results/{run}/tables/trust", csv=".csv", md=".md", tex=".tex"),
    log:
        "logs/{run}/tables/make_trust_table.log",
    benchmark:
        "benchmarks/{run}/tables/make_trust_table.tsv"
    conda:
        "../envs/base.yaml"
    threads: 1
    resources:
        mem="2GB",
        runtime="10m",
    params:
        version=TABLES_VERSION,
        stand_in=STAND_IN,
    script:
        "../scripts/make_trust_table.py"


rule make_retention_table:
    """What each method keeps per source."""
    input:
        selections=rules.plot_score_length.input.selections,
    output:
        multiext("results/{run}/tables/retention", csv=".csv", md=".md", tex=".tex"),
    log:
        "logs/{run}/tables/make_retention_table.log",
    benchmark:
        "benchmarks/{run}/tables/make_retention_table.tsv"
    conda:
        "../envs/base.yaml"
    threads: 1
    resources:
        mem="4GB",
        runtime="10m",
    params:
        version=TABLES_VERSION,
        stand_in=STAND_IN,
        methods=METHODS,
    script:
        "../scripts/make_retention_table.py"


rule make_separation_table:
    """Separation of intact from spoiled records per method and source."""
    input:
        separation=rules.evaluate_separation.output.separation,
    output:
        multiext("results/{run}/tables/separation", csv=".csv", md=".md", tex=".tex"),
    log:
        "logs/{run}/tables/make_separation_table.log",
    benchmark:
        "benchmarks/{run}/tables/make_separation_table.tsv"
    conda:
        "../envs/base.yaml"
    threads: 1
    resources:
        mem="2GB",
        runtime="10m",
    params:
        version=TABLES_VERSION,
        stand_in=STAND_IN,
    script:
        "../scripts/make_separation_table.py"


# All tables that this run can make.
rule tables:
    """All tables that this run can make."""
    input:
        collect(
            "results/{run}/tables/{name}.{extension}",
            run=RUN,
            name=TABLES,
            extension=["csv", "md", "tex"],
        ),
    localrule: True
