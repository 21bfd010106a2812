"""Adapter of rule make_separation_table."""

import pandas as pd

from mira.figures.style import stem_of
from mira.logs import logged
from mira.tables.separation import separation_table
from mira.tables.write import write_table

with logged(snakemake.log[0]):
    table = separation_table(
        pd.read_csv(snakemake.input.separation),
    )
    write_table(table, stem_of(snakemake.output[0]), snakemake.params.stand_in)
