"""Adapter of rule plot_retention."""

from mira.figures.retention import plot_retention
from mira.figures.style import save_figure, stem_of
from mira.io import read_parquet
from mira.logs import logged

with logged(snakemake.log[0]):
    paths = zip(snakemake.params.methods, snakemake.input.selections, strict=True)
    figure, data = plot_retention(
        {method: read_parquet(path) for method, path in paths},
        stand_in=snakemake.params.stand_in,
    )
    save_figure(figure, data, stem_of(snakemake.output[0]))
