"""Adapter of rule make_retention_table."""

from mira.figures.style import stem_of
from mira.io import read_parquet
from mira.logs import logged
from mira.tables.retention import retention_table
from mira.tables.write import write_table

with logged(snakemake.log[0]):
    paths = zip(snakemake.params.methods, snakemake.input.selections, strict=True)
    table = retention_table({method: read_parquet(path) for method, path in paths})
    write_table(table, stem_of(snakemake.output[0]), snakemake.params.stand_in)
