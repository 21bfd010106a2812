"""Adapter of rule write_report."""

from pathlib import Path

from mira.logs import logged
from mira.report import write_report

with logged(snakemake.log[0]):
    write_report(
        Path(snakemake.params.results), snakemake.params.settings, Path(snakemake.output.html)
    )
