"""Adapter of rule make_groups_table."""

import pandas as pd

from mira.figures.style import stem_of
from mira.io import read_parquets
from mira.logs import logged
from mira.tables.groups import groups_table
from mira.tables.write import write_table

with logged(snakemake.log[0]):
    table = groups_table(
        pd.read_csv(snakemake.input.groups),
        read_parquets(snakemake.input.corpus, ["source", "n_tokens"]),
        read_parquets(snakemake.input.samples, ["source"]),
        read_parquets(snakemake.input.labels, ["source"]),
    )
    write_table(table, stem_of(snakemake.output[0]), snakemake.params.stand_in)
