"""Adapter of rule plot_agreement."""

import pandas as pd

from mira.figures.agreement import plot_agreement
from mira.figures.style import save_figure, stem_of
from mira.logs import logged

with logged(snakemake.log[0]):
    figure, data = plot_agreement(
        pd.read_csv(snakemake.input.cells),
        pd.read_csv(snakemake.input.ridge),
        stand_in=snakemake.params.stand_in,
    )
    save_figure(figure, data, stem_of(snakemake.output[0]))
