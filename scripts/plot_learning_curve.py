"""Adapter of rule plot_learning_curve."""

from pathlib import Path

import pandas as pd

from mira.figures.learning_curve import plot_learning_curve
from mira.figures.style import save_figure, stem_of
from mira.logs import logged

with logged(snakemake.log[0]):
    curves = {Path(path).stem: pd.read_csv(path) for path in snakemake.input.curves}
    figure, data = plot_learning_curve(curves, stand_in=snakemake.params.stand_in)
    save_figure(figure, data, stem_of(snakemake.output[0]))
