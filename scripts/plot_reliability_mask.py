"""Adapter of rule plot_reliability_mask."""

import pandas as pd

from mira.figures.reliability_mask import plot_reliability_mask
from mira.figures.style import save_figure, stem_of
from mira.logs import logged

with logged(snakemake.log[0]):
    figure, data = plot_reliability_mask(
        pd.read_csv(snakemake.input.cells),
        threshold=snakemake.params.max_mae,
        stand_in=snakemake.params.stand_in,
    )
    save_figure(figure, data, stem_of(snakemake.output[0]))
