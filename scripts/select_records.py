"""Adapter of rule select_records: one method's selection and its certificate."""

import pandas as pd

from mira.io import read_parquet, write_json, write_parquet
from mira.logs import logged
from mira.methods import select_by_method, token_budget


def main() -> None:
    settings = snakemake.params.settings
    scores = read_parquet(snakemake.input.scores)
    budget = token_budget(
        int(scores["n_tokens"].sum()), settings["budget_share"], settings["budget_tokens"]
    )
    selection, certificate = select_by_method(
        snakemake.wildcards.method,
        scores,
        pd.read_csv(snakemake.input.cells),
        budget,
        settings["trim"],
        snakemake.params.seed,
    )
    write_parquet(selection, snakemake.output.selection)
    write_json(certificate, snakemake.output.certificate)


with logged(snakemake.log[0]):
    main()
