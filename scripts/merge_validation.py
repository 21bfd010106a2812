"""Adapter of rule merge_validation: one table of all cells, and the summary."""

import pandas as pd

from mira.io import write_csv, write_json
from mira.logs import logged
from mira.validation import check_groups, summarise


def merged(paths: list[str]) -> pd.DataFrame:
    return pd.concat([pd.read_csv(path) for path in paths], ignore_index=True)


def main() -> None:
    cells = merged(snakemake.input.cells)
    ridge = merged(snakemake.input.ridge)
    readouts = merged(snakemake.input.readouts)
    check_groups(cells, snakemake.params.max_mae)
    write_csv(cells, snakemake.output.cells)
    write_csv(ridge, snakemake.output.ridge)
    write_csv(readouts, snakemake.output.readouts)
    write_json(summarise(cells, ridge, readouts), snakemake.output.summary)


with logged(snakemake.log[0]):
    main()
