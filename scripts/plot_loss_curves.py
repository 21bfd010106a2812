"""Adapter of rule plot_loss_curves."""

from pathlib import Path

from mira.figures.loss_curves import loss_history, plot_loss_curves
from mira.figures.style import save_figure, stem_of
from mira.io import read_json
from mira.logs import logged

with logged(snakemake.log[0]):
    paths = [*([snakemake.input.base] if snakemake.input.base else []), *snakemake.input.states]
    states = {Path(path).parent.name: read_json(path) for path in paths}
    figure, data = plot_loss_curves(loss_history(states), stand_in=snakemake.params.stand_in)
    save_figure(figure, data, stem_of(snakemake.output[0]))
