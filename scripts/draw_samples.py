"""Adapter of rule draw_samples: check the corpus as a whole, draw both samples."""

import time
from pathlib import Path

from mira.io import read_parquet, read_parquets, write_parquet
from mira.logs import logged
from mira.manifest import write_manifest
from mira.sampling.normalise import check_unique_ids
from mira.sampling.samples import draw_samples
from mira.selection import check_budget

COLUMNS = ["id", "source", "family", "text", "n_tokens"]


def write_by_source(frame, paths) -> None:
    for path in map(Path, paths):
        write_parquet(frame[frame["source"] == path.stem].reset_index(drop=True), path)


def main() -> None:
    started = time.monotonic()
    check_unique_ids(read_parquet(path, ["id", "source"]) for path in snakemake.input.corpus)
    corpus = read_parquets(snakemake.input.corpus, COLUMNS)
    if snakemake.params.budget_tokens is not None:
        check_budget(snakemake.params.budget_tokens, int(corpus["n_tokens"].sum()))
    settings = snakemake.params.settings
    discovery, labelling = draw_samples(corpus, **settings, seed=snakemake.params.seed)
    rejected = read_parquets(snakemake.input.rejected)
    write_parquet(rejected, snakemake.output.rejected)
    write_by_source(discovery, snakemake.output.discovery)
    write_by_source(labelling, snakemake.output.labelling)
    write_manifest(
        snakemake.output.manifest,
        stage="sampling",
        inputs=snakemake.input.corpus,
        settings=settings,
        seed=snakemake.params.seed,
        counts={
            "input": len(corpus) + len(rejected),
            "kept": len(corpus),
            "rejected": len(rejected),
            "tokens": int(corpus["n_tokens"].sum()),
            "discovery": len(discovery),
            "labelling": len(labelling),
            "by_source": corpus["source"].value_counts().sort_index().to_dict(),
        },
        seconds=time.monotonic() - started,
    )


with logged(snakemake.log[0]):
    main()
