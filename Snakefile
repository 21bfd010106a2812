"""MIRA: from raw sources to a selected corpus, its figures, tables, audit and report.

Settings come from a config file, named by the profile or by --configfile. Stages are included in
the order in which data flows; each file opens with what its stage needs and makes.
"""

from snakemake.utils import min_version

min_version("9.27.0")


include: "rules/common.smk"
include: "rules/sampling.smk"
include: "rules/clustering.smk"
include: "rules/discovery.smk"
include: "rules/anchoring.smk"
include: "rules/labelling.smk"


if SETTINGS.distillation.students == "published":

    include: "rules/scorers.smk"

else:

    include: "rules/distillation.smk"


include: "rules/validation.smk"
include: "rules/scoring.smk"
include: "rules/selection.smk"
include: "rules/downstream.smk"
include: "rules/figures.smk"
include: "rules/tables.smk"
include: "rules/audit.smk"
include: "rules/report.smk"


rule all:
    default_target: True
    input:
        # The report is about what was measured.
        report=(
            [] if SETTINGS.validation.mask == "none" else f"results/{RUN}/report.html"
        ),
        selected=collect(
            "results/{run}/selection/{method}/manifest.json",
            run=RUN,
            method=SETTINGS.selection.methods,
        ),
    localrule: True
