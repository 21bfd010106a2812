"""Adapter of rule make_trust_table."""

import pandas as pd

from mira.figures.style import stem_of
from mira.logs import logged
from mira.tables.trust import trust_table
from mira.tables.write import write_table

with logged(snakemake.log[0]):
    table = trust_table(
        pd.read_csv(snakemake.input.cells),
        pd.read_csv(snakemake.input.ridge),
    )
    write_table(table, stem_of(snakemake.output[0]), snakemake.params.stand_in)
