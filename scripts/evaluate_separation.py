"""Adapter of rule evaluate_separation: intact against spoiled, per method."""

import logging

from mira.io import read_json, read_parquet, write_csv
from mira.logs import logged
from mira.separation import distance_to_cut, evaluate_separation


def main() -> None:
    selections = {}
    for method, table, certificate in zip(
        snakemake.params.methods,
        snakemake.input.selections,
        snakemake.input.certificates,
        strict=True,
    ):
        selection = read_parquet(table)
        score = distance_to_cut(selection, read_json(certificate))
        selections[method] = selection.assign(score=score)
    spoiled = read_parquet(snakemake.input.spoiled)
    in_corpus = spoiled["id"].isin(next(iter(selections.values()))["id"])
    logging.info("%d of %d marked records are in the corpus", in_corpus.sum(), len(spoiled))
    write_csv(evaluate_separation(selections, spoiled[in_corpus]), snakemake.output.separation)


with logged(snakemake.log[0]):
    main()
