"""Adapter of rule make_anchors_table."""

from pathlib import Path

from mira.figures.style import stem_of
from mira.io import read_jsonl
from mira.logs import logged
from mira.tables.anchors import anchors_table
from mira.tables.write import write_table

with logged(snakemake.log[0]):
    table = anchors_table({Path(path).stem: read_jsonl(path) for path in snakemake.input.anchors})
    write_table(table, stem_of(snakemake.output[0]), snakemake.params.stand_in)
