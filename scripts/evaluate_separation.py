"""Adapter of rule evaluate_separation: intact against spoiled, per method."""

import logging

from mira.io import read_parquet, write_csv
from mira.logs import logged
from mira.separation import evaluate_separation


def main() -> None:
    selections = {
        method: read_parquet(path)
        for method, path in zip(snakemake.params.methods, snakemake.input.selections, strict=True)
    }
    spoiled = read_parquet(snakemake.input.spoiled)
    in_corpus = spoiled["id"].isin(next(iter(selections.values()))["id"])
    logging.info("%d of %d marked records are in the corpus", in_corpus.sum(), len(spoiled))
    write_csv(evaluate_separation(selections, spoiled[in_corpus]), snakemake.output.separation)


with logged(snakemake.log[0]):
    main()
