"""Adapter of rule plot_source_similarity."""

import pandas as pd

from mira.figures.source_similarity import plot_source_similarity
from mira.figures.style import save_figure, stem_of
from mira.logs import logged

with logged(snakemake.log[0]):
    figure, data = plot_source_similarity(
        pd.read_csv(snakemake.input.groups),
        pd.read_csv(snakemake.input.similarity),
        stand_in=snakemake.params.stand_in,
    )
    save_figure(figure, data, stem_of(snakemake.output[0]))
