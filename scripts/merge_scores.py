"""Adapter of rule merge_scores: every record of the corpus with its scores, once."""

import time

import pandas as pd

from mira.groups import group_by_source
from mira.io import read_json, read_parquets, write_parquet
from mira.logs import logged
from mira.manifest import write_manifest
from mira.scoring.merge import count_scores, merge_scores, sum_counters


def main() -> None:
    started = time.monotonic()
    corpus = read_parquets(snakemake.input.corpus, ["id", "source", "n_tokens"])
    corpus["group"] = corpus["source"].map(group_by_source(pd.read_csv(snakemake.input.groups)))
    scores = merge_scores(corpus, read_parquets(snakemake.input.shards))
    counters = pd.DataFrame([read_json(path) for path in snakemake.input.counters])
    write_parquet(scores, snakemake.output.scores)
    write_manifest(
        snakemake.output.manifest,
        stage="scoring",
        inputs=snakemake.input.shards,
        settings=snakemake.params.scoring,
        seed=snakemake.params.seed,
        counts={**count_scores(scores), **sum_counters(counters)},
        seconds=time.monotonic() - started,
    )


with logged(snakemake.log[0]):
    main()
