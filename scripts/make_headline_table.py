"""Adapter of rule make_headline_table."""

from mira.audit.claims import load_claims
from mira.figures.style import stem_of
from mira.logs import logged
from mira.tables.headline import headline_table
from mira.tables.write import write_table

with logged(snakemake.log[0]):
    table = headline_table(load_claims(snakemake.input.claims))
    write_table(table, stem_of(snakemake.output[0]), snakemake.params.stand_in)
