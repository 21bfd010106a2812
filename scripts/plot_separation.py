"""Adapter of rule plot_separation."""

import pandas as pd

from mira.figures.separation import plot_separation
from mira.figures.style import save_figure, stem_of
from mira.logs import logged

with logged(snakemake.log[0]):
    figure, data = plot_separation(
        pd.read_csv(snakemake.input.separation),
        stand_in=snakemake.params.stand_in,
    )
    save_figure(figure, data, stem_of(snakemake.output[0]))
