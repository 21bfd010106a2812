"""Audit: what the paper printed, checked against itself and against this run.

NEEDS   config/claims.yaml and the run's result files
MAKES   audit/audit.json, audit/audit.md
COST    seconds
"""

from mira.audit import STAGE_VERSION as AUDIT_VERSION


rule audit_claims:
    """Recompute what can be recomputed; give every claim a verdict with its evidence."""
    input:
        claims=workflow.source_path("../config/claims.yaml"),
        manifest=rules.draw_samples.output.manifest,
        rejected=rules.merge_labelling.output.rejected,
        cells=rules.merge_validation.output.cells,
        selections=collect(
            rules.select_records.output.selection, method=METHODS, allow_missing=True
        ),
        certificates=collect(
            rules.select_records.output.certificate, method=METHODS, allow_missing=True
        ),
    output:
        json="results/{run}/audit/audit.json",
        markdown="results/{run}/audit/audit.md",
    log:
        "logs/{run}/audit/audit_claims.log",
    benchmark:
        "benchmarks/{run}/audit/audit_claims.tsv"
    conda:
        "../envs/base.yaml"
    threads: 1
    resources:
        mem="8GB",
        runtime="30m",
    params:
        version=AUDIT_VERSION,
        stand_in=STAND_IN,
        comparable=RUN == "paper" and STAND_IN is None,
        results=lambda wildcards, output: str(Path(output.json).parents[1]),
    script:
        "../scripts/audit_claims.py"
